/**
 * The client's tunnel: the request for it, two questions, then packets.
 *
 * Read first: spec "Array", sections 3, 4, 5, 6.1, 6.4 and 9.
 *
 *   new ─► GET /vpntunnel ─► question 50 ─► question 54 ─► up ─► closed
 *
 * Packets go by the stream at once. While it is up, UDP may take them over and give them back (`client-datagrams.ts`); the stream stays.
 */
import { NetworkError, SallyportError } from '../../errors.ts';
import { ResponseParser } from '../../http/response-parser.ts';
import type { Logger } from '../../log.ts';
import type { TunnelConfig } from '../../tunnel/config.ts';
import { Keepalive, PEER_DEAD } from '../../tunnel/keepalive.ts';
import { commitBytes } from '../../tunnel/layer.ts';
import type { CloseReason, Path, PathFacts, PathNotice, TunnelMachine, TunnelSink, TunnelStatus } from '../../tunnel/machine.ts';
import type { Millis, Packet } from '../../tunnel/packet.ts';
import { sameIp } from '../../wire/ip-address.ts';
import { streamTraffic } from './carried-packets.ts';
import { ClientDatagrams, type DatagramWishes } from './client-datagrams.ts';
import { parseOptions, parseSettings, type TunnelOptions } from './configuration.ts';
import { CONTROL_TYPES } from './control-packet.ts';
import { AnswerReader, OPTIONS_REQUEST, SETTINGS_REQUEST } from './exchange-message.ts';
import { PacketStream } from './packet-stream.ts';
import { parseAnswer, renderRequest } from './speed-tunnel.ts';
import type { TunnelRequests } from './tunnel-request.ts';

export interface ArrayClientTunnelOptions {
  readonly log: Logger;
  /** The request as it goes on the wire. */
  readonly request: Uint8Array;
  /** The session's. */
  readonly requests: TunnelRequests;
  readonly mtu: number;
  /** How the tunnel by UDP is made, where the gateway has it; a text: why it is not. */
  readonly datagrams: DatagramWishes | string;
  /** Used instead of the gateway's interval. */
  readonly dpd?: Millis;
  /** Of the session's tunnel before: an address that changes ends the session (spec 4.3). */
  readonly previous?: TunnelConfig;
}

/** For each answer. */
const ANSWER_LIMIT: Millis = 60_000;
/** Where a gateway wants no signs of life (spec 11). */
const DEFAULT_DPD: Millis = 30_000;

type Stage = 'request' | 'options' | 'settings';

type TunnelState =
  | { readonly name: 'new' }
  | { readonly name: 'connecting' }
  | { readonly name: 'asking'; readonly path: Path; readonly stage: Stage; readonly dueAt: Millis; readonly options?: TunnelOptions }
  | { readonly name: 'up'; readonly path: Path; readonly keepalive: Keepalive; readonly dpd: Millis }
  | { readonly name: 'closed' };

export class ArrayClientTunnel implements TunnelMachine {
  readonly #options: ArrayClientTunnelOptions;
  readonly #parser = new ResponseParser();
  readonly #answers = new AnswerReader();
  /** A gateway's own keepalive is not answered: it would be answered again (spec 5.3). */
  readonly #stream = new PacketStream({ control: (type, _out, packet) => this.#control(type, packet) });
  #datagrams: ClientDatagrams | undefined;
  /** What the gateway has said to the question for UDP since it was last looked at: the port, or that there is none. */
  #offer: { readonly port: number | undefined } | undefined;
  #isAskedFor = false;
  /** By which packets leave. */
  #out: Path | undefined;
  #state: TunnelState = { name: 'new' };
  #cipherSuite: string | undefined;
  /** The engine can carry the stream. */
  #isCarried = false;

  constructor(options: ArrayClientTunnelOptions) {
    this.#options = options;
    this.#parser.expect('GET', { startsTunnel: true });
  }

