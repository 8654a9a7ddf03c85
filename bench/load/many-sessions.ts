/**
 * What a byte costs our gateway when it has many sessions, of which some carry traffic, against one session by itself.
 *
 * Two gateways run, each in a lab of its own, and are measured in turns: one holds all sessions, the other has one at a time. A session that is measured
 * keeps a window of packets on their way to an echo and back. Gateway, clients and echo share the cores, so rates are those of all of them together.
 */
import { availableParallelism } from 'node:os';
import { setTimeout } from 'node:timers/promises';
import type { Millis } from '../../src/core/tunnel/packet.ts';
import type { Figure, Transport, Unit } from '../figures.ts';
import { measureInTurns } from '../rounds.ts';
import type { Bulk } from './load-program.ts';
import { LoadScene } from './load-scene.ts';
import { connectSessions, total } from './measure-load.ts';

export interface SessionsSize {
  readonly rounds: number;
  /** Of traffic, each time. */
  readonly seconds: number;
  /** That are up; every second goes over DTLS. */
  readonly sessions: number;
  /** How many of them carry traffic, one case after the other. */
  readonly active: readonly number[];
}

/** Bytes of each packet in the tunnel, and packets of a session on their way: a stream's, not a flood. */
const LENGTH = 1_300;
const WINDOW = 32;

/** Before what counts: both gateways have run what is measured. */
const WARM_UP: Millis = 1_000;

/** For the last packets to come back. */
const RETURN: Millis = 300;

export async function measureSessions({ rounds, seconds, sessions, active }: SessionsSize): Promise<Figure[]> {
  await using many = await LoadScene.open('sallyport', sessions, availableParallelism());
  await using one = await LoadScene.open('sallyport', 1, 1);
  const { failed, reasons } = await connectSessions(many.programs, sessions);
  if (failed > 0) throw new Error(`of ${sessions} sessions ${failed} did not come up: ${reasons.join('; ')}`);
  const units = Object.fromEntries(
    active.flatMap((count) => Object.entries(namesOf(count)).map(([what, name]) => [name, UNITS[what as What]])),
  );
  return await measureInTurns<string>('sessions', rounds, units, async (side, transport) => {
    const measured: Record<string, number> = {};
    if (side === 'sallyport') {
      for (const count of active) Object.assign(measured, named(count, await measureBulk(many, seconds, activeOf(count, transport))));
      return measured;
    }
    await one.programs[0]?.call('connect', { sessions: [0], lanes: 1, usesDatagrams: transport === 'dtls' });
    const alone = await measureBulk(one, seconds, [0]);
    await one.programs[0]?.call('disconnect');
    for (const count of active) Object.assign(measured, named(count, alone));
    return measured;
  });
}

type What = 'cpu' | 'rate';

const UNITS: Readonly<Record<What, Unit>> = { cpu: 'CPU-s/GB', rate: 'Mbit/s' };

function namesOf(count: number): Record<What, string> {
  return { cpu: `CPU, ${count} active`, rate: `rate, ${count} active` };
}

function named(count: number, { cpu, rate }: Record<What, number>): Record<string, number> {
  const names = namesOf(count);
  return { [names.cpu]: cpu, [names.rate]: rate };
}

/** Sessions with even numbers are those over DTLS. */
function activeOf(count: number, transport: Transport): number[] {
  return Array.from({ length: count }, (_, i) => 2 * i + (transport === 'dtls' ? 0 : 1));
}

/** What passed counts both ways; what was lost does not. */
async function measureBulk(scene: LoadScene, seconds: number, sessions: readonly number[]): Promise<Record<What, number>> {
  const { programs } = scene;
  const bulk: Bulk = { sessions, window: WINDOW, length: LENGTH };
  await Promise.all(programs.map((program) => program.call('startBulk', bulk)));
  await setTimeout(WARM_UP);
  const [cpuBefore, before, start] = [scene.gatewayCpu(), await total(programs), performance.now()];
  await setTimeout(seconds * 1000);
  const [cpuAfter, after, end] = [scene.gatewayCpu(), await total(programs), performance.now()];
  await Promise.all(programs.map((program) => program.call('stopTraffic')));
  await setTimeout(RETURN);
  const bytes = 2 * (after.returned - before.returned) * LENGTH;
  if (bytes === 0) throw new Error('nothing came back');
  return { cpu: (cpuAfter - cpuBefore) / (bytes / 1e9), rate: (8 * bytes) / 1e6 / ((end - start) / 1000) };
}
