/**
 * Holds many sessions at our gateway and at ocserv, one after the other, with traffic on each, and says what became of them.
 *
 *   npm run bench:load -- [--quick] [--only=sallyport|ocserv] [--sessions=N] [--seconds=N] [--write]
 *
 *   default    1,000 sessions, 10 minutes at ours, one minute at ocserv
 *   --quick    100 sessions for 20 seconds
 *   --write    writes its part of docs/performance-gateway.md
 *
 * Ends with 1 if a tunnel of ours was dropped or did not come up, or a packet came to the wrong session, and with 2 if it could not measure.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { assertBuilt } from '../../test/support/drop-in.ts';
import { missing } from '../../test/support/requirements.ts';
import { circumstances } from '../machine.ts';
import { renderSection, renderTable, withSection } from './load-report.ts';
import { GATEWAYS, type GatewayName } from './load-scene.ts';
import { type LoadResult, measureLoad } from './measure-load.ts';

const REPORT = 'docs/performance-gateway.md';

const EXIT = { held: 0, failed: 1, notMeasured: 2 } as const;

/** Ours is what is claimed; of ocserv it is memory and log-ins, which a minute shows. */
const FULL = { sessions: 1000, seconds: { sallyport: 600, ocserv: 60 } };
const QUICK = { sessions: 100, seconds: { sallyport: 20, ocserv: 5 } };

interface Options {
  readonly gateways: readonly GatewayName[];
  readonly sessions: number;
  readonly seconds: Readonly<Record<GatewayName, number>>;
  readonly writes: boolean;
}

function optionsOf(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: 'boolean', default: false },
      only: { type: 'string' },
      sessions: { type: 'string' },
      seconds: { type: 'string' },
      write: { type: 'boolean', default: false },
    },
  });
  const size = values.quick ? QUICK : FULL;
  const gateways = GATEWAYS.filter((name) => values.only === undefined || values.only === name);
  if (gateways.length === 0) throw new Error(`there is no gateway ${values.only}; there are ${GATEWAYS.join(', ')}`);
  const seconds =
    values.seconds === undefined ? size.seconds : { sallyport: wholeNumber(values.seconds), ocserv: wholeNumber(values.seconds) };
  return {
    gateways,
    sessions: values.sessions === undefined ? size.sessions : wholeNumber(values.sessions),
    seconds,
    writes: values.write,
  };
}

function wholeNumber(text: string): number {
  if (!/^[1-9]\d{0,5}$/.test(text)) throw new Error(`${text} is no number of sessions or seconds`);
  return Number(text);
}

async function main(args: readonly string[]): Promise<number> {
  const options = optionsOf(args);
  const lacking = missing('root', 'netns', 'tun', 'ocserv', 'openssl');
  if (lacking !== false) throw new Error(`cannot measure here: the load ${lacking}`);
  assertBuilt();
  const measuredOn = circumstances(REPORT);
  const results: LoadResult[] = [];
  for (const gateway of options.gateways) {
    const size = { sessions: options.sessions, seconds: options.seconds[gateway], processes: availableParallelism() };
    results.push(await measureLoad(gateway, size, console.error));
  }
  console.log(renderTable(results));
  for (const { gateway, reasons } of results) for (const reason of reasons) console.error(`${gateway}: ${reason}`);
  if (options.writes) {
    const file = path.resolve(import.meta.dirname, '../..', REPORT);
    const command = `npm run bench:load -- ${args.filter((arg) => arg !== '--write').join(' ')}`.replace(/ -- $/, '');
    writeFileSync(file, withSection(readFileSync(file, 'utf8'), renderSection(results, measuredOn, command)));
  }
  return results.every(isHeld) ? EXIT.held : EXIT.failed;
}

/** What is claimed of ours; what ocserv does is a figure. */
function isHeld({ gateway, sessions, upAtEnd, traffic }: LoadResult): boolean {
  return gateway !== 'sallyport' || (upAtEnd === sessions && traffic.drops === 0 && traffic.misdelivered === 0);
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exit(EXIT.notMeasured); // not waiting for what was under way: labs end with this process
}
