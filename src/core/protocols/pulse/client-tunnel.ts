/**
 * The client's tunnel: the cookie on a new connection, the configuration, then packets, by TLS and by ESP.
 *
 * Read first: spec "Pulse", sections 6.11 and 8 to 11.
 *
 *   new ──► connecting ──► asking ──end of configuration──► open ──► closed
 *            (TLS)      (HTTP, cookie)      no ──────────────────────►──┘
 */
import type { CryptoProvider } from '../../crypto/provider.ts';
import { NetworkError, PeerRefusedError, SallyportError } from '../../errors.ts';
import { type KeyBlock, weaknessOf } from '../../esp/key-block.ts';
import type { HttpRequest } from '../../http/message.ts';
import { renderRequest } from '../../http/render.ts';
import { ResponseParser } from '../../http/response-parser.ts';
import type { Logger } from '../../log.ts';
import type { Secret } from '../../secret.ts';
import type { TunnelConfig } from '../../tunnel/config.ts';
import { commitBytes } from '../../tunnel/layer.ts';
import type { CloseReason, Path, PathFacts, PathNotice, TunnelMachine, TunnelSink, TunnelStatus } from '../../tunnel/machine.ts';
import type { Millis, Packet } from '../../tunnel/packet.ts';
import { formatIp } from '../../wire/ip-address.ts';
import { printable, utf8 } from '../../wire/text.ts';
import { ClientEsp } from './client-esp.ts';
import { ClientExchange, type ExchangeStep } from './client-exchange.ts';
import { configurationKind } from './container.ts';
import { decodeEspOffer } from './esp-configuration.ts';
import { decodeFatalError } from './fatal-error.ts';
import { IftChannel } from './ift-channel.ts';
import { IFT_KINDS } from './ift-packet.ts';
import { clientMtu } from './mtu.ts';

/** How long a gateway may take until its configuration has come: it may run a script of its administrator's first. */
const ANSWER_LIMIT: Millis = 60_000;

/** How long packets wait for ESP in the beginning, so that the first ones go by it where it works: so many round trips of the log-in's, within bounds. */
const GRACE_ROUND_TRIPS = 2;
const MIN_GRACE: Millis = 300;
const MAX_GRACE: Millis = 2000;

/** Of the client's answer to its first keys: what it asks for (spec 8.5). */
const WANTS_ESP = utf8('ncmo=1\n\0');

const NO_BYTES = new Uint8Array(0);

export interface ClientTunnelOptions {
  readonly log: Logger;
  readonly request: HttpRequest;
  readonly userAgent: string;
  readonly hostname: string;
  readonly cookie: Secret;
  /** Of the connection that the tunnel is given, where that is logged in already. */
  readonly exchange?: ClientExchange;
  readonly wantsIpv6: boolean;
  /** The tunnel MTU that the user wants at most. */
  readonly mtu?: number;
  /** The largest outer IP packet, where the user says. */
  readonly baseMtu?: number;
  /** Undefined: everything by TLS. */
  readonly datagram?: {
    readonly crypto: CryptoProvider;
    /** MD5, where the gateway wants it. */
    readonly allowsLegacy: boolean;
    /** Used instead of the gateway's interval. */
    readonly dpd?: Millis;
  };
}

type TunnelState = { readonly name: 'new' } | { readonly name: 'connecting' } | AskingState | OpenState | { readonly name: 'closed' };

interface AskingState {
  readonly name: 'asking';
  readonly path: Path;
  readonly facts: PathFacts;
  readonly exchange: ClientExchange;
  readonly since: Millis;
  /** Once the gateway has offered it. */
  esp: ClientEsp | undefined;
  /** Until HTTP has been left. */
  response: ResponseParser | undefined;
}

interface OpenState {
  readonly name: 'open';
  readonly path: Path;
  readonly channel: IftChannel;
  readonly cipherSuite: string | undefined;
  readonly esp: ClientEsp | undefined;
  /** When the wait for ESP is over. */
  readonly graceEnd: Millis;
  /** Of the path that packets leave by. */
  up: Path | undefined;
  /** Keys that the gateway has sent, and that are not answered yet. */
  readonly offers: KeyBlock[];
}

