/**
 * The gateway's datagram channel: one DTLS association, from the client's hello to the packets it carries.
 *
 * Read first: spec "AnyConnect", sections 7.4, 7.7, 8.4 (gateway duties) and 9.2; `datagram-association.ts` for the payload.
 *
 *   handshaking ── the client has our Finished ──► ready
 *        └── DTLS ends, too long ────────────────────┴── DTLS ends, nothing heard ──► failed
 */
import type { PacketCompressor } from '../../compress/compressor.ts';
import { equalInConstantTime } from '../../crypto/constant-time.ts';
import type { CryptoProvider } from '../../crypto/provider.ts';
import { DtlsServer, type DtlsServerOptions } from '../../dtls/server.ts';
import { NetworkError, type SallyportError } from '../../errors.ts';
import { Keepalive, type KeepaliveTimes } from '../../tunnel/keepalive.ts';
import type { LayerSink } from '../../tunnel/layer.ts';
import type { PathNotice, PathStatus } from '../../tunnel/machine.ts';
import type { Millis, Packet } from '../../tunnel/packet.ts';
import { PathDoubt } from '../../tunnel/path-doubt.ts';
import type { TrafficDescription } from '../../tunnel/traffic.ts';
import type { Cidr } from '../../wire/ip-address.ts';
import { CarriedNews } from './carried-news.ts';
import type { AssociationParameters } from './connect-response.ts';
import { DATAGRAM_TYPES, DatagramAssociation } from './datagram-association.ts';

/** Spec 7.8: sooner than RFC 6347 says, which suits clients that give up after 12 s. */
const RETRANSMIT_TIMEOUT: Millis = 400;

/** Spec 7.8. */
const HANDSHAKE_LIMIT: Millis = 60_000;

/**
 * The client is told the DPD time, and asks when it has heard nothing for that long. Who waits half of it longer asks only clients that have gone
 * silent, and gives them up after three times the DPD time, as ocserv does (spec 9.2).
 */
export const PATIENCE = 1.5;

export interface GatewayDatagramOptions {
  readonly crypto: CryptoProvider;
  readonly association: AssociationParameters;
  /** Exported from the client's TLS connection: the pre-shared key. */
  readonly exportedKey: Uint8Array;
  /** From the client's request: the master secret of a resumption. */
  readonly masterSecret: Uint8Array;
  /** IANA ids that a PSK handshake may choose, best first. */
  readonly pskSuites: readonly number[] | undefined;
  /** As the client was told. */
  readonly times: KeepaliveTimes;
  readonly compressor: PacketCompressor | undefined;
  /** Which of the client's packets come up. */
  readonly admits: (packet: Packet) => boolean;
  /** The same for the engine. */
  readonly sources: readonly Cidr[];
  /** The engine can carry the path. */
  readonly engine: boolean;
  /** The tunnel MTU as the client was told: never exceeded. */
  readonly mtu: number;
  /** The largest UDP payload of the link. */
  readonly maxDatagram: number;
}

export class GatewayDatagramChannel {
  readonly #options: GatewayDatagramOptions;
  readonly #association: DatagramAssociation;
  readonly #deadline: Millis;
  readonly #doubt = new PathDoubt();
  /** From its being ready on. */
  #keepalive: Keepalive | undefined;
  /** From the hand-over on, and the MTU that the engine knows. */
  #news: CarriedNews | undefined;
  #carriedMtu = 0;
  #mtu: number;
  #failure: SallyportError | undefined;

  constructor(options: GatewayDatagramOptions, now: Millis) {
    this.#options = options;
    this.#mtu = options.mtu;
    this.#deadline = now + HANDSHAKE_LIMIT;
    const { compressor, admits } = options;
    this.#association = new DatagramAssociation({ dtls: new DtlsServer(dtlsOptions(options)), compressor, admits });
  }

