/**
 * The client's datagram channel: one DTLS association, from its first hello to the packets it carries.
 *
 * Read first: spec "AnyConnect", sections 7.7 (PSK), 8.4 (probes) and 9.1 (DPD); `datagram-association.ts` for the payload.
 *
 *   handshaking ── DTLS up ──► proving: that packets pass, and how large ones ──► ready
 *        └── DTLS ends ───────────────┴────── or a dead peer, or only small ones ────┴──► failed
 *
 * The proof is more than DTLS gives: in a resumption the last word of the handshake is ours, and nobody tells us if it is lost.
 */
import type { PacketCompressor } from '../../compress/compressor.ts';
import type { CryptoProvider } from '../../crypto/provider.ts';
import { DtlsClient } from '../../dtls/client.ts';
import { NetworkError, type SallyportError } from '../../errors.ts';
import { Keepalive, type KeepaliveTimes } from '../../tunnel/keepalive.ts';
import type { LayerSink } from '../../tunnel/layer.ts';
import type { PathFacts, PathNotice, PathStatus } from '../../tunnel/machine.ts';
import { datagramOfLink, lowerTunnelMtu, minTunnelMtu } from '../../tunnel/mtu.ts';
import type { Millis, Packet } from '../../tunnel/packet.ts';
import { PathDoubt } from '../../tunnel/path-doubt.ts';
import type { TrafficDescription } from '../../tunnel/traffic.ts';
import { ByteReader } from '../../wire/byte-reader.ts';
import { utf8 } from '../../wire/text.ts';
import { CarriedNews } from './carried-news.ts';
import type { AssociationParameters } from './connect-response.ts';
import { DATAGRAM_TYPES, DatagramAssociation } from './datagram-association.ts';
import { PathProof, PROBE_TAG_LENGTH } from './path-proof.ts';

/** What the reference client calls itself; gateways ignore it (spec 7.7). */
const PSK_IDENTITY = utf8('psk');

/** The code of the error where the gateway's own figures leave no room for IP packets: no other attempt will find more. */
export const ERR_DATAGRAM_MTU = 'ERR_DATAGRAM_MTU';

export interface DatagramChannelOptions {
  readonly crypto: CryptoProvider;
  readonly association: AssociationParameters;
  /** Exported from the TLS connection: the pre-shared key. */
  readonly exportedKey: Uint8Array;
  /** Sent in the CONNECT request: the master secret of a resumption. */
  readonly masterSecret: Uint8Array;
  /** IANA ids that a PSK handshake may offer, best first. */
  readonly pskSuites: readonly number[] | undefined;
  readonly times: KeepaliveTimes;
  readonly compressor: PacketCompressor | undefined;
  readonly facts: PathFacts;
  /** The tunnel MTU so far: it is lowered, never raised. */
  readonly mtu: number;
  /** What the gateway takes for the link's MTU; 0: not said. */
  readonly baseMtu: number;
  readonly hasIpv6: boolean;
}

export type DatagramPhase = 'handshaking' | 'proving' | 'ready' | 'failed';

export class DatagramChannel {
  readonly #options: DatagramChannelOptions;
  readonly #association: DatagramAssociation;
  readonly #doubt = new PathDoubt();
  #phase: DatagramPhase = 'handshaking';
  /** From DTLS's being up on. */
  #keepalive: Keepalive | undefined;
  /** The first begins with DTLS's being up, another one when the path turns out to carry less than it did. */
  #proof: PathProof | undefined;
  #mtu: number;
  #failure: SallyportError | undefined;
  /** From the hand-over on. */
  #news: CarriedNews | undefined;

  /** Throws {@link MisuseError} where no handshake can be made of the options: no exported key, no suite that is spoken. */
  constructor(options: DatagramChannelOptions) {
    this.#options = options;
    this.#mtu = options.mtu;
    this.#association = new DatagramAssociation({ dtls: new DtlsClient(dtlsOptions(options)), compressor: options.compressor });
  }

  get phase(): DatagramPhase {
    return this.#phase;
  }

  /** What is sent now will be understood: it can take over from another association. */
  get isConfirmed(): boolean {
    return this.#association.isConfirmed;
  }

  /** Packets are better sent another way: nothing comes back. */
  get isDoubted(): boolean {
    return this.#doubt.isDoubted;
  }

  /** Why it has failed. */
  get failure(): SallyportError {
    return this.#failure ?? new NetworkError('The datagram channel is closed.');
  }

  /** The largest packet that the path is believed to carry; found out once ready. */
  get mtu(): number {
    return this.#mtu;
  }

