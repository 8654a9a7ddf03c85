/**
 * How fast one TCP stream goes through the tunnel, up and down, and what the client's or the gateway's work for it costs.
 *
 * iperf3 makes the traffic, not the lab's own stream program: that one hashes every byte in JavaScript, on the cores that client and gateway need.
 */
import type { Lab } from '../test/support/lab.ts';
import { type BenchLab, INSIDE } from './bench-lab.ts';
import type { Figure } from './figures.ts';
import { cpuSeconds, treeCpuSeconds } from './process-usage.ts';
import { type Measured, measureInTurns } from './rounds.ts';

/** One for each run: none can meet the unfinished end of another. */
const FIRST_PORT = 5301;

/** Beyond the seconds of the transfer, for its start and its end. */
const GRACE_MS = 15_000;

const UNITS = { up: 'Mbit/s', down: 'Mbit/s', 'CPU up': 'CPU-s/GB', 'CPU down': 'CPU-s/GB' } as const;

export interface ThroughputSize {
  readonly rounds: number;
  /** Of each transfer. */
  readonly seconds: number;
}

export function measureThroughput(bench: BenchLab, { rounds, seconds }: ThroughputSize): Promise<Figure[]> {
  const port = ports();
  return measureInTurns('throughput', rounds, UNITS, (client, transport) =>
    bench.withTunnel(client, transport, ({ program }) => transfers(bench.lab, { port, seconds, cpu: () => cpuSeconds(program.pid) })),
  );
}

/** The same client on both gateways; all processes of the gateway count. */
export function measureGatewayThroughput(bench: BenchLab, { rounds, seconds }: ThroughputSize): Promise<Figure[]> {
  const port = ports();
  return measureInTurns('gateway-throughput', rounds, UNITS, async (gateway, transport) => {
    await bench.useGateway(gateway);
    return await bench.withTunnel('reference', transport, (tunnel) =>
      transfers(bench.lab, { port, seconds, cpu: () => treeCpuSeconds(tunnel.gateway.pid) }),
    );
  });
}

function ports(): () => number {
  let port = FIRST_PORT;
  return () => port++;
}

interface Transfers {
  /** A port that no transfer has had. */
  readonly port: () => number;
  readonly seconds: number;
  /** What the processes that are measured have used so far, in seconds. */
  readonly cpu: () => number;
}

/** Up, then down. */
async function transfers(lab: Lab, { port, seconds, cpu }: Transfers): Promise<Measured<keyof typeof UNITS>> {
  const up = await transfer(lab, { port: port(), seconds, cpu, isReverse: false });
  const down = await transfer(lab, { port: port(), seconds, cpu, isReverse: true });
  return { up: up.rate, down: down.rate, 'CPU up': up.cpu, 'CPU down': down.cpu };
}

interface Transfer {
  readonly cpu: () => number;
  readonly port: number;
  readonly seconds: number;
  /** From the gateway to the client. */
  readonly isReverse: boolean;
}

/** What the receiver got in Mbit/s, and the CPU-seconds for each 10^9 bytes of that. */
async function transfer(lab: Lab, { cpu, port, seconds, isReverse }: Transfer): Promise<{ rate: number; cpu: number }> {
  const server = await lab.server.start('iperf3', ['--server', '--one-off', '--forceflush', '--port', String(port)]);
  try {
    await server.waitFor(/^Server listening/m);
    const before = cpu();
    const args = ['--client', INSIDE, '--port', String(port), '--time', String(seconds), '--json', ...(isReverse ? ['--reverse'] : [])];
    const client = await lab.client.start('iperf3', args);
    const { stdout } = await client.finish({ within: seconds * 1000 + GRACE_MS });
    const used = cpu() - before;
    const { bytes, bitsPerSecond } = receivedOf(stdout);
    return { rate: bitsPerSecond / 1e6, cpu: used / (bytes / 1e9) };
  } finally {
    await server.stop();
  }
}

/** Reads iperf3's report. Throws with its own error, or where nothing arrived. */
function receivedOf(report: string): { bytes: number; bitsPerSecond: number } {
  const { error, end } = JSON.parse(report) as { error?: string; end?: { sum_received?: { bytes: number; bits_per_second: number } } };
  const received = end?.sum_received;
  if (error !== undefined || received === undefined || !(received.bytes > 0)) throw new Error(`iperf3: ${error ?? 'nothing arrived'}`);
  return { bytes: received.bytes, bitsPerSecond: received.bits_per_second };
}
