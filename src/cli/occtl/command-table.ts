/**
 * The commands of occtl: their words, what help says of them, and which one a line means.
 *
 * Read first: spec "Gateway contract", section 4. Observed: the order and wording of help, and what an incomplete command lists, from occtl 1.1.6.
 */

export type CommandName =
  | 'disconnect user'
  | 'disconnect id'
  | 'unban ip'
  | 'reload'
  | 'show status'
  | 'show users'
  | 'show ip bans'
  | 'show ip ban points'
  | 'show iroutes'
  | 'show sessions all'
  | 'show sessions valid'
  | 'show session'
  | 'show user'
  | 'show id'
  | 'show events'
  | 'stop'
  | 'maintenance on'
  | 'maintenance off'
  | 'reset'
  | 'help'
  | 'exit';

export interface CommandSpec {
  /** What is typed, in lower case. */
  readonly words: string;
  /** What it does; aliases do what another does. */
  readonly name: CommandName;
  readonly meaning: string;
  /** What help shows behind the words. In brackets: the command needs it. */
  readonly argument?: string;
  /** Of use at the prompt only: `--help` does not list it. */
  readonly isForPrompt?: true;
  /** A second name, which no help lists. */
  readonly isAlias?: true;
}

export const COMMANDS: readonly CommandSpec[] = [
  { words: 'disconnect user', name: 'disconnect user', argument: '[NAME]', meaning: 'Disconnect the specified user' },
  { words: 'disconnect id', name: 'disconnect id', argument: '[ID]', meaning: 'Disconnect the specified ID' },
  { words: 'unban ip', name: 'unban ip', argument: '[IP]', meaning: 'Unban the specified IP' },
  { words: 'reload', name: 'reload', meaning: 'Reloads the server configuration' },
  { words: 'show status', name: 'show status', meaning: 'Prints the status and statistics of the server' },
  { words: 'show users', name: 'show users', meaning: 'Prints the connected users' },
  { words: 'show ip bans', name: 'show ip bans', meaning: 'Prints the banned IP addresses' },
  { words: 'show ip ban points', name: 'show ip ban points', meaning: 'Prints all the known IP addresses which have points' },
  { words: 'show iroutes', name: 'show iroutes', meaning: 'Prints the routes provided by users of the server' },
  { words: 'show sessions all', name: 'show sessions all', meaning: 'Prints all the session IDs' },
  { words: 'show sessions valid', name: 'show sessions valid', meaning: 'Prints all the valid for reconnection sessions' },
  { words: 'show session', name: 'show session', argument: '[SID]', meaning: 'Prints information on the specified session' },
  { words: 'show user', name: 'show user', argument: '[NAME]', meaning: 'Prints information on the specified user' },
  { words: 'show id', name: 'show id', argument: '[ID]', meaning: 'Prints information on the specified ID' },
  { words: 'show events', name: 'show events', meaning: 'Provides information about connecting users' },
  { words: 'stop', name: 'stop', argument: 'now', meaning: 'Terminates the server' },
  // Ours: ocserv has nothing like it.
  { words: 'maintenance on', name: 'maintenance on', meaning: 'Takes no new connections, leaves sessions alone' },
  { words: 'maintenance off', name: 'maintenance off', meaning: 'Takes new connections again' },
  { words: 'reset', name: 'reset', meaning: 'Resets the screen and terminal', isForPrompt: true },
  { words: 'help', name: 'help', argument: 'or ?', meaning: 'Prints this help', isForPrompt: true },
  { words: 'exit', name: 'exit', meaning: 'Exits this application', isForPrompt: true },
  { words: '?', name: 'help', meaning: 'Prints this help', isForPrompt: true, isAlias: true },
  { words: 'quit', name: 'exit', meaning: 'Exits this application', isForPrompt: true, isAlias: true },
  { words: 'show cookies all', name: 'show sessions all', meaning: 'Alias for show sessions all', isAlias: true },
  { words: 'show cookies valid', name: 'show sessions valid', meaning: 'Alias for show sessions valid', isAlias: true },
];

/** What a line means. */
export type Reading =
  | { readonly type: 'empty' }
  /** What follows the words, for a command that needs it. */
  | { readonly type: 'command'; readonly name: CommandName; readonly argument: string }
  /** Not yet a command: these begin so. */
  | { readonly type: 'incomplete'; readonly candidates: readonly CommandSpec[] }
  | { readonly type: 'unknown' };

/**
 * Words are compared in full and without regard to case; a question mark at the end asks how the line could go on. What follows a command that needs
 * nothing is ignored, as 1.1.6 does.
 */
export function readCommand(line: string): Reading {
  const text = line.trim().replace(/\s+/g, ' ');
  if (text === '') return { type: 'empty' };
  const command = COMMANDS.find(({ words }) => startsWithWords(text, words));
  if (command !== undefined) {
    const argument = text.slice(command.words.length + 1);
    if (argument === '' && needsArgument(command)) return { type: 'incomplete', candidates: COMMANDS };
    return { type: 'command', name: command.name, argument };
  }
  const beginning = text.replace(/ ?\?$/, '').toLowerCase();
  const candidates = COMMANDS.filter(({ words }) => words.startsWith(beginning));
  return candidates.length === 0 ? { type: 'unknown' } : { type: 'incomplete', candidates };
}

/** `help`, with the commands of the prompt; `--help`, without. */
export function commandList(isForPrompt: boolean): string {
  const listed = COMMANDS.filter((command) => command.isAlias !== true && (isForPrompt || command.isForPrompt !== true));
  return `Available Commands\n${commandLines(listed)}`;
}

export function commandLines(commands: readonly CommandSpec[]): string {
  return commands.map(({ words, argument, meaning }) => ` ${labelOf(words, argument)}\t${meaning}\n`).join('');
}

function labelOf(words: string, argument: string | undefined): string {
  return argument === undefined ? words.padStart(16) : `${words.padStart(12)} ${argument}`;
}

function needsArgument({ argument }: CommandSpec): boolean {
  return argument?.startsWith('[') === true;
}

function startsWithWords(text: string, words: string): boolean {
  const beginning = text.slice(0, words.length).toLowerCase();
  return beginning === words && (text.length === words.length || text[words.length] === ' ');
}
