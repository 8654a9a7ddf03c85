/** The drop-in for ocserv: reads the command line and does what it says. */
import path from 'node:path';
import { ownVersion } from '../openconnect/version.ts';
import { parseOcservArguments } from './arguments.ts';
import { configFileOf, noConfigText, testConfig } from './test-config.ts';

/** Runs the command to its end; resolves with the exit status. `words`: what stands in front of our arguments (`sallyport ocserv …`). */
export async function main(words: readonly string[] = []): Promise<number> {
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
  process.stderr.write(`error: this build tests configurations only: call ${programName} with --test-config\n`);
  return 1;
}
