/** A world for command lines in which nothing is real, and the whole command up to the point where it would connect. */
import { readFile } from 'node:fs/promises';
import { type CommandLine, type CommandLineWorld, readCommandLine } from '../../../src/cli/openconnect/command-line.ts';
import { earlyAnswer } from '../../../src/cli/openconnect/early-answer.ts';
import type { Settings } from '../../../src/cli/openconnect/settings.ts';
import { lookupUser } from '../../../src/cli/openconnect/system-world.ts';

export interface FakeWorld extends CommandLineWorld {
  /** What was said at once, each line with its stream. */
  readonly said: readonly (readonly [stream: 'stdout' | 'stderr', line: string])[];
}

export interface FakeWorldOptions {
  readonly environment?: Readonly<Record<string, string>>;
  /** Standard input. */
  readonly input?: string;
  /** By name; other names are real files. */
  readonly files?: Readonly<Record<string, string>>;
  readonly platform?: NodeJS.Platform;
  readonly programName?: string;
}

export function fakeWorld(options: FakeWorldOptions = {}): FakeWorld {
  const said: [stream: 'stdout' | 'stderr', line: string][] = [];
  const lines = (options.input ?? '').split('\n');
  if (lines.at(-1) === '') lines.pop();
  return {
    said,
    programName: options.programName ?? 'openconnect',
    environment: options.environment ?? {},
    platform: options.platform ?? 'linux',
    architecture: 'x64',
    hostname: 'workstation',
    defaultScript: '/usr/share/vpnc-scripts/vpnc-script',
    now: () => new Date(2026, 10, 3, 4, 5, 6),
    readLine: async () => lines.shift(),
    lookupUser,
    readFile: async (file) => {
      const text = options.files?.[file];
      return text === undefined ? readFile(file) : Buffer.from(text);
    },
    decode: (bytes) => Buffer.from(bytes).toString('utf8'),
    say: (stream, line) => said.push([stream, line]),
  };
}

export interface CommandResult {
  readonly stdout: string;
  readonly stderr: string;
  /** undefined: it would connect. */
  readonly status: number | undefined;
}

/** What a person sees of a command line. */
export async function run(argv: readonly string[], options: FakeWorldOptions = {}): Promise<CommandResult> {
  const world = fakeWorld(options);
  const commandLine = await readCommandLine(argv, world);
  const said = (stream: string) => world.said.flatMap(([where, line]) => (where === stream ? `${line}\n` : [])).join('');
  if (commandLine.type === 'connect') return { stdout: said('stdout'), stderr: said('stderr'), status: undefined };
  const facts = { platform: world.platform, openssl: '3.5.8', defaultScript: world.defaultScript, ownVersion: '0.0.0' };
  const answer = earlyAnswer(commandLine, facts);
  return { stdout: said('stdout') + answer.stdout, stderr: said('stderr') + answer.stderr, status: answer.status };
}

/** The settings of a command line that is right. */
export async function settingsFor(argv: readonly string[], options: FakeWorldOptions = {}): Promise<Settings> {
  const commandLine: CommandLine = await readCommandLine(argv, fakeWorld(options));
  if (commandLine.type !== 'connect') throw new Error(`no settings: ${JSON.stringify(commandLine)}`);
  return commandLine.settings;
}
