/**
 * `route-add-cmd` and `route-del-cmd`: commands of the administrator's with places for a route, run without a shell.
 *
 * Read first: spec "Gateway contract", section 2.4. Observed: ocserv hands the text to /bin/sh, so that `$(…)`, `;` and `>` work there. Here they do
 * not, and a command that has them is refused: what needs a shell is a script, which is named instead.
 *
 *   ip route add %{R} dev %{D}      %{R} 10.0.0.0/255.0.0.0, of IPv6 fd00::/8 · %{RI} 10.0.0.0/8 · %{D} vpns0
 */
import { MisuseError } from '../../core/errors.ts';
import { type Cidr, formatCidr, formatIp, netmaskOf } from '../../core/wire/ip-address.ts';

/** Words of a command; the first is the program. Places are filled in later, so that no value makes a word of its own. */
export type RouteCommand = readonly [string, ...string[]];

const MAX_COMMAND_LENGTH = 4096;

/** Outside quotes these are a shell's. `%{` is ours. */
const SHELL_CHARACTERS = /[$`;|&<>()*?[\]~#!\n]/;

/** Splits a command as a shell does: blanks, both quotes, backslashes. Throws {@link MisuseError} for what only a shell could do. */
export function parseRouteCommand(text: string): RouteCommand {
  if (text.length > MAX_COMMAND_LENGTH) throw new MisuseError(`A route command is no longer than ${MAX_COMMAND_LENGTH} characters.`);
  const words: string[] = [];
  // A word is a row of pieces: plain text, \x, '…', "…".
  const pieces = /\s+|\\(.)|'([^']*)'|"((?:[^"\\]|\\.)*)"|([^\s\\'"]+)|(.)/gsu;
  let word: string | undefined;
  for (const [piece, escaped, single, double, plain, stray] of text.matchAll(pieces)) {
    if (stray !== undefined) throw new MisuseError(`The route command "${text}" has a quote or a backslash without its end.`);
    if (escaped ?? single ?? double ?? plain)
      word = (word ?? '') + (escaped ?? single ?? unescaped(double, text) ?? checked(plain ?? '', text));
    else if (piece.trim() !== '')
      word ??= ''; // ''
    else if (word !== undefined) {
      words.push(word);
      word = undefined;
    }
  }
  if (word !== undefined) words.push(word);
  const [program, ...args] = words;
  if (program === undefined || program === '') throw new MisuseError('The route command is empty.');
  return [program, ...args];
}

/** The words with a route in their places. */
export function fillRouteCommand(command: RouteCommand, route: Cidr, device: string): RouteCommand {
  const { address, prefix } = route;
  const values: Readonly<Record<string, string>> = {
    R: address.family === 4 ? `${formatIp(address)}/${formatIp(netmaskOf(4, prefix))}` : formatCidr(route),
    RI: formatCidr(route),
    D: device,
  };
  const filled = (word: string) => word.replace(/%\{(RI?|D)\}/g, (place, name: string) => values[name] ?? place);
  const [program, ...args] = command;
  return [filled(program), ...args.map(filled)];
}

/** Within double quotes a backslash protects itself and the quote; `$` and backquotes are still a shell's. */
function unescaped(quoted: string | undefined, text: string): string | undefined {
  if (quoted === undefined) return undefined;
  if (/(?<!\\)[$`]/.test(quoted)) throw shellNeeded(text);
  return quoted.replace(/\\(["\\$`])/g, '$1');
}

function checked(plain: string, text: string): string {
  if (SHELL_CHARACTERS.test(plain)) throw shellNeeded(text);
  return plain;
}

function shellNeeded(text: string): MisuseError {
  return new MisuseError(`The route command "${text}" needs a shell, and is run without one. Put it into a script and name that.`);
}
