/**
 * The datagram channel of an AnyConnect tunnel: one DTLS association, from its first hello to the packets it carries.
 *
 * Read first: spec "AnyConnect", sections 7.1 (payload), 7.7 (PSK) and 8.4 (probes).
 *
 *   handshaking ── DTLS up ──► searching (the MTU, by probes) ──► ready ──► failed
 *        └───────────────────────────┴──────── DTLS ends ────────────────►──┘
 *
 *   0      1
 *   +------+-------------------------------
 *   | type | IP packet, or a probe's bytes…        one in each record, one record in each datagram
 *   +------+-------------------------------
 */
import type { PacketCompressor } from '../../compress/compressor.ts';
import type { CryptoProvider } from '../../crypto/provider.ts';
import { DtlsClient } from '../../dtls/client.ts';
import { largestPlaintext } from '../../dtls/record-overhead.ts';
import type { DtlsSession } from '../../dtls/state.ts';
import { NetworkError, type SallyportError } from '../../errors.ts';
import { isIpPacket } from '../../tunnel/inner-packet.ts';
import { Keepalive, type KeepaliveTimes } from '../../tunnel/keepalive.ts';
import type { LayerSink } from '../../tunnel/layer.ts';
import type { PathFacts, PathNotice } from '../../tunnel/machine.ts';
import { datagramOfLink, lowerTunnelMtu } from '../../tunnel/mtu.ts';
import { type MtuProbe, MtuSearch } from '../../tunnel/mtu-search.ts';
import { type Millis, type Packet, packetBytes, packetOf } from '../../tunnel/packet.ts';
import type { TrafficDescription } from '../../tunnel/traffic.ts';
import { ByteReader } from '../../wire/byte-reader.ts';
import { utf8 } from '../../wire/text.ts';
import type { AssociationParameters } from './connect-response.ts';

/** The types of spec 7.1; CSTP's numbers. */
const TYPE_DATA = 0x00;
const TYPE_DPD_REQUEST = 0x03;
const TYPE_DPD_RESPONSE = 0x04;
const TYPE_KEEPALIVE = 0x07;
const TYPE_COMPRESSED = 0x08;

const TYPE_LENGTH = 1;
const PROBE_TAG_LENGTH = 4;

/** What the reference client calls itself; gateways ignore it (spec 7.7). */
const PSK_IDENTITY = utf8('psk');

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

export type DatagramPhase = 'handshaking' | 'searching' | 'ready' | 'failed';

export class DatagramChannel {
  readonly #options: DatagramChannelOptions;
  readonly #dtls: DtlsClient;
  /** Between the owner's sink and DTLS: records pass, packets are looked into. */
  readonly #inner: LayerSink;
  /** Of the call that is running. */
  #out: LayerSink | undefined;
  #now: Millis = 0;
  #phase: DatagramPhase = 'handshaking';
  #keepalive: Keepalive | undefined;
  #search: MtuSearch | undefined;
  #mtu: number;
  #failure: SallyportError | undefined;
  /** Noted while DTLS delivers, answered when it has done: a sink never calls back. */
  #owesResponse = false;
  /** Records that held no IP packet, or did not decompress. */
  dropped = 0;

