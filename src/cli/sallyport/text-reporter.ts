/** Reports to people: sentences, and on a terminal one line that says how things stand. */
import type { UnderlayChange } from '../../client/configured-network.ts';
import type { VpnProxyPlaces } from '../../client/proxy/vpn-proxy.ts';
import type { Transport, VpnState, VpnStatus } from '../../client/vpn-status.ts';
import type { LogFields, LogLevel } from '../../core/log.ts';
import type { TunnelConfig } from '../../core/tunnel/config.ts';
import type { CloseReason } from '../../core/tunnel/machine.ts';
import type { Millis } from '../../core/tunnel/packet.ts';
import { printable } from '../../core/wire/text.ts';
import { connectionLines } from './connection-text.ts';
import { EXIT } from './exit-codes.ts';
import { type Explanation, sentence } from './explanation.ts';
import { bytesText, clockText, durationText, transportText } from './human-text.ts';
import { placesText } from './proxy-text.ts';
import type { Reporter } from './reporter.ts';
import { type Screen, StatusLine } from './status-line.ts';
import { statusLines } from './status-text.ts';
import { eventLine, isLogged, oneLine, type Verbosity, warningText } from './words.ts';

export interface TextReporterOptions {
  /** Standard error. */
  readonly screen: Screen;
  readonly verbosity: Verbosity;
  /** Writes a line for programs to standard output. */
  readonly print: (line: string) => void;
  /** False: arrows and dots in ASCII. */
  readonly hasUnicode: boolean;
  /** Of the machine, where it is. False: `--no-network`, and commands that need none. */
  readonly configuresNetwork: boolean;
  /** True: what happens once the tunnel is up is not shown, as the terminal is somebody else's then. */
  readonly goesToBackground: boolean;
  /** The time of day. */
  readonly now: () => number;
}

/** Nobody notices. */
const SHORT: Millis = 1_000;

const SYMBOLS = {
  unicode: { up: '●', down: '○', received: '↓', sent: '↑' },
  ascii: { up: '*', down: '-', received: 'down', sent: 'up' },
} as const;

export class TextReporter implements Reporter {
  readonly #options: TextReporterOptions;
  readonly #line: StatusLine;
  readonly #symbols: (typeof SYMBOLS)[keyof typeof SYMBOLS];
  #gateway = '';
  /** The gateway's, as it was said last. */
  #banner = '';
  #isQuiet = false;
  #isConnected = false;
  #isStopping = false;

  constructor(options: TextReporterOptions) {
    this.#options = options;
    this.#line = new StatusLine(options.screen, options.hasUnicode ? '…' : '~');
    this.#symbols = options.hasUnicode ? SYMBOLS.unicode : SYMBOLS.ascii;
  }

  /** Runs what needs the terminal for itself: a question. */
  async aside<T>(work: () => Promise<T>): Promise<T> {
    this.#line.hide();
    try {
      return await work();
    } finally {
      this.#line.unhide();
    }
  }

