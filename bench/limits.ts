/** The limits that figures must keep, and how each stands to its own. */
import { type Figure, type Measurement, nameOf, type Transport } from './figures.ts';
import { type Comparison, compare } from './statistics.ts';

interface Limit {
  /** In words. @param of What the figure is compared to. */
  readonly text: (of: string) => string;
  /** What the limit is about, in words. */
  readonly reached: (comparison: Comparison) => string;
  readonly isKept: (comparison: Comparison) => boolean;
}

/** Which figures a limit is for. What is left out does not matter. */
interface Rule {
  readonly measurement: Measurement;
  readonly transport?: Transport;
  readonly names?: readonly string[];
  readonly limit: Limit;
}

const times = ({ ratio }: Comparison) => `${ratio.toFixed(3)} times`;

function atMost(most: number): Limit {
  return { text: (of) => `at most ${most} times that of ${of}`, reached: times, isKept: ({ ratio }) => ratio <= most };
}

function atLeast(least: number): Limit {
  return { text: (of) => `at least ${least} times that of ${of}`, reached: times, isKept: ({ ratio }) => ratio >= least };
}

function atMostAbove(milliseconds: number): Limit {
  return {
    text: (of) => `at most ${milliseconds} ms above that of ${of}`,
    reached: ({ difference }) => `${Math.abs(difference).toFixed(1)} ms ${difference < 0 ? 'below' : 'above'}`,
    isKept: ({ difference }) => difference <= milliseconds,
  };
}

/** What is not here is stated, and has no limit. */
const RULES: readonly Rule[] = [
  { measurement: 'connect', limit: atMostAbove(80) },
  { measurement: 'ping', limit: atMost(1.2) },
  ...throughputRules('throughput', 'dtls', { up: 1.15, down: 1.4, 'CPU up': 0.6, 'CPU down': 0.65 }),
  ...throughputRules('throughput', 'tls', { up: 1.9, down: 1.45, 'CPU up': 0.45, 'CPU down': 0.6 }),
  ...throughputRules('proxy', 'dtls', { up: 1.2, down: 1.4 }),
  ...throughputRules('proxy', 'tls', { up: 2, down: 1.6 }),
  ...throughputRules('pair-proxy', 'dtls', { up: 5, down: 5 }),
  ...throughputRules('pair-proxy', 'tls', { up: 5, down: 5 }),
  ...throughputRules('gateway-throughput', 'dtls', { up: 1.8, down: 1.1, 'CPU up': 0.5, 'CPU down': 0.6 }),
  ...throughputRules('pair', 'dtls', { up: 4, down: 3.3, 'client CPU up': 0.3, 'client CPU down': 0.4 }),
  ...throughputRules('pair', 'dtls', { 'gateway CPU up': 0.3, 'gateway CPU down': 0.3 }),
  ...throughputRules('pair', 'tls', { up: 2.8, down: 2.8, 'client CPU up': 0.5, 'client CPU down': 0.5 }),
  ...throughputRules('pair', 'tls', { 'gateway CPU up': 0.5, 'gateway CPU down': 0.5 }),
  { measurement: 'pair-ping', names: ['during an upload', 'during a download'], limit: atMost(0.5) },
  { measurement: 'pair-ping', limit: atMost(1.15) },
  ...throughputRules('fortinet', 'dtls', { up: 3, down: 3 }),
  ...throughputRules('f5', 'dtls', { up: 3, down: 3 }),
  ...(['gp', 'nc', 'pulse'] as const).flatMap((vendor) => throughputRules(vendor, 'esp', { up: 2.5, down: 2.5 })),
  ...(['gp', 'nc', 'pulse', 'array'] as const).flatMap((vendor) => throughputRules(vendor, 'tls', { up: 2, down: 2 })),
  { measurement: 'packets', transport: 'dtls', names: ['up', 'down'], limit: atLeast(1.9) },
  { measurement: 'sessions', names: ['CPU, 1 active', 'CPU, 10 active', 'CPU, 100 active'], limit: atMost(1.2) },
];

/** Of throughput at least so many times the other's, of CPU time at most. */
function throughputRules(measurement: Measurement, transport: Transport, ratios: Readonly<Record<string, number>>): Rule[] {
  return Object.entries(ratios).map(([name, ratio]) => ({
    measurement,
    transport,
    names: [name],
    limit: name.includes('CPU') ? atMost(ratio) : atLeast(ratio),
  }));
}

function limitOf({ measurement, transport, name }: Figure): Limit | undefined {
  return RULES.find(
    (rule) =>
      rule.measurement === measurement &&
      (rule.transport ?? transport) === transport &&
      (rule.names === undefined || rule.names.includes(name)),
  )?.limit;
}

/** How a figure stands to its limit. */
export interface Verdict {
  readonly figure: Figure;
  readonly limit: string;
  readonly reached: string;
  readonly isKept: boolean;
}

/** Judges each figure that has a limit. */
export function judge(figures: readonly Figure[]): Verdict[] {
  return figures.flatMap((figure) => {
    const limit = limitOf(figure);
    if (limit === undefined) return [];
    const comparison = compare(figure.samples);
    const text = limit.text(nameOf(figure.measurement, 'reference'));
    return [{ figure, limit: text, reached: limit.reached(comparison), isKept: limit.isKept(comparison) }];
  });
}