  constructor(options: DatagramChannelOptions) {
    this.#options = options;
    this.#mtu = options.mtu;
    this.#dtls = new DtlsClient(dtlsOptions(options));
    this.#inner = {
      reserve: (maxLength) => this.#sink.reserve(maxLength),
      commit: (length) => this.#sink.commit(length),
      packet: (packet) => this.#received(packet),
    };
  }

  get phase(): DatagramPhase {
    return this.#phase;
  }

  /** What DTLS agreed on; undefined before. */
  get session(): DtlsSession | undefined {
    return this.#dtls.state.name === 'up' ? this.#dtls.state.session : undefined;
  }

  /** Why it has failed. */
  get failure(): SallyportError {
    return this.#failure ?? new NetworkError('The datagram channel is closed.');
  }

  /** The largest packet that the path has shown to carry; final once ready. */
  get mtu(): number {
    return this.#mtu;
  }

  get compressor(): PacketCompressor | undefined {
    return this.#options.compressor;
  }

  get rekeyAt(): Millis | undefined {
    return this.#keepalive?.rekeyAt;
  }

  receive(bytes: Uint8Array, now: Millis, out: LayerSink): void {
    this.#enter(now, out);
    const openedBefore = this.#dtls.counters.opened;
    this.#dtls.receive(bytes, now, this.#inner);
    if (this.#dtls.counters.opened > openedBefore) this.#keepalive?.heard(now);
    if (this.#owesResponse) this.#control(TYPE_DPD_RESPONSE, now);
    this.#owesResponse = false;
    this.#advance(now);
  }

  /** Sends an IP packet that is not larger than {@link mtu}. */
  send(packet: Packet, now: Millis, out: LayerSink): void {
    const compressed = this.#options.compressor?.compress(packetBytes(packet));
    if (compressed === undefined) this.#sendTyped(TYPE_DATA, packet, now, out);
    else this.#sendTyped(TYPE_COMPRESSED, packetOf(compressed), now, out);
  }

  nextTimeout(): Millis | undefined {
    const times = [this.#dtls.nextTimeout(), this.#search?.nextTimeout(), this.#keepalive?.nextTimeout()].filter(
      (time) => time !== undefined,
    );
    return this.#phase === 'failed' || times.length === 0 ? undefined : Math.min(...times);
  }

  /** `rekey`: the owner is to make a new association; this one goes on meanwhile. A dead peer is a failed channel. */
  handleTimeout(now: Millis, out: LayerSink): 'none' | 'rekey' {
    this.#enter(now, out);
    this.#dtls.handleTimeout(now, this.#inner);
    this.#advance(now);
    const probe = this.#search?.handleTimeout(now);
    if (probe !== undefined) this.#sendProbe(probe, now);
    this.#advance(now);
    return this.#keepAlive(now);
  }

  notice(notice: PathNotice, now: Millis): void {
    switch (notice.type) {
      case 'unreachable':
        if (this.#phase === 'handshaking') this.#fail(new NetworkError('Nobody answers on the gateway’s UDP port.'));
        break;
      case 'too-big':
        if (notice.length !== undefined) this.#search?.refused(this.#tunnelMtuOfDatagram(notice.length), now);
        this.#advance(now);
        break;
      case 'carried':
        if (notice.heardAt > 0) this.#keepalive?.heard(notice.heardAt);
        if (notice.sentAt > 0) this.#keepalive?.sent(notice.sentAt);
        break;
      case 'keys-used-up':
        break; // the owner's business
      default:
        notice satisfies never;
    }
  }

  /**
   * Hands the traffic to the packet engine, once: from then on {@link receive} takes opened records and what is committed is to be sealed.
   * Undefined while the peer has not proved that it has our Finished, and for good where the engine cannot carry it.
   */
  handOver(): TrafficDescription | undefined {
    const { facts, compressor } = this.#options;
    const { state } = this.#dtls;
    if (!facts.engine || compressor !== undefined || this.#phase !== 'ready' || state.name !== 'up' || !state.confirmed) return undefined;
    return this.#dtls.handOver({
      header: Uint8Array.of(TYPE_DATA),
      isData: { offset: 0, value: TYPE_DATA },
      tunnelMtu: this.#mtu,
    });
  }

  close(now: Millis, out: LayerSink): void {
    this.#enter(now, out);
    this.#dtls.close(now, this.#inner);
    this.#fail(new NetworkError('The datagram channel is closed.'));
  }

  // ---- incoming

  #received(packet: Packet): void {
    const { buffer, start, end } = packet;
    switch (buffer[start]) {
      case TYPE_DATA:
        packet.start += TYPE_LENGTH;
        this.#deliver(packet);
        break;
      case TYPE_COMPRESSED: {
        const inner = this.#options.compressor?.decompress(buffer.subarray(start + TYPE_LENGTH, end));
        if (inner === undefined) this.dropped++;
        else this.#deliver(inner);
        break;
      }
      case TYPE_DPD_REQUEST:
        this.#owesResponse = true;
        break;
      case TYPE_DPD_RESPONSE:
        if (end - start > TYPE_LENGTH + PROBE_TAG_LENGTH) this.#echoed(buffer.subarray(start, end));
        break;
      case TYPE_KEEPALIVE:
        break; // that it came is all it says
      default:
        this.dropped++; // spec 7.1: never fatal
    }
  }

  #deliver(packet: Packet): void {
    if (isIpPacket(packet.buffer, packet.start, packet.end)) this.#sink.packet(packet);
    else this.dropped++;
  }

  #echoed(response: Uint8Array): void {
    const reader = new ByteReader(response);
    reader.u8('type');
    this.#search?.echoed(response.length - TYPE_LENGTH, reader.u32('probe tag'), this.#now);
  }

  // ---- outgoing

  #sendTyped(type: number, packet: Packet, now: Millis, out: LayerSink): void {
    packet.start -= TYPE_LENGTH; // every device leaves headroom
    packet.buffer[packet.start] = type;
    this.#dtls.send(packet, now, out); // what it commits needs no look
    packet.start += TYPE_LENGTH;
    this.#keepalive?.sent(now);
  }

  #control(type: number, now: Millis): void {
    this.#dtls.send(packetOf(Uint8Array.of(type)), now, this.#inner);
    this.#keepalive?.sent(now);
  }

  /** Spec 8.4: a DPD request of the size of a data packet; the tag says which it was. */
  #sendProbe({ size, tag }: MtuProbe, now: Millis): void {
    const bytes = new Uint8Array(TYPE_LENGTH + size);
    bytes[0] = TYPE_DPD_REQUEST;
    new DataView(bytes.buffer).setUint32(TYPE_LENGTH, tag);
    this.#dtls.send(packetOf(bytes), now, this.#inner);
    this.#keepalive?.sent(now);
  }

  #keepAlive(now: Millis): 'none' | 'rekey' {
    const keepalive = this.#keepalive;
    if (keepalive === undefined || this.#phase === 'failed') return 'none';
    const action = keepalive.handleTimeout(now);
    switch (action) {
      case 'send-dpd':
        this.#control(TYPE_DPD_REQUEST, now);
        break;
      case 'send-keepalive':
        this.#control(TYPE_KEEPALIVE, now);
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

  // ---- state

  /** Follows DTLS and the search after each step. */
  #advance(now: Millis): void {
    const { state } = this.#dtls;
    if (this.#phase === 'failed') return;
    if (state.name === 'failed') this.#fail(state.error);
    else if (state.name === 'closed') this.#fail(new NetworkError('The gateway ended the DTLS association.'));
    else if (state.name === 'up' && this.#phase === 'handshaking') this.#startSearch(state.session, now);
    const result = this.#search?.result;
    if (this.#phase === 'searching' && result !== undefined) {
      this.#mtu = result;
      this.#phase = 'ready';
    }
  }

  #startSearch(session: DtlsSession, now: Millis): void {
    const { crypto, times, baseMtu, association, facts, hasIpv6 } = this.#options;
    const { family } = facts.remote.address;
    const tunnelMtuOf = (link: number) => largestPlaintext(session.suite.protection, datagramOfLink(link, family)) - TYPE_LENGTH;
    // Only now is the suite of a PSK handshake known, and with it what the gateway's link MTU leaves (spec 8.3).
    const carried = association.mode === 'psk' && baseMtu > 0 ? tunnelMtuOf(baseMtu) : this.#mtu;
    const mtu = lowerTunnelMtu(this.#mtu, carried, hasIpv6);
    if (mtu === undefined) {
      this.#fail(new NetworkError(`The path carries packets of ${carried} bytes only, which is less than IP needs.`));
      return;
    }
    this.#mtu = mtu;
    this.#keepalive = new Keepalive(times, now);
    const id = new ByteReader(crypto.randomBytes(PROBE_TAG_LENGTH)).u32('probe id');
    const sendable = facts.pathMtu === undefined ? {} : { sendable: tunnelMtuOf(facts.pathMtu) };
    this.#search = new MtuSearch({ agreed: mtu, hasIpv6, id, ...sendable }, now);
    this.#phase = 'searching';
  }

  /** The tunnel MTU whose records fill datagrams of this length. */
  #tunnelMtuOfDatagram(length: number): number {
    return this.session === undefined ? length : largestPlaintext(this.session.suite.protection, length) - TYPE_LENGTH;
  }

  #fail(error: SallyportError): void {
    if (this.#phase === 'failed') return;
    this.#phase = 'failed';
    this.#failure = error;
  }

  get #sink(): LayerSink {
    return this.#out as LayerSink; // set by every public method before DTLS runs
  }

  #enter(now: Millis, out: LayerSink): void {
    this.#now = now;
    this.#out = out;
  }
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
