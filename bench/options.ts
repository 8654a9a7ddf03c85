/** What `npm run bench` is asked for on its command line; run.ts explains each option. */
import { parseArgs } from 'node:util';
import { MEASUREMENTS, type Measurement } from './figures.ts';

export interface Options {
  readonly isQuick: boolean;
  readonly measurements: readonly Measurement[];
  readonly isReportOnly: boolean;
  readonly writes: boolean;
}

/** Throws for what it does not know, and for options that do not go together. */
export function parseOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: 'boolean', default: false },
      only: { type: 'string', multiple: true, default: [] },
      'report-only': { type: 'boolean', default: false },
      write: { type: 'boolean', default: false },
    },
  });
  const unknown = values.only.filter((name) => !MEASUREMENTS.some((measurement) => measurement === name));
  if (unknown.length > 0) throw new Error(`there is no measurement ${unknown.join(', ')}; there are ${MEASUREMENTS.join(', ')}`);
  if (values.write && values.quick) throw new Error('--write is not for quick runs: the document holds no figures that are noise');
  const measurements = MEASUREMENTS.filter((measurement) => values.only.length === 0 || values.only.includes(measurement));
  return { isQuick: values.quick, measurements, isReportOnly: values['report-only'], writes: values.write };
}
