/**
 * The gateway's tunnel: from the answer to CONNECT to packets on two channels. The twin of `client-tunnel.ts`.
 *
 * Read first: spec "AnyConnect", sections 4.2, 5.4, 7.10, 9.2 and 12.2.
 *
 *   new ── the client's connection, whose CONNECT was read ──► open ──► closed
 *
 * Whoever owns it has read the request (`parseConnectOffer`), knows whose cookie it brought, and has a lease for it. UDP flows whose first hello has
 * the id of {@link DatagramTerms}, and those that may be this client's after a change of address, are handed in as paths; the machine drops those
 * that are not. It has no policy of sessions: how long they last and what else ends them is said by {@link GatewayTunnel.close}.
 */
import { type CompressionName, createStatelessCompressor, type PacketCompressor } from '../../compress/compressor.ts';
import type { CryptoProvider } from '../../crypto/provider.ts';
import { NetworkError, PeerMisbehavedError, type SallyportError } from '../../errors.ts';
import { renderResponse } from '../../http/render.ts';
import type { Logger } from '../../log.ts';
import type { TunnelConfig } from '../../tunnel/config.ts';
import { Keepalive, PEER_DEAD } from '../../tunnel/keepalive.ts';
import { commitStream } from '../../tunnel/layer.ts';
import type { CloseReason, Path, PathFacts, PathNotice, TunnelMachine, TunnelSink, TunnelStatus } from '../../tunnel/machine.ts';
import { datagramOfLink } from '../../tunnel/mtu.ts';
import type { Millis, Packet } from '../../tunnel/packet.ts';
import { SourceFilter } from '../../tunnel/source-filter.ts';
import type { Cidr } from '../../wire/ip-address.ts';
import type { ConnectOffer } from './connect-offer.ts';
import type { ConnectResponse } from './connect-response.ts';
import { agreeOnTerms, type GatewayTerms } from './connect-terms.ts';
import { BYE_REASON_CODE, CSTP_TYPES, sendCstpFrame } from './cstp-frame.ts';
import { PATIENCE } from './gateway-datagram-channel.ts';
import { GatewayDatagramSide } from './gateway-datagram-side.ts';
import { type ResponseDetails, renderConnectResponse } from './render-connect-response.ts';
import { StreamChannel } from './stream-channel.ts';

/** ocserv's default (spec 6.1): what is shorter is not worth the attempt. */
const DEFAULT_MIN_LENGTH_TO_COMPRESS = 256;

const NO_BYTES = new Uint8Array(0);

export interface GatewayTunnelOptions {
  readonly crypto: CryptoProvider;
  readonly log: Logger;
  /** What the client asked for. */
  readonly offer: ConnectOffer;
  /** What it may get. */
  readonly terms: GatewayTerms;
  readonly details: Omit<ResponseDetails, 'family' | 'hasFullIpv6'>;
  /** Networks behind the client: it may send from these as well as from its own addresses. */
  readonly networks?: readonly Cidr[];
  /** Makes the stateful compressor, if the encodings of the terms have it. */
  readonly createDeflate?: () => PacketCompressor;
  /** Packets shorter than this go uncompressed. Default: 256. */
  readonly minLengthToCompress?: number;
  /** Spec 7.10, `switch-to-tcp-timeout`. Default: never. */
  readonly switchToStreamAfter?: Millis;
}

type TunnelState = { readonly name: 'new' } | OpenState | { readonly name: 'closed' };

interface OpenState {
  readonly name: 'open';
  readonly path: Path;
  readonly stream: StreamChannel;
  readonly datagram: GatewayDatagramSide | undefined;
  readonly cipherSuite: string | undefined;
  /** Where the client's packets may come from, for the engine; undefined: it cannot carry the stream. */
  readonly carriedSources: readonly Cidr[] | undefined;
  up: Path;
}

export class GatewayTunnel implements TunnelMachine {
  readonly #options: GatewayTunnelOptions;
  #state: TunnelState = { name: 'new' };
  /** Packets that claimed to come from addresses that are not the client's; those that the engine dropped are in its own count. */
  spoofed = 0;

  constructor(options: GatewayTunnelOptions) {
    this.#options = options;
  }

  /** The stream is the connection that CONNECT came on: it is answered at once. What came behind the request goes to {@link receive}. */
  opened(path: Path, facts: PathFacts, now: Millis, out: TunnelSink): void {
    const state = this.#state;
    if (state.name === 'new' && path.kind === 'stream') this.#answer(path, facts, now, out);
    else if (state.name === 'open' && path.kind === 'datagram' && state.datagram !== undefined)
      state.datagram.opened(path, facts.engine, out);
    else out.event({ type: 'drop', path });
  }

