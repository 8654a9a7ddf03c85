/** How long the engine's thread sleeps after a pass, by the system call that it makes. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Gathered, gatheredFor, Moderation } from '../../../src/node/engine/moderation.ts';
import { Arena } from '../../../src/node/ffi/arena.ts';
import type { Libc } from '../../../src/node/ffi/libc.ts';

const skip = process.platform === 'linux' ? false : 'the packet engine runs on Linux only';

interface Pass {
  readonly sent: number;
  readonly received: number;
  /** Milliseconds. */
  readonly took: number;
  /** Default: `nobody`. */
  readonly gathered?: Gathered;
  /** When it was over, in milliseconds. */
  readonly at?: number;
}

/** Milliseconds of sleep after the last of them; 0: none is due. */
function sleepAfter(...passes: readonly Pass[]): number {
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
  for (const { sent, received, took, gathered = 'nobody', at = 0 } of passes) {
    slept = 0;
    moderation.moved(sent, received, took, gathered, at);
    if (!moderation.isDue) continue;
    assert.equal(moderation.comesFirst, received > sent);
    moderation.sleep();
    assert.equal(moderation.isDue, false, 'once');
  }
  return slept;
}

describe('the sleep after a busy pass', { skip }, () => {
  it('is as long as the pass was, within limits', () => {
    assert.equal(sleepAfter({ sent: 0, received: 40, took: 0.2 }), 0.2);
    assert.equal(sleepAfter({ sent: 40, received: 0, took: 0.01 }), 0.05);
    assert.equal(sleepAfter({ sent: 0, received: 40, took: 3 }), 0.4);
  });

  it('is as long as may be where what came has woken main', () => {
    assert.equal(sleepAfter({ sent: 1, received: 40, took: 0.06, gathered: 'main' }), 0.4);
  });

  it('is no longer than for others where main has sent', () => {
    assert.equal(sleepAfter({ sent: 40, received: 2, took: 0.06, gathered: 'main' }), 0.06);
  });

  it('is as long as may be while passes move few packets of many sessions, and of one fewer are enough', () => {
    const passes = (moved: number, gathered: Gathered) =>
      Array.from({ length: 40 }, () => ({ sent: 0, received: moved, took: 0.1, gathered }));
    assert.equal(sleepAfter(...passes(5, 'one')), 0.4);
    assert.equal(sleepAfter(...passes(10, 'one')), 0.1);
    assert.equal(sleepAfter(...passes(10, 'several')), 0.4);
    assert.equal(sleepAfter(...passes(20, 'several')), 0.1);
    assert.equal(sleepAfter(...passes(5, 'nobody')), 0.1);
  });

  it('is as long as four such passes at a client, while they move few: a peer that sends one by one goes on meanwhile', () => {
    const passes = (moved: number, took: number) =>
      Array.from({ length: 60 }, () => ({ sent: moved, received: 1, took, gathered: 'client' as const }));
    assert.equal(sleepAfter(...passes(10, 0.03)), 0.12);
    assert.equal(sleepAfter(...passes(10, 0.01)), 0.05);
    assert.equal(sleepAfter(...passes(10, 0.3)), 0.4);
    assert.equal(sleepAfter(...passes(40, 0.1)), 0.1);
  });

  it('is by whose packets they are', () => {
    assert.equal(gatheredFor(true, false, false, false), 'main');
    assert.equal(gatheredFor(false, false, false, false), 'client');
    assert.equal(gatheredFor(false, true, false, false), 'one');
    assert.equal(gatheredFor(undefined, true, false, true), 'several');
    assert.equal(gatheredFor(false, true, true, true), 'nobody');
  });

  it('goes by what passes moved lately, not by the last one alone', () => {
    const runs: Pass[] = Array.from({ length: 40 }, () => ({ sent: 46, received: 0, took: 0.1, gathered: 'one' }));
    const ack: Pass = { sent: 0, received: 2, took: 0.06, gathered: 'one' };
    assert.equal(sleepAfter(...runs, ack), 0.06);
    assert.equal(
      sleepAfter(...runs, { sent: 0, received: 0, took: 0.1, gathered: 'one' }, ack),
      0.06,
      'a pass that moved nothing says nothing',
    );
    assert.equal(sleepAfter(...runs, ...Array.from({ length: 20 }, () => ({ ...ack, received: 4 }))), 0.4);
  });

  it('is none after few packets', () => {
    assert.equal(sleepAfter({ sent: 1, received: 2, took: 0.2, gathered: 'main' }), 0);
  });

  it('follows few packets too where a burst has just passed, and none where nothing has', () => {
    const burst = { sent: 46, received: 0, took: 0.3, at: 10 };
    const ack = { sent: 0, received: 1, took: 0 };
    assert.equal(sleepAfter(burst, { ...ack, at: 10.9 }), 0.05);
    assert.equal(sleepAfter(burst, { ...ack, at: 10.5 }, { ...ack, at: 11.1 }), 0, 'few packets are no burst that others follow');
    assert.equal(sleepAfter(burst, { sent: 0, received: 0, took: 0.2, at: 10.1 }), 0, 'main has woken it');
  });
});
