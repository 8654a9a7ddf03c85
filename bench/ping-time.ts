/**
 * How long a small packet takes through a tunnel and back: through an idle one, close together, and so far apart that both ends have gone to sleep; and
 * through one that a stream fills.
 */
import { setTimeout } from 'node:timers/promises';
import type { Millis } from '../src/core/tunnel/packet.ts';
import type { Namespace } from '../test/support/namespaces.ts';
import { type BenchLab, INSIDE } from './bench-lab.ts';
import type { Figure } from './figures.ts';
import { type Direction, runIperf } from './iperf.ts';
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

/** Beside a stream: so far apart, and not before it has found its pace. */
const LOADED_INTERVAL: Millis = 20;
const STREAM_START: Millis = 500;

/** A full queue drops some: a median needs no more than this. */
const MIN_ANSWERED_LOADED = 0.3;

const LOADED = { up: 'during an upload', down: 'during a download' } as const;

export interface PingSize {
  readonly rounds: number;
  readonly series: readonly PingSeries[];
}

/** The clients, on the gateway that runs. */
export function measurePing(bench: BenchLab, { rounds, series }: PingSize): Promise<Figure[]> {
  return measureInTurns('ping', rounds, unitsOf(series), (client, transport) =>
    bench.withTunnel(client, transport, () => idlePings(bench, series)),
  );
}

/** Both ends ours, beside both ends of the other. @param size.seconds Of each stream. */
export function measurePairPing(bench: BenchLab, { rounds, series, seconds }: PingSize & { readonly seconds: number }): Promise<Figure[]> {
  const units = { ...unitsOf(series), [LOADED.up]: 'µs', [LOADED.down]: 'µs' } as const;
  return measureInTurns<string>('pair-ping', rounds, units, async (side, transport) => {
    await bench.useGateway(side);
    return await bench.withTunnel(side, transport, async () => ({
      ...(await idlePings(bench, series)),
      [LOADED.up]: await loadedPing(bench, 'up', seconds),
      [LOADED.down]: await loadedPing(bench, 'down', seconds),
    }));
  });
}

function unitsOf(series: readonly PingSeries[]): Record<string, 'µs'> {
  return Object.fromEntries(series.map((one) => [nameOf(one), 'µs' as const]));
}

async function idlePings(bench: BenchLab, series: readonly PingSeries[]): Promise<Record<string, number>> {
  await roundTrips(bench.lab.client, WARM_UP);
  const medians: Record<string, number> = {};
  for (const one of series) medians[nameOf(one)] = median(await roundTrips(bench.lab.client, one));
  return medians;
}

async function loadedPing(bench: BenchLab, direction: Direction, seconds: number): Promise<number> {
  const count = Math.floor((seconds * 1000 - 2 * STREAM_START) / LOADED_INTERVAL);
  const stream = runIperf(bench.lab, { direction, seconds, cpu: {} });
  const pings = setTimeout(STREAM_START).then(() => roundTrips(bench.lab.client, { count, interval: LOADED_INTERVAL }, true));
  const [times] = await Promise.all([pings, stream]);
  return median(times);
}

function nameOf({ interval }: PingSeries): string {
  return `every ${interval} ms`;
}

/**
 * Microseconds, one for each answer. Throws where too few of them came.
 * @param isLoaded A stream fills the tunnel, so that some are lost.
 */
async function roundTrips(client: Namespace, { count, interval }: PingSeries, isLoaded = false): Promise<number[]> {
  // With a deadline ping waits for late answers, and sends more for those that were lost: beside a stream these would find it ended.
  const deadline = isLoaded ? [] : ['-w', String(2 + Math.ceil((count * interval) / 500))];
  const ping = await client.start('ping', ['-n', '-c', String(count), '-i', String(interval / 1000), ...deadline, INSIDE]);
  const { stdout, output } = await ping.finish({ within: 10_000 + 2 * count * interval });
  const times = [...stdout.matchAll(/ time=([\d.]+) ms$/gm)].map(([, time]) => Number(time) * 1000);
  if (times.length < (isLoaded ? MIN_ANSWERED_LOADED : MIN_ANSWERED) * count)
    throw new Error(`of ${count} pings ${times.length} were answered: ${output.slice(-500)}`);
  return times;
}
