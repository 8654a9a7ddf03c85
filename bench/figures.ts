/** The figures of a bench: what was measured, of whom, over which transport, in which unit. limits.ts has what some of them must keep. */
import type { Samples, Side } from './statistics.ts';

/** In the order in which they run and are reported. */
export const MEASUREMENTS = [
  'connect',
  'ping',
  'memory',
  'throughput',
  'portable',
  'proxy',
  'portable-proxy',
  'gateway-memory',
  'gateway-throughput',
  'pair',
  'pair-ping',
  'pair-proxy',
  'fortinet',
  'f5',
  'gp',
  'nc',
  'pulse',
  'array',
  'packets',
  'sessions',
] as const;

export type Measurement = (typeof MEASUREMENTS)[number];

const CLIENTS: Readonly<Record<Side, string>> = { sallyport: 'Sallyport', reference: 'openconnect' };
const GATEWAYS: Readonly<Record<Side, string>> = { sallyport: 'Sallyport', reference: 'ocserv' };
const PAIRS: Readonly<Record<Side, string>> = { sallyport: 'Sallyport', reference: 'openconnect with ocserv' };

/** Who is compared: the clients on the same gateway, the gateways with the same client, both ends; or one of ours with another way of itself. */
const COMPARED: Readonly<Record<Measurement, Readonly<Record<Side, string>>>> = {
  connect: CLIENTS,
  ping: CLIENTS,
  memory: CLIENTS,
  throughput: CLIENTS,
  portable: { sallyport: 'Sallyport, portable', reference: 'openconnect' },
  proxy: { sallyport: 'Sallyport', reference: 'openconnect with ocproxy' },
  'portable-proxy': { sallyport: 'Sallyport, portable', reference: 'openconnect with ocproxy' },
  'gateway-memory': GATEWAYS,
  'gateway-throughput': GATEWAYS,
  pair: PAIRS,
  'pair-ping': PAIRS,
  'pair-proxy': { sallyport: 'Sallyport', reference: 'openconnect with ocproxy, and ocserv' },
  fortinet: CLIENTS,
  f5: CLIENTS,
  gp: CLIENTS,
  nc: CLIENTS,
  pulse: CLIENTS,
  array: CLIENTS,
  packets: PAIRS,
  sessions: { sallyport: 'many sessions', reference: 'one session' },
};

/** What a side of the comparison is called. */
export function nameOf(measurement: Measurement, side: Side): string {
  return COMPARED[measurement][side];
}

/** `dtls`: DTLS 1.2 with AES-256-GCM. `esp`: ESP in UDP, with what the gateway chooses. `tls`: packets go over the TLS connection alone. */
export type Transport = 'dtls' | 'esp' | 'tls';

/** `µs` and `ms`: of time. `CPU-s/GB`: seconds on a CPU for 10^9 bytes of payload. `packets/s`: that arrived. */
export type Unit = 'ms' | 'µs' | 'MiB' | 'Mbit/s' | 'CPU-s/GB' | 'packets/s';

export interface Figure {
  readonly measurement: Measurement;
  readonly transport: Transport;
  /** Which of the measurement's figures: `up`, `down` … */
  readonly name: string;
  readonly unit: Unit;
  readonly samples: Samples;
}
