/** The manual page sallyport(1), made from the table of commands and options. `tools/man-pages.ts` writes it to `docs/man`. */
import type { Command, Option } from 'commander';
import { definitions, escaped, example, line, type ManExample, type ManSection, paragraphs, renderManPage } from '../roff.ts';
import { EXIT_MEANINGS } from './exit-codes.ts';
import { sallyportProgram } from './program.ts';

export function manPage(): string {
  const program = sallyportProgram({ version: '', out: () => undefined, err: () => undefined });
  const sections: readonly ManSection[] = [
    ['NAME', [line('sallyport - connect this machine to a VPN gateway')]],
    ['SYNOPSIS', ['.B sallyport', '.I command', '.RI [ options ]']],
    ['DESCRIPTION', paragraphs(DESCRIPTION)],
    ['COMMANDS', program.commands.flatMap(commandEntry)],
    ['SIGNALS', definitions(SIGNALS)],
    ['EXIT STATUS', definitions(Object.fromEntries(EXIT_MEANINGS))],
    ['ENVIRONMENT', definitions(ENVIRONMENT)],
    ['FILES', definitions(FILES)],
    ['EXAMPLES', EXAMPLES.flatMap(example)],
    ['SEE ALSO', ['.BR sallyport\\-openconnect (1),', '.BR sallyport\\-ocserv (8)']],
  ];
  return renderManPage('sallyport', sections);
}

const DESCRIPTION = [
  'Logs in to a VPN gateway (AnyConnect and ocserv, Fortinet, F5, GlobalProtect, Network Connect, Array, Pulse), carries packets over DTLS, ESP and TLS, and sets up addresses, routes and DNS.',
  'All of that is put back when the connection ends; after a crash, at the next start or by the command recover.',
  'Passwords, cookies and codes never come from arguments, which every process of the machine can see: they are asked for, or read from standard input.',
];

const SIGNALS = {
  'INT, TERM, HUP':
    'Disconnect: log off, put the network back, leave. A second one does not wait for the gateway; a third one leaves at once.',
  USR1: 'Show how things stand.',
  USR2: 'Drop the connection and make a new one at once.',
};

const ENVIRONMENT = {
  SALLYPORT_ENGINE_WITHOUT:
    'Parts of the packet engine that shall not run, by the names that "sallyport doctor engine" shows, with commas between. Without tls a log-in makes one connection to the gateway instead of two.',
};

const FILES = {
  '/run/sallyport/':
    'Of each session a journal of what it changed, and a socket for status, disconnect and reconnect. Users other than root have theirs in $XDG_RUNTIME_DIR/sallyport.',
};

const EXAMPLES: readonly ManExample[] = [
  { text: 'Connect; the rest is asked:', commands: ['sudo sallyport connect vpn.example.com'] },
  {
    text: 'Without root, for one program; and for all that know proxies, at 127.0.0.1:1080:',
    commands: ['sallyport exec vpn.example.com -- curl http://intranet/', 'sallyport proxy vpn.example.com'],
  },
  {
    text: 'Log in as oneself, connect as root:',
    commands: ['sudo -v && sallyport login vpn.example.com | sudo sallyport connect vpn.example.com --cookie-stdin'],
  },
  {
    text: 'Nobody to ask: the password from a file, codes made from a secret, on in the background:',
    commands: ['sudo sallyport connect vpn.example.com -u alice --password-stdin --token totp.secret -b < password'],
  },
];

function commandEntry(command: Command): string[] {
  const words = command.registeredArguments.map((argument) => (argument.required ? argument.name() : `[${argument.name()}]`));
  const title = `sallyport ${[command.name(), ...words].join(' ')}`;
  const groups = Map.groupBy(visibleOptions(command), ({ helpGroupHeading }) => helpGroupHeading ?? 'Options:');
  return [
    `.SS ${escaped(title)}`,
    line(command.description() || command.summary()),
    ...command.registeredArguments
      .filter(({ description }) => description !== '')
      .flatMap((argument) => term(argument.name(), argument.description)),
    ...[...groups].flatMap(([heading, options]) => ['.PP', `.I ${escaped(heading)}`, ...options.flatMap(optionEntry)]),
  ];
}

/** Without --help, which all have. */
function visibleOptions(command: Command): readonly Option[] {
  return command.options.filter(({ hidden }) => !hidden);
}

function optionEntry(option: Option): string[] {
  const { flags, description, argChoices, defaultValue } = option;
  const choices = argChoices === undefined ? '' : ` One of: ${argChoices.join(', ')}.`;
  const usual = typeof defaultValue === 'string' ? ` Default: ${defaultValue}.` : '';
  return term(flags, `${description}${choices}${usual}`);
}

function term(name: string, text: string): string[] {
  return ['.TP', `.B ${escaped(name)}`, line(text)];
}
