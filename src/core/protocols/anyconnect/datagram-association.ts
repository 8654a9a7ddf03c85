/**
 * One DTLS association with AnyConnect's payload in its records, for either side. What the sides do with it differs: `datagram-channel.ts` is the
 * client's, `gateway-datagram-channel.ts` the gateway's.
 *
 * Read first: spec "AnyConnect", section 7.1.
 *
 *   0      1
 *   +------+-------------------------------
 *   | type | IP packet, or a probe's bytes…        one in each record, one record in each datagram
 *   +------+-------------------------------
 */
import type { PacketCompressor } from '../../compress/compressor.ts';
import type { DtlsAssociation } from '../../dtls/association.ts';
import { largestPlaintext } from '../../dtls/record-overhead.ts';
import type { DtlsSession, DtlsState } from '../../dtls/state.ts';
import { isIpPacket } from '../../tunnel/inner-packet.ts';
import type { LayerSink } from '../../tunnel/layer.ts';
import type { PathStatus } from '../../tunnel/machine.ts';
import { type Millis, type Packet, packetBytes, packetOf } from '../../tunnel/packet.ts';
import { framingByMark, type TrafficDescription } from '../../tunnel/traffic.ts';
import type { Cidr } from '../../wire/ip-address.ts';

export interface DatagramAssociationOptions {
  readonly dtls: DtlsAssociation;
  readonly compressor: PacketCompressor | undefined;
  /** Which of the peer's packets come up. Default: all. */
  readonly admits?: (packet: Packet) => boolean;
}

/** The types of spec 7.1; CSTP's numbers. */
export const DATAGRAM_TYPES = {
  data: 0x00,
  dpdRequest: 0x03,
  dpdResponse: 0x04,
  keepalive: 0x07,
  compressed: 0x08,
} as const;

/** Spec 7.7: what the PSK of the datagram channel is exported with, from the TLS connection that answered CONNECT. */
export const PSK_EXPORTER = { label: 'EXPORTER-openconnect-psk', length: 32 } as const;

/**
 * How long an association still receives after another has taken over: for what was under way, and for what the peer sends before it has noticed.
 * Longer than datagrams are delayed anywhere.
 */
export const LINGER_PERIOD: Millis = 3_000;

const TYPE_LENGTH = 1;

const NO_BYTES = new Uint8Array(0);

export class DatagramAssociation {
  readonly #dtls: DtlsAssociation;
  readonly #compressor: PacketCompressor | undefined;
  readonly #admits: (packet: Packet) => boolean;
  /** Between the owner's sink and DTLS: records pass, packets are looked into. */
  readonly #inner: LayerSink;
  /** Of the call that is running. */
  #out: LayerSink | undefined;
  #isHandedOver = false;
  /**
   * Beside packets, what the last {@link receive} brought: a DPD request or response without its type. To be answered when DTLS has done, as a sink
   * never calls back. Views of the received bytes.
   */
  request: Uint8Array | undefined;
  response: Uint8Array | undefined;
  /**
   * Something in it can be an answer to what was sent: a packet, a response. A request or a sign of life comes from a peer that hears nothing of us
   * as well.
   */
  canBeAnswer = false;
  /** Records that held no IP packet or none that is admitted, did not decompress or are of unknown type. */
  dropped = 0;

