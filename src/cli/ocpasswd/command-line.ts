/** What ocpasswd's arguments ask for, in its own words where they are wrong. Observed of ocpasswd 1.1.6; the help is its own, without whom to report to. */
import { type OptionSyntax, readArguments } from '../getopt-long.ts';
import type { ManOption } from '../roff.ts';

export const DEFAULT_FILE = '/etc/ocserv/ocpasswd';

type OptionName = 'passwd' | 'groupname' | 'delete' | 'lock' | 'unlock' | 'version' | 'help';

/** In the order of help. */
export const OPTIONS: readonly (OptionSyntax<OptionName> & ManOption)[] = [
  { name: 'passwd', short: 'c', takesArgument: true, argument: 'file', meaning: 'Password file' },
  { name: 'groupname', short: 'g', takesArgument: true, argument: 'str', meaning: "User's group name" },
  { name: 'delete', short: 'd', takesArgument: false, meaning: 'Delete user' },
  { name: 'lock', short: 'l', takesArgument: false, meaning: 'Lock user' },
  { name: 'unlock', short: 'u', takesArgument: false, meaning: 'Unlock user' },
  { name: 'version', short: 'v', takesArgument: false, meaning: 'output version information and exit' },
  { name: 'help', short: 'h', takesArgument: false, meaning: 'display extended usage information and exit' },
];

const MEANING_COLUMN = 30;

export const USAGE: string = `ocpasswd - OpenConnect server password utility
Usage:  ocpasswd [ -<flag> [<val>] | --<name>[{=| }<val>] ]... [username]

${OPTIONS.map(helpLine).join('\n')}

Options are specified by doubled hyphens and their name or by a single
hyphen and the flag character.

This program is openconnect password (ocpasswd) utility.  It allows the
generation and handling of a 'plain' password file used by ocserv.
`;

function helpLine({ short, name, argument, meaning }: ManOption): string {
  const words = `   -${short}, --${name}${argument === undefined ? '' : `=${argument}`}`;
  return `${words.padEnd(MEANING_COLUMN)}${meaning}`;
}

export type OcpasswdRequest =
  | {
      readonly type: 'edit';
      readonly kind: 'set' | 'delete' | 'lock' | 'unlock';
      readonly file: string;
      readonly user: string;
      readonly groups: string;
    }
  /** Both go to standard error. */
  | { readonly type: 'help' }
  | { readonly type: 'version' }
  /** What is wrong, before the usage; undefined: the usage says it. */
  | { readonly type: 'usage'; readonly message?: string };

/** @param argv without the program's name, which is in messages */
export function readOcpasswdArguments(argv: readonly string[], programName: string): OcpasswdRequest {
  let file = DEFAULT_FILE;
  let groups = '*'; // none
  const operands: string[] = [];
  const actions = new Set<'delete' | 'lock' | 'unlock'>();
  for (const argument of readArguments(argv, OPTIONS, { programName, posixlyCorrect: process.env.POSIXLY_CORRECT !== undefined })) {
    // Observed: ocpasswd says so and goes on without it, which sets a password where someone meant to lock it.
    if (argument.type === 'error') return { type: 'usage', message: argument.message };
    if (argument.type === 'operand') {
      operands.push(argument.value);
      continue;
    }
    switch (argument.name) {
      case 'passwd':
        file = argument.value ?? file;
        break;
      case 'groupname':
        groups = argument.value ?? groups;
        break;
      case 'help':
      case 'version':
        return { type: argument.name };
      default:
        actions.add(argument.name);
    }
  }
  const [user] = operands;
  if (user === undefined || operands.length > 1 || actions.size > 1) return { type: 'usage' };
  const [kind = 'set'] = actions;
  // A colon or a line's end would make another entry of it. ocpasswd writes them all the same.
  if (kind === 'set' && (user === '' || /[:\n]/.test(user)))
    return { type: 'usage', message: `${programName}: a user name cannot be empty or have a colon` };
  if (/[:\n]/.test(groups)) return { type: 'usage', message: `${programName}: a group name cannot have a colon` };
  return { type: 'edit', kind, file, user, groups };
}