export class ClientTunnel implements TunnelMachine {
  readonly #options: ClientTunnelOptions;
  #state: TunnelState = { name: 'new' };
  #hasLoggedOut = false;
  #wantsTtls = false;

  constructor(options: ClientTunnelOptions) {
    this.#options = options;
  }

  /** The gateway was told that the session is over, or has said so itself. */
  get hasLoggedOut(): boolean {
    return this.#hasLoggedOut;
  }

  /** The gateway has asked for EAP-TTLS, for which there is no TLS here. */
  get wantsTtls(): boolean {
    return this.#wantsTtls;
  }

  opened(path: Path, facts: PathFacts, now: Millis, out: TunnelSink): void {
    const state = this.#state;
    if (state.name === 'open' && path.kind === 'datagram' && state.esp?.side !== undefined) {
      state.esp.side.opened(path, facts, now, out);
      this.#follow(state, now, out);
      return;
    }
    if (state.name !== 'connecting' || path.kind !== 'stream') {
      out.event({ type: 'drop', path });
      return;
    }
    const { userAgent, hostname, cookie, request, exchange: led } = this.#options;
    if (led !== undefined) {
      this.#state = { name: 'asking', path, facts, exchange: led, since: now, response: undefined, esp: undefined };
      this.#tryAsking(this.#state, NO_BYTES, now, out);
      return;
    }
    const information = { hostname, address: formatIp(facts.local.address) };
    const response = new ResponseParser();
    response.expect(request.method);
    const exchange = new ClientExchange({ userAgent, information, cookie });
    this.#state = { name: 'asking', path, facts, exchange, since: now, response, esp: undefined };
    commitBytes(out.on(path), renderRequest(request));
  }

  receive(path: Path, bytes: Uint8Array, now: Millis, out: TunnelSink): void {
    const state = this.#state;
    if (state.name === 'asking' && path === state.path) this.#tryAsking(state, bytes, now, out);
    else if (state.name === 'open' && path === state.path) this.#receiveOpen(state, bytes, now, out);
    else if (state.name === 'open') {
      state.esp?.side?.receive(path, bytes, now, out);
      this.#follow(state, now, out);
    }
  }

  lost(path: Path, why: SallyportError, now: Millis, out: TunnelSink): void {
    const state = this.#state;
    const isOurs = (state.name === 'connecting' && path.kind === 'stream') || ('path' in state && state.path === path);
    if (isOurs) this.#close({ kind: 'path-lost', message: why.message, error: why }, out);
    else if (state.name === 'open' && path.kind === 'datagram') {
      state.esp?.side?.lost(path, why, now);
      this.#follow(state, now, out);
    }
  }

  notice(path: Path, notice: PathNotice, now: Millis, out: TunnelSink): void {
    const state = this.#state;
    if (path.kind === 'datagram') {
      if (state.name !== 'open') return;
      state.esp?.side?.notice(path, notice, now, out);
      this.#follow(state, now, out);
    } else if (notice.type === 'keys-used-up') this.#close({ kind: 'renew', message: 'The session’s keys are renewed.' }, out);
  }

  send(packet: Packet, now: Millis, out: TunnelSink): void {
    const state = this.#state;
    if (state.name !== 'open' || state.esp?.side?.send(packet, now, out) === true) return;
    state.channel.send(packet, out.on(state.path));
  }

  nextTimeout(): Millis | undefined {
    const state = this.#state;
    switch (state.name) {
      case 'new':
        return 0;
      case 'asking':
        return state.since + ANSWER_LIMIT;
      case 'open': {
        const due = state.esp?.side?.nextTimeout();
        return state.up === undefined ? Math.min(state.graceEnd, due ?? state.graceEnd) : due;
      }
      case 'connecting': // whoever dials has limits of its own, and always says how it ended
      case 'closed':
        return undefined;
      default:
        return state satisfies never;
    }
  }

  handleTimeout(now: Millis, out: TunnelSink): void {
    const state = this.#state;
    if (state.name === 'new') {
      this.#state = { name: 'connecting' };
      out.event({ type: 'open', plan: { to: 'gateway' } });
    } else if (state.name === 'asking' && now >= state.since + ANSWER_LIMIT) {
      const error = new NetworkError(`The gateway did not answer the request for a tunnel within ${ANSWER_LIMIT / 1000} seconds.`);
      this.#close({ kind: 'path-lost', message: error.message, error }, out);
    } else if (state.name === 'open') {
      state.esp?.side?.handleTimeout(now, out);
      this.#follow(state, now, out);
    }
  }

