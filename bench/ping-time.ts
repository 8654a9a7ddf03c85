/** How long a small packet takes through an idle tunnel and back: close together, and so far apart that both ends have gone to sleep. */
import type { Millis } from '../src/core/tunnel/packet.ts';
import type { Namespace } from '../test/support/namespaces.ts';
import { type BenchLab, INSIDE } from './bench-lab.ts';
import type { Figure } from './figures.ts';
import { measureInTurns } from './rounds.ts';
import { median } from './statistics.ts';

/** So many pings, this far apart. */
export interface PingSeries {
  readonly count: number;
  readonly interval: Millis;
}

/** The tunnel is new: what it does first (an MTU probe, a keepalive) is not what is measured. */
const WARM_UP: PingSeries = { count: 20, interval: 20 };

/** An idle lab loses none; fewer answers mean that something else was measured. */
const MIN_ANSWERED = 0.95;

export function measurePing(bench: BenchLab, { rounds, series }: { rounds: number; series: readonly PingSeries[] }): Promise<Figure[]> {
  const units = Object.fromEntries(series.map((one) => [nameOf(one), 'µs' as const]));
  return measureInTurns('ping', rounds, units, (client, transport) =>
    bench.withTunnel(client, transport, async () => {
      await roundTrips(bench.lab.client, WARM_UP);
      const medians: Record<string, number> = {};
      for (const one of series) medians[nameOf(one)] = median(await roundTrips(bench.lab.client, one));
      return medians;
    }),
  );
}

function nameOf({ interval }: PingSeries): string {
  return `every ${interval} ms`;
}

/** Microseconds, one for each answer. */
async function roundTrips(client: Namespace, { count, interval }: PingSeries): Promise<number[]> {
  const args = ['-n', '-c', String(count), '-i', String(interval / 1000), '-w', String(2 + Math.ceil((count * interval) / 500)), INSIDE];
  const ping = await client.start('ping', args);
  const { stdout, output } = await ping.finish({ within: 10_000 + 2 * count * interval });
  const times = [...stdout.matchAll(/ time=([\d.]+) ms$/gm)].map(([, time]) => Number(time) * 1000);
  if (times.length < MIN_ANSWERED * count) throw new Error(`of ${count} pings ${times.length} were answered: ${output.slice(-500)}`);
  return times;
}
