/** The drop-in for ocserv: reads the command line and does what it says. */

import path from 'node:path';
import { loadOcservConfig } from '../../gateway/config/ocserv-conf.ts';
import { GatewayLogger } from '../../gateway/log/gateway-logger.ts';
import { Syslog } from '../../node/ffi/syslog.ts';
import { backgroundReport, runInBackground } from '../background.ts';
import { ownVersion } from '../openconnect/version.ts';
import { type OcservOptions, parseOcservArguments } from './arguments.ts';
import { runGateway } from './run-gateway.ts';
import { configFileOf, noConfigText, testConfig } from './test-config.ts';

/** Runs the command to its end; resolves with the exit status. `words`: what stands in front of our arguments (`sallyport ocserv …`). */
export async function main(words: readonly string[] = []): Promise<number> {
  const background = backgroundReport(process.env);
  const start = process.cwd();
  const programName = words.at(-1) ?? path.basename(process.argv[1] ?? 'ocserv', '.js');
  const commandLine = parseOcservArguments(process.argv.slice(2 + words.length), {
    programName,
    posixlyCorrect: process.env.POSIXLY_CORRECT !== undefined,
    openssl: process.versions.openssl,
    ownVersion: ownVersion(),
  });
  const say = (text: string) => background === undefined && process.stderr.write(text); // the parent has said it
  say(commandLine.said);
  if (commandLine.type === 'leave') return commandLine.status;
  const { options } = commandLine;
  const file = configFileOf(options.configFile);
  if (file === undefined) {
    say(noConfigText(options.configFile, programName));
    return 1;
  }
  const { status, text } = await testConfig(file);
  say(text);
  if (options.testsConfig || status !== 0) return status;
  if (background === undefined && !options.foreground) {
    const outcome = await runInBackground(process.argv.slice(1), { terminal: 'left' });
    if (outcome.type === 'up') return 0;
    say(outcome.said === '' ? `error: it has ended before clients could come, with status ${outcome.status}\n` : outcome.said);
    return outcome.status;
  }
  if (options.changesFolder && !options.foreground) process.chdir('/');
  return runGateway({
    load: () => loadOcservConfig(path.resolve(start, file)),
    serverName: SERVER_NAME,
    log: loggerOf(options),
    ...(options.debugLevel !== undefined && { logLevel: options.debugLevel }),
    ...(options.pidFile !== undefined && { pidFile: path.resolve(start, options.pidFile) }),
    onReady: () => background?.up(),
    onFailure: (reason) => background?.failed(`error: ${reason}\n`),
  });
}

/** What clients take us for: they know ocserv, and behave as its users expect. */
const SERVER_NAME = 'ocserv 1.1.6';

function loggerOf({ debugLevel = 0, foreground }: OcservOptions): GatewayLogger {
  const output = foreground
    ? ({ form: 'text', sink: process.stderr, program: 'ocserv' } as const)
    : ({ form: 'syslog', syslog: new Syslog('ocserv') } as const);
  return new GatewayLogger({ process: 'main', level: debugLevel, output });
}
