import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { RateMeter } from '../../src/client/rate-meter.ts';

describe('the rate of traffic', () => {
  it('is nothing before there are two looks at it', () => {
    const meter = new RateMeter();
    assert.deepEqual(meter.rate(), { received: 0, sent: 0 });
    meter.sample({ received: 100, sent: 5 }, 1000);
    assert.deepEqual(meter.rate(), { received: 0, sent: 0 });
    meter.sample({ received: 200, sent: 5 }, 1000);
    assert.deepEqual(meter.rate(), { received: 0, sent: 0 }, 'at the same time');
  });

  it('is that of the last three seconds', () => {
    const meter = new RateMeter();
    for (let second = 0; second <= 10; second++) meter.sample({ received: second * 1000, sent: second * 10 }, second * 1000);
    assert.deepEqual(meter.rate(), { received: 1000, sent: 10 });
    for (let second = 11; second <= 15; second++) meter.sample({ received: 10_000, sent: 100 }, second * 1000);
    assert.deepEqual(meter.rate(), { received: 0, sent: 0 });
  });

  it('is right after a long time without a look', () => {
    const meter = new RateMeter();
    meter.sample({ received: 0, sent: 0 }, 0);
    meter.sample({ received: 60_000, sent: 0 }, 60_000);
    assert.deepEqual(meter.rate(), { received: 1000, sent: 0 });
  });

  it('of a steady flow is the flow’s, whenever it is looked at', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 5000 }), { minLength: 2, maxLength: 50 }), (gaps) => {
        const meter = new RateMeter();
        let now = 0;
        for (const gap of gaps) {
          now += gap;
          meter.sample({ received: now * 8, sent: now }, now);
        }
        assert.deepEqual(meter.rate(), { received: 8000, sent: 1000 });
      }),
    );
  });
});
