/**
 * The client's tunnel: from CONNECT on a new TLS connection to packets on two channels.
 *
 * Read first: spec "AnyConnect", sections 4, 7.9 and 9.
 *
 *   new ──► connecting ──► asking ──200──► open ──► closed
 *            (TLS)        (CONNECT)   no ──────────►──┘
 *              ▲ once ── no answer ─┘
 *
 * While open, the stream channel is always there; the datagram channel comes and goes (see DataPath). The first packets wait a moment for it, so
 * that the MTU a script sees is the final one; then they go by the stream, whatever UDP does.
 */
import { type CompressionName, createStatelessCompressor, type PacketCompressor } from '../../compress/compressor.ts';
import { NetworkError, SallyportError } from '../../errors.ts';
import type { TunnelConfig } from '../../tunnel/config.ts';
import { Keepalive } from '../../tunnel/keepalive.ts';
import { commitStream } from '../../tunnel/layer.ts';
import type { CloseReason, Path, PathFacts, PathNotice, TunnelMachine, TunnelSink, TunnelStatus } from '../../tunnel/machine.ts';
import type { Millis, Packet } from '../../tunnel/packet.ts';
import { ConnectExchange, type ExchangeResult } from './connect-exchange.ts';
import type { ConnectResponse } from './connect-response.ts';
import { PSK_EXPORTER } from './datagram-association.ts';
import { DatagramSide } from './datagram-side.ts';
import { StreamChannel, streamTraffic } from './stream-channel.ts';
import type { TunnelOptions } from './tunnel-options.ts';

/** How long a gateway may take to answer CONNECT: it may run a script of its administrator's first. */
const ANSWER_LIMIT: Millis = 60_000;

/**
 * How long the first packets wait for the datagram channel: its handshake and the first probe take three round trips, a gateway's answer to
 * CONNECT one and its own time. So four times that, within bounds that a person does not notice. Once the handshake is done there is no doubt that
 * UDP works, only about its MTU: that is worth the whole time.
 */
const GRACE_ROUND_TRIPS = 4;
const MIN_GRACE: Millis = 300;
const MAX_GRACE: Millis = 2000;

type TunnelState = { readonly name: 'new' } | { readonly name: 'connecting' } | AskingState | OpenState | { readonly name: 'closed' };

interface AskingState {
  readonly name: 'asking';
  readonly path: Path;
  readonly facts: PathFacts;
  readonly exchange: ConnectExchange;
  readonly since: Millis;
}

interface OpenState {
  readonly name: 'open';
  readonly path: Path;
  readonly stream: StreamChannel;
  readonly datagram: DatagramSide;
  readonly cipherSuite: string | undefined;
  /** New keys need no new tunnel. */
  readonly renewsKeysInPlace: boolean;
  config: TunnelConfig;
  /** Where packets go; undefined while the first ones wait. */
  up: Path | undefined;
  readonly since: Millis;
  readonly grace: Millis;
}

export class AnyConnectTunnel implements TunnelMachine {
  readonly #options: TunnelOptions;
  #state: TunnelState = { name: 'new' };
  /** Of the two connections that may ask (spec 4.2), this is the second. */
  #isSecond = false;

  constructor(options: TunnelOptions) {
    this.#options = options;
  }

  opened(path: Path, facts: PathFacts, now: Millis, out: TunnelSink): void {
    const state = this.#state;
    if (state.name === 'connecting' && path.kind === 'stream') {
      this.#ask(path, facts, now, out);
    } else if (state.name === 'open' && path.kind === 'datagram') {
      state.datagram.opened(path, facts, state.config.mtu, now, out);
      this.#follow(state, now, out);
    } else {
      out.event({ type: 'drop', path }); // asked for in another time
    }
  }

  receive(path: Path, bytes: Uint8Array, now: Millis, out: TunnelSink): void {
    const state = this.#state;
    if (state.name === 'asking' && path === state.path) {
      this.#answered(state, bytes, now, out);
    } else if (state.name === 'open' && path === state.path) {
      state.stream.receive(bytes, now, out.on(path));
      if (state.stream.ended !== undefined) this.#ended(state, state.stream.ended, now, out);
    } else if (state.name === 'open') {
      state.datagram.receive(path, bytes, now, out);
      this.#follow(state, now, out);
    }
  }

  lost(path: Path, why: SallyportError, now: Millis, out: TunnelSink): void {
    const state = this.#state;
    if (state.name === 'asking' && path === state.path && !state.exchange.hasBegun && !this.#isSecond) {
      this.#isSecond = true;
      this.#options.log.log('debug', 'connect repeated', { reason: why.message });
      this.#connect(out);
    } else if (path.kind === 'stream') {
      const isOurs = state.name === 'connecting' || ((state.name === 'asking' || state.name === 'open') && path === state.path);
      if (isOurs) this.#close({ kind: 'path-lost', message: why.message, error: why }, now, out);
    } else if (state.name === 'open') {
      state.datagram.lost(path, why, now, out);
      this.#follow(state, now, out);
    }
  }