  get status(): Omit<PathStatus, 'state'> {
    const rekeyAt = this.#keepalive?.rekeyAt;
    return { ...this.#association.status, ...(rekeyAt !== undefined && { rekeyAt }) };
  }

  receive(bytes: Uint8Array, now: Millis, out: LayerSink): void {
    if (this.#association.receive(bytes, now, out)) this.#keepalive?.heard(now);
    const { request, response, canBeAnswer } = this.#association;
    if (canBeAnswer) this.#doubt.heard(now);
    if (request !== undefined) this.#asked(now, out);
    this.#advance(now);
    if (response !== undefined) this.#proof?.answered(response, now);
    this.#advance(now);
  }

  /** Sends an IP packet that is not larger than {@link mtu}. */
  send(packet: Packet, now: Millis, out: LayerSink): void {
    this.#association.send(packet, now, out);
    this.#keepalive?.sent(now);
    this.#doubt.sent(now);
  }

  nextTimeout(): Millis | undefined {
    if (this.#phase === 'failed') return undefined;
    const due = Math.min(
      this.#association.nextTimeout() ?? Number.POSITIVE_INFINITY,
      this.#proof?.nextTimeout() ?? Number.POSITIVE_INFINITY,
      this.#keepalive?.nextTimeout() ?? Number.POSITIVE_INFINITY,
      this.#doubt.nextTimeout() ?? Number.POSITIVE_INFINITY,
      this.#news?.nextTimeout() ?? Number.POSITIVE_INFINITY,
    );
    return due === Number.POSITIVE_INFINITY ? undefined : due;
  }

  /** `rekey`: the owner is to make a new association; this one goes on meanwhile. A dead peer is a failed channel. */
  handleTimeout(now: Millis, out: LayerSink): 'none' | 'rekey' {
    this.#association.handleTimeout(now, out);
    this.#advance(now);
    const question = this.#proof?.handleTimeout(now);
    if (question !== undefined) this.#sendControl(DATAGRAM_TYPES.dpdRequest, question, now, out);
    this.#advance(now);
    if (this.#phase === 'failed') return 'none';
    this.#news?.handleTimeout(now);
    this.#wonder(now, out);
    return this.#keepAlive(now, out);
  }

  notice(notice: PathNotice, now: Millis): void {
    switch (notice.type) {
      case 'unreachable':
        if (this.#phase === 'handshaking') this.#fail(new NetworkError('Nobody answers on the gateway’s UDP port.'));
        else this.#doubt.suspect(now);
        break;
      case 'too-big':
        this.#tooBig(notice.length, now);
        this.#advance(now);
        break;
      case 'carried':
        this.#news?.take(notice.heardAt, notice.sentAt, this.#keepalive, this.#doubt);
        break;
      case 'keys-used-up':
      case 'moved':
        break; // the owner's business
      default:
        notice satisfies never;
    }
  }

  /**
   * Hands the traffic to the packet engine, once: from then on {@link receive} takes opened records and what is committed is to be sealed.
   * Undefined until it is ready, and for good where there is no engine.
   */
  handOver(now: Millis): TrafficDescription | undefined {
    if (!this.#options.facts.engine || this.#phase !== 'ready' || this.#news !== undefined) return undefined;
    const traffic = this.#association.handOver(this.#mtu);
    if (traffic !== undefined) this.#news = new CarriedNews(now); // a compressed channel is not the engine's
    return traffic;
  }

  close(now: Millis, out: LayerSink): void {
    this.#association.close(now, out);
    this.#fail(new NetworkError('The datagram channel is closed.'));
  }

  // ---- what goes out

  #sendControl(type: number, payload: Uint8Array | undefined, now: Millis, out: LayerSink): void {
    this.#association.sendControl(type, payload, now, out);
    this.#keepalive?.sent(now);
    this.#news?.sentControl(now);
  }

  #wonder(now: Millis, out: LayerSink): void {
    const action = this.#doubt.handleTimeout(now);
    if (action === 'ask') this.#sendControl(DATAGRAM_TYPES.dpdRequest, undefined, now, out);
    else if (action === 'give-up') this.#fail(new NetworkError('The gateway no longer answers over UDP.'));
  }

  #keepAlive(now: Millis, out: LayerSink): 'none' | 'rekey' {
    if (this.#keepalive === undefined || this.#phase === 'failed') return 'none';
    const action = this.#keepalive.handleTimeout(now);
    switch (action) {
      case 'send-dpd':
        this.#sendControl(DATAGRAM_TYPES.dpdRequest, undefined, now, out);
        break;
      case 'send-keepalive':
        this.#sendControl(DATAGRAM_TYPES.keepalive, undefined, now, out);
        break;
      case 'dead':
        this.#fail(new NetworkError('The gateway no longer answers over UDP.'));
        break;
      case 'rekey':
        return 'rekey';
      case 'none':
        break;
      default:
        action satisfies never;
    }
    return 'none';
  }

  // ---- what comes in

  /** Spec 8.4: the answer is one byte, as the reference client's on UDP; gateways do not rely on an echo. */
  #asked(now: Millis, out: LayerSink): void {
    this.#news?.asked(now);
    this.#doubt.asked(now);
    this.#sendControl(DATAGRAM_TYPES.dpdResponse, undefined, now, out);
  }

  /** A datagram with a UDP payload of `length` was refused; undefined: some router could not pass one on. */
  #tooBig(length: number | undefined, now: Millis): void {
    if (this.#phase === 'handshaking' || this.#phase === 'failed') return;
    const fits = length === undefined ? this.#mtu : Math.min(this.#mtu, this.#association.tunnelMtuOf(length - 1));
    if (fits < minTunnelMtu(this.#options.hasIpv6)) {
      this.#fail(tooNarrow(fits));
    } else if (this.#proof?.state === 'searching') {
      if (length !== undefined) this.#proof.refused(fits + 1, now);
    } else {
      this.#mtu = fits; // at once: larger packets go by the stream from here on
      this.#prove(now);
    }
  }

  // ---- state

  /** Follows DTLS and the proof after each step. */
  #advance(now: Millis): void {
    if (this.#phase === 'failed') return;
    const { state } = this.#association;
    if (state.name === 'failed') this.#fail(state.error);
    else if (state.name === 'closed') this.#fail(new NetworkError('The gateway ended the DTLS association.'));
    else if (state.name === 'up' && this.#phase === 'handshaking') this.#up(now);
    if (this.#proof?.state === 'narrow') this.#fail(tooNarrow(minTunnelMtu(this.#options.hasIpv6) - 1));
    if (this.#proof?.state !== 'proven') return;
    this.#mtu = Math.min(this.#mtu, this.#proof.mtu);
    if (this.#phase === 'proving') this.#phase = 'ready';
  }

  #up(now: Millis): void {
    const { times, baseMtu, association, facts, hasIpv6 } = this.#options;
    // Only now is the suite of a PSK handshake known, and with it what the link's MTU leaves (spec 8.3); and what a record may hold.
    const ofGateway = this.#tunnelMtuOf(association.mode === 'psk' && baseMtu > 0 ? baseMtu : undefined);
    const ofSystem = this.#tunnelMtuOf(facts.pathMtu);
    const agreed = lowerTunnelMtu(this.#mtu, ofGateway, hasIpv6);
    const mtu = agreed && lowerTunnelMtu(agreed, ofSystem, hasIpv6);
    if (mtu === undefined) {
      this.#fail(agreed === undefined ? tooNarrow(ofGateway, ERR_DATAGRAM_MTU) : tooNarrow(ofSystem));
      return;
    }
    this.#mtu = mtu;
    this.#keepalive = new Keepalive(times, now);
    this.#phase = 'proving';
    this.#prove(now);
  }

  #tunnelMtuOf(linkMtu: number | undefined): number {
    const { address } = this.#options.facts.remote;
    return this.#association.tunnelMtuOf(linkMtu === undefined ? Number.MAX_SAFE_INTEGER : datagramOfLink(linkMtu, address.family));
  }

  #prove(now: Millis): void {
    const { crypto, hasIpv6 } = this.#options;
    const id = new ByteReader(crypto.randomBytes(PROBE_TAG_LENGTH)).u32('probe id');
    this.#proof = new PathProof({ agreed: this.#mtu, hasIpv6, id }, now);
  }

  #fail(error: SallyportError): void {
    if (this.#phase === 'failed') return;
    this.#phase = 'failed';
    this.#failure = error;
  }
}

function tooNarrow(carried: number, code = 'ERR_NETWORK'): NetworkError {
  return new NetworkError(`The path carries packets of ${carried} bytes at most, which is less than IP needs.`, { code });
}

function dtlsOptions({
  crypto,
  association,
  exportedKey,
  masterSecret,
  pskSuites,
}: DatagramChannelOptions): ConstructorParameters<typeof DtlsClient>[0] {
  if (association.mode === 'psk') {
    const suites = pskSuites === undefined ? {} : { suites: pskSuites };
    return {
      crypto,
      version: '1.2',
      credentials: { kind: 'psk', identity: PSK_IDENTITY, key: exportedKey, sessionId: association.appId, ...suites },
    };
  }
  const { suite, sessionId } = association;
  return { crypto, version: suite.version, credentials: { kind: 'resumption', masterSecret, sessionId, suite: suite.id } };
}