  opened(path: Path, facts: PathFacts, now: Millis, out: TunnelSink): void {
    if (path.kind === 'datagram' && this.#datagrams !== undefined) {
      this.#datagrams.opened(path, facts, now, out);
      this.#settle(out);
      return;
    }
    if (this.#state.name !== 'connecting' || path.kind !== 'stream') {
      out.event({ type: 'drop', path });
      return;
    }
    this.#cipherSuite = facts.tls?.cipherSuite;
    this.#isCarried = facts.engine;
    this.#state = { name: 'asking', path, stage: 'request', dueAt: now + ANSWER_LIMIT };
    commitBytes(out.on(path), this.#options.request);
  }

  receive(path: Path, bytes: Uint8Array, now: Millis, out: TunnelSink): void {
    const state = this.#state;
    if (path.kind === 'datagram') {
      this.#datagrams?.receive(path, bytes, now, out);
      this.#settle(out);
      return;
    }
    if ((state.name !== 'asking' && state.name !== 'up') || state.path !== path) return;
    try {
      if (state.name === 'asking') this.#answered(bytes, now, out);
      else {
        state.keepalive.heard(now);
        this.#stream.receive(bytes, out.on(path));
      }
      this.#heedOffer(now);
    } catch (error) {
      if (!(error instanceof SallyportError)) throw error;
      this.#end({ kind: 'misbehaved', message: error.message, error }, out);
    }
  }

  lost(path: Path, why: SallyportError, now: Millis, out: TunnelSink): void {
    const state = this.#state;
    if (path.kind === 'datagram') {
      this.#datagrams?.lost(path, why, now);
      this.#settle(out);
      return;
    }
    const isOurs = state.name === 'asking' || state.name === 'up' ? state.path === path : path.kind === 'stream';
    if (isOurs) this.#end({ kind: 'path-lost', message: why.message, error: why }, out);
  }

  notice(path: Path, notice: PathNotice, now: Millis, out: TunnelSink): void {
    const state = this.#state;
    if (state.name !== 'up') return;
    if (notice.type === 'carried' && path === state.path) {
      state.keepalive.heard(notice.heardAt);
      state.keepalive.sent(notice.sentAt);
    }
    this.#datagrams?.notice(path, notice, now, out);
    this.#settle(out);
  }

  send(packet: Packet, now: Millis, out: TunnelSink): void {
    if (this.#state.name !== 'up' || this.#datagrams?.send(packet, now, out) === true) return;
    this.#stream.send(packet, out.on(this.#state.path));
    this.#state.keepalive.sent(now);
  }

  nextTimeout(): Millis | undefined {
    const state = this.#state;
    if (state.name === 'new') return 0;
    if (state.name === 'asking') return state.dueAt;
    if (state.name !== 'up') return undefined;
    const due = Math.min(
      state.keepalive.nextTimeout() ?? Number.POSITIVE_INFINITY,
      this.#datagrams?.nextTimeout() ?? Number.POSITIVE_INFINITY,
    );
    return due === Number.POSITIVE_INFINITY ? undefined : due;
  }

  handleTimeout(now: Millis, out: TunnelSink): void {
    const state = this.#state;
    if (state.name === 'new') {
      this.#state = { name: 'connecting' };
      out.event({ type: 'open', plan: { to: 'gateway' } });
    } else if (state.name === 'asking' && now >= state.dueAt) {
      const error = new NetworkError(`The gateway did not answer the request for a tunnel within ${ANSWER_LIMIT / 1000} seconds.`);
      this.#end({ kind: 'path-lost', message: error.message, error }, out);
    } else if (state.name === 'up') {
      this.#datagrams?.handleTimeout(now, out);
      this.#settle(out);
      const due = state.keepalive.nextTimeout();
      if (due === undefined || now < due) return;
      const action = state.keepalive.handleTimeout(now);
      if (action === 'send-dpd') this.#stream.sendControl(CONTROL_TYPES.keepalive, out.on(state.path));
      if (action !== 'dead') return;
      const error = new NetworkError('The gateway no longer answers.', { code: PEER_DEAD });
      this.#end({ kind: 'path-lost', message: error.message, error }, out);
    }
  }

  /** There is no goodbye in the tunnel: the log-out is a request of its own (spec 7). */
  close(reason: CloseReason, now: Millis, out: TunnelSink): void {
    if (this.#state.name === 'up') this.#datagrams?.close(now, out);
    this.#end(reason, out);
  }

  status(): TunnelStatus {
    const { name } = this.#state;
    const isConnecting = name === 'new' || name === 'connecting' || name === 'asking';
    return {
      stream: {
        state: name === 'up' ? 'connected' : isConnecting ? 'connecting' : 'down',
        ...(this.#cipherSuite !== undefined && { cipherSuite: this.#cipherSuite }),
      },
      datagram: this.#datagrams?.status() ?? { state: this.#isAskedFor ? 'connecting' : 'disabled' },
    };
  }

  /** What came while answers are waited for: each stage takes its own, and leaves the rest to the next. */
  #answered(bytes: Uint8Array, now: Millis, out: TunnelSink): void {
    let rest: Uint8Array | undefined = bytes;
    for (let state = this.#state; rest !== undefined && state.name === 'asking'; state = this.#state) {
      rest = state.stage === 'request' ? this.#granted(rest, now, out) : this.#told(state, rest, now, out);
    }
    const state = this.#state;
    if (rest === undefined || state.name !== 'up') return;
    if (rest.length > 0) this.#stream.receive(rest, out.on(state.path));
    if (!this.#isCarried) return;
    out.event({ type: 'traffic', path: state.path, traffic: streamTraffic(this.#stream.takePartial()) });
  }

  #granted(bytes: Uint8Array, now: Millis, out: TunnelSink): Uint8Array | undefined {
    this.#parser.push(bytes);
    const answer = this.#parser.next()?.message;
    if (answer === undefined) return undefined;
    const denied = this.#options.requests.denial(answer);
    if (denied !== undefined) {
      this.#end(denied, out);
      return undefined;
    }
    this.#ask('options', OPTIONS_REQUEST, now, out);
    return this.#parser.takeRest();
  }

  #told(state: Extract<TunnelState, { name: 'asking' }>, bytes: Uint8Array, now: Millis, out: TunnelSink): Uint8Array | undefined {
    const answer = this.#answers.push(bytes);
    if (answer === undefined) return undefined;
    if (state.stage === 'options') this.#ask('settings', SETTINGS_REQUEST, now, out, parseOptions(answer.value));
    else this.#configured(state, answer.value, now, out);
    return answer.rest;
  }

  #ask(stage: Stage, request: Uint8Array, now: Millis, out: TunnelSink, options?: TunnelOptions): void {
    if (this.#state.name !== 'asking') return;
    const { path } = this.#state;
    this.#state = { name: 'asking', path, stage, dueAt: now + ANSWER_LIMIT, ...(options !== undefined && { options }) };
    commitBytes(out.on(path), request);
  }

  #configured(
    { path, options }: Extract<TunnelState, { name: 'asking' }>,
    answer: Readonly<Record<string, unknown>>,
    now: Millis,
    out: TunnelSink,
  ): void {
    const { log, mtu, previous } = this.#options;
    const { config, warnings } = parseSettings(answer);
    for (const { problem, field, text } of warnings) log.log('warn', 'configuration value', { problem, field, text });
    if (isOther(previous, config)) {
      this.#end({ kind: 'refused', message: 'The gateway gives another address than before.' }, out);
      return;
    }
    const dpd = this.#options.dpd ?? options?.keepalive ?? DEFAULT_DPD;
    this.#state = { name: 'up', path, keepalive: new Keepalive({ dpd }, now), dpd };
    log.log('info', 'stream up', { mtu });
    if (options?.hasDatagrams === true) this.#askForDatagrams(path, out);
    out.event({ type: 'config', config: { ...config, mtu } });
    this.#settle(out);
  }

  #askForDatagrams(path: Path, out: TunnelSink): void {
    const { log, datagrams } = this.#options;
    if (typeof datagrams === 'string') {
      log.log('info', 'datagram disabled', { reason: datagrams });
      return;
    }
    this.#isAskedFor = true;
    commitBytes(out.on(path), renderRequest(datagrams.clientId));
  }

  #control(type: number, packet: Uint8Array): void {
    if (type === CONTROL_TYPES.datagram && this.#isAskedFor) this.#offer = { port: parseAnswer(packet) };
  }

  #heedOffer(now: Millis): void {
    const [offer, state] = [this.#offer, this.#state];
    const { log, datagrams } = this.#options;
    if (offer === undefined || state.name !== 'up' || typeof datagrams === 'string') return;
    this.#offer = undefined;
    this.#isAskedFor = false;
    if (offer.port === undefined) log.log('info', 'datagram disabled', { reason: 'the gateway has no tunnel by DTLS' });
    else this.#datagrams = new ClientDatagrams({ ...datagrams, log, dpd: state.dpd, port: offer.port }, now);
  }

  /** Says by which path packets leave from now on, if it is another, and to the gateway that UDP is gone. */
  #settle(out: TunnelSink): void {
    if (this.#state.name !== 'up') return;
    const { path: stream } = this.#state;
    if (this.#datagrams?.takeGone() === true) this.#stream.sendControl(CONTROL_TYPES.datagramGone, out.on(stream));
    const path = this.#datagrams?.path ?? stream;
    if (path === this.#out) return;
    this.#out = path;
    out.event({ type: 'up', path });
  }

  #end(reason: CloseReason, out: TunnelSink): void {
    if (this.#state.name === 'closed') return;
    this.#state = { name: 'closed' };
    out.event({ type: 'closed', reason });
  }
}

function isOther(previous: TunnelConfig | undefined, { ipv4 }: Pick<TunnelConfig, 'ipv4'>): boolean {
  const before = previous?.ipv4;
  return before !== undefined && ipv4 !== undefined && (!sameIp(before.address, ipv4.address) || before.prefix !== ipv4.prefix);
}