  get phase(): 'handshaking' | 'ready' | 'failed' {
    if (this.#failure !== undefined) return 'failed';
    return this.#keepalive === undefined ? 'handshaking' : 'ready';
  }

  /** Packets are better sent another way: nothing comes back. */
  get isDoubted(): boolean {
    return this.#doubt.isDoubted;
  }

  /** Why it has failed. */
  get failure(): SallyportError | undefined {
    return this.#failure;
  }

  /** The largest packet that is sent by this channel. */
  get mtu(): number {
    return this.#mtu;
  }

  /** The engine carries its packets. */
  get isHandedOver(): boolean {
    return this.#news !== undefined;
  }

  get status(): Omit<PathStatus, 'state'> {
    return this.#association.status;
  }

  /** True if something authentic was in it. */
  receive(bytes: Uint8Array, now: Millis, out: LayerSink): boolean {
    const isAuthentic = this.#association.receive(bytes, now, out);
    this.#advance(now);
    const { request, canBeAnswer } = this.#association;
    if (isAuthentic) this.#keepalive?.heard(now);
    if (canBeAnswer) this.#doubt.heard(now);
    if (request !== undefined) this.#answer(request, now, out);
    return isAuthentic;
  }

  /** Sends an IP packet that is not larger than {@link mtu}. */
  send(packet: Packet, now: Millis, out: LayerSink): void {
    this.#association.send(packet, now, out);
    this.#doubt.sent(now);
  }

  nextTimeout(): Millis | undefined {
    if (this.phase === 'failed') return undefined;
    const due = Math.min(
      this.#association.nextTimeout() ?? Number.POSITIVE_INFINITY,
      this.#doubt.nextTimeout() ?? Number.POSITIVE_INFINITY,
      this.#news?.nextTimeout() ?? Number.POSITIVE_INFINITY,
      this.#keepalive === undefined ? this.#deadline : (this.#keepalive.nextTimeout() ?? Number.POSITIVE_INFINITY),
    );
    return due === Number.POSITIVE_INFINITY ? undefined : due;
  }

  handleTimeout(now: Millis, out: LayerSink): void {
    this.#association.handleTimeout(now, out);
    if (this.#keepalive === undefined && now >= this.#deadline)
      this.#fail(new NetworkError('The client did not finish the DTLS handshake.'));
    this.#news?.handleTimeout(now);
    const actions = [this.#doubt.handleTimeout(now), this.#keepalive?.handleTimeout(now)];
    if (actions.includes('dead') || actions.includes('give-up')) {
      this.#fail(new NetworkError('The client no longer answers over UDP.'));
    } else if (actions.includes('ask') || actions.includes('send-dpd')) {
      this.#sendControl(DATAGRAM_TYPES.dpdRequest, undefined, now, out);
    }
  }

  notice(notice: PathNotice, now: Millis): void {
    if (notice.type === 'too-big') this.#tooBig(notice.length);
    else if (notice.type === 'unreachable') this.#doubt.suspect(now);
    else if (notice.type === 'carried') this.#news?.take(notice.heardAt, notice.sentAt, this.#keepalive, this.#doubt);
  }

  /**
   * Hands the traffic to the packet engine, once: from then on {@link receive} takes opened records and what is committed is to be sealed.
   * Undefined until it is ready, and for good where the engine cannot carry it.
   */
  handOver(now: Millis): TrafficDescription | undefined {
    const { engine, sources } = this.#options;
    if (!engine || this.phase !== 'ready' || this.#news !== undefined) return undefined;
    const traffic = this.#association.handOver(this.#mtu, sources);
    if (traffic === undefined) return undefined;
    this.#news = new CarriedNews(now);
    this.#carriedMtu = this.#mtu;
    return traffic;
  }

  /** What the engine is to be told of {@link mtu}, once; undefined: nothing new. */
  takeNewMtu(): number | undefined {
    if (!this.isHandedOver || this.#carriedMtu === this.#mtu) return undefined;
    this.#carriedMtu = this.#mtu;
    return this.#mtu;
  }

  close(now: Millis, out: LayerSink): void {
    this.#association.close(now, out);
    this.#fail(new NetworkError('The datagram channel is closed.'));
  }

  /** Spec 8.4: the whole payload, which is how clients find the MTU; and what comes in one piece may go out in one. */
  #answer(request: Uint8Array, now: Millis, out: LayerSink): void {
    const fits = request.length <= this.#association.tunnelMtuOf(Number.MAX_SAFE_INTEGER);
    this.#news?.asked(now);
    this.#sendControl(DATAGRAM_TYPES.dpdResponse, fits ? request : undefined, now, out);
    this.#doubt.asked(now);
    this.#mtu = Math.max(this.#mtu, Math.min(request.length, this.#maxMtu));
  }

  #sendControl(type: number, payload: Uint8Array | undefined, now: Millis, out: LayerSink): void {
    this.#association.sendControl(type, payload, now, out);
    this.#news?.sentControl(now);
  }

  get #maxMtu(): number {
    return Math.min(this.#options.mtu, this.#association.tunnelMtuOf(this.#options.maxDatagram));
  }

  /** A datagram of this length was refused; undefined: some router could not pass one on. Larger packets go by the stream, until a probe shows more. */
  #tooBig(length: number | undefined): void {
    this.#mtu = Math.min(this.#mtu, length === undefined ? Math.floor((this.#mtu * 2) / 3) : this.#association.tunnelMtuOf(length - 1));
  }

  #advance(now: Millis): void {
    const { state } = this.#association;
    if (state.name === 'failed') this.#fail(state.error);
    else if (state.name === 'closed') this.#fail(new NetworkError('The client ended the DTLS association.'));
    else if (this.#keepalive === undefined && this.#association.isConfirmed) {
      this.#mtu = this.#maxMtu;
      this.#keepalive = new Keepalive({ dpd: (this.#options.times.dpd ?? 0) * PATIENCE }, now);
    }
  }

  #fail(error: SallyportError): void {
    this.#failure ??= error;
  }
}

function dtlsOptions({ crypto, association, exportedKey, masterSecret, pskSuites }: GatewayDatagramOptions): DtlsServerOptions {
  if (association.mode === 'psk') {
    const findKey = (id: Uint8Array) => (equalInConstantTime(id, association.appId) ? exportedKey : undefined);
    const suites = pskSuites === undefined ? {} : { suites: pskSuites };
    return { crypto, version: '1.2', retransmitTimeout: RETRANSMIT_TIMEOUT, credentials: { kind: 'psk', findKey, ...suites } };
  }
  const { suite, sessionId } = association;
  const credentials = { kind: 'resumption', masterSecret, sessionId, suite: suite.id } as const;
  return { crypto, version: suite.version, retransmitTimeout: RETRANSMIT_TIMEOUT, credentials };
}
