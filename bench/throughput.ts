/**
 * How fast one TCP stream goes through the tunnel, up and down, and what the client's work for it costs.
 *
 * iperf3 makes the traffic, not the lab's own stream program: that one hashes every byte in JavaScript, on the cores that the client needs.
 */
import { readFileSync } from 'node:fs';
import type { Lab } from '../test/support/lab.ts';
import { type BenchLab, INSIDE } from './bench-lab.ts';
import type { Figure } from './figures.ts';
import { measureInTurns } from './rounds.ts';

/** One for each run: none can meet the unfinished end of another. */
const FIRST_PORT = 5301;

/** Beyond the seconds of the transfer, for its start and its end. */
const GRACE_MS = 15_000;

const UNITS = { up: 'Mbit/s', down: 'Mbit/s', 'CPU up': 'CPU-s/GB', 'CPU down': 'CPU-s/GB' } as const;

export function measureThroughput(bench: BenchLab, { rounds, seconds }: { rounds: number; seconds: number }): Promise<Figure[]> {
  let port = FIRST_PORT;
  return measureInTurns('throughput', rounds, UNITS, (client, transport) =>
    bench.withTunnel(client, transport, async ({ program: { pid } }) => {
      const up = await transfer(bench.lab, { pid, port: port++, seconds, isReverse: false });
      const down = await transfer(bench.lab, { pid, port: port++, seconds, isReverse: true });
      return { up: up.rate, down: down.rate, 'CPU up': up.cpu, 'CPU down': down.cpu };
    }),
  );
}

interface Transfer {
  /** The client whose CPU time counts. */
  readonly pid: number;
  readonly port: number;
  readonly seconds: number;
  /** From the gateway to the client. */
  readonly isReverse: boolean;
}

/** What the receiver got in Mbit/s, and the client's CPU-seconds for each 10^9 bytes of that. */
async function transfer(lab: Lab, { pid, port, seconds, isReverse }: Transfer): Promise<{ rate: number; cpu: number }> {
  const server = await lab.server.start('iperf3', ['--server', '--one-off', '--forceflush', '--port', String(port)]);
  try {
    await server.waitFor(/^Server listening/m);
    const before = cpuSeconds(pid);
    const args = ['--client', INSIDE, '--port', String(port), '--time', String(seconds), '--json', ...(isReverse ? ['--reverse'] : [])];
    const client = await lab.client.start('iperf3', args);
    const { stdout } = await client.finish({ within: seconds * 1000 + GRACE_MS });
    const used = cpuSeconds(pid) - before;
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

/** A tick of /proc, whatever the kernel's own clock does. */
const TICKS_PER_SECOND = 100;

/** What all threads of a process have used so far, those that have ended included; its children's time is not in it. */
function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // proc_pid_stat(5): pid (command) state …, with utime and stime as fields 14 and 15. The command may hold blanks and parentheses.
  const fields = stat.slice(stat.lastIndexOf(') ') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}