  close(reason: CloseReason, _now: Millis, out: TunnelSink): void {
    if (this.#state.name === 'open' && reason.kind === 'log-off') this.#sayGoodbye(this.#state, out);
    this.#close(reason, out);
  }

  status(_now: Millis): TunnelStatus {
    const state = this.#state;
    if (state.name !== 'open')
      return { stream: { state: state.name === 'closed' ? 'down' : 'connecting' }, datagram: { state: 'disabled' } };
    const { cipherSuite, esp } = state;
    return {
      stream: { state: 'connected', ...(cipherSuite !== undefined && { cipherSuite }) },
      datagram: esp?.side?.status() ?? { state: 'disabled' },
    };
  }

  #tryAsking(state: AskingState, bytes: Uint8Array, now: Millis, out: TunnelSink): void {
    try {
      const rest = state.response === undefined ? bytes : this.#leaveHttp(state, state.response, bytes, out);
      if (rest === undefined) return;
      state.exchange.push(rest);
      while (this.#state === state && this.#step(state, state.exchange.next(), now, out));
    } catch (error) {
      if (!(error instanceof SallyportError)) throw error;
      const kind = error instanceof PeerRefusedError ? 'refused' : 'unusable';
      this.#close({ kind, message: error.message, error }, out);
    }
  }

  /** What came behind the answer; undefined: it is not whole yet. */
  #leaveHttp(state: AskingState, parser: ResponseParser, bytes: Uint8Array, out: TunnelSink): Uint8Array | undefined {
    parser.push(bytes);
    const answer = parser.next()?.message;
    if (answer === undefined) return undefined;
    if (answer.status !== 101) throw new PeerRefusedError(`The gateway gave no tunnel: ${answer.status} ${printable(answer.reason)}.`);
    state.response = undefined;
    commitBytes(out.on(state.path), state.exchange.start());
    return parser.takeRest();
  }

