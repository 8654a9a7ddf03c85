/**
 * ESP, at either end: probes until the peer answers, packets both ways, and "are you there?" while it is silent. On which UDP flow is its owner's business
 * (client-side.ts, gateway-side.ts): it speaks by the sink that it is given.
 *
 * Read first: spec "ESP", sections 3 and 5.
 *
 *   probing ── answered (client), anything authentic (gateway) ──► up ── silence, 2 × DPD ──► dead
 */
import { DecompressedPacket } from '../compress/compressor.ts';
import { decodeLzo } from '../compress/lzo.ts';
import { isIpPacket } from '../tunnel/inner-packet.ts';
import { Keepalive } from '../tunnel/keepalive.ts';
import { type Layer, type LayerSink, MAX_RESERVE } from '../tunnel/layer.ts';
import type { PathNotice } from '../tunnel/machine.ts';
import { type Millis, type Packet, packetBytes } from '../tunnel/packet.ts';
import { SourceFilter } from '../tunnel/source-filter.ts';
import type { PacketException, TrafficDescription } from '../tunnel/traffic.ts';
import type { Cidr } from '../wire/ip-address.ts';
import type { EspAssociations } from './associations.ts';
import { espCapacity, NEXT_HEADER } from './packet.ts';

export interface EspPayload {
  readonly bytes: Uint8Array;
  readonly nextHeader: number;
}

/** The longest payload whose datagram a sink has room for, whatever the MAC. */
const MAX_PAYLOAD = espCapacity(MAX_RESERVE, 'sha256');

/** Whether a packet goes by ESP, as long as it is short enough. */
export function goesByEsp(
  { buffer, start, end }: Packet,
  { tunnelMtu, families }: Pick<EspChannelOptions, 'tunnelMtu' | 'families'>,
): boolean {
  const family = (buffer[start] ?? 0) >>> 4 === 4 ? 4 : 6;
  return end - start <= Math.min(tunnelMtu, MAX_PAYLOAD) && families?.includes(family) !== false;
}

/** What a vendor's ends ask and answer. */
export interface EspProbe {
  /** @param number from 1 */
  request(number: number): EspPayload;
  /** What came: `data` is the device's; an answer; or a request, with what it is answered. The bytes are lent. */
  read(payload: EspPayload): 'data' | 'answer' | { readonly answer: EspPayload };
  /** How those look that are IP packets themselves, where the packet engine carries the flow: it leaves such packets to us, both ways. */
  readonly exceptions?: readonly PacketException[];
}

export interface EspChannelOptions {
  readonly associations: EspAssociations;
  readonly probe: EspProbe;
  /** How many probes leave at once in the beginning. 0: the gateway, which waits for the client. */
  readonly firstProbes: number;
  /** Silence after which the peer is asked. 0: it is not, as it asks itself. */
  readonly dpd: Millis;
  readonly tunnelMtu: number;
  /** Of the packets that we send by ESP; others are the stream's. Default: both. */
  readonly families?: readonly (4 | 6)[];
  /** Where the peer's packets may come from. Default: from anywhere. */
  readonly innerSources?: readonly Cidr[];
  /** Packets that the peer has compressed are taken: Network Connect's gateways send such (spec 6). Default: they are dropped. */
  readonly takesLzo?: boolean;
}

export type EspChannelState = { readonly name: 'probing' } | { readonly name: 'up' } | { readonly name: 'dead' };

export class EspChannel implements Layer<EspChannelState> {
  /** What was dropped: forged, seen before, from elsewhere, or nothing that we know. */
  dropped = 0;
  readonly #options: EspChannelOptions;
  #keepalive: Keepalive;
  readonly #filter: SourceFilter | undefined;
  readonly #decompressed: DecompressedPacket | undefined;
  #state: EspChannelState = { name: 'probing' };
  #hasStarted = false;
  /** {@link EspAssociations.changes} of the keys that the engine has; undefined: it has none. */
  #handedOver: number | undefined;

  /** `now`: when the flow was opened. */
  constructor(options: EspChannelOptions, now: Millis) {
    this.#options = options;
    this.#keepalive = new Keepalive({ dpd: options.dpd }, now);
    this.#filter = options.innerSources && new SourceFilter(options.innerSources);
    this.#decompressed = options.takesLzo === true ? new DecompressedPacket() : undefined;
  }

  get state(): EspChannelState {
    return this.#state;
  }

  /** The engine seals and opens. */
  get isHandedOver(): boolean {
    return this.#handedOver !== undefined;
  }

  /** No number is left under these keys. */
  get needsKeys(): boolean {
    return this.#options.associations.sender.isUsedUp;
  }

  /** Whether it was authentic. */
  receive(datagram: Uint8Array, now: Millis, out: LayerSink): boolean {
    if (this.isHandedOver) {
      this.#openedByEngine(datagram, now, out);
      return true;
    }
    const opened = this.#options.associations.open(datagram, now);
    if (opened === undefined) this.dropped++;
    else this.#take({ bytes: opened.payload, nextHeader: opened.nextHeader }, now, out);
    return opened !== undefined;
  }

