/** The bench's command line. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MEASUREMENTS } from '../../bench/figures.ts';
import { parseOptions } from '../../bench/options.ts';

describe('options of the bench', () => {
  it('measure everything in full and fail on a missed limit unless told otherwise', () => {
    assert.deepEqual(parseOptions([]), { isQuick: false, measurements: MEASUREMENTS, isReportOnly: false, writes: false });
  });

  it('choose measurements, in the order of the report', () => {
    assert.deepEqual(parseOptions(['--only=throughput', '--only', 'ping']).measurements, ['ping', 'throughput']);
  });

  it('refuse a measurement that there is not, and name those that there are', () => {
    assert.throws(
      () => parseOptions(['--only', 'latency']),
      /no measurement latency.*connect, ping, .*pair, pair-ping, pair-proxy, fortinet, f5, gp, nc, pulse, array, packets, sessions/,
    );
  });

  it('refuse to write a document from quick figures', () => {
    assert.equal(parseOptions(['--write']).writes, true);
    assert.equal(parseOptions(['--write', '--only', 'ping']).writes, true);
    assert.throws(() => parseOptions(['--write', '--quick']), /quick/);
  });

  it('refuse what they do not know', () => {
    assert.throws(() => parseOptions(['--fast']), /--fast/);
    assert.throws(() => parseOptions(['ping']), /ping/);
  });
});
