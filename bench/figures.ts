/** The figures of a bench: what was measured, over which transport, in which unit; and the limits that some of them must keep. */
import { type Comparison, compare, type Samples, type Side } from './statistics.ts';

/** In the order in which they run and are reported. */
export const MEASUREMENTS = ['connect', 'ping', 'memory', 'throughput', 'gateway-memory', 'gateway-throughput'] as const;

export type Measurement = (typeof MEASUREMENTS)[number];

/** The program that Sallyport's is compared to: the clients on the same gateway, or the gateways with the same client. */
export const REFERENCES: Readonly<Record<Measurement, string>> = {
  connect: 'openconnect',
  ping: 'openconnect',
  memory: 'openconnect',
  throughput: 'openconnect',
  'gateway-memory': 'ocserv',
  'gateway-throughput': 'ocserv',
};

/** What a side of the comparison is called. */
export function nameOf(measurement: Measurement, side: Side): string {
  return side === 'sallyport' ? 'Sallyport' : REFERENCES[measurement];
}

export const TRANSPORTS = ['dtls', 'tls'] as const;

/** `dtls`: DTLS 1.2 with AES-256-GCM. `tls`: packets go over the TLS connection alone. */
export type Transport = (typeof TRANSPORTS)[number];

/** `µs` and `ms`: of time. `CPU-s/GB`: seconds on a CPU for 10^9 bytes of payload. */
export type Unit = 'ms' | 'µs' | 'MiB' | 'Mbit/s' | 'CPU-s/GB';

export interface Figure {
  readonly measurement: Measurement;
  readonly transport: Transport;
  /** Which of the measurement's figures: `up`, `down` … */
  readonly name: string;
  readonly unit: Unit;
  readonly samples: Samples;
}

interface Limit {
  /** In words that end in a number: `at most …`. */
  readonly text: string;
  /** What the limit is about, in words. */
  readonly reached: (comparison: Comparison) => string;
  readonly isKept: (comparison: Comparison) => boolean;
}

const MAX_CONNECT_DIFFERENCE_MS = 80;
const MAX_PING_RATIO = 1.2;

/** Stated limits. Throughput, memory and the gateway have none here: they are reported. */
export const LIMITS: Readonly<Partial<Record<Measurement, Limit>>> = {
  connect: {
    text: `at most ${MAX_CONNECT_DIFFERENCE_MS} ms above openconnect's`,
    reached: ({ difference }) => `${Math.abs(difference).toFixed(1)} ms ${difference < 0 ? 'below' : 'above'}`,
    isKept: ({ difference }) => difference <= MAX_CONNECT_DIFFERENCE_MS,
  },
  ping: {
    text: `at most ${MAX_PING_RATIO} times openconnect's`,
    reached: ({ ratio }) => `${ratio.toFixed(3)} times`,
    isKept: ({ ratio }) => ratio <= MAX_PING_RATIO,
  },
};

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
    const limit = LIMITS[figure.measurement];
    if (limit === undefined) return [];
    const comparison = compare(figure.samples);
    return [{ figure, limit: limit.text, reached: limit.reached(comparison), isKept: limit.isKept(comparison) }];
  });
}
