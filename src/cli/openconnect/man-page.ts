/**
 * The manual page sallyport-openconnect(1), made from the table of options. `tools/man-pages.ts` writes it to `docs/man`.
 */
import { definitions, escaped, example, type ManSection, optionEntry, paragraphs, renderManPage } from '../roff.ts';
import { groupsOf } from './help.ts';
import { OPTIONS_NOT_BUILT, PROTOCOLS } from './not-built.ts';
import { OPTIONS } from './options.ts';
import { OPENCONNECT_VERSION } from './version.ts';

export function manPage(): string {
  const sections: readonly ManSection[] = [
    ['NAME', [`sallyport-openconnect \\- VPN client with the command line of OpenConnect`]],
    ['SYNOPSIS', ['.B sallyport-openconnect', '.RI [ options ]', '.RI [https://] host [: port ][/ path ]']],
    ['DESCRIPTION', paragraphs(DESCRIPTION)],
    ['OPTIONS', options()],
    ['SIGNALS', definitions(SIGNALS)],
    ['EXIT STATUS', definitions(EXIT_STATUSES)],
    ['ENVIRONMENT', definitions(ENVIRONMENT)],
    ['EXAMPLES', EXAMPLES.flatMap(example)],
    ['DIFFERENCES FROM OPENCONNECT', paragraphs(differences())],
    ['SEE ALSO', ['.BR openconnect (8),', '.BR ocserv (8)']],
  ];
  return renderManPage('sallyport-openconnect', sections);
}

const DESCRIPTION = [
  'Connects to a VPN gateway: logs in over HTTPS, then carries packets over TLS and, where the network lets it, over DTLS.',
  `Options, messages and exit statuses are those of OpenConnect ${OPENCONNECT_VERSION}, so that scripts, service units and wrappers go on working.`,
  'A long option may be shortened as long as it is unambiguous. Options and the server may be mixed in any order.',
];

const SIGNALS = {
  'INT, TERM': 'Log off, undo the network configuration, leave. The cookie cannot be used again.',
  HUP: 'Undo the network configuration and leave without logging off. The cookie can be used again.',
  USR1: 'Show addresses, connections and traffic.',
  USR2: 'Drop the connection and make a new one at once.',
};

const EXIT_STATUSES = {
  0: 'Stopped by a signal; or what was asked for is printed.',
  1: 'Anything that failed, and --help.',
  2: 'The gateway does not take the cookie (any more): log in again.',
};

const ENVIRONMENT = {
  https_proxy: 'The proxy, unless --proxy or --no-proxy is given.',
  'LC_ALL, LC_CTYPE, LANG': 'The character set of arguments, of the terminal and of configuration files.',
  POSIXLY_CORRECT: 'The first argument that is no option ends the options.',
  SALLYPORT_ENGINE_WITHOUT: 'Parts of the packet engine that shall not run: see sallyport(1).',
};

const EXAMPLES = [
  { text: 'Log in as oneself, connect as root:', commands: ['eval "$(sallyport-openconnect --authenticate https://vpn.example.com)"'] },
  {
    text: 'and then',
    commands: [
      'echo "$COOKIE" | sudo sallyport-openconnect --cookie-on-stdin "$CONNECT_URL" \\',
      '    --servercert "$FINGERPRINT" --resolve "$RESOLVE"',
    ],
  },
  {
    text: 'A password from a file, nobody to ask:',
    commands: ['sallyport-openconnect --non-inter --passwd-on-stdin -u alice vpn.example.com < password'],
  },
];

function differences(): string[] {
  const protocols = PROTOCOLS.filter(({ isBuilt }) => !isBuilt).map(({ name }) => name);
  return [
    `What OpenConnect has and this command does not have yet ends with a message that says so: the protocols ${protocols.join(', ')};`,
    'the token modes rsa and yubioath;',
    `the options ${Object.keys(OPTIONS_NOT_BUILT)
      .map((name) => `--${name}`)
      .join(', ')}.`,
    'TLS 1.0 and 1.1 need --allow-insecure-crypto. --no-cert-check is refused by both.',
  ];
}

function options(): string[] {
  const shown = groupsOf('linux');
  const others = OPTIONS.filter((option) => !shown.some((group) => group.options.includes(option)));
  return [
    ...shown.flatMap(({ title, options: members }) => [`.SS ${escaped(title)}`, ...members.flatMap(optionEntry)]),
    '.SS Understood, but not shown by \\-\\-help',
    ...others.flatMap(optionEntry),
  ];
}
