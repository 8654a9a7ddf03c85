/** What is kept of earlier measurements. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Figure, Measurement } from '../../bench/figures.ts';
import type { Circumstances } from '../../bench/machine.ts';
import { parseRecord, renderRecord, withFigures } from '../../bench/record.ts';

function machine(commit: string): Circumstances {
  return { date: '2031-05-17', commit, kernel: 'Linux 6.99', processor: 'Some Processor', cores: 2, programs: [], load: 0 };
}

function figure(measurement: Measurement, sample: number): Figure {
  const samples = { sallyport: [sample], reference: [1] };
  return { measurement, transport: 'dtls', name: 'any', unit: 'ms', samples };
}

describe('record', () => {
  it('takes new figures in the place of old ones of the same measurement, and keeps the others with their circumstances', () => {
    const old = withFigures({}, [figure('ping', 1), figure('connect', 2)], machine('old'));
    const record = withFigures(old, [figure('ping', 3)], machine('new'));
    assert.deepEqual(record, {
      connect: { measuredOn: machine('old'), figures: [figure('connect', 2)] },
      ping: { measuredOn: machine('new'), figures: [figure('ping', 3)] },
    });
  });

  it('has its measurements in the order of the report', () => {
    const record = withFigures(withFigures({}, [figure('pair', 1)], machine('one')), [figure('connect', 2)], machine('two'));
    assert.deepEqual(Object.keys(record), ['connect', 'pair']);
  });

  it('is read back as it was written, without what is not measured any more', () => {
    const record = withFigures({}, [figure('ping', 1.25)], machine('one'));
    assert.deepEqual(parseRecord(renderRecord(record)), record);
    assert.deepEqual(parseRecord(JSON.stringify({ ...record, charm: {} })), record);
  });
});
