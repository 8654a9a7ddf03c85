/** Medians, spreads and ratios of two programs. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { compare, median, spread } from '../../bench/statistics.ts';

const numbers = fc.array(fc.integer({ min: 1, max: 1_000_000 }), { minLength: 1, maxLength: 30 });

describe('median', () => {
  it('is the middle of an odd number of numbers, whatever their order', () => {
    assert.equal(median([30, 1, 2]), 2);
    assert.equal(median([7]), 7);
  });

  it('is the mean of the middle two of an even number', () => {
    assert.equal(median([10, 1, 4, 3]), 3.5);
  });

  it('sorts numbers as numbers', () => {
    assert.equal(median([100, 20, 3]), 20);
  });

  it('has as many numbers below as above', () => {
    fc.assert(
      fc.property(numbers, (all) => {
        const middle = median(all);
        const below = all.filter((number) => number < middle).length;
        const above = all.filter((number) => number > middle).length;
        assert.ok(below <= all.length / 2 && above <= all.length / 2, `${below} below and ${above} above ${middle}`);
      }),
    );
  });

  it('leaves the numbers in their order', () => {
    const rounds = [3, 1, 2];
    median(rounds);
    assert.deepEqual(rounds, [3, 1, 2]);
  });

  it('refuses to be of nothing', () => {
    assert.throws(() => median([]), RangeError);
  });
});

describe('spread', () => {
  it('is the median between the smallest and the largest', () => {
    assert.deepEqual(spread([5, 1, 9, 4, 6]), { median: 5, min: 1, max: 9 });
  });
});

describe('comparison', () => {
  it('puts Sallyport over what it replaces, in ratios and differences of the medians', () => {
    const { ratio, difference } = compare({ sallyport: [30, 90, 60], reference: [40, 10, 20] });
    assert.equal(ratio, 3);
    assert.equal(difference, 40);
  });

  it('has the ratio of each round by itself in its spread', () => {
    const { ratios } = compare({ sallyport: [10, 40, 90], reference: [10, 20, 30] });
    assert.deepEqual(ratios, { median: 2, min: 1, max: 3 });
  });

  it('is 1 for a program beside itself', () => {
    fc.assert(
      fc.property(numbers, (all) => {
        const { ratio, difference, ratios } = compare({ sallyport: all, reference: all });
        assert.deepEqual([ratio, difference, ratios], [1, 0, { median: 1, min: 1, max: 1 }]);
      }),
    );
  });

  it('refuses rounds that only one side was in', () => {
    assert.throws(() => compare({ sallyport: [1, 2], reference: [1] }), RangeError);
    assert.throws(() => compare({ sallyport: [], reference: [] }), RangeError);
  });
});
