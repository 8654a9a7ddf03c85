/** The bench's command line. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseOptions } from '../../bench/options.ts';

describe('options of the bench', () => {
  it('measure everything in full and fail on a missed limit unless told otherwise', () => {
    const measurements = ['connect', 'ping', 'memory', 'throughput', 'gateway-memory', 'gateway-throughput'];
    assert.deepEqual(parseOptions([]), { isQuick: false, measurements, isReportOnly: false, writes: false });
  });

  it('choose measurements, in the order of the report', () => {
    assert.deepEqual(parseOptions(['--only=throughput', '--only', 'ping']).measurements, ['ping', 'throughput']);
  });

  it('refuse a measurement that there is not, and name those that there are', () => {
    assert.throws(
      () => parseOptions(['--only', 'latency']),
      /no measurement latency.*connect, ping, memory, throughput, gateway-memory, gateway-throughput/,
    );
  });

  it('refuse to write a document from part of the figures, or from quick ones', () => {
    assert.equal(parseOptions(['--write']).writes, true);
    assert.throws(() => parseOptions(['--write', '--quick']), /full run/);
    assert.throws(() => parseOptions(['--write', '--only', 'ping']), /full run/);
  });

  it('refuse what they do not know', () => {
    assert.throws(() => parseOptions(['--fast']), /--fast/);
    assert.throws(() => parseOptions(['ping']), /ping/);
  });
});
