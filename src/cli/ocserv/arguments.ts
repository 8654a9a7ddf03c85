/**
 * The command line of the drop-in for ocserv: what it accepts, what it says, and where it goes on all the same.
 *
 * Read first: spec "Gateway contract", section 1. Observed of ocserv 1.1.6: an option that getopt_long refuses is complained about, and the start goes
 * on without it; `--help` and `--version` answer as soon as they are met, on standard error; an operand ends the start only after all options.
 */
import { readArguments } from '../getopt-long.ts';
import { helpText, OCSERV_OPTIONS, versionText } from './help.ts';

export interface OcservOptions {
  /** `-c`; undefined: the usual places. */
  readonly configFile?: string;
  /** `-t`: read the configuration, say what is wrong, and leave. */
  readonly testsConfig: boolean;
  readonly foreground: boolean;
  /** `-d`, 0 to 9; undefined: as the configuration says. */
  readonly debugLevel?: number;
  /** `-p`; undefined: as the configuration says. */
  readonly pidFile?: string;
  /** False with `--no-chdir`: a daemon stays in the folder where it was started. */
  readonly changesFolder: boolean;
  /** `-x`: processes may be traced. */
  readonly traceable: boolean;
}

/** `said` goes to standard error, before anything else. */
export type OcservCommandLine =
  | { readonly type: 'run'; readonly options: OcservOptions; readonly said: string }
  | { readonly type: 'leave'; readonly status: 0 | 1; readonly said: string };

export interface CommandLineFacts {
  /** The name that we were called by. */
  readonly programName: string;
  /** POSIXLY_CORRECT is set. */
  readonly posixlyCorrect: boolean;
  readonly openssl: string;
  readonly ownVersion: string;
}

const MAX_DEBUG_LEVEL = 9;

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

/** `argv` is without the program's name. */
export function parseOcservArguments(argv: readonly string[], facts: CommandLineFacts): OcservCommandLine {
  const options: Mutable<OcservOptions> = { testsConfig: false, foreground: false, changesFolder: true, traceable: false };
  let said = '';
  let hasOperands = false;
  for (const argument of readArguments(argv, OCSERV_OPTIONS, facts)) {
    if (argument.type === 'operand') hasOperands = true;
    else if (argument.type === 'error') said += `${argument.message}\n`;
    else {
      switch (argument.name) {
        case 'help':
          return { type: 'leave', status: 0, said: said + helpText() };
        case 'version':
          return { type: 'leave', status: 0, said: said + versionText(facts) };
        case 'foreground':
          options.foreground = true;
          break;
        case 'debug':
          options.debugLevel = debugLevel(argument.value ?? '');
          break;
        case 'config':
          options.configFile = argument.value ?? '';
          break;
        case 'test-config':
          options.testsConfig = true;
          break;
        case 'no-chdir':
          options.changesFolder = false;
          break;
        case 'pid-file':
          options.pidFile = argument.value ?? '';
          break;
        case 'traceable':
          options.traceable = true;
          break;
      }
    }
  }
  if (hasOperands) return { type: 'leave', status: 1, said: `${said}error: no additional command line options are allowed\n\n` };
  return { type: 'run', options, said };
}

/** Observed: nothing is refused. What is no number counts as 0, as atoi reads it. */
function debugLevel(text: string): number {
  return Math.min(MAX_DEBUG_LEVEL, Number(/^\s*\+?(\d+)/.exec(text)?.[1] ?? 0));
}