  receive(path: Path, bytes: Uint8Array, now: Millis, out: TunnelSink): void {
    const state = this.#state;
    if (state.name !== 'open') return;
    if (path === state.path) {
      this.#receiveStream(state, bytes, now, out);
    } else {
      state.datagram?.receive(path, bytes, now, out);
      this.#follow(state, now, out);
    }
  }

  lost(path: Path, why: SallyportError, now: Millis, out: TunnelSink): void {
    const state = this.#state;
    if (state.name !== 'open') return;
    if (path === state.path) {
      this.#close({ kind: 'path-lost', message: why.message, error: why }, now, out);
    } else {
      state.datagram?.lost(path, why);
      this.#follow(state, now, out);
    }
  }

  notice(path: Path, notice: PathNotice, now: Millis, out: TunnelSink): void {
    const state = this.#state;
    if (state.name !== 'open') return;
    if (path !== state.path) state.datagram?.notice(path, notice, now, out);
    else if (notice.type === 'carried') state.stream.carried(notice.heardAt, notice.sentAt);
    this.#follow(state, now, out);
  }

  send(packet: Packet, now: Millis, out: TunnelSink): void {
    const state = this.#state;
    if (state.name !== 'open') return;
    if (state.datagram?.send(packet, now, out) !== true) state.stream.send(packet, now, out.on(state.path));
  }

  /** Undefined from a new machine: the client's connection starts it. */
  nextTimeout(): Millis | undefined {
    const state = this.#state;
    if (state.name !== 'open') return undefined;
    const due = Math.min(
      state.stream.keepalive.nextTimeout() ?? Number.POSITIVE_INFINITY,
      state.datagram?.nextTimeout() ?? Number.POSITIVE_INFINITY,
    );
    return due === Number.POSITIVE_INFINITY ? undefined : due;
  }

  handleTimeout(now: Millis, out: TunnelSink): void {
    const state = this.#state;
    if (state.name !== 'open') return;
    const action = state.stream.keepalive.handleTimeout(now);
    if (action === 'send-dpd') {
      state.stream.sendKeepalive(action, out.on(state.path));
    } else if (action === 'dead') {
      const error = new NetworkError('The client no longer answers.', { code: PEER_DEAD });
      this.#close({ kind: 'path-lost', message: error.message, error }, now, out);
      return;
    }
    state.datagram?.handleTimeout(now, out);
    this.#follow(state, now, out);
  }

  /** Tells the client that the session is over: it will not come back by itself. A client that is only to reconnect is left by closing its paths. */
  close(reason: CloseReason, now: Millis, out: TunnelSink): void {
    this.#end(CSTP_TYPES.disconnect, reason, now, out);
  }

  /** As {@link close}, in the words for a client that was thrown out. */
  terminate(reason: CloseReason, now: Millis, out: TunnelSink): void {
    this.#end(CSTP_TYPES.terminate, reason, now, out);
  }

  status(_now: Millis): TunnelStatus {
    const state = this.#state;
    if (state.name !== 'open') return { stream: { state: state.name === 'new' ? 'connecting' : 'down' }, datagram: { state: 'down' } };
    const { compressor } = state.stream;
    return {
      stream: {
        state: 'connected',
        ...(state.cipherSuite !== undefined && { cipherSuite: state.cipherSuite }),
        ...(compressor !== undefined && { compression: compressor.name }),
      },
      datagram: state.datagram?.status() ?? { state: 'disabled' },
    };
  }

