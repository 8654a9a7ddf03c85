/**
 * What client and gateway do alike with the stream of a tunnel: packets in KMP messages in oNCP records, both ways.
 *
 * Read first: spec "Juniper NC", sections 5.2, 6.6 and 9.
 *
 *   bytes ─► record ─┬─ the first: the owner's, as far as it wants
 *                    ├─ ending: why the session is over
 *                    └─ message ─┬─ 300: its packets, one by one
 *                                └─ others: the owner's
 */
import { PeerMisbehavedError, PeerRefusedError, SallyportError } from '../../errors.ts';
import { isIpPacket } from '../../tunnel/inner-packet.ts';
import type { LayerSink } from '../../tunnel/layer.ts';
import type { CloseReason } from '../../tunnel/machine.ts';
import type { Packet } from '../../tunnel/packet.ts';
import type { StreamTraffic } from '../../tunnel/traffic.ts';
import type { Cidr } from '../../wire/ip-address.ts';
import { KMP_HEADER_LENGTH, KMP_TYPES, type KmpSide, MESSAGES, typeAt, writeKmpHeader } from './kmp-message.ts';
import { isEnding, RECORD_HEADER_LENGTH, RECORDS } from './oncp-record.ts';
import { streamTraffic } from './stream-traffic.ts';
import { UnitReader } from './unit-reader.ts';

/** Bytes of a packet that are sent: what the other side's buffer takes (spec 5.2). */
const MAX_PACKET = 16_384 - RECORD_HEADER_LENGTH - KMP_HEADER_LENGTH;

const NO_BYTES = new Uint8Array(0);

export interface OncpChannelOptions {
  readonly side: KmpSide;
  /** Looks at the content of the first record; how much of it is no message. May throw {@link SallyportError}. */
  readonly greeted: (content: Uint8Array, out: LayerSink) => number;
  /** A message that is no data. May throw {@link SallyportError}. */
  readonly told: (type: number, payload: Uint8Array) => void;
  /** What an ending means. */
  readonly ending: (reason: number) => CloseReason;
  /** Default: everybody's packets. */
  readonly admits?: (packet: Packet) => boolean;
}

export class OncpChannel {
  readonly #options: OncpChannelOptions;
  readonly #records = new UnitReader(RECORDS, (bytes, start, end) => this.#record(bytes, start, end));
  readonly #messages = new UnitReader(MESSAGES, (bytes, start, end) => this.#message(bytes, start, end));
  readonly #packet: { buffer: Uint8Array; start: number; end: number } = { buffer: NO_BYTES, start: 0, end: 0 };
  #isGreeted = false;
  #ended: CloseReason | undefined;
  /** Where what comes goes, while something comes. */
  #out: LayerSink | undefined;
  /** Packets that were none, that were not admitted, or that no record holds. */
  dropped = 0;

  constructor(options: OncpChannelOptions) {
    this.#options = options;
  }

  /** Why the peer, or its bytes, ended the session; undefined while it goes on. */
  get ended(): CloseReason | undefined {
    return this.#ended;
  }

  receive(bytes: Uint8Array, out: LayerSink): void {
    if (this.#ended !== undefined) return;
    this.#out = out;
    try {
      this.#records.push(bytes);
    } catch (error) {
      if (!(error instanceof SallyportError)) throw error;
      this.#ended = { kind: error instanceof PeerRefusedError ? 'refused' : 'misbehaved', message: error.message, error };
    } finally {
      this.#out = undefined;
    }
  }

  /**
   * For the packet engine: the stream's packets from now on. It brings what is no packet to {@link receive}, whole records or everything from there on.
   * Undefined: a message is cut in the middle, which it cannot say.
   */
  handOver(tunnelMtu: number, innerSources?: readonly Cidr[]): StreamTraffic | undefined {
    if (!this.#messages.isEmpty) return undefined;
    const traffic = streamTraffic(this.#options.side, tunnelMtu, this.#records.takePartial());
    return { ...traffic, ...(innerSources !== undefined && { innerSources }) };
  }

  /** One packet, one message, one record (spec 5.2). */
  send({ buffer, start, end }: Packet, out: LayerSink): void {
    const length = end - start;
    if (length > MAX_PACKET || (buffer[start] ?? 0) >>> 4 !== 4) {
      this.dropped++;
      return;
    }
    const content = KMP_HEADER_LENGTH + length;
    const room = out.reserve(RECORD_HEADER_LENGTH + content);
    room[0] = content & 0xff;
    room[1] = content >>> 8;
    writeKmpHeader(room, RECORD_HEADER_LENGTH, this.#options.side, KMP_TYPES.data, length);
    room.set(buffer.subarray(start, end), RECORD_HEADER_LENGTH + KMP_HEADER_LENGTH);
    out.commit(RECORD_HEADER_LENGTH + content);
  }

  #record(bytes: Uint8Array, start: number, end: number): boolean {
    if (isEnding(bytes, start)) {
      this.#ended = this.#options.ending(bytes[end - 1] ?? 0);
      return false;
    }
    let at = start + RECORD_HEADER_LENGTH;
    if (!this.#isGreeted) {
      this.#isGreeted = true;
      at += this.#options.greeted(bytes.subarray(at, end), this.#sink);
    }
    return this.#messages.push(bytes, at, end);
  }

  #message(bytes: Uint8Array, start: number, end: number): boolean {
    const type = typeAt(bytes, start);
    if (type === undefined) throw new PeerMisbehavedError('a KMP message does not begin as they do');
    const from = start + KMP_HEADER_LENGTH;
    if (type === KMP_TYPES.data) {
      this.#packets(bytes, from, end);
      return true;
    }
    this.#options.told(type, bytes.subarray(from, end));
    return true;
  }

  /** A message holds several, one behind the other, each of which says how long it is. */
  #packets(bytes: Uint8Array, start: number, end: number): void {
    const { admits } = this.#options;
    const packet = this.#packet;
    let at = start;
    while (at < end) {
      const length = ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0);
      if ((bytes[at] ?? 0) >>> 4 !== 4 || !isIpPacket(bytes, at, end)) {
        this.dropped++; // nobody knows where the next one would begin
        break;
      }
      packet.buffer = bytes;
      packet.start = at;
      packet.end = at + length;
      if (admits === undefined || admits(packet)) this.#sink.packet(packet);
      else this.dropped++;
      at += length;
    }
    packet.buffer = NO_BYTES;
  }

  get #sink(): LayerSink {
    return this.#out as LayerSink; // set while something comes
  }
}
