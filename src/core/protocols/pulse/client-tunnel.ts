/**
 * The client's tunnel: the cookie on a new connection, the configuration, then packets.
 *
 * Read first: spec "Pulse", sections 6.11, 8, 9 and 11.
 *
 *   new ──► connecting ──► asking ──end of configuration──► open ──► closed
 *            (TLS)      (HTTP, cookie)      no ──────────────────────►──┘
 */
import { NetworkError, PeerRefusedError, SallyportError } from '../../errors.ts';
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
import { printable } from '../../wire/text.ts';
import { ClientExchange, type ExchangeStep } from './client-exchange.ts';
import type { PulseConfiguration } from './configuration.ts';
import { decodeFatalError } from './fatal-error.ts';
import { IftChannel } from './ift-channel.ts';
import { IFT_KINDS } from './ift-packet.ts';

/** How long a gateway may take until its configuration has come: it may run a script of its administrator's first. */
const ANSWER_LIMIT: Millis = 60_000;

const NO_BYTES = new Uint8Array(0);

export interface ClientTunnelOptions {
  readonly log: Logger;
  readonly request: HttpRequest;
  readonly userAgent: string;
  readonly hostname: string;
  readonly cookie: Secret;
  readonly wantsIpv6: boolean;
}

type TunnelState = { readonly name: 'new' } | { readonly name: 'connecting' } | AskingState | OpenState | { readonly name: 'closed' };

interface AskingState {
  readonly name: 'asking';
  readonly path: Path;
  readonly facts: PathFacts;
  readonly exchange: ClientExchange;
  readonly since: Millis;
  /** Until HTTP has been left. */
  response: ResponseParser | undefined;
}

interface OpenState {
  readonly name: 'open';
  readonly path: Path;
  readonly channel: IftChannel;
  readonly cipherSuite: string | undefined;
}

export class ClientTunnel implements TunnelMachine {
  readonly #options: ClientTunnelOptions;
  #state: TunnelState = { name: 'new' };
  #hasLoggedOut = false;

  constructor(options: ClientTunnelOptions) {
    this.#options = options;
  }

  /** The gateway was told that the session is over, or has said so itself. */
  get hasLoggedOut(): boolean {
    return this.#hasLoggedOut;
  }

  opened(path: Path, facts: PathFacts, now: Millis, out: TunnelSink): void {
    if (this.#state.name !== 'connecting' || path.kind !== 'stream') {
      out.event({ type: 'drop', path });
      return;
    }
    const { userAgent, hostname, cookie, request } = this.#options;
    const information = { hostname, address: formatIp(facts.local.address) };
    const response = new ResponseParser();
    response.expect(request.method);
    this.#state = { name: 'asking', path, facts, exchange: new ClientExchange({ userAgent, information, cookie }), since: now, response };
    commitBytes(out.on(path), renderRequest(request));
  }

  receive(path: Path, bytes: Uint8Array, _now: Millis, out: TunnelSink): void {
    const state = this.#state;
    if (state.name === 'asking' && path === state.path) this.#tryAsking(state, bytes, out);
    else if (state.name === 'open' && path === state.path) this.#receiveOpen(state, bytes, out);
  }

  lost(path: Path, why: SallyportError, _now: Millis, out: TunnelSink): void {
    const state = this.#state;
    const isOurs = (state.name === 'connecting' && path.kind === 'stream') || ('path' in state && state.path === path);
    if (isOurs) this.#close({ kind: 'path-lost', message: why.message, error: why }, out);
  }

  notice(_path: Path, notice: PathNotice, _now: Millis, out: TunnelSink): void {
    if (notice.type === 'keys-used-up') this.#close({ kind: 'renew', message: 'The session’s keys are renewed.' }, out);
  }

  send(packet: Packet, _now: Millis, out: TunnelSink): void {
    const state = this.#state;
    if (state.name === 'open') state.channel.send(packet, out.on(state.path));
  }

  nextTimeout(): Millis | undefined {
    if (this.#state.name === 'new') return 0;
    return this.#state.name === 'asking' ? this.#state.since + ANSWER_LIMIT : undefined;
  }

  handleTimeout(now: Millis, out: TunnelSink): void {
    const state = this.#state;
    if (state.name === 'new') {
      this.#state = { name: 'connecting' };
      out.event({ type: 'open', plan: { to: 'gateway' } });
    } else if (state.name === 'asking' && now >= state.since + ANSWER_LIMIT) {
      const error = new NetworkError(`The gateway did not answer the request for a tunnel within ${ANSWER_LIMIT / 1000} seconds.`);
      this.#close({ kind: 'path-lost', message: error.message, error }, out);
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
    const { cipherSuite } = state;
    return { stream: { state: 'connected', ...(cipherSuite !== undefined && { cipherSuite }) }, datagram: { state: 'disabled' } };
  }

  #tryAsking(state: AskingState, bytes: Uint8Array, out: TunnelSink): void {
    try {
      const rest = state.response === undefined ? bytes : this.#leaveHttp(state, state.response, bytes, out);
      if (rest === undefined) return;
      state.exchange.push(rest);
      while (this.#state === state && this.#follow(state, state.exchange.next(), out));
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
  #follow(state: AskingState, step: ExchangeStep, out: TunnelSink): boolean {
    switch (step.type) {
      case 'waiting':
        return false;
      case 'send':
        commitBytes(out.on(state.path), step.bytes);
        return true;
      case 'question':
        throw new PeerRefusedError('The gateway no longer takes the cookie. Log in again.');
      case 'logged-in':
        return true;
      case 'configured':
        this.#open(state, step.configuration, step.rest, out);
        return false;
      default:
        return step satisfies never;
    }
  }

  #open({ path, facts, exchange }: AskingState, { config, warnings }: PulseConfiguration, rest: Uint8Array, out: TunnelSink): void {
    const { log, wantsIpv6 } = this.#options;
    for (const { problem, field, text } of warnings) log.log('warn', 'configuration value', { problem, field, text });
    const channel = new IftChannel({ writer: exchange.writer, meaningOf: (kind, payload) => this.#meaningOf(kind, payload) });
    const state: OpenState = { name: 'open', path, channel, cipherSuite: facts.tls?.cipherSuite };
    this.#state = state;
    log.log('info', 'stream up', { mtu: config.mtu });
    out.event({ type: 'config', config: wantsIpv6 ? config : withoutIpv6(config) });
    if (facts.engine) out.event({ type: 'traffic', path, traffic: { ...channel.handOver(config.mtu), received: rest } });
    out.event({ type: 'up', path });
    if (!facts.engine) this.#receiveOpen(state, rest, out);
  }

  #receiveOpen(state: OpenState, bytes: Uint8Array, out: TunnelSink): void {
    state.channel.receive(bytes, out.on(state.path));
    const { ended } = state.channel;
    if (ended === undefined) return;
    this.#sayGoodbye(state, out); // spec 11: a gateway that ends the session is answered
    this.#close(ended, out);
  }

  #meaningOf(kind: number, payload: Uint8Array): CloseReason | undefined {
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
    if (this.#state.name === 'closed') return;
    this.#state = { name: 'closed' };
    out.event({ type: 'closed', reason });
  }
}

function withoutIpv6({ ipv6: _, ...config }: TunnelConfig): TunnelConfig {
  return config;
}
