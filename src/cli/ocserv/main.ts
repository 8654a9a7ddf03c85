/** The drop-in for ocserv: reads the command line and does what it says. */

import { rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { loadOcservConfig } from '../../gateway/config/ocserv-conf.ts';
import { GatewayLogger } from '../../gateway/log/gateway-logger.ts';
import { Syslog } from '../../node/ffi/syslog.ts';
import { backgroundReport, runInBackground } from '../background.ts';
import { ownVersion } from '../openconnect/version.ts';
import { parseOcservArguments } from './arguments.ts';
import { runGateway } from './run-gateway.ts';
import { configFileOf, noConfigText, testConfig } from './test-config.ts';

/** Runs the command to its end; resolves with the exit status. `words`: what stands in front of our arguments (`sallyport ocserv …`). */
export async function main(words: readonly string[] = []): Promise<number> {
  const background = backgroundReport(process.env);
  const programName = words.at(-1) ?? path.basename(process.argv[1] ?? 'ocserv', '.js');
  const commandLine = parseOcservArguments(process.argv.slice(2 + words.length), {
    programName,
    posixlyCorrect: process.env.POSIXLY_CORRECT !== undefined,
    openssl: process.versions.openssl,
    ownVersion: ownVersion(),
  });
  process.stderr.write(commandLine.said);
  if (commandLine.type === 'leave') return commandLine.status;
  const { options } = commandLine;
  const file = configFileOf(options.configFile);
  if (file === undefined) {
    process.stderr.write(noConfigText(options.configFile, programName));
    return 1;
  }
  const { status, text } = await testConfig(file);
  process.stderr.write(text);
  if (options.testsConfig || status !== 0) return status;
  if (background === undefined && !options.foreground) {
    const outcome = await runInBackground(process.argv.slice(1));
    return outcome.type === 'up' ? 0 : outcome.status;
  }
  const log = loggerOf(options.debugLevel, options.foreground);
  return runGateway({
    load: () => loadOcservConfig(file),
    serverName: SERVER_NAME,
    log,
    onReady: (_gateway, config) => {
      writePidFile(options.pidFile ?? config.processes.pidFile);
      background?.up();
    },
  });
}

/** What clients take us for: they know ocserv, and behave as its users expect. */
const SERVER_NAME = 'ocserv 1.1.6';

function loggerOf(debugLevel: number | undefined, isForeground: boolean): GatewayLogger {
  const level = debugLevel ?? 0;
  const output = isForeground
    ? ({ form: 'text', sink: process.stderr, program: 'ocserv' } as const)
    : ({ form: 'syslog', syslog: new Syslog('ocserv') } as const);
  return new GatewayLogger({ process: 'main', level, output });
}

function writePidFile(file: string | undefined): void {
  if (file === undefined) return;
  writeFileSync(file, `${process.pid}\n`);
  process.once('exit', () => rmSync(file, { force: true }));
}
