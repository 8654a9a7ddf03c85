/** The manual page sallyport-ocserv(8), made from the tables of options and of keys. `tools/man-pages.ts` writes it to `docs/man`. */
import type { OcservKeySpec } from '../../gateway/config/ocserv-key.ts';
import { KEY_GROUPS } from '../../gateway/config/ocserv-keys.ts';
import { definitions, escaped, example, line, type ManSection, optionEntry, paragraphs, renderManPage, sentence } from '../roff.ts';
import { OCSERV_OPTIONS, type OcservOption } from './help.ts';
import { USUAL_FILES } from './test-config.ts';

export function manPage(): string {
  const sections: readonly ManSection[] = [
    ['NAME', [line('sallyport-ocserv - VPN gateway with the command line and the configuration of ocserv')]],
    ['SYNOPSIS', ['.B sallyport\\-ocserv', '.RI [ options ]']],
    ['DESCRIPTION', paragraphs(DESCRIPTION)],
    ['OPTIONS', OCSERV_OPTIONS.flatMap((option) => optionEntry({ ...option, details: detailsOf(option) }))],
    ['CONFIGURATION', [...paragraphs(CONFIGURATION), ...KEY_GROUPS.flatMap(keyGroup)]],
    ['SIGNALS', definitions(SIGNALS)],
    ['EXIT STATUS', definitions(EXIT_STATUSES)],
    ['FILES', definitions(FILES)],
    ['EXAMPLES', EXAMPLES.flatMap(example)],
    ['DIFFERENCES FROM OCSERV', paragraphs(DIFFERENCES)],
    ['SEE ALSO', ['.BR sallyport\\-occtl (8),', '.BR sallyport\\-ocpasswd (8),', '.BR sallyport (1),', '.BR ocserv (8)']],
  ];
  return renderManPage('sallyport-ocserv', sections, 8);
}

const DESCRIPTION = [
  'An SSL VPN gateway for openconnect, Cisco AnyConnect and Sallyport: log-in over HTTPS, packets over DTLS and, where UDP does not pass, over TLS.',
  'Options, signals and the configuration file are those of ocserv 1.1.6, so that service units, scripts and files go on working.',
  'The same gateway with a file format of its own is sallyport gateway --config gateway.toml.',
];

const CONFIGURATION = [
  'One key = value a line; [vhost:NAME] begins a virtual host. A key that has no effect here is said at the start with its line.',
  'The syntax, and how files of users and groups come together, is in docs/ocserv-conf.md of the package.',
];

const SIGNALS = {
  HUP: 'Read the configuration, certificates and password files anew; sessions stay. If something is wrong with it, the old one stays too.',
  'TERM, INT': 'Take no new connections, wait for server-drain-ms, end the sessions with a word to their clients, leave.',
  USR2: 'Give back at once what sessions that are over have left.',
};

const EXIT_STATUSES = {
  0: 'Stopped by a signal; or started in the background; or nothing is wrong with the configuration (--test-config).',
  1: 'Anything that failed.',
};

const FILES = {
  [USUAL_FILES.join(', ')]: 'The configuration, the first that is there, unless --config names another.',
  'SOCKET-FILE.sessions, SOCKET-FILE.leases':
    'Beside socket-file: sessions and addresses, for a start that goes on where the last one ended. Only root can read them.',
};

const EXAMPLES = [
  { text: 'Would it start, and what has no effect?', commands: ['sallyport-ocserv --test-config --config /etc/ocserv/ocserv.conf'] },
  { text: 'In the foreground, with what people do on standard error:', commands: ['sallyport-ocserv --foreground --debug 2'] },
];

const DIFFERENCES = [
  'One network device serves all clients, and a few worker processes serve many clients each. Mistakes in the configuration are all said, with their lines.',
  'The right password after a wrong one logs in. Not supported: Kerberos (GSSAPI), keys in tokens.',
];

/** Help has them as lines that begin with a dash. */
function detailsOf({ details = [] }: OcservOption): string[] {
  const text = details.map((one) => one.trim().replace(/^- /, '')).join(' ');
  return text === '' ? [] : [sentence(text)];
}

function keyGroup({ title, keys }: (typeof KEY_GROUPS)[number]): string[] {
  return [`.SS ${escaped(title)}`, ...keys.flatMap(keyEntry)];
}

function keyEntry(key: OcservKeySpec): string[] {
  const { name, aliases = [], meaning, default: usual, defaultText, unsupported } = key;
  const kind = key.isList === true ? `${key.type}, may be repeated` : key.type;
  const value = defaultText?.replaceAll('`', '') ?? usual;
  const sentences = [
    sentence(`${meaning.replaceAll('`', '')} (${kind})`),
    ...(value === undefined ? [] : [value === 'mandatory' ? 'Mandatory.' : `Default: ${value}.`]),
    ...(unsupported === undefined ? [] : [`No effect: ${unsupported}.`]),
  ];
  return ['.TP', `.B ${escaped([name, ...aliases].join(', '))}`, line(sentences.join(' '))];
}