  constructor(options: DatagramAssociationOptions) {
    this.#dtls = options.dtls;
    this.#compressor = options.compressor;
    this.#admits = options.admits ?? (() => true);
    this.#inner = {
      reserve: (maxLength) => this.#sink.reserve(maxLength),
      commit: (length) => this.#sink.commit(length),
      packet: (packet) => this.#received(packet),
    };
  }

  get state(): DtlsState {
    return this.#dtls.state;
  }

  /** What DTLS agreed on; undefined before and after. */
  get session(): DtlsSession | undefined {
    const { state } = this.#dtls;
    return state.name === 'up' ? state.session : undefined;
  }

  /** The peer has proved that it has our Finished: from here on everything that is sent can be read. */
  get isConfirmed(): boolean {
    const { state } = this.#dtls;
    return state.name === 'up' && state.confirmed;
  }

  /** True if something authentic was in it. */
  receive(bytes: Uint8Array, now: Millis, out: LayerSink): boolean {
    this.#out = out;
    this.request = undefined;
    this.response = undefined;
    this.canBeAnswer = false;
    const opened = this.#dtls.counters.opened;
    this.#dtls.receive(bytes, now, this.#inner);
    return this.#isHandedOver || this.#dtls.counters.opened > opened; // an engine passes on only what it has opened
  }

  send(packet: Packet, now: Millis, out: LayerSink): void {
    const compressed = this.#compressor?.compress(packetBytes(packet));
    if (compressed === undefined) this.#sendTyped(DATAGRAM_TYPES.data, packet, now, out);
    else this.#sendTyped(DATAGRAM_TYPES.compressed, packetOf(compressed), now, out);
  }

  /** What {@link request} and the like are answered with, probes and signs of life. */
  sendControl(type: number, payload: Uint8Array | undefined, now: Millis, out: LayerSink): void {
    this.#sendTyped(type, packetOf(payload ?? NO_BYTES), now, out);
  }

  nextTimeout(): Millis | undefined {
    return this.#dtls.nextTimeout();
  }

  handleTimeout(now: Millis, out: LayerSink): void {
    this.#out = out;
    this.#dtls.handleTimeout(now, this.#inner);
  }

  close(now: Millis, out: LayerSink): void {
    this.#out = out;
    this.#dtls.close(now, this.#inner);
  }

  /** The tunnel MTU whose records fill a UDP payload of this length. Only while there is a {@link session}. */
  tunnelMtuOf(udpPayload: number): number {
    if (this.session === undefined) return udpPayload;
    const { suite, maxPlaintext } = this.session;
    return Math.min(largestPlaintext(suite.protection, udpPayload), maxPlaintext) - TYPE_LENGTH;
  }

  /**
   * Hands the traffic to the packet engine: from then on {@link receive} takes opened records, and what is committed is to be sealed. Only once
   * {@link isConfirmed}. Undefined where the engine cannot carry it: compressed packets, CBC suites.
   *
   * @param innerSources where the peer's packets may come from; undefined: from anywhere
   */
  handOver(tunnelMtu: number, innerSources?: readonly Cidr[]): TrafficDescription | undefined {
    if (this.#compressor !== undefined) return undefined;
    const traffic = this.#dtls.handOver({ framing: framingByMark(DATAGRAM_TYPES.data), tunnelMtu });
    this.#isHandedOver = traffic !== undefined;
    return traffic && { ...traffic, ...(innerSources !== undefined && { innerSources }) };
  }

  /** Its part of a status: the rest is the owner's to say. */
  get status(): Omit<PathStatus, 'state'> {
    return {
      ...(this.session !== undefined && { cipherSuite: suiteText(this.session) }),
      ...(this.#compressor !== undefined && { compression: this.#compressor.name }),
    };
  }

  #sendTyped(type: number, packet: Packet, now: Millis, out: LayerSink): void {
    packet.start -= TYPE_LENGTH; // every device leaves headroom
    packet.buffer[packet.start] = type;
    this.#dtls.send(packet, now, out); // nothing comes up while it sends: no need for a look
    packet.start += TYPE_LENGTH;
  }

  #received(packet: Packet): void {
    const { buffer, start, end } = packet;
    switch (buffer[start]) {
      case DATAGRAM_TYPES.data:
        packet.start += TYPE_LENGTH;
        this.#deliver(packet);
        break;
      case DATAGRAM_TYPES.compressed: {
        const inner = this.#compressor?.decompress(buffer.subarray(start + TYPE_LENGTH, end));
        if (inner === undefined) this.dropped++;
        else this.#deliver(inner);
        break;
      }
      case DATAGRAM_TYPES.dpdRequest:
        this.request = buffer.subarray(start + TYPE_LENGTH, end);
        break;
      case DATAGRAM_TYPES.dpdResponse:
        this.response = buffer.subarray(start + TYPE_LENGTH, end);
        this.canBeAnswer = true;
        break;
      case DATAGRAM_TYPES.keepalive:
        break; // that it came is all it says
      default:
        this.dropped++; // spec 7.1: never fatal
    }
  }

  #deliver(packet: Packet): void {
    this.canBeAnswer = true;
    if (isIpPacket(packet.buffer, packet.start, packet.end) && this.#admits(packet)) this.#sink.packet(packet);
    else this.dropped++;
  }

  get #sink(): LayerSink {
    return this.#out as LayerSink; // set by every method that lets DTLS speak
  }
}

/** `DTLSv1.2-PSK_WITH_AES_256_GCM_SHA384`. */
export function suiteText({ version, suite }: DtlsSession): string {
  return `DTLSv${version}-${suite.name}`;
}
