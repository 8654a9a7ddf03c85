/**
 * Reads a whole command line: arguments, configuration files, environment and the lines of standard input that options ask for. What comes out is
 * either settings to connect with, or the reason why there is nothing to connect.
 *
 * Read first: spec "CLI", sections 1 to 3 and 10. The story: words (`getopt-long.ts`, `config-file.ts`) become wishes, one option at a time
 * (`apply-option.ts`), and the wishes become settings (`settings-of.ts`).
 */

import { systemErrorCode, systemErrorText } from '../../node/system-error.ts';
import { readArguments } from '../getopt-long.ts';
import { type ApplyContext, applyOption, type Ending, failure } from './apply-option.ts';
import { MAX_CONFIG_BYTES, readConfigLines } from './config-file.ts';
import { optionSyntax } from './options.ts';
import { timestampOf } from './output.ts';
import type { Settings, SystemUser } from './settings.ts';
import { type SettingsContext, settingsOf } from './settings-of.ts';
import { defaultWishes, type Wishes } from './wishes.ts';

export type CommandLine =
  | { readonly type: 'connect'; readonly settings: Settings }
  | Ending
  /** The shell wants to complete word number `index` of `words`, counted from one; there may be none of that number. */
  | { readonly type: 'autocomplete'; readonly words: readonly string[]; readonly index: number };

/** Everything outside that a command line depends on. */
export interface CommandLineWorld extends SettingsContext {
  /** What messages about wrong options begin with: the name we were called by. */
  readonly programName: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  now(): Date;
  /** The next line of standard input, without its end; undefined at the end. */
  readLine(): Promise<string | undefined>;
  /** A user by name, or by number where the text is one; undefined if there is none. */
  lookupUser(nameOrNumber: string): SystemUser | undefined;
  /** Text of a configuration file, in the character set of the locale. */
  decode(bytes: Uint8Array): string;
}

/** `argv` is without the program's name, in the character set of the locale. Warnings are said while reading goes on. */
export async function readCommandLine(argv: readonly string[], world: CommandLineWorld): Promise<CommandLine> {
  if (argv[0] === '--autocomplete' && argv.length > 1) {
    return { type: 'autocomplete', words: argv.slice(1), index: Number(world.environment.COMP_CWORD ?? 0) };
  }
  const wishes = defaultWishes();
  const proxy = world.environment.https_proxy;
  if (proxy) wishes.proxy = proxy;
  const stamped = (line: string) => (wishes.timestamp ? timestampOf(world.now()) + line : line);
  const context: ApplyContext = {
    readLine: () => world.readLine(),
    lookupUser: (user) => world.lookupUser(user),
    readConfigFile: (file) => readConfigFile(file, wishes, world, context),
    warn: (line) => world.say('stderr', line),
    stamped,
  };
  const read = await readWords(argv, wishes, world, context);
  if ('type' in read) return read;

  const [server, ...others] = wishes.server === undefined ? read.operands : [wishes.server, ...read.operands];
  if (server === undefined) return usageError('No server specified');
  if (others.length > 0) return usageError('Too many arguments on command line');
  const settings = await settingsOf(server, wishes, world, stamped);
  return 'type' in settings ? settings : { type: 'connect', settings };
}

function usageError(line: string): Ending {
  return { type: 'usage-error', lines: [line], showUsage: true };
}

/** Lets all options act; returns the operands. */
async function readWords(
  argv: readonly string[],
  wishes: Wishes,
  world: CommandLineWorld,
  context: ApplyContext,
): Promise<{ readonly operands: readonly string[] } | Ending> {
  const syntax = optionSyntax(world.platform);
  const posixlyCorrect = world.environment.POSIXLY_CORRECT !== undefined;
  const operands: string[] = [];
  for (const argument of readArguments(argv, syntax, { programName: world.programName, posixlyCorrect })) {
    if (argument.type === 'operand') {
      operands.push(argument.value);
      continue;
    }
    if (argument.type === 'error') return usageError(argument.message);
    const ending = await applyOption(argument.name, argument.value ?? '', wishes, context);
    if (ending !== undefined) return ending;
  }
  return { operands };
}

async function readConfigFile(file: string, wishes: Wishes, world: CommandLineWorld, context: ApplyContext): Promise<Ending | undefined> {
  let text: string;
  try {
    text = world.decode(await world.readFile(file, MAX_CONFIG_BYTES));
  } catch (error) {
    const isFolder = systemErrorCode(error) === 'EISDIR';
    return failure(`${isFolder ? 'Failed to get line from config file' : `Cannot open config file '${file}'`}: ${systemErrorText(error)}`);
  }
  for (const line of readConfigLines(text, optionSyntax(world.platform))) {
    if (line.type === 'error') return usageError(line.message);
    if (line.name === 'config') return failure("Cannot use 'config' option inside config file");
    const ending = await applyOption(line.name, line.value ?? '', wishes, context);
    if (ending !== undefined) return ending;
  }
  return undefined;
}
