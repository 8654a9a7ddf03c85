/**
 * The arguments of occtl: options, then the words of one command.
 *
 * Observed: what 1.1.6 does not understand, it answers with its help and exit status 0. `--socket-file=FILE`, which its manual shows, it misreads; here it
 * works.
 */
import { type OptionSyntax, readArguments } from '../getopt-long.ts';
import type { ManOption } from '../roff.ts';
import { commandList } from './command-table.ts';

/** Where ocserv's configuration has the socket unless it says otherwise. */
export const DEFAULT_SOCKET = '/var/run/occtl.socket';

/** The release that we are a stand-in for. */
const OCCTL_VERSION = '1.1.6';

export interface OcctlSettings {
  readonly socket: string;
  readonly isJson: boolean;
  readonly usesPager: boolean;
  /** `--debug`. */
  readonly isVerbose: boolean;
  /** The command's words, joined; empty: the prompt. */
  readonly line: string;
}

export type OcctlCommandLine =
  | { readonly type: 'run'; readonly settings: OcctlSettings }
  | { readonly type: 'help' }
  | { readonly type: 'version' };

type OptionName = 'socket-file' | 'json' | 'no-pager' | 'debug' | 'help' | 'version';

/** In the order of help. `argument` is for the manual page: help shows none. */
export const OPTIONS: readonly (OptionSyntax<OptionName> & ManOption)[] = [
  { name: 'socket-file', short: 's', takesArgument: true, argument: 'file', meaning: "Specify the server's occtl socket file" },
  { name: 'help', short: 'h', takesArgument: false, meaning: 'Show this help' },
  { name: 'debug', takesArgument: false, meaning: 'Enable more verbose information in some commands' },
  { name: 'version', short: 'v', takesArgument: false, meaning: "Show the program's version" },
  { name: 'json', short: 'j', takesArgument: false, meaning: 'Use JSON formatting for output' },
  { name: 'no-pager', short: 'n', takesArgument: false, meaning: 'Do not use a pager' },
];

/** Where the meanings begin in help. */
const MEANING_COLUMN = 25;

/** Reads the arguments. Options end where the command begins. */
export function readOcctlArguments(argv: readonly string[]): OcctlCommandLine {
  let settings: OcctlSettings = { socket: DEFAULT_SOCKET, isJson: false, usesPager: true, isVerbose: false, line: '' };
  const words: string[] = [];
  for (const argument of readArguments(argv, OPTIONS, { programName: 'occtl', posixlyCorrect: true })) {
    if (argument.type === 'error') return { type: 'help' };
    if (argument.type === 'operand') {
      words.push(argument.value);
      continue;
    }
    switch (argument.name) {
      case 'socket-file':
        settings = { ...settings, socket: argument.value ?? '' };
        break;
      case 'json':
        settings = { ...settings, isJson: true };
        break;
      case 'no-pager':
        settings = { ...settings, usesPager: false };
        break;
      case 'debug':
        settings = { ...settings, isVerbose: true };
        break;
      case 'help':
      case 'version':
        return { type: argument.name };
    }
  }
  return { type: 'run', settings: { ...settings, line: words.join(' ') } };
}

export function helpText(): string {
  const options = OPTIONS.map(({ name, short, meaning }) => {
    const words = `  ${short === undefined ? '  ' : `-${short}`} --${name}`;
    return `${words.padEnd(MEANING_COLUMN)}${meaning}\n`;
  });
  return `occtl: [OPTIONS...] {COMMAND}\n\n${options.join('')}\n${commandList(false)}\n`;
}

/** Also what the prompt begins with. `ownVersion`: of this package. */
export function versionText(ownVersion: string): string {
  return `OpenConnect server control (occtl) version ${OCCTL_VERSION}
Sallyport ${ownVersion} in the place of occtl: it speaks to a Sallyport gateway, not to ocserv.

For help type ? or 'help'
==================================================================
`;
}
