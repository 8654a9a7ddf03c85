/** How long the engine's thread sleeps after a pass, by the system call that it makes. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Moderation } from '../../../src/node/engine/moderation.ts';
import { Arena } from '../../../src/node/ffi/arena.ts';
import type { Libc } from '../../../src/node/ffi/libc.ts';

const skip = process.platform === 'linux' ? false : 'the packet engine runs on Linux only';

interface Pass {
  readonly sent: number;
  readonly received: number;
  /** Milliseconds. */
  readonly took: number;
  readonly wakesMain?: boolean;
}

/** Milliseconds of sleep after it; 0: none is due. */
function sleepAfter({ sent, received, took, wakesMain = false }: Pass): number {
  const arena = new Arena(4_096);
  let slept = 0;
  const libc = {
    prctl: () => 0,
    nanosleep: (timespec: number) => {
      slept = arena.view.getUint32(timespec - arena.address(0) + 8, true) / 1e6;
      return 0;
    },
  };
  const moderation = new Moderation(libc as unknown as Libc, arena, true);
  moderation.moved(sent, received, took, wakesMain);
  if (!moderation.isDue) return 0;
  assert.equal(moderation.comesFirst, received > sent);
  moderation.sleep();
  assert.equal(moderation.isDue, false, 'once');
  return slept;
}

describe('the sleep after a busy pass', { skip }, () => {
  it('is as long as the pass was, within limits', () => {
    assert.equal(sleepAfter({ sent: 0, received: 40, took: 0.2 }), 0.2);
    assert.equal(sleepAfter({ sent: 40, received: 0, took: 0.01 }), 0.05);
    assert.equal(sleepAfter({ sent: 0, received: 40, took: 3 }), 0.4);
  });

  it('is as long as may be where what came has woken main', () => {
    assert.equal(sleepAfter({ sent: 1, received: 40, took: 0.06, wakesMain: true }), 0.4);
  });

  it('is no longer than for others where main has sent', () => {
    assert.equal(sleepAfter({ sent: 40, received: 2, took: 0.06, wakesMain: true }), 0.06);
  });

  it('is none after few packets', () => {
    assert.equal(sleepAfter({ sent: 1, received: 2, took: 0.2, wakesMain: true }), 0);
  });
});