  /** A text of the gateway's, or an explanation: shown as it is, made fit for a terminal. */
  say(text: string): void {
    if (!this.#isQuiet) this.#line.print(this.#fit(printable(text).trimEnd()));
  }

  problem(text: string): void {
    this.#line.print(this.#fit(oneLine(text)));
  }

  log(level: LogLevel, event: string, fields: LogFields = {}): void {
    const text = warningText(level, event, fields);
    if (isLogged(level, this.#options.verbosity)) this.say(eventLine(event, fields));
    else if (text !== undefined) this.say(text);
    if (event === 'login banner') this.#sayOnce(String(fields.text ?? ''));
  }

  starting(gateway: string): void {
    this.#gateway = oneLine(gateway);
    if (!this.#options.screen.isTerminal) this.say(`Connecting to ${this.#gateway}.`);
    this.#show(`Connecting to ${this.#gateway} …`);
  }

  state(state: VpnState): void {
    const doing: Readonly<Partial<Record<VpnState, string>>> = {
      authenticating: `Logging in to ${this.#gateway} …`,
      opening: 'Opening the tunnel …',
      'bringing-up': this.#options.configuresNetwork ? 'Setting up the network …' : 'Opening the device …',
      reconnecting: `${this.#symbols.down} ${this.#gateway}  reconnecting …`,
    };
    const text = doing[state];
    if (text !== undefined && !this.#isStopping) this.#show(text);
  }

  authenticated(user: string | undefined): void {
    this.say(user === undefined ? 'Logged in.' : `Logged in as ${user}.`);
  }

  /** Said by the error that follows. */
  certificateRefused(): void {}

  connected(status: VpnStatus, config: TunnelConfig): void {
    this.#isConnected = true;
    if (config.banner !== undefined) this.#sayOnce(config.banner);
    for (const line of connectionLines(status, config, this.#options.configuresNetwork)) this.say(line);
    const { goesToBackground, screen } = this.#options;
    if (goesToBackground) {
      this.#show('');
      this.#isQuiet = screen.isTerminal;
    } else {
      if (screen.isTerminal) this.say('Press Ctrl-C to disconnect.');
      this.tick(status);
    }
  }

  ready(places: VpnProxyPlaces): void {
    this.#line.hide(); // standard output may be the same terminal
    this.#options.print(`Ready: ${placesText(places)}\n`);
    this.#line.unhide();
  }

  lost(reason: CloseReason): void {
    if (this.#isStopping) return;
    // Who asked for it knows, and keys are renewed on time: only what nobody wanted needs a reason.
    this.say(reason.kind === 'renew' ? 'Reconnecting.' : `${sentence(reason.message)} Reconnecting.`);
  }

  reconnected(status: VpnStatus, lostFor: Millis): void {
    const how = status.transport === undefined ? '' : ` by ${transportText(status.transport, status.cipherSuite)}`;
    this.say(`Connected again${lostFor < SHORT ? '' : ` after ${durationText(lostFor)}`}${how}.`);
    this.tick(status);
  }

  transport(transport: Transport, cipherSuite: string | undefined): void {
    if (transport === 'tls') this.say('The gateway no longer answers by UDP. Packets go by TLS until it does.');
    else this.say(`Packets go by ${transportText(transport, cipherSuite)} from now on.`);
  }

  waiting(wait: Millis, left: Millis): void {
    this.say(`That did not work. The next try is in ${durationText(wait)}; giving up in ${durationText(left)}.`);
  }

  underlay({ before, now }: UnderlayChange): void {
    if (now.way === undefined)
      this.say('Waiting for a network.'); // that there is none is said by a note
    else if (before.way === undefined) this.say(`There is a network again, by ${now.way.device}.`);
    else if (before.way.device !== now.way.device) this.say(`The gateway is reached by ${now.way.device} now.`);
  }

  tick(status: VpnStatus): void {
    if (this.#isStopping || this.#isQuiet || this.#options.goesToBackground) return;
    this.#show(this.#statusText(status));
  }

  status(status: VpnStatus): void {
    for (const line of statusLines(status, process.pid, this.#options.now())) this.say(line);
  }

  stopping(isForced: boolean): void {
    this.#isStopping = true;
    this.#show('');
    if (isForced) this.say('Putting the network back without waiting for the gateway …');
    else this.say(this.#isConnected ? 'Disconnecting …' : 'Stopping …');
  }

  ended(why: Explanation, status: VpnStatus | undefined): void {
    this.#show('');
    const isError = why.exitCode !== EXIT.ok && why.exitCode !== EXIT.stopped;
    if (isError) this.#isQuiet = false; // also from the background
    if (isError) this.say(`Error: ${why.message}${why.next === undefined ? '' : `\n${why.next}`}`);
    else if (!this.#isConnected || why.exitCode !== EXIT.ok) this.say(why.message);
    if (this.#isConnected) this.say(`Disconnected${summary(status, this.#options.now())}`);
  }

  #show(text: string): void {
    this.#line.show(this.#fit(text));
  }

  #fit(text: string): string {
    return this.#options.hasUnicode ? text : text.replaceAll('…', '...').replaceAll('’', "'");
  }

  /** Gateways send the same banner twice: with the log-in, and with the tunnel. */
  #sayOnce(banner: string): void {
    if (banner.trim() === this.#banner) return;
    this.#banner = banner.trim();
    this.say(this.#banner);
  }

  #statusText(status: VpnStatus): string {
    const { received, sent } = status.traffic;
    const { up, down, received: inward, sent: outward } = this.#symbols;
    const since = status.upSince === undefined ? '' : clockText(this.#options.now() - Date.parse(status.upSince));
    if (status.state === 'reconnecting') {
      const { nextTryAt } = status.reconnecting ?? {};
      const wait = nextTryAt === undefined ? 0 : Date.parse(nextTryAt) - this.#options.now();
      return `${down} ${this.#gateway}  reconnecting${wait > 0 ? `, next try in ${durationText(wait)}` : ' …'}`;
    }
    const [address = ''] = status.addresses;
    const rates = `${inward} ${bytesText(received.bytesPerSecond)}/s  ${outward} ${bytesText(sent.bytesPerSecond)}/s`;
    return [`${up} ${this.#gateway}`, address.replace(/\/.*/, ''), rates, status.transport?.toUpperCase() ?? '', since]
      .filter((part) => part !== '')
      .join('  ');
  }
}

function summary(status: VpnStatus | undefined, now: number): string {
  if (status?.upSince === undefined) return '.';
  const { received, sent } = status.traffic;
  return ` after ${durationText(now - Date.parse(status.upSince))}. Received ${bytesText(received.bytes)}, sent ${bytesText(sent.bytes)}.`;
}
