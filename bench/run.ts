/**
 * Measures our client beside OpenConnect's on the same gateway, and our gateway beside ocserv with the same client, in turns, and judges the figures by
 * their limits.
 *
 *   npm run bench -- [--quick] [--only=MEASUREMENT]... [--report-only] [--write]
 *
 *   --quick        few and short rounds, in about two minutes: shows that everything works, but its figures are noise
 *   --only         only this measurement; may be repeated: connect, ping, memory, throughput, gateway-memory, gateway-throughput
 *   --report-only  a missed limit is said, but does not fail the run
 *   --write        writes docs/performance.md; only with everything measured in full
 *
 * Figures go to standard output, progress to standard error. Ends with 0 if every limit is kept, with 1 if one is missed, and with 2 if it could not
 * measure. Ctrl-C ends it with all that it has started.
 */
import { writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import path from 'node:path';
import { missing } from '../test/support/requirements.ts';
import { BenchLab } from './bench-lab.ts';
import { measureConnectTime } from './connect-time.ts';
import { type Figure, judge, type Measurement } from './figures.ts';
import { measureGatewayMemory, measureIdleMemory } from './idle-memory.ts';
import { circumstances } from './machine.ts';
import { type Options, parseOptions } from './options.ts';
import { measurePing } from './ping-time.ts';
import { renderDocument, renderFigures, titleOf } from './report.ts';
import { measureGatewayThroughput, measureThroughput } from './throughput.ts';

const REPORT = 'docs/performance.md';

/** Every wait has a deadline of its own; this one is for what none of them sees. A full run takes about twenty minutes. */
const DEADLINE_MS = 45 * 60 * 1000;

const EXIT = { kept: 0, missed: 1, notMeasured: 2 } as const;

interface Sizes {
  readonly connect: Parameters<typeof measureConnectTime>[1];
  readonly ping: Parameters<typeof measurePing>[1];
  readonly memory: Parameters<typeof measureIdleMemory>[1];
  readonly throughput: Parameters<typeof measureThroughput>[1];
  readonly gatewayMemory: Parameters<typeof measureGatewayMemory>[1];
  readonly gatewayThroughput: Parameters<typeof measureGatewayThroughput>[1];
}

const FULL: Sizes = {
  connect: { rounds: 15 },
  ping: {
    rounds: 7,
    series: [
      { interval: 20, count: 250 },
      { interval: 200, count: 40 },
    ],
  },
  memory: { rounds: 3 },
  throughput: { rounds: 5, seconds: 5 },
  gatewayMemory: { rounds: 3 },
  gatewayThroughput: { rounds: 5, seconds: 5 },
};

/** Two rounds where order matters: one in each. */
const QUICK: Sizes = {
  connect: { rounds: 2 },
  ping: {
    rounds: 2,
    series: [
      { interval: 20, count: 50 },
      { interval: 200, count: 10 },
    ],
  },
  memory: { rounds: 1 },
  throughput: { rounds: 2, seconds: 1 },
  gatewayMemory: { rounds: 1 },
  gatewayThroughput: { rounds: 2, seconds: 1 },
};

/** The run was told to end before it was done. */
class Abandoned extends Error {
  readonly exitCode: number;

  constructor(reason: string, exitCode: number) {
    super(`${reason}: the bench has ended everything that it had started`);
    this.exitCode = exitCode;
  }
}

/** Rejects at a signal, and when the time is up. */
function untilAbandoned(): Promise<never> {
  return new Promise((_, reject) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.once(signal, () => reject(new Abandoned(signal, 128 + constants.signals[signal])));
    }
    setTimeout(() => reject(new Abandoned('out of time', EXIT.notMeasured)), DEADLINE_MS).unref();
  });
}

/** Measures everything in a lab that is gone when this ends, however it ends. */
async function measure(options: Options): Promise<Figure[]> {
  await using bench = await BenchLab.open();
  return await Promise.race([untilAbandoned(), measureIn(bench, options)]);
}

async function measureIn(bench: BenchLab, { measurements, isQuick }: Options): Promise<Figure[]> {
  const sizes = isQuick ? QUICK : FULL;
  const measureOne: Readonly<Record<Measurement, () => Promise<Figure[]>>> = {
    connect: () => measureConnectTime(bench, sizes.connect),
    ping: () => measurePing(bench, sizes.ping),
    memory: () => measureIdleMemory(bench, sizes.memory),
    throughput: () => measureThroughput(bench, sizes.throughput),
    'gateway-memory': () => measureGatewayMemory(bench, sizes.gatewayMemory),
    'gateway-throughput': () => measureGatewayThroughput(bench, sizes.gatewayThroughput),
  };
  await bench.useGateway('reference'); // of the clients; the gateways' measurements start their own
  const figures: Figure[] = [];
  for (const measurement of measurements) figures.push(...(await measureOne[measurement]()));
  return figures;
}

async function main(): Promise<number> {
  const options = parseOptions(process.argv.slice(2));
  const lacking = missing('root', 'netns', 'tun', 'unshare', 'nsenter', 'ocserv', 'openconnect', 'ping', 'iperf3', 'openssl');
  if (lacking !== false) throw new Error(`cannot measure here: the bench ${lacking}`);
  const measuredOn = circumstances(REPORT);
  const figures = await measure(options);
  console.log(renderFigures(figures));
  if (options.writes) writeFileSync(path.resolve(import.meta.dirname, '..', REPORT), renderDocument(figures, measuredOn));
  const missed = judge(figures).filter(({ isKept }) => !isKept);
  for (const { figure, limit, reached } of missed) console.error(`missed: ${titleOf(figure)}: ${limit}, but it is ${reached}`);
  return missed.length > 0 && !options.isReportOnly ? EXIT.missed : EXIT.kept;
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exit(error instanceof Abandoned ? error.exitCode : EXIT.notMeasured); // not waiting for what was under way
}
