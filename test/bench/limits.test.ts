/** Which figures keep their limits. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Figure, Measurement, Transport } from '../../bench/figures.ts';
import { judge } from '../../bench/limits.ts';

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

  it('leave memory, and figures that are only stated, alone', () => {
    const stated = [
      of('portable', 'dtls', 'up', 0.1),
      of('gateway-throughput', 'tls', 'up', 0.1),
      of('sessions', 'tls', 'rate, 10 active', 0.1),
    ];
    assert.deepEqual(verdicts(figure('memory', [900], [10]), figure('gateway-memory', [900], [10]), ...stated), []);
  });

  /** The figure whose ratio is this. */
  function of(measurement: Measurement, transport: Transport, name: string, ratio: number): Figure {
    return { measurement, transport, name, unit: 'Mbit/s', samples: { sallyport: [100 * ratio], reference: [100] } };
  }

  const AT_LEAST: readonly (readonly [Measurement, Transport, string, number])[] = [
    ['throughput', 'dtls', 'up', 1.15],
    ['throughput', 'tls', 'down', 1.45],
    ['gateway-throughput', 'dtls', 'up', 1.8],
    ['pair', 'dtls', 'up', 4],
    ['pair', 'dtls', 'down', 3.3],
    ['pair', 'tls', 'down', 2.8],
    ['pair-proxy', 'tls', 'down', 5],
    ['packets', 'dtls', 'up', 1.9],
    ['gp', 'esp', 'up', 2.5],
    ['nc', 'esp', 'down', 2.5],
    ['array', 'tls', 'down', 2],
  ];
  for (const [measurement, transport, name, ratio] of AT_LEAST) {
    it(`want of ${measurement} over ${transport}, ${name}, at least ${ratio} times the other's`, () => {
      const [enough, less] = [of(measurement, transport, name, ratio), of(measurement, transport, name, ratio - 0.01)];
      assert.deepEqual(verdicts(enough, less), [true, false]);
    });
  }

  const AT_MOST: readonly (readonly [Measurement, Transport, string, number])[] = [
    ['throughput', 'dtls', 'CPU up', 0.6],
    ['throughput', 'tls', 'CPU down', 0.6],
    ['gateway-throughput', 'dtls', 'CPU down', 0.6],
    ['pair', 'dtls', 'client CPU up', 0.3],
    ['pair', 'dtls', 'client CPU down', 0.4],
    ['pair', 'dtls', 'gateway CPU down', 0.3],
    ['pair', 'tls', 'gateway CPU up', 0.5],
    ['pair-ping', 'dtls', 'every 20 ms', 1.15],
    ['pair-ping', 'tls', 'during an upload', 0.5],
    ['sessions', 'dtls', 'CPU, 100 active', 1.2],
  ];
  for (const [measurement, transport, name, ratio] of AT_MOST) {
    it(`let ${measurement} over ${transport}, ${name}, be ${ratio} times the other's, and no more`, () => {
      const [enough, more] = [of(measurement, transport, name, ratio), of(measurement, transport, name, ratio + 0.01)];
      assert.deepEqual(verdicts(enough, more), [true, false]);
    });
  }

  it('say what they compare to', () => {
    const said = judge([of('pair', 'dtls', 'up', 1), of('sessions', 'dtls', 'CPU, 1 active', 1)]).map(({ limit }) => limit);
    assert.deepEqual(said, ['at least 4 times that of openconnect with ocserv', 'at most 1.2 times that of one session']);
  });
});
