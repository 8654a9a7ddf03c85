import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { ReplayWindow } from '../../../src/node/engine/replay-window.ts';
import { sized } from '../../support/size.ts';

describe('replay window', () => {
  it('takes each number once, in any order within its width', () => {
    const window = new ReplayWindow(64, 1);
    for (const number of [1, 5, 3, 2, 4, 70, 69, 7]) {
      assert.ok(window.accepts(number), `${number}`);
      window.mark(number);
      assert.ok(!window.accepts(number), `${number} again`);
    }
    assert.equal(window.next, 71);
    assert.ok(!window.accepts(6), 'fell out of the window: 71 - 64 = 7 is the lowest');
  });

  it('refuses what was before its time', () => {
    const window = new ReplayWindow(64, 10);
    assert.ok(!window.accepts(9));
    assert.ok(window.accepts(10));
    assert.equal(window.next, 10);
  });

  it('is not moved by a number that was only asked about', () => {
    const window = new ReplayWindow(64, 0);
    assert.ok(window.accepts(1_000_000));
    assert.ok(window.accepts(0));
    assert.equal(window.next, 0);
  });

  it('works up to the last record number', () => {
    const last = 2 ** 48 - 1;
    const window = new ReplayWindow(64, last - 100);
    window.mark(last - 1);
    window.mark(last);
    assert.ok(!window.accepts(last - 1));
    assert.ok(window.accepts(last - 2));
    assert.ok(!window.accepts(last - 64));
    assert.equal(window.next, 2 ** 48);
  });

  it('equals a set of all numbers ever seen, whatever comes', () => {
    const base = fc.constantFrom(0, 1, 31, 32, 2 ** 32 - 40, 2 ** 47);
    const step = fc.oneof(
      { weight: 6, arbitrary: fc.integer({ min: -90, max: 90 }) },
      { weight: 1, arbitrary: fc.integer({ min: -90, max: 5000 }) },
    );
    fc.assert(
      fc.property(base, fc.integer({ min: 64, max: 300 }), fc.array(step, { maxLength: 200 }), (start, width, steps) => {
        const window = new ReplayWindow(width, start);
        const seen = new Set<number>();
        let next = start;
        for (const each of steps) {
          const number = Math.max(0, next + each);
          const expected = number >= start && number >= next - width && !seen.has(number);
          assert.equal(window.accepts(number), expected, `${number} with next ${next}`);
          if (!expected) continue;
          window.mark(number);
          seen.add(number);
          next = Math.max(next, number + 1);
          assert.equal(window.next, next);
        }
      }),
      { numRuns: sized(200, 5000) },
    );
  });
});
