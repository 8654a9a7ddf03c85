/** The manual page sallyport-occtl(8), made from the tables of options and commands. `tools/man-pages.ts` writes it to `docs/man`. */
import { definitions, example, line, type ManSection, optionEntry, paragraphs, renderManPage, sentence } from '../roff.ts';
import { DEFAULT_SOCKET, OPTIONS } from './command-line.ts';
import { COMMANDS, type CommandSpec } from './command-table.ts';

export function manPage(): string {
  const sections: readonly ManSection[] = [
    ['NAME', [line('sallyport-occtl - controls a running VPN gateway')]],
    ['SYNOPSIS', ['.B sallyport\\-occtl', '.RI [ options ]', '.RI [ command ]']],
    ['DESCRIPTION', paragraphs(DESCRIPTION)],
    ['OPTIONS', OPTIONS.flatMap(optionEntry)],
    ['COMMANDS', commands((command) => command.isForPrompt !== true)],
    ['COMMANDS OF THE PROMPT', commands((command) => command.isForPrompt === true)],
    ['EXIT STATUS', definitions(EXIT_STATUSES)],
    ['FILES', definitions(FILES)],
    ['EXAMPLES', EXAMPLES.flatMap(example)],
    ['DIFFERENCES FROM OCCTL', paragraphs(DIFFERENCES)],
    ['SEE ALSO', ['.BR sallyport\\-ocserv (8),', '.BR occtl (8)']],
  ];
  return renderManPage('sallyport-occtl', sections, 8);
}

const DESCRIPTION = [
  'Shows who is connected to a Sallyport gateway and how it stands, ends sessions, lifts bans, reloads and stops it.',
  'Options come before the command. Without a command there is a prompt, which completes words with the tabulator.',
  'The commands and their layouts are those of occtl; it speaks to our gateway only, as occtl speaks to ocserv only.',
];

const EXIT_STATUSES = {
  0: 'Done.',
  1: 'It was not done, or there is no such command.',
  2: 'There is no such user or session.',
};

const FILES = {
  [DEFAULT_SOCKET]:
    'The socket of the gateway, unless --socket-file names another: occtl-socket-file in ocserv.conf, socket of [control] in gateway.toml. Only its owner, root, can use it.',
};

const EXAMPLES = [
  { text: 'Who is connected, for programs:', commands: ['sallyport-occtl --json show users'] },
  { text: 'End the sessions of a user, who has to log in again:', commands: ['sallyport-occtl disconnect user alice'] },
  { text: 'Take no new clients, and wait for the others to leave:', commands: ['sallyport-occtl maintenance on'] },
];

const DIFFERENCES = [
  'JSON can be read by every parser, and events come as an object a line. The commands maintenance on and maintenance off are ours.',
  'The rest is in docs/occtl.md of the package.',
];

function commands(isWanted: (command: CommandSpec) => boolean): string[] {
  const wanted = COMMANDS.filter((command) => command.isAlias !== true && isWanted(command));
  return definitions(Object.fromEntries(wanted.map(({ words, argument, meaning }) => [termOf(words, argument), sentence(meaning)])));
}

function termOf(words: string, argument: string | undefined): string {
  return argument === undefined ? words : `${words} ${argument}`;
}