  /** Whether there may be more in what has come. */
  #step(state: AskingState, step: ExchangeStep, now: Millis, out: TunnelSink): boolean {
    switch (step.type) {
      case 'waiting':
        return false;
      case 'send':
        commitBytes(out.on(state.path), step.bytes);
        return true;
      case 'tls-wanted':
        this.#wantsTtls = true;
        this.#close({ kind: 'renew', message: 'The gateway goes on by EAP-TTLS.' }, out);
        return false;
      case 'tls': // there is none here: it is wanted before
      case 'question':
        throw new PeerRefusedError('The gateway no longer takes the cookie. Log in again.');
      case 'logged-in':
        return true;
      case 'esp-offered':
        this.#offered(state, step, now, out);
        return true;
      case 'configured':
        this.#open(state, step, now, out);
        return false;
      default:
        return step satisfies never;
    }
  }

  /** Spec 8.5: at once, though the configuration may not be whole yet. */
  #offered(state: AskingState, { terms, offer }: Extract<ExchangeStep, { type: 'esp-offered' }>, now: Millis, out: TunnelSink): void {
    const { datagram, log } = this.#options;
    if (datagram === undefined) return;
    const reason = weaknessOf(terms.algorithms, datagram.allowsLegacy);
    if (reason !== undefined) {
      log.log('warn', 'datagram disabled', { reason });
      return;
    }
    state.esp ??= new ClientEsp({ ...datagram, log, terms });
    this.#answer(state.esp, offer, now, (kind, payload) => commitBytes(out.on(state.path), state.exchange.writer.packet(kind, payload)));
  }

  #answer(esp: ClientEsp, offer: KeyBlock, now: Millis, send: (kind: number, payload: Uint8Array) => void): void {
    const answer = esp.answer(offer, now);
    if (answer === undefined) return;
    send(IFT_KINDS.configuration, answer.payload);
    if (answer.isFirst) send(IFT_KINDS.textControl, WANTS_ESP);
  }

  #open(asking: AskingState, { configuration, rest }: Extract<ExchangeStep, { type: 'configured' }>, now: Millis, out: TunnelSink): void {
    const { path, facts, exchange, esp, since } = asking;
    const { log, wantsIpv6 } = this.#options;
    for (const { problem, field, text } of configuration.warnings) log.log('warn', 'configuration value', { problem, field, text });
    const offered = wantsIpv6 ? configuration.config : withoutIpv6(configuration.config);
    const config = { ...offered, mtu: this.#mtu(offered, asking) };
    if (config.mtu < offered.mtu) log.log('info', 'mtu lowered', { from: offered.mtu, to: config.mtu });
    esp?.open(config, facts, now);
    const offers: KeyBlock[] = [];
    const channel = new IftChannel({ writer: exchange.writer, meaningOf: (kind, payload) => this.#meaningOf(kind, payload, offers) });
    const grace = esp?.side === undefined ? 0 : Math.min(Math.max(GRACE_ROUND_TRIPS * (now - since), MIN_GRACE), MAX_GRACE);
    const { cipherSuite } = facts.tls ?? {};
    const state: OpenState = { name: 'open', path, channel, cipherSuite, esp, graceEnd: now + grace, up: undefined, offers };
    this.#state = state;
    log.log('info', 'stream up', { mtu: config.mtu });
    out.event({ type: 'config', config });
    if (facts.engine) out.event({ type: 'traffic', path, traffic: { ...channel.handOver(config.mtu), received: rest } });
    this.#follow(state, now, out);
    if (!facts.engine) this.#receiveOpen(state, rest, now, out);
  }

  #mtu(offered: TunnelConfig, { facts, esp }: AskingState): number {
    const { mtu, baseMtu: linkMtu } = this.#options;
    const { family } = facts.remote.address;
    const link = linkMtu === undefined ? undefined : { family, linkMtu, ...(esp !== undefined && { mac: esp.mac }) };
    return clientMtu(offered, mtu, link);
  }

  #receiveOpen(state: OpenState, bytes: Uint8Array, now: Millis, out: TunnelSink): void {
    const { channel, path, esp, offers } = state;
    channel.receive(bytes, out.on(path));
    for (const offer of offers.splice(0)) {
      if (esp !== undefined) this.#answer(esp, offer, now, (kind, payload) => channel.sendControl(kind, payload, out.on(path)));
    }
    this.#follow(state, now, out);
    if (channel.ended === undefined) return;
    this.#sayGoodbye(state, out); // spec 11: a gateway that ends the session is answered
    this.#close(channel.ended, out);
  }

  /** After whatever happened to ESP: which path is up. */
  #follow(state: OpenState, now: Millis, out: TunnelSink): void {
    const side = state.esp?.side;
    side?.settle(now, out);
    const up = side?.path ?? (state.up === undefined && now < state.graceEnd ? undefined : state.path);
    if (up === undefined || up === state.up) return;
    state.up = up;
    out.event({ type: 'up', path: up });
  }

  #meaningOf(kind: number, payload: Uint8Array, offers: KeyBlock[]): CloseReason | undefined {
    if (kind === IFT_KINDS.configuration && configurationKind(payload) === 'esp') offers.push(decodeEspOffer(payload));
    if (kind !== IFT_KINDS.fatalError) return undefined; // spec 3.1: passed over
    const { type, text } = decodeFatalError(payload);
    this.#options.log.log('warn', 'disconnected by gateway', { type, reason: text });
    return { kind: 'ended-by-peer', message: `The gateway ended the session: ${text}` };
  }

  #sayGoodbye({ path, channel }: OpenState, out: TunnelSink): void {
    this.#hasLoggedOut = true;
    channel.sendControl(IFT_KINDS.logOut, NO_BYTES, out.on(path));
  }

  #close(reason: CloseReason, out: TunnelSink): void {
    const state = this.#state;
    if (state.name === 'closed') return;
    if (state.name === 'open') state.esp?.side?.stop(out);
    this.#state = { name: 'closed' };
    out.event({ type: 'closed', reason });
  }
}

function withoutIpv6({ ipv6: _, ...config }: TunnelConfig): TunnelConfig {
  return config;
}
