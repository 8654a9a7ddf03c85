/**
 * Measures our client beside OpenConnect's on the same gateway, our gateway beside ocserv with the same client, and both ends beside both, in turns, and
 * judges the figures by their limits.
 *
 *   npm run bench -- [--quick] [--only=MEASUREMENT]... [--report-only] [--write]
 *
 *   --quick        few and short rounds, each measurement in less than a minute: shows that everything works, but its figures are noise
 *   --only         only this measurement; may be repeated. connect, ping, memory, throughput, portable, proxy, portable-proxy: clients on ocserv;
 *                  gateway-memory, gateway-throughput: gateways with openconnect; pair, pair-ping, pair-proxy, packets: both ends; fortinet, f5, gp,
 *                  nc, pulse, array: clients on our gateway; sessions: our gateway with many sessions
 *   --report-only  a missed limit is said, but does not fail the run
 *   --write        puts what was measured into docs/performance.json, and makes docs/performance.md of that
 *
 * Figures go to standard output, progress to standard error. Ends with 0 if every limit is kept, with 1 if one is missed, and with 2 if it could not
 * measure. Ctrl-C ends it with all that it has started.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import path from 'node:path';
import { missing } from '../test/support/requirements.ts';
import { BenchLab } from './bench-lab.ts';
import type { Figure } from './figures.ts';
import { judge } from './limits.ts';
import { type Circumstances, circumstances } from './machine.ts';
import { type Options, parseOptions } from './options.ts';
import { parseRecord, renderRecord, withFigures } from './record.ts';
import { renderDocument, renderFigures, titleOf } from './report.ts';
import { scenes } from './scenes.ts';

/** From the top of the repository. */
const RECORD = 'docs/performance.json';
const REPORT = 'docs/performance.md';

/** Every wait has a deadline of its own; this one is for what none of them sees. A full run takes about an hour. */
const DEADLINE_MS = 120 * 60 * 1000;

const EXIT = { kept: 0, missed: 1, notMeasured: 2 } as const;

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
  const measureOne = scenes(bench, isQuick);
  const figures: Figure[] = [];
  for (const measurement of measurements) figures.push(...(await measureOne[measurement]()));
  return figures;
}

async function main(): Promise<number> {
  const options = parseOptions(process.argv.slice(2));
  const lacking = missing('root', 'netns', 'tun', 'unshare', 'nsenter', 'ocserv', 'openconnect', 'ping', 'iperf3', 'openssl');
  if (lacking !== false) throw new Error(`cannot measure here: the bench ${lacking}`);
  const measuredOn = circumstances(RECORD, REPORT);
  const figures = await measure(options);
  console.log(renderFigures(figures));
  if (options.writes) write(figures, measuredOn);
  const missed = judge(figures).filter(({ isKept }) => !isKept);
  for (const { figure, limit, reached } of missed) console.error(`missed: ${titleOf(figure)}: ${limit}, but it is ${reached}`);
  return missed.length > 0 && !options.isReportOnly ? EXIT.missed : EXIT.kept;
}

function write(figures: readonly Figure[], measuredOn: Circumstances): void {
  const [recordFile, reportFile] = [RECORD, REPORT].map((file) => path.resolve(import.meta.dirname, '..', file)) as [string, string];
  const before = existsSync(recordFile) ? parseRecord(readFileSync(recordFile, 'utf8')) : {};
  const record = withFigures(before, figures, measuredOn);
  writeFileSync(recordFile, renderRecord(record));
  writeFileSync(reportFile, renderDocument(record));
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exit(error instanceof Abandoned ? error.exitCode : EXIT.notMeasured); // not waiting for what was under way
}
