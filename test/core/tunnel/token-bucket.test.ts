import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { DROPPED, TokenBucket } from '../../../src/core/tunnel/token-bucket.ts';
import { SeededRandom } from '../../support/seeded-random.ts';

describe('token bucket', () => {
  it('lets a burst go at once, then makes packets wait for their turn', () => {
    const bucket = new TokenBucket(10_000, { burst: 3000, maxDelay: 1000 });
    assert.deepEqual(
      [1, 2, 3, 4, 5].map(() => bucket.delayOf(1000, 0)),
      [0, 0, 0, 100, 200],
    );
  });

  it('drops what would wait too long, and does not count it', () => {
    const bucket = new TokenBucket(10_000, { burst: 1000, maxDelay: 150 });
    assert.equal(bucket.delayOf(1000, 0), 0);
    assert.equal(bucket.delayOf(1000, 0), 100);
    assert.equal(bucket.delayOf(1000, 0), DROPPED);
    assert.equal(bucket.delayOf(500, 0), 150);
  });

  it('only drops where no delay is allowed', () => {
    const bucket = new TokenBucket(1000, { burst: 100, maxDelay: 0 });
    assert.deepEqual(
      [0, 0, 50, 100, 150].map((now) => bucket.delayOf(100, now)),
      [0, DROPPED, DROPPED, 0, DROPPED],
    );
  });

  it('has its whole burst again after a silence, and no more', () => {
    const bucket = new TokenBucket(1000, { burst: 500, maxDelay: 0 });
    for (const now of [0, 1_000_000]) {
      assert.equal(bucket.delayOf(500, now), 0);
      assert.equal(bucket.delayOf(1, now), DROPPED);
    }
  });

  it('lets one packet pass that is larger than its burst, and makes the next one pay for it', () => {
    const bucket = new TokenBucket(1000, { burst: 100, maxDelay: 200 });
    assert.equal(bucket.delayOf(1000, 0), 0);
    assert.equal(bucket.delayOf(100, 500), DROPPED);
    assert.equal(bucket.delayOf(100, 900), 100);
  });

  it('gives no credit when the clock goes back', () => {
    const bucket = new TokenBucket(1000, { burst: 100, maxDelay: 0 });
    assert.equal(bucket.delayOf(100, 1000), 0);
    assert.equal(bucket.delayOf(100, 500), DROPPED);
  });

  it('keeps the rate within 2 % in the long run, whatever the packets, the rate and the policy', () => {
    const cases = fc.record({
      seed: fc.integer(),
      rate: fc.integer({ min: 2_000, max: 200_000_000 }),
      overload: fc.double({ min: 2, max: 20, noNaN: true }), // so that the bucket is never idle by chance,
      maxDelay: fc.constantFrom(0, 5, 50, 500),
    });
    fc.assert(
      fc.property(cases, ({ seed, rate, overload, maxDelay }) => {
        const random = new SeededRandom(seed);
        const bucket = new TokenBucket(rate, { maxDelay });
        const packets = 10_000;
        let [now, passed, lastLeaves] = [0, 0, 0];
        for (let i = 0; i < packets; i++) {
          const length = 40 + (random.uint32() % 1461);
          now += ((length / (rate * overload)) * 1000 * random.uint32()) / 2 ** 31; // twice the mean gap at most, once on average
          const delay = bucket.delayOf(length, now);
          assert.ok(delay === DROPPED || (delay >= 0 && delay <= maxDelay));
          if (delay === DROPPED) continue;
          assert.ok(now + delay >= lastLeaves - 1e-6, 'a later packet would overtake an earlier one');
          lastLeaves = now + delay;
          passed += length;
        }
        const burst = Math.max(rate / 10, 3000); // paid for after the end
        const allowed = (rate * now) / 1000;
        assert.ok(passed <= allowed * 1.02 + burst + (rate * maxDelay) / 1000, `${passed} of ${allowed} bytes`);
        assert.ok(passed >= allowed * 0.98, `${passed} of ${allowed} bytes`);
      }),
      { numRuns: 60 },
    );
  });

  it('lets everything through without delay below the rate', () => {
    const bucket = new TokenBucket(100_000);
    for (let i = 0; i < 1000; i++) assert.equal(bucket.delayOf(1400, i * 14.1), 0);
  });
});
