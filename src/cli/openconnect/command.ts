/**
 * The drop-in command: reads the command line and does what it says.
 *
 * Read first: spec "CLI", section 1; `command-line.ts`, then `session-command.ts`.
 */
import { statSync } from 'node:fs';
import path from 'node:path';
import { startEngine } from '../../client/start-engine.ts';
import type { PacketEngine } from '../../node/engine/packet-engine.ts';
import { decodeLocale, encodeLocale, localeArguments, localeCharset } from '../../node/locale-text.ts';
import { backgroundReport, type ReadAhead, runInBackground } from '../background.ts';
import { outliveReaders } from '../outlive-readers.ts';
import { type CommandLine, type CommandLineWorld, readCommandLine } from './command-line.ts';
import { earlyAnswer } from './early-answer.ts';
import { LineReader } from './line-reader.ts';
import { Output, type TextSink } from './output.ts';
import type { Settings } from './settings.ts';
import { type Streams, systemWorld } from './system-world.ts';
import { Terminal } from './terminal.ts';
import { ownVersion } from './version.ts';

/**
 * Runs the command to its end; resolves with the exit status.
 *
 * @param words what stands in front of our arguments (`sallyport openconnect …`)
 * @param started an engine that starts already, in case it is needed
 */
export async function runCommand(words: readonly string[], started: Promise<PacketEngine> | undefined): Promise<number> {
  outliveReaders();
  const background = backgroundReport(process.env);
  const charset = localeCharset();
  // A child in the background got its arguments decoded.
  const argv = (background === undefined ? localeArguments(charset) : process.argv.slice(2)).slice(words.length);
  const programName = words.at(-1) ?? path.basename(process.argv[1] ?? 'openconnect', '.js');
  process.title = programName; // also takes what is secret in the arguments out of sight
  const decode = (bytes: Uint8Array) => decodeLocale(bytes, charset);
  const input = new LineReader(process.stdin);
  const streams = streamsIn(charset);
  const system = systemWorld({ programName, input, decode, streams });
  const readAhead = [...(background?.files ?? [])];
  const ahead = background === undefined ? await wantsBackground(argv, system, readAhead) : undefined;
  if (ahead !== undefined) return parentOf(ahead, streams, [...words, ...argv], readAhead);

  const world = { ...system, readFile: readingFirst(readAhead, system) };
  const commandLine = await readCommandLine(argv, world);
  if (commandLine.type !== 'connect') return answerEarly(commandLine, streams, world);
  const { settings } = commandLine;
  const engine = isLoginOnly(settings) ? undefined : (started ?? startEngine());
  const { runSession } = await import('./session-command.ts');
  const { nonInteractive, password } = settings.login;
  const terminal = new Terminal({
    input,
    ...(process.stdin.isTTY && { keyboard: process.stdin }),
    screen: streams.stderr,
    decode,
    nonInteractive,
    answersOnStdin: password !== undefined,
    ...(background !== undefined && { raise: background.raise }),
  });
  return runSession({ settings, programName, output: outputFor(settings, streams), terminal, background, engine });
}

/** What is wanted is the cookie; there is no tunnel. */
function isLoginOnly({ mode }: Settings): boolean {
  return mode === 'authenticate' || mode === 'cookieonly';
}

/** What we say, in the locale's character set: the other way round than arguments and input. */
function streamsIn(charset: string): Streams {
  const sink = (stream: 'stdout' | 'stderr'): TextSink => ({ write: (text) => process[stream].write(encodeLocale(text, charset)) });
  return { stdout: sink('stdout'), stderr: sink('stderr') };
}

function outputFor({ messages, mode }: Settings, streams: Streams): Output {
  return new Output({ messages, mode, ...streams, now: () => new Date() });
}

/** Prefixes of `--config` are options too: another file may ask for the background. */
const MAY_ASK_FOR_BACKGROUND = /^-[^-]*b|^--b|^--con/;

/**
 * The settings, if they ask for the background. Standard input is left for the child: a look ahead reads no line of it and says nothing. What it has
 * read of files that cannot be read again goes into `readAhead`.
 */
async function wantsBackground(argv: readonly string[], world: CommandLineWorld, readAhead: ReadAhead[]): Promise<Settings | undefined> {
  if (!argv.some((argument) => MAY_ASK_FOR_BACKGROUND.test(argument))) return undefined;
  const quiet: CommandLineWorld = {
    ...world,
    say: () => undefined,
    readLine: () => Promise.resolve('-'),
    readFile: async (file, maxBytes) => {
      const bytes = await world.readFile(file, maxBytes);
      if (!statSync(file).isFile()) readAhead.push({ file, bytes });
      return bytes;
    },
  };
  const commandLine = await readCommandLine(argv, quiet);
  if (commandLine.type !== 'connect') return undefined;
  const { mode, process: wishes } = commandLine.settings;
  return wishes.background && (mode === 'connect' || mode === 'printcookie') ? commandLine.settings : undefined;
}

/** What was read ahead is what the file holds, once. */
function readingFirst(readAhead: ReadAhead[], world: CommandLineWorld): CommandLineWorld['readFile'] {
  return async (file, maxBytes) => {
    const at = readAhead.findIndex((each) => each.file === file);
    const [found] = at < 0 ? [] : readAhead.splice(at, 1);
    return found?.bytes ?? world.readFile(file, maxBytes);
  };
}

async function parentOf(settings: Settings, streams: Streams, argv: readonly string[], files: readonly ReadAhead[]): Promise<number> {
  const outcome = await runInBackground([...process.argv.slice(1, 2), ...argv], { files });
  if (outcome.type === 'ended') return outcome.status;
  outputFor(settings, streams).log('info', 'in background', { pid: outcome.pid });
  return 0;
}

function answerEarly(commandLine: Exclude<CommandLine, { readonly type: 'connect' }>, streams: Streams, world: CommandLineWorld): number {
  const { platform, defaultScript } = world;
  const facts = { platform, defaultScript, openssl: process.versions.openssl ?? 'unknown', ownVersion: ownVersion() };
  const { stdout, stderr, status } = earlyAnswer(commandLine, facts);
  streams.stderr.write(stderr);
  streams.stdout.write(stdout);
  return status;
}