  #answer(path: Path, facts: PathFacts, now: Millis, out: TunnelSink): void {
    const { offer, terms, details, log } = this.#options;
    const { family, hasFullIpv6 } = offer;
    const hostname = details.hostname ?? offer.hostname;
    const response = agreeOnTerms(offer, terms, facts);
    const { config } = response;
    if (config.ipv4 === undefined && config.ipv6 === undefined) {
      this.#refuse('No address for this client.', path, now, out);
      return;
    }
    const full = { ...details, family, hasFullIpv6, ...(hostname !== undefined && { hostname }) };
    commitStream(out.on(path), renderResponse(renderConnectResponse(response, full, now)));
    this.#state = this.#opened(path, facts, response, now);
    log.log('info', 'stream up', { mtu: config.mtu });
    out.event({ type: 'config', config });
    this.#takeStream(this.#state, out);
    out.event({ type: 'up', path });
  }

  /** Has the engine carry the stream while packets leave by it. While they do not, each that comes is news: the client does not trust UDP. */
  #takeStream({ stream, path, carriedSources }: OpenState, out: TunnelSink): void {
    if (carriedSources !== undefined) out.event({ type: 'traffic', path, traffic: stream.handOver(carriedSources) });
  }

  #refuse(message: string, path: Path, now: Millis, out: TunnelSink): void {
    const headers = [['X-Reason', message]] as const;
    commitStream(out.on(path), renderResponse({ version: '1.1', status: 503, reason: 'Service Unavailable', headers, body: NO_BYTES }));
    this.#close({ kind: 'unusable', message }, now, out);
  }

  #opened(path: Path, facts: PathFacts, response: ConnectResponse, now: Millis): OpenState {
    const { log } = this.#options;
    const { stream, config } = response;
    const sources = [...ownNetworks(config), ...(this.#options.networks ?? [])];
    const admits = this.#screen(sources);
    return {
      name: 'open',
      path,
      stream: new StreamChannel({
        keepalive: new Keepalive({ dpd: (stream.times.dpd ?? 0) * PATIENCE }, now),
        compressor: this.#compressor(stream.compression),
        log,
        admits,
        meaningOfEnd: endedByClient,
      }),
      datagram: this.#datagramSide(response, facts, sources, admits),
      cipherSuite: facts.tls?.cipherSuite,
      carriedSources: facts.engine && stream.compression === undefined ? sources : undefined,
      up: path,
    };
  }

  #datagramSide(
    { datagram, config, baseMtu }: ConnectResponse,
    facts: PathFacts,
    sources: readonly Cidr[],
    admits: (packet: Packet) => boolean,
  ): GatewayDatagramSide | undefined {
    const { crypto, log, offer, terms, switchToStreamAfter } = this.#options;
    if (datagram === undefined) return undefined;
    return new GatewayDatagramSide({
      ...{ crypto, log, admits, sources, parameters: datagram, mtu: config.mtu, pskSuites: terms.datagram?.pskSuites },
      compressor: () => this.#compressor(datagram.compression),
      exportedKey: facts.tls?.exported ?? NO_BYTES,
      masterSecret: offer.datagram?.masterSecret ?? NO_BYTES,
      maxDatagram: datagramOfLink(baseMtu, facts.remote.address.family),
      ...(switchToStreamAfter !== undefined && { switchToStreamAfter }),
    });
  }

  #compressor(name: CompressionName | undefined): PacketCompressor | undefined {
    if (name === undefined) return undefined;
    if (name === 'deflate') return this.#options.createDeflate?.();
    return createStatelessCompressor(name, { minLength: this.#options.minLengthToCompress ?? DEFAULT_MIN_LENGTH_TO_COMPRESS });
  }

  #receiveStream(state: OpenState, bytes: Uint8Array, now: Millis, out: TunnelSink): void {
    const { stream, datagram, path } = state;
    const packetsBefore = stream.packets;
    stream.receive(bytes, now, out.on(path));
    if (stream.packets > packetsBefore) datagram?.heardOnStream(now);
    const { ended } = stream;
    if (ended === undefined) this.#follow(state, now, out);
    else if (ended.kind === 'misbehaved') this.close(ended, now, out);
    else this.#close(ended, now, out); // a client that says goodbye waits for nothing
  }

  /** After whatever happened: which path packets leave by. */
  #follow(state: OpenState, now: Millis, out: TunnelSink): void {
    state.datagram?.settle(now, out);
    const up = state.datagram?.path ?? state.path;
    if (up === state.up) return;
    const before = state.up;
    state.up = up;
    if (up === state.path) this.#takeStream(state, out);
    else if (before === state.path && state.carriedSources !== undefined) out.event({ type: 'traffic', path: before, traffic: undefined });
    out.event({ type: 'up', path: up });
  }

  /** Spec 12.2: a client may send from what is its own. */
  #screen(sources: readonly Cidr[]): (packet: Packet) => boolean {
    const filter = new SourceFilter(sources);
    return (packet) => {
      const isAllowed = filter.allows(packet);
      if (!isAllowed) this.spoofed++;
      return isAllowed;
    };
  }

  #end(type: number, reason: CloseReason, now: Millis, out: TunnelSink): void {
    if (this.#state.name === 'open') sendCstpFrame(out.on(this.#state.path), type, NO_BYTES);
    this.#close(reason, now, out);
  }

  #close(reason: CloseReason, now: Millis, out: TunnelSink): void {
    if (this.#state.name === 'closed') return;
    if (this.#state.name === 'open') this.#state.datagram?.close(now, out);
    this.#state = { name: 'closed' };
    out.event({ type: 'closed', reason });
  }
}

function ownNetworks({ ipv4, ipv6 }: TunnelConfig): Cidr[] {
  return [ipv4, ipv6].flatMap((own) => (own === undefined ? [] : { address: own.address, prefix: own.address.bytes.length * 8 }));
}

/** Spec 5.4. Terminate is a gateway's word: from a client it means nothing. */
function endedByClient(type: number, payload: Uint8Array): CloseReason | undefined {
  if (type !== CSTP_TYPES.disconnect) return undefined;
  if (payload.length === 0) return { kind: 'detach', message: 'The client will come back.' };
  if (payload[0] === BYE_REASON_CODE) return { kind: 'log-off', message: 'The user has left.' };
  const error = new PeerMisbehavedError('The client ended the session with a reason that is none.');
  return { kind: 'misbehaved', message: error.message, error };
}
