/** The manual page sallyport-ocpasswd(8), made from the table of options. `tools/man-pages.ts` writes it to `docs/man`. */
import { definitions, example, line, type ManSection, optionEntry, paragraphs, renderManPage } from '../roff.ts';
import { DEFAULT_FILE, OPTIONS } from './command-line.ts';

export function manPage(): string {
  const sections: readonly ManSection[] = [
    ['NAME', [line('sallyport-ocpasswd - edits the password file of the VPN gateway')]],
    ['SYNOPSIS', ['.B sallyport\\-ocpasswd', '.RI [ options ]', '.I user']],
    ['DESCRIPTION', paragraphs(DESCRIPTION)],
    ['OPTIONS', OPTIONS.flatMap(optionEntry)],
    ['EXIT STATUS', definitions(EXIT_STATUSES)],
    ['FILES', definitions(FILES)],
    ['EXAMPLES', EXAMPLES.flatMap(example)],
    ['DIFFERENCES FROM OCPASSWD', paragraphs(DIFFERENCES)],
    ['SEE ALSO', ['.BR sallyport\\-ocserv (8),', '.BR ocpasswd (8)']],
  ];
  return renderManPage('sallyport-ocpasswd', sections, 8);
}

const DESCRIPTION = [
  'Adds a user to the password file of sallyport-ocserv or ocserv, changes a password, locks, unlocks or deletes a user.',
  'The password is asked for twice at a terminal; otherwise it is the first line of standard input. It is never an argument.',
  'The file is written anew beside the old one and put in its place, so that a gateway never reads half of it. It need not be reloaded.',
];

const EXIT_STATUSES = {
  0: 'Done; or help or the version is printed.',
  1: 'It was not done: the command line, the file or the password cannot be used.',
};

const FILES = {
  [DEFAULT_FILE]: 'The password file, unless --passwd names another. A line for each user: NAME:GROUP,GROUP:HASH, with * for no group.',
};

const EXAMPLES = [
  {
    text: 'A user in two groups; the password is asked for:',
    commands: ['sallyport-ocpasswd -c /etc/ocserv/ocpasswd -g staff,admins alice'],
  },
  { text: 'A password from a file:', commands: ['sallyport-ocpasswd -c /etc/ocserv/ocpasswd alice < password'] },
  { text: 'Nobody can log in as alice until she is unlocked:', commands: ['sallyport-ocpasswd -c /etc/ocserv/ocpasswd --lock alice'] },
];

const DIFFERENCES = [
  'Comments in the file are kept. An option that is not known ends the command instead of being left out.',
  'A name with a colon, and an empty password from standard input, are refused.',
];