  send(packet: Packet, now: Millis, out: LayerSink): void {
    const bytes = packetBytes(packet);
    if (bytes.length > this.#tunnelMtu) this.dropped++;
    else this.#seal({ bytes, nextHeader: (bytes[0] ?? 0) >>> 4 === 4 ? NEXT_HEADER.ipv4 : NEXT_HEADER.ipv6 }, now, out);
  }

  notice(notice: PathNotice): void {
    if (notice.type !== 'carried' || this.#state.name !== 'up') return;
    this.#keepalive.heard(notice.heardAt);
    this.#keepalive.sent(notice.sentAt);
  }

  nextTimeout(): Millis | undefined {
    if (this.#state.name === 'dead') return undefined;
    if (!this.#hasStarted) return 0;
    const due = Math.min(this.#keepalive.nextTimeout() ?? Number.POSITIVE_INFINITY, this.keysOverAt ?? Number.POSITIVE_INFINITY);
    return due === Number.POSITIVE_INFINITY ? undefined : due;
  }

  /** When the engine is to be told that the keys before are over; without it they are over all the same. */
  get keysOverAt(): Millis | undefined {
    return this.isHandedOver ? this.#options.associations.oldUntil : undefined;
  }

  handleTimeout(now: Millis, out: LayerSink): void {
    this.#options.associations.expire(now);
    if (!this.#hasStarted) {
      this.#hasStarted = true;
      this.probe(now, out);
    }
    const due = this.#keepalive.nextTimeout();
    if (due === undefined || now < due) return;
    const action = this.#keepalive.handleTimeout(now);
    if (action === 'dead') this.#state = { name: 'dead' };
    else if (action === 'send-dpd') this.#seal(this.#options.probe.request(1), now, out);
  }

  /** The probes of the beginning, once more. */
  probe(now: Millis, out: LayerSink): void {
    for (let number = 1; number <= this.#options.firstProbes; number++) this.#seal(this.#options.probe.request(number), now, out);
  }

  /** Nothing is said: ESP has no goodbye. */
  close(): void {
    this.#state = { name: 'dead' };
  }

  /** Probes again, as in the beginning: on another flow, under the same keys. */
  restart(now: Millis): void {
    this.#state = { name: 'probing' };
    this.#keepalive = new Keepalive({ dpd: this.#options.dpd }, now);
    this.#hasStarted = false;
  }

  /**
   * For the packet engine, once up, after each change of keys, and when those before are over: the flow's data from now on. It brings what is no data to {@link receive} with the next
   * header in front. Undefined: it knows.
   */
  handOver(now: Millis): TrafficDescription | undefined {
    const { associations, innerSources, families, probe } = this.#options;
    associations.expire(now);
    if (this.#handedOver === associations.changes || (this.#state.name !== 'up' && !this.isHandedOver)) return undefined;
    this.#handedOver = associations.changes;
    return {
      ...associations.handOver({ families, exceptions: probe.exceptions }),
      ...{ tunnelMtu: this.#tunnelMtu, ...(innerSources !== undefined && { innerSources }) },
    };
  }

  get #tunnelMtu(): number {
    return Math.min(this.#options.tunnelMtu, MAX_PAYLOAD);
  }

  #openedByEngine(record: Uint8Array, now: Millis, out: LayerSink): void {
    if (record.length > 1) this.#take({ bytes: record.subarray(1), nextHeader: record[0] ?? 0 }, now, out);
    else this.dropped++;
  }

  #take(payload: EspPayload, now: Millis, out: LayerSink): void {
    const { probe, firstProbes } = this.#options;
    this.#keepalive.heard(now);
    const meaning = probe.read(payload);
    if (this.#state.name === 'probing' && (meaning === 'answer' || firstProbes === 0)) this.#state = { name: 'up' };
    if (meaning === 'answer') return;
    if (meaning !== 'data') this.#seal(meaning.answer, now, out);
    else this.#deliver(payload, out);
  }

  /** Spec 3, steps 10 to 12. */
  #deliver({ bytes, nextHeader }: EspPayload, out: LayerSink): void {
    const packet = nextHeader === NEXT_HEADER.lzo ? this.#decompress(bytes) : { buffer: bytes, start: 0, end: bytes.length };
    const { buffer, start, end } = packet;
    const family = nextHeader === NEXT_HEADER.lzo ? NEXT_HEADER.ipv4 : nextHeader;
    const isOfItsKind = family === ((buffer[start] ?? 0) >>> 4 === 4 ? NEXT_HEADER.ipv4 : NEXT_HEADER.ipv6);
    if (isOfItsKind && isIpPacket(buffer, start, end) && this.#filter?.allows(packet) !== false) out.packet(packet);
    else this.dropped++;
  }

  /** Empty where it cannot be, or shall not. */
  #decompress(block: Uint8Array): Packet {
    const room = this.#decompressed;
    return room?.filled(Math.max(decodeLzo(block, room.room), 0)) ?? { buffer: block, start: 0, end: 0 };
  }

  #seal({ bytes, nextHeader }: EspPayload, now: Millis, out: LayerSink): void {
    if (bytes.length > MAX_PAYLOAD) {
      this.dropped++; // an answer is as long as what is asked, which a peer may make as long as UDP holds
      return;
    }
    this.#keepalive.sent(now);
    if (this.isHandedOver) {
      const room = out.reserve(bytes.length + 1);
      room[0] = nextHeader;
      room.set(bytes, 1);
      out.commit(bytes.length + 1);
      return;
    }
    const { sender } = this.#options.associations;
    if (sender.isUsedUp) {
      this.dropped++;
      return;
    }
    out.commit(sender.seal(bytes, nextHeader, out.reserve(sender.lengthFor(bytes.length))));
  }
}
