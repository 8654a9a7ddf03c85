/**
 * What was measured last, of each measurement: every sample, and on what. docs/performance.json keeps it, docs/performance.md is made of it; so one
 * measurement can be repeated without the others.
 */
import { type Figure, MEASUREMENTS, type Measurement } from './figures.ts';
import type { Circumstances } from './machine.ts';

export interface Measured {
  readonly measuredOn: Circumstances;
  readonly figures: readonly Figure[];
}

export type BenchRecord = Readonly<Partial<Record<Measurement, Measured>>>;

/** Of our own making: what it does not know any more is left out, and nothing else is checked. */
export function parseRecord(text: string): BenchRecord {
  return inOrder(JSON.parse(text) as BenchRecord);
}

/** More of a sample is noise. */
const SIGNIFICANT_DIGITS = 6;

/** JSON with a line for each figure. */
export function renderRecord(record: BenchRecord): string {
  const json = (value: unknown) =>
    JSON.stringify(value, (_, part) => (typeof part === 'number' ? Number(part.toPrecision(SIGNIFICANT_DIGITS)) : part));
  const parts = (Object.entries(record) as [Measurement, Measured][]).map(([measurement, { measuredOn, figures }]) => {
    const lines = figures.map((figure) => `    ${json(figure)}`).join(',\n');
    return `  ${json(measurement)}: {\n   "measuredOn": ${json(measuredOn)},\n   "figures": [\n${lines}\n   ]\n  }`;
  });
  return `{\n${parts.join(',\n')}\n}\n`;
}

/** The record with these figures in the place of older ones of the same measurements. */
export function withFigures(record: BenchRecord, figures: readonly Figure[], measuredOn: Circumstances): BenchRecord {
  const measurements = [...new Set(figures.map(({ measurement }) => measurement))];
  const news = measurements.map((measurement) => {
    const own = figures.filter((figure) => figure.measurement === measurement);
    return [measurement, { measuredOn, figures: own }] as const;
  });
  return inOrder({ ...record, ...Object.fromEntries(news) });
}

function inOrder(record: BenchRecord): BenchRecord {
  const known = MEASUREMENTS.filter((measurement) => record[measurement] !== undefined);
  return Object.fromEntries(known.map((measurement) => [measurement, record[measurement]]));
}
