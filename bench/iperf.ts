/** iperf3 through the tunnel, one direction at a time, and what the programs that are watched have used meanwhile. */
import type { Lab } from '../test/support/lab.ts';
import { INSIDE } from './bench-lab.ts';

/** One for each run: none can meet the unfinished end of another. */
const FIRST_PORT = 5301;
let nextPort = FIRST_PORT;

/** A port of the lab's server for one run. */
export function iperfPort(): number {
  return nextPort++;
}

/** Beyond the seconds of the transfer, for its start and its end. */
const GRACE_MS = 15_000;

/** To the gateway, or from it. */
export const DIRECTIONS = ['up', 'down'] as const;

export type Direction = (typeof DIRECTIONS)[number];

export interface IperfRun<Watched extends string> {
  readonly direction: Direction;
  readonly seconds: number;
  /** Where the client connects to come to that port of the server. Default: the gateway's address inside, and a new port. */
  readonly target?: { readonly host: string; readonly port: number };
  /** For the client, further arguments. */
  readonly args?: readonly string[];
  /** What the programs that are watched have used so far, in seconds. */
  readonly cpu: Readonly<Record<Watched, () => number>>;
}

export interface IperfResult<Watched extends string> {
  /** What arrived. */
  readonly bytes: number;
  readonly bitsPerSecond: number;
  /** CPU-seconds. */
  readonly cpu: Readonly<Record<Watched, number>>;
}

/** Runs a server on the lab's server, and a client to its end. */
export async function runIperf<Watched extends string>(
  lab: Lab,
  { direction, seconds, target = { host: INSIDE, port: iperfPort() }, args = [], cpu }: IperfRun<Watched>,
): Promise<IperfResult<Watched>> {
  const port = String(target.port);
  const server = await lab.server.start('iperf3', ['--server', '--one-off', '--forceflush', '--port', port]);
  try {
    await server.waitFor(/^Server listening/m);
    const watched = Object.keys(cpu) as Watched[];
    const before = watched.map((name) => cpu[name]());
    const reverse = direction === 'down' ? ['--reverse'] : [];
    const client = await lab.client.start('iperf3', [
      ...['--client', target.host, '--port', port, '--time', String(seconds), '--json'],
      ...reverse,
      ...args,
    ]);
    const { stdout } = await client.finish({ within: seconds * 1000 + GRACE_MS });
    const used = watched.map((name, i) => [name, cpu[name]() - (before[i] ?? 0)] as const);
    return { ...receivedOf(stdout), cpu: Object.fromEntries(used) as Record<Watched, number> };
  } finally {
    await server.stop();
  }
}

/** Reads iperf3's report. Throws with its own error, or where nothing arrived. */
export function receivedOf(report: string): { bytes: number; bitsPerSecond: number } {
  const { error, end } = JSON.parse(report) as { error?: string; end?: { sum_received?: { bytes: number; bits_per_second: number } } };
  const received = end?.sum_received;
  if (error !== undefined || received === undefined || !(received.bytes > 0)) throw new Error(`iperf3: ${error ?? 'nothing arrived'}`);
  return { bytes: received.bytes, bitsPerSecond: received.bits_per_second };
}