  notice(path: Path, notice: PathNotice, now: Millis, out: TunnelSink): void {
    const state = this.#state;
    if (state.name !== 'open') return;
    if (path === state.path) {
      if (notice.type === 'carried') state.stream.carried(notice.heardAt, notice.sentAt);
      if (notice.type === 'keys-used-up') this.#close(NEW_KEYS, now, out); // spec 9.4: a key update that fails ends as method new-tunnel does
      return;
    }
    state.datagram.notice(path, notice, now, out);
    this.#follow(state, now, out);
  }

  send(packet: Packet, now: Millis, out: TunnelSink): void {
    const state = this.#state;
    if (state.name !== 'open') return;
    if (!state.datagram.send(packet, now, out)) state.stream.send(packet, now, out.on(state.path));
  }

  nextTimeout(): Millis | undefined {
    const state = this.#state;
    switch (state.name) {
      case 'new':
        return 0;
      case 'asking':
        return state.since + ANSWER_LIMIT;
      case 'open':
        return earliest(state);
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
      this.#connect(out);
    } else if (state.name === 'asking' && now >= state.since + ANSWER_LIMIT) {
      const error = new NetworkError(`The gateway did not answer the request for a tunnel within ${ANSWER_LIMIT / 1000} seconds.`);
      this.#close({ kind: 'path-lost', message: error.message, error }, now, out);
    } else if (state.name === 'open') {
      this.#keepAlive(state, now, out);
      if (this.#state.name !== 'open') return;
      state.datagram.handleTimeout(now, out);
      this.#follow(state, now, out);
    }
  }

  close(reason: CloseReason, now: Millis, out: TunnelSink): void {
    const state = this.#state;
    if (state.name === 'open' && reason.kind === 'log-off') this.#sayGoodbye(state, reason.goodbye ?? 'Aborted by caller', out);
    this.#close(reason, now, out);
  }

  status(_now: Millis): TunnelStatus {
    const state = this.#state;
    if (state.name !== 'open') return { stream: { state: state.name === 'closed' ? 'down' : 'connecting' }, datagram: { state: 'down' } };
    const { compressor, keepalive } = state.stream;
    return {
      stream: {
        state: 'connected',
        ...(state.cipherSuite !== undefined && { cipherSuite: state.cipherSuite }),
        ...(compressor !== undefined && { compression: compressor.name }),
        ...(keepalive.rekeyAt !== undefined && { rekeyAt: keepalive.rekeyAt }),
      },
      datagram: state.datagram.status(),
    };
  }

  #connect(out: TunnelSink): void {
    this.#state = { name: 'connecting' };
    out.event({ type: 'open', plan: { to: 'gateway', exporter: PSK_EXPORTER } });
  }

  #ask(path: Path, facts: PathFacts, now: Millis, out: TunnelSink): void {
    try {
      const exchange = new ConnectExchange(this.#options, facts);
      commitStream(out.on(path), exchange.request);
      this.#state = { name: 'asking', path, facts, exchange, since: now };
    } catch (error) {
      if (!(error instanceof SallyportError)) throw error;
      this.#close({ kind: 'unusable', message: error.message, error }, now, out); // a cookie or a name that no header can hold
    }
  }

  #answered(state: AskingState, bytes: Uint8Array, now: Millis, out: TunnelSink): void {
    const result = state.exchange.receive(bytes, now);
    switch (result.type) {
      case 'waiting':
        return;
      case 'denied':
        this.#close(result.reason, now, out);
        return;
      case 'granted':
        this.#open(state, result.response, now, out);
        if (!this.#handOver(state, result, out)) this.receive(state.path, result.rest, now, out);
        return;
      default:
        result satisfies never;
    }
  }

