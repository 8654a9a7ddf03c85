/** One run of the load against one gateway: connect, hold still, hold with traffic, log off. */
import { setTimeout } from 'node:timers/promises';
import type { Millis } from '../../src/core/tunnel/packet.ts';
import type { LoadReport } from './load-program.ts';
import { type GatewayName, LoadScene } from './load-scene.ts';

export interface LoadSize {
  readonly sessions: number;
  /** How long traffic goes on. */
  readonly seconds: number;
  /** Processes that play the clients. */
  readonly processes: number;
}

export interface LoadResult {
  readonly gateway: GatewayName;
  /** That were wanted, and that came up. */
  readonly sessions: number;
  readonly connected: number;
  readonly byDatagrams: number;
  readonly loginsPerSecond: number;
  /** KiB of the gateway for each session that is up and idle. */
  readonly memoryPerSession: number;
  /** KiB of the gateway without sessions. */
  readonly memoryWithout: number;
  readonly seconds: number;
  readonly traffic: LoadReport;
  /** Tunnels that were up at the end. */
  readonly upAtEnd: number;
  readonly reasons: readonly string[];
}

/** Log-ins under way at once, of all processes together: enough to keep two processors busy. */
const LANES = 16;

/** Each session sends a packet so often. */
const PACKET_INTERVAL: Millis = 1_000;

/** After what is under way, until memory is looked at: what a burst leaves behind is collected, or not. */
const SETTLE: Millis = 5_000;

/** For the last packets to come back. */
const RETURN: Millis = 2_000;

export async function measureLoad(
  gateway: GatewayName,
  { sessions, seconds, processes }: LoadSize,
  say: (text: string) => void,
): Promise<LoadResult> {
  await using scene = await LoadScene.open(gateway, sessions + 1, processes);
  const { programs } = scene;
  const [first] = programs;
  // The first client makes the gateway load what all of them share.
  await first?.call('connect', { sessions: [sessions], lanes: 1, usesDatagrams: true });
  await first?.call('disconnect');
  await setTimeout(SETTLE);
  const memoryWithout = scene.gatewayMemory();

  const start = performance.now();
  const { failed, reasons } = await connectSessions(programs, sessions);
  const elapsed = (performance.now() - start) / 1000;
  const connected = sessions - failed;
  say(`${gateway}: ${connected} of ${sessions} sessions are up after ${elapsed.toFixed(1)} s`);
  await setTimeout(SETTLE);
  const memoryPerSession = (scene.gatewayMemory() - memoryWithout) / Math.max(connected, 1);
  const byDatagrams = (await total(programs)).byDatagrams;

  await Promise.all(programs.map((program) => program.call('startTraffic', PACKET_INTERVAL)));
  await setTimeout(seconds * 1000);
  await Promise.all(programs.map((program) => program.call('stopTraffic')));
  await setTimeout(RETURN);
  const traffic = await total(programs);
  say(
    `${gateway}: ${traffic.up} up after ${seconds} s of traffic, ${traffic.drops} drops, ${traffic.sent - traffic.returned} of ${traffic.sent} packets lost`,
  );
  await Promise.all(programs.map((program) => program.call('disconnect')));
  return {
    ...{ gateway, sessions, connected, byDatagrams, memoryPerSession, memoryWithout, seconds, traffic },
    loginsPerSecond: connected / elapsed,
    upAtEnd: traffic.up,
    reasons: [...reasons, ...traffic.reasons],
  };
}

type LoadPrograms = LoadScene['programs'];

/** Brings up that many sessions, each program its share: those with even numbers over UDP. */
export async function connectSessions(
  programs: LoadPrograms,
  sessions: number,
): Promise<{ readonly failed: number; readonly reasons: readonly string[] }> {
  const outcomes = await Promise.all(programs.map((program, i) => connectShare(program, i, programs.length, sessions)));
  return {
    failed: outcomes.reduce((sum, outcome) => sum + outcome.failed, 0),
    reasons: outcomes.flatMap((outcome) => outcome.reasons),
  };
}

async function connectShare(program: LoadPrograms[number], index: number, of: number, sessions: number) {
  const own = Array.from({ length: sessions }, (_, i) => i).filter((i) => (i >> 1) % of === index);
  const lanes = Math.max(1, Math.round(LANES / of / 2));
  const [datagram, stream] = await Promise.all(
    [true, false].map((usesDatagrams) =>
      program.call('connect', { sessions: own.filter((number) => (number % 2 === 0) === usesDatagrams), lanes, usesDatagrams }),
    ),
  );
  return { failed: (datagram?.failed ?? 0) + (stream?.failed ?? 0), reasons: stream?.reasons ?? [] };
}

export async function total(programs: LoadPrograms): Promise<LoadReport> {
  const reports = await Promise.all(programs.map((program) => program.call('report')));
  const sum = (count: (report: LoadReport) => number) => reports.reduce((all, report) => all + count(report), 0);
  return {
    up: sum(({ up }) => up),
    byDatagrams: sum(({ byDatagrams }) => byDatagrams),
    drops: sum(({ drops }) => drops),
    sent: sum(({ sent }) => sent),
    returned: sum(({ returned }) => returned),
    wrong: sum(({ wrong }) => wrong),
    misdelivered: sum(({ misdelivered }) => misdelivered),
    reasons: reports.flatMap(({ reasons }) => reasons),
  };
}
