/** Which figures keep their limits. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Figure, judge, type Measurement } from '../../bench/figures.ts';

function figure(measurement: Measurement, sallyport: readonly number[], reference: readonly number[]): Figure {
  return { measurement, transport: 'dtls', name: 'any', unit: 'ms', samples: { sallyport, reference } };
}

function verdicts(...figures: Figure[]): boolean[] {
  return judge(figures).map(({ isKept }) => isKept);
}

describe('limits', () => {
  it('let a connection take 80 ms longer, and no more', () => {
    assert.deepEqual(verdicts(figure('connect', [108], [28]), figure('connect', [108.1], [28])), [true, false]);
  });

  it('let a ping take 1.2 times as long, and no more', () => {
    assert.deepEqual(verdicts(figure('ping', [84], [70]), figure('ping', [84.1], [70])), [true, false]);
  });

  it('look at medians, not at a round that went wrong', () => {
    assert.deepEqual(verdicts(figure('connect', [50, 900, 60], [30, 31, 32])), [true]);
  });

  it('say how far a figure is from openconnect’s, on either side', () => {
    const reached = judge([figure('connect', [100], [30]), figure('connect', [20], [30]), figure('ping', [75], [100])]);
    assert.deepEqual(
      reached.map((verdict) => verdict.reached),
      ['70.0 ms above', '10.0 ms below', '0.750 times'],
    );
  });

  it('leave memory, throughput and the gateway alone', () => {
    const slow = [figure('throughput', [1], [1000]), figure('gateway-throughput', [1], [1000])];
    assert.deepEqual(verdicts(figure('memory', [900], [10]), figure('gateway-memory', [900], [10]), ...slow), []);
  });
});