  #open(asking: AskingState, response: ConnectResponse, now: Millis, out: TunnelSink): void {
    const { log, dpd } = this.#options;
    const { path, facts, exchange } = asking;
    const withDpd = (times: ConnectResponse['stream']['times']) => (dpd === undefined ? times : { ...times, dpd });
    const times = withDpd(response.stream.times);
    const grace = Math.min(Math.max(GRACE_ROUND_TRIPS * (now - asking.since), MIN_GRACE), MAX_GRACE);
    const state: OpenState = {
      name: 'open',
      path,
      stream: new StreamChannel({ keepalive: new Keepalive(times, now), compressor: this.#compressor(response.stream.compression), log }),
      datagram: new DatagramSide({
        ...this.#options,
        parameters: response.datagram && { ...response.datagram, times: withDpd(response.datagram.times) },
        compressor: (name) => this.#compressor(name),
        exportedKey: facts.tls?.exported ?? new Uint8Array(0),
        masterSecret: exchange.masterSecret,
        baseMtu: response.baseMtu,
        hasIpv6: response.config.ipv6 !== undefined,
        now,
      }),
      cipherSuite: facts.tls?.cipherSuite,
      renewsKeysInPlace: response.renewsKeysInPlace === true && facts.tls?.updatesKeys === true,
      config: response.config,
      up: undefined,
      since: now,
      grace,
    };
    this.#state = state;
    log.log('info', 'stream up', { dpd: (times.dpd ?? 0) / 1000, keepalive: (times.keepalive ?? 0) / 1000 });
    if (response.datagramProblem !== undefined && this.#options.datagram !== undefined) {
      log.log('info', 'datagram disabled', { reason: response.datagramProblem });
    }
    out.event({ type: 'config', config: state.config });
    state.datagram.handleTimeout(now, out); // the first attempt is due: a timer would be a millisecond late, and behind what the configuration starts
    this.#follow(state, now, out);
  }

  /** Gives the stream's packets to the engine, with what has come of them. False: the machine carries them, one by one. */
  #handOver({ path, facts }: AskingState, { response, rest }: Extract<ExchangeResult, { type: 'granted' }>, out: TunnelSink): boolean {
    if (!facts.engine || response.stream.compression !== undefined) return false;
    out.event({ type: 'traffic', path, traffic: streamTraffic(rest) });
    return true;
  }

  #compressor(name: CompressionName | undefined): PacketCompressor | undefined {
    if (name === undefined) return undefined;
    return name === 'deflate' ? this.#options.createDeflate?.() : createStatelessCompressor(name);
  }

  /** After whatever happened to the datagram side: the MTU it found, and which path is up. */
  #follow(state: OpenState, now: Millis, out: TunnelSink): void {
    const { datagram } = state;
    datagram.settle(now, out);
    if (datagram.mtu !== undefined && datagram.mtu < state.config.mtu) {
      this.#options.log.log('info', 'mtu lowered', { from: state.config.mtu, to: datagram.mtu });
      state.config = { ...state.config, mtu: datagram.mtu };
      out.event({ type: 'config', config: state.config });
    }
    const mayWait = state.up === undefined && datagram.isFirstAttempt && now < graceEnd(state);
    const up = datagram.path ?? (mayWait ? undefined : state.path);
    if (up === undefined || up === state.up) return;
    state.up = up;
    out.event({ type: 'up', path: up });
  }

  #keepAlive(state: OpenState, now: Millis, out: TunnelSink): void {
    const { stream, path } = state;
    const action = stream.keepalive.handleTimeout(now);
    switch (action) {
      case 'none':
        break;
      case 'send-dpd':
      case 'send-keepalive':
        stream.sendKeepalive(action, out.on(path));
        break;
      case 'dead':
        this.#close({ kind: 'path-lost', message: 'The gateway no longer answers.' }, now, out);
        break;
      case 'rekey':
        this.#rekey(state, now, out);
        break;
      default:
        action satisfies never;
    }
  }

  /** A new tunnel brings new keys whatever method the gateway named (spec 9.4): node:tls and TLS 1.2 have no other way. */
  #rekey(state: OpenState, now: Millis, out: TunnelSink): void {
    if (!state.renewsKeysInPlace) {
      this.#close(NEW_KEYS, now, out);
      return;
    }
    this.#options.log.log('info', 'stream rekey');
    out.event({ type: 'update-keys', path: state.path });
    state.datagram.streamRekeyed(now, out);
  }

  /** The peer is answered: gateways wait for it (spec 5.4). */
  #ended(state: OpenState, reason: CloseReason, now: Millis, out: TunnelSink): void {
    this.#sayGoodbye(state, reason.kind === 'ended-by-peer' ? 'Server request' : 'Unknown packet received', out);
    this.#close(reason, now, out);
  }

  #sayGoodbye(state: OpenState, reason: string, out: TunnelSink): void {
    this.#options.log.log('info', 'bye sent', { reason });
    state.stream.sayGoodbye(reason, out.on(state.path));
  }

  #close(reason: CloseReason, now: Millis, out: TunnelSink): void {
    if (this.#state.name === 'closed') return;
    if (this.#state.name === 'open') this.#state.datagram.close(now, out);
    this.#state = { name: 'closed' };
    out.event({ type: 'closed', reason });
  }
}

const NEW_KEYS: CloseReason = { kind: 'renew', message: 'The session’s keys are renewed.' };

function graceEnd({ since, grace, datagram }: OpenState): Millis {
  return since + (datagram.isProving ? MAX_GRACE : grace);
}

function earliest(state: OpenState): Millis | undefined {
  const due = Math.min(
    state.stream.keepalive.nextTimeout() ?? Number.POSITIVE_INFINITY,
    state.datagram.nextTimeout() ?? Number.POSITIVE_INFINITY,
    state.up === undefined ? graceEnd(state) : Number.POSITIVE_INFINITY,
  );
  return due === Number.POSITIVE_INFINITY ? undefined : due;
}
