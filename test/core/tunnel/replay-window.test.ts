import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { REPLAY_WINDOW, ReplayWindow } from '../../../src/core/tunnel/replay-window.ts';
import { ObviousReplayWindow } from '../../reference/replay-window.ts';

describe('ReplayWindow', () => {
  it('says what the obvious one says', () => {
    const steps = fc.array(
      fc.oneof(fc.integer({ min: -70, max: 70 }), fc.constantFrom(-64, -63, -33, -32, -31, 1, 31, 32, 33, 63, 64, 65), fc.constant(5000)),
      { maxLength: 200 },
    );
    fc.assert(
      fc.property(steps, (jumps) => {
        const window = new ReplayWindow();
        const obvious = new ObviousReplayWindow(REPLAY_WINDOW);
        for (const jump of jumps) {
          const sequence = Math.max(0, window.next - 1 + jump);
          assert.equal(window.allows(sequence), obvious.allows(sequence), `${sequence} when ${window.next} is next`);
          if (!window.allows(sequence)) continue;
          window.mark(sequence);
          obvious.mark(sequence);
        }
      }),
    );
  });

  it('lets each number pass once, in any order within its width', () => {
    const window = new ReplayWindow();
    const numbers = Array.from({ length: REPLAY_WINDOW }, (_, i) => (i * 37) % REPLAY_WINDOW);
    for (const sequence of numbers) {
      assert.equal(window.allows(sequence), true);
      window.mark(sequence);
      assert.equal(window.allows(sequence), false);
    }
  });

  it('reaches to the end of the 48 bits', () => {
    const window = new ReplayWindow();
    window.mark(2 ** 48 - 2);
    assert.equal(window.allows(2 ** 48 - 1), true);
    assert.equal(window.allows(2 ** 48 - 66), true);
    assert.equal(window.allows(2 ** 48 - 67), false);
  });

  it('takes everything for seen below the number that it is moved to', () => {
    const window = new ReplayWindow();
    window.mark(3);
    window.moveTo(100);
    assert.equal(window.next, 100);
    for (const sequence of [0, 3, 36, 37, 68, 98, 99]) assert.equal(window.allows(sequence), false);
    assert.equal(window.allows(100), true);
    window.mark(140);
    assert.equal(window.allows(99), false);
    assert.equal(window.allows(100), true);
  });
});
