/**
 * The command line of `sallyport`: the one table of its commands and options, from which commander makes parser and help, and man-page.ts the
 * manual page. Nothing of the client is loaded here: an action says what to run.
 */

import { Argument, Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { PROTOCOL_IDS, type ProtocolId } from '../../core/auth/protocol-id.ts';
import { printable } from '../../core/wire/text.ts';
import type { ConnectArguments, CookieFormat, ExecArguments, LoginArguments, ProxyArguments } from './arguments.ts';
import type { DoctorArguments } from './doctor-command.ts';
import { EXIT_MEANINGS } from './exit-codes.ts';
import type { FakeArguments } from './fake-command.ts';
import type { GatewayArguments } from './gateway-command.ts';
import type { SessionArguments } from './session-commands.ts';
import type { Verbosity } from './words.ts';

/** What a command line asks for. */
export type Invocation =
  | { readonly command: 'connect'; readonly host: string; readonly given: ConnectArguments }
  | { readonly command: 'proxy'; readonly host: string; readonly given: ProxyArguments }
  | { readonly command: 'exec'; readonly host: string; readonly words: readonly string[]; readonly given: ExecArguments }
  | { readonly command: 'login'; readonly host: string; readonly format: CookieFormat; readonly given: LoginArguments }
  | { readonly command: 'status' | 'recover'; readonly given: SessionArguments }
  | { readonly command: 'disconnect' | 'reconnect'; readonly session: string | undefined; readonly given: SessionArguments }
  | { readonly command: 'gateway'; readonly given: GatewayArguments }
  | { readonly command: 'fake'; readonly protocol: ProtocolId; readonly given: FakeArguments }
  /** `host`: the gateway to look at; absent: the packet engine. */
  | { readonly command: 'doctor'; readonly host?: string; readonly given: DoctorArguments }
  /** Help or version was shown, or the command line makes no sense, which was said. */
  | { readonly command: 'none'; readonly isMistake: boolean };

export interface ProgramOptions {
  readonly version: string;
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  /** Of the terminal, for the help. */
  readonly columns?: number;
}

/** Reads the arguments after the program's name. */
export function readInvocation(args: readonly string[], options: ProgramOptions): Invocation {
  let invocation: Invocation = { command: 'none', isMistake: false };
  const program = sallyportProgram(options, (found) => {
    invocation = found;
  });
  try {
    const [verb, topic] = args;
    if (verb === 'help' && topic !== undefined && !topic.startsWith('-') && !program.commands.some((each) => each.name() === topic)) {
      program.parse([topic], { from: 'user' }); // commander's own help shows that of all commands, and does not say that there is no such one
    }
    program.parse([...args], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    const [word = ''] = args;
    if (error.code === 'commander.unknownCommand' && /[.:]/.test(word)) options.err(`To connect: sallyport connect ${printable(word)}\n`);
    return { command: 'none', isMistake: error.exitCode !== 0 };
  }
  return invocation;
}

/** The commands with all that commander knows of them. `run`: told what was asked for. */
export function sallyportProgram(options: ProgramOptions, run: (invocation: Invocation) => void = () => undefined): Command {
  const program = new Command('sallyport')
    .description(
      'Connect this machine to a VPN gateway: AnyConnect (Cisco, ocserv), Fortinet, F5, GlobalProtect, Network Connect, Array or Pulse, whichever answers.',
    )
    .version(options.version, '-V, --version', 'Print the version.')
    .helpOption('-h, --help', 'Print this help.')
    .helpCommand('help [command]', 'Print the help of a command.')
    .configureHelp({ subcommandTerm: termOf })
    .configureOutput({
      writeOut: options.out,
      writeErr: options.err,
      outputError: (text, write) => write(mistakeText(text)),
      ...(options.columns !== undefined && { getOutHelpWidth: () => options.columns ?? 80 }),
    })
    .showHelpAfterError('Try --help.')
    .exitOverride()
    .addHelpText('after', `\nExit codes:\n${EXIT_MEANINGS.map(([code, meaning]) => `  ${String(code).padEnd(4)} ${meaning}`).join('\n')}`);

  const connect = program
    .command('connect')
    .summary('Connect, and stay connected until told to end.')
    .description(
      'Connect to a gateway: log in, set up addresses, routes and DNS, and stay until Ctrl-C, "sallyport disconnect" or the gateway ends it. Then everything is put back. Needs root.',
    )
    .addArgument(gatewayArgument())
    .action((host: string, given: ConnectArguments) => run({ command: 'connect', host, given }));
  const proxy = program
    .command('proxy')
    .summary('Connect, and be a proxy into the VPN for other programs.')
    .description(
      'Connect to a gateway and offer the inside of the VPN to programs by one local port, which speaks SOCKS 4, 4A and 5 and HTTP. Needs no root and changes nothing on the machine. When programs can come, standard output says one line: "Ready: proxy=ADDRESS:PORT …".',
    )
    .addArgument(gatewayArgument())
    .action((host: string, given: ProxyArguments) => run({ command: 'proxy', host, given }));
  addProxyOptions(proxy);
  addWayOptions(proxy);
  const exec = program
    .command('exec')
    .summary('Connect, and run one program whose connections go through the VPN.')
    .description(
      'Connect to a gateway, run a program, and disconnect when it ends. Its environment names a proxy into the VPN (ALL_PROXY, HTTP_PROXY, HTTPS_PROXY, NO_PROXY); signals are passed on to it, and its exit code is returned (128 and the number of a signal that ended it). If there is no connection, the exit code says why. Needs no root. With --password-stdin or --cookie-stdin the standard input of the program is empty.',
    )
    .addArgument(gatewayArgument())
    .addArgument(new Argument('<command...>', 'The program and its arguments, after "--".'))
    .action((host: string, words: string[], given: ExecArguments) => run({ command: 'exec', host, words, given }));
  exec
    .optionsGroup('Network:')
    .option(
      '--netns',
      'Give the program a network of its own that has only the VPN (Linux, user namespaces): for programs that know no proxies.',
    );
  addWayOptions(exec);
  const login = program
    .command('login')
    .summary('Log in only, and print the cookie.')
    .description(
      'Log in and print what a connection needs, on standard output. Whoever has it is logged in as you. Needs no root: "sudo -v && sallyport login HOST | sudo sallyport connect HOST --cookie-stdin".',
    )
    .addArgument(gatewayArgument())
    .action((host: string, { format, ...given }: LoginArguments & { readonly format: CookieFormat }) =>
      run({ command: 'login', host, format, given }),
    );
  login
    .optionsGroup('Output:')
    .addOption(
      new Option('--format <form>', 'json; shell: assignments to be evaluated; cookie: by itself.')
        .choices(['json', 'shell', 'cookie'])
        .default('json'),
    );
  for (const command of [connect, proxy, exec, login]) addLoginOptions(command);
  for (const command of [connect, proxy, exec]) addTunnelOptions(command);
  for (const command of [connect, proxy]) addEventOption(command);
  addInterfaceOptions(connect);

  const session = () => new Argument('[session]', 'The interface, the gateway or the process, if there is more than one.');
  const json = () => new Option('--json', 'Print JSON.');
  program
    .command('status')
    .description('Show the connections of this user.')
    .addOption(json())
    .action((given: SessionArguments) => run({ command: 'status', given }));
  program
    .command('disconnect')
    .description('End a connection; return when everything is put back.')
    .addArgument(session())
    .option('--all', 'End all of them.')
    .option('--keep-cookie', 'Do not log off: the cookie stays valid.')
    .addOption(json())
    .action((name: string | undefined, given: SessionArguments) => run({ command: 'disconnect', session: name, given }));
  program
    .command('reconnect')
    .description('Drop the connection to the gateway and make a new one; addresses and what runs over them stay.')
    .addArgument(session())
    .addOption(json())
    .action((name: string | undefined, given: SessionArguments) => run({ command: 'reconnect', session: name, given }));
  program
    .command('recover')
    .description('Put back addresses, routes and DNS that sessions which were killed have left changed.')
    .addOption(json())
    .action((given: SessionArguments) => run({ command: 'recover', given }));
  program
    .command('gateway')
    .summary('Be a gateway that clients connect to.')
    .description(
      'Be a gateway for openconnect and clients of seven vendors, until a signal or "sallyport-occtl stop now" ends it. Needs root, unless the configuration says device = "userspace" or --userspace is given: then clients reach what this user can reach. A configuration that ends in .conf is read as ocserv does it.',
    )
    .requiredOption('-c, --config <file>', 'The configuration: gateway.toml, or an ocserv.conf.')
    .option(
      '--userspace',
      'No interface and no root: clients\' connections end in this program, which makes them anew (device = "userspace").',
    )
    .option('--check-config', 'Say what is wrong with the configuration, and leave: with 0 if nothing is.')
    .option('--json', 'Log as JSON lines.')
    .action((given: GatewayArguments) => run({ command: 'gateway', given }));
  program
    .command('doctor')
    .description(
      'Say what a gateway speaks, and by what that is known; or which parts of the packet engine run on this machine, and why not the others (root sees all).',
    )
    .argument('<host|engine>', 'The gateway to ask, or "engine".')
    .addOption(json())
    .action((what: string, given: DoctorArguments) => run({ command: 'doctor', given, ...(what !== 'engine' && { host: what }) }));
  program
    .command('fake')
    .description(
      'Be a gateway on loopback with scripted users, to test programs that log in. Standard output has a line when it is ready; SIGUSR1 ends all sessions, Ctrl-C the gateway. Needs no root. Behind its tunnels (TLS only) is a host that answers pings and, on port 80, a web request.',
    )
    .addArgument(new Argument('<protocol>', 'What to speak.').choices(PROTOCOL_IDS))
    .addOption(new Option('--port <port>', 'Listen there (default: any).').argParser(numberBetween(1, 65_535)))
    .addOption(
      repeated(
        new Option(
          '--user <name:password[:code]>',
          'A user (default: alice:secret); QUESTION=ANSWER in place of a code asks just that. Repeatable.',
        ),
      ),
    )
    .addOption(
      new Option(
        '--browser <how>',
        'Have people log in with a browser, as with SAML: tell clients an address, or a page that goes there (GlobalProtect).',
      ).choices(['redirect', 'post']),
    )
    .option(
      '--client-ca <file>',
      'Ask for a client certificate of this authority (PEM) in the log-in, before the password, and refuse who has none (Pulse, by EAP-TTLS).',
    )
    .addOption(json())
    .action((protocol: ProtocolId, given: FakeArguments) => run({ command: 'fake', protocol, given }));
  // Never gets here: main.ts hands these arguments on as they are.
  program
    .command('openconnect')
    .summary('Take these arguments as openconnect would.')
    .argument('[args...]')
    .helpOption(false)
    .allowUnknownOption();
  return program;
}

/** Commander's words as a sentence. The value of an unknown option is not repeated: it may be a password. */
function mistakeText(text: string): string {
  return text.replace(/^error: ./, (start) => start.slice(-1).toUpperCase()).replace(/(?<=option '--[^'=]+)=[^']*/, '');
}

/** Without `[options]`: all of them have some. */
function termOf(command: Command): string {
  const words = command.registeredArguments.map((argument) => {
    const name = `${argument.name()}${argument.variadic ? '...' : ''}`;
    return argument.required ? `<${name}>` : `[${name}]`;
  });
  return [command.name(), ...words].join(' ');
}

function gatewayArgument(): Argument {
  return new Argument('<host>', 'The gateway: [https://]HOST[:PORT][/GROUP].');
}

function addLoginOptions(command: Command): void {
  command
    .optionsGroup('Log-in:')
    .option('-u, --user <name>', 'Your name at the gateway. A browser must log in that user (GlobalProtect).')
    .option('-g, --group <group>', 'The group to log in to, where there are several.')
    .option('--password-stdin', 'Read the password from standard input; further lines answer further questions for secrets.')
    .option('--token <file>', 'Make one-time codes with the secret in this file.')
    .addOption(new Option('--token-mode <mode>', 'What codes: by time or by count.').choices(['totp', 'hotp']).default('totp'))
    .option('--answers <file>', 'Answer other questions: lines FORM:FIELD=VALUE.')
    .option('-c, --certificate <file>', 'Your certificate: PEM, DER or PKCS#12.')
    .option('-k, --key <file>', 'Its key, if that is in a file of its own.')
    .option('--key-password-stdin', 'Read the password of the key from standard input, before any other.')
    .optionsGroup('Trust:')
    .addOption(repeated(new Option('--pin <pin>', 'Trust this key (pin-sha256:…) and no other. Repeatable.')))
    .option('--ca-file <file>', 'Trust these authorities too.')
    .option('--no-system-trust', 'Do not trust the authorities of the system.')
    .addOption(
      repeated(
        new Option(
          '--allow-legacy <what>',
          'Allow what is weak: tls (TLS 1.0 and 1.1, SHA-1) or dtls (DTLS 1.0, and the dialect of old Cisco gateways). Repeatable.',
        ),
        ['tls', 'dtls'],
      ),
    )
    .optionsGroup('Connection:')
    .addOption(
      new Option('--protocol <protocol>', 'What the gateway speaks; auto asks it.').choices(['auto', ...PROTOCOL_IDS]).default('auto'),
    )
    .option('--proxy <url>', 'Go through a proxy: http://HOST:PORT or socks5://HOST:PORT. UDP is not used then.')
    .option('--proxy-login <file>', 'A file with a line USER:PASSWORD for the proxy.')
    .addOption(repeated(new Option('--resolve <host:address>', 'Use this address for a host. Repeatable.')))
    .option('--browser <program>', 'Log in with this web browser, where the gateway can (SAML).')
    .option('--resource <name>', 'The VPN resource to use, where an F5 gateway offers several.')
    .option('--user-agent <text>', 'What to call ourselves; some gateways insist on "AnyConnect …".')
    .optionsGroup('Messages:')
    .addOption(
      new Option('-v, --verbose', 'Say more; twice: everything.').argParser(
        (_: string, before: number = 0) => Math.min(before + 1, 2) as Verbosity,
      ),
    );
}

function addTunnelOptions(command: Command): void {
  command
    .optionsGroup('Log-in:')
    .option('--cookie-stdin', 'Do not log in: read what "sallyport login" printed from standard input.')
    .optionsGroup('Tunnel:')
    .addOption(new Option('--mtu <bytes>', 'The largest packet in the tunnel.').argParser(numberBetween(576, 65_535)))
    .option('--no-udp', 'Use TLS only, never UDP.')
    .option('--no-ipv6', 'No IPv6 in the tunnel.')
    .addOption(
      new Option('--compression <what>', 'Offer compression, which can give away what is encrypted.')
        .choices(['none', 'stateless', 'all'])
        .default('none'),
    )
    .addOption(
      new Option('--reconnect-timeout <seconds>', 'How long to go on trying when the connection is lost (300).').argParser(
        numberBetween(0, 31_536_000),
      ),
    );
}

function addEventOption(command: Command): void {
  command.optionsGroup('Messages:').option('--json', 'Print events as JSON, one a line, on standard output; ask nothing.');
}

function addInterfaceOptions(command: Command): void {
  command
    .optionsGroup('Tunnel:')
    .option('-i, --interface <name>', 'The name of the network interface.')
    .option('--no-network', 'Leave addresses, routes and DNS alone.')
    .option('--script <command>', 'Have them set up by a shell command, as vpnc-script does it.')
    .option('-b, --background', 'Go on in the background once the tunnel is up.');
}

function addWayOptions(command: Command): void {
  command
    .optionsGroup('Ways:')
    .addOption(repeated(new Option('--via <what>', 'Goes through the VPN: a domain, an address, a network, or "all". Repeatable.')))
    .addOption(repeated(new Option('--direct <what>', 'Does not go through the VPN. Repeatable.')));
}

function addProxyOptions(command: Command): void {
  command
    .optionsGroup('Proxy:')
    .option('-l, --listen <place>', 'Where the proxy listens: [ADDRESS:]PORT, port 0 for a free one (127.0.0.1:1080).')
    .option('--dns <place>', "Also be a name server that asks the VPN's: [ADDRESS:]PORT.")
    .option('--auth <file>', 'A file with a line USER:PASSWORD, which clients must know. SOCKS 4 cannot say it.')
    .option('--open', 'Let everybody use it who reaches an address that is not loopback: whoever does is in the VPN.')
    .optionsGroup('Forwards:')
    .addOption(
      repeated(new Option('-L, --local-forward <forward>', 'A port here that leads inside: [BIND:]PORT:HOST:HOSTPORT. Repeatable.')),
    )
    .addOption(
      repeated(
        new Option(
          '-R, --remote-forward <forward>',
          'A port inside, at our address, that leads here: [BIND:]PORT:HOST:HOSTPORT. Repeatable.',
        ),
      ),
    );
}

/** Each time adds a value. */
function repeated(option: Option, choices?: readonly string[]): Option {
  return option.argParser((value: string, before: readonly string[] = []) => {
    if (choices !== undefined && !choices.includes(value)) throw new InvalidArgumentError(`Allowed: ${choices.join(', ')}.`);
    return [...before, value];
  });
}

function numberBetween(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (value >= min && value <= max) return value;
    throw new InvalidArgumentError(`Expected a number from ${min} to ${max}.`);
  };
}
