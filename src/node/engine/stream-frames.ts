/** The frames of a carried stream, as its description has them (`packet-frames.ts`), and what may be in them. */
import { MisuseError } from '../../core/errors.ts';
import { ipPacketLength, isIpPacket, NO_LENGTH } from '../../core/tunnel/inner-packet.ts';
import type { SourceFilter } from '../../core/tunnel/source-filter.ts';
import type { StreamTraffic } from '../../core/tunnel/traffic.ts';
import { MAX_INNER_SOURCES, sourceFilterOf } from './carried-packets.ts';
import { checkStreamFraming, MAX_HEADER_LENGTH } from './check-framing.ts';
import { NO_PACKET, NOT_A_FRAME, PacketFrames } from './packet-frames.ts';

/** RFC 8446 §5.1: what one record holds. */
export const MAX_FRAME: number = 16_384 + MAX_HEADER_LENGTH;

/** Packets of one frame that go past the machine: of frames with more than that it takes all. */
const MAX_PACKETS = 256;

export class StreamFrames {
  readonly tunnelMtu: number;
  /** Bytes in front of a packet that is sent. */
  readonly headerLength: number;
  /** Where the peer's packets may come from; undefined: from anywhere. */
  readonly sources: SourceFilter | undefined;
  readonly #frames: PacketFrames;
  readonly #holdsSeveral: boolean;
  readonly #maxPayload: number;
  /** Where the packets of a frame begin and are over: see {@link findPackets}. */
  readonly #starts: Int32Array;
  readonly #ends: Int32Array;
  #found = 0;

  /**
   * @param previous the description that this one replaces, in the middle of a stream
   * @throws MisuseError if the description is not one that this engine can carry
   */
  constructor(description: StreamTraffic, previous?: StreamFrames) {
    checkDescription(description);
    const { framing } = description;
    this.tunnelMtu = description.tunnelMtu;
    this.sources = sourceFilterOf(description.innerSources);
    this.#frames = new PacketFrames(framing, framing.repeatedFrom, previous === undefined ? undefined : previous.#frames);
    this.#holdsSeveral = framing.holdsSeveral === true;
    this.headerLength = this.#frames.sentLength;
    this.#maxPayload = description.maxPayload;
    const most = this.#holdsSeveral || framing.repeatedFrom !== undefined ? MAX_PACKETS : 1;
    this.#starts = new Int32Array(most);
    this.#ends = new Int32Array(most);
  }

  /** Puts the header of a data frame in front of a packet. False: it is not the engine's to send. */
  writeHeader(bytes: Uint8Array, packet: number, length: number): boolean {
    return this.#frames.writeHeader(bytes, packet, length);
  }

  /** Length of the whole frame that starts at `at`, if all of it is there; else one of {@link NOT_A_FRAME}. */
  measure(bytes: Uint8Array, at: number, available: number): number {
    if (this.#frames.frameLength > 0) return this.#frames.measure(bytes, at, available, this.#maxPayload);
    const length = ipPacketLength(bytes, at, at + available);
    if (length === NO_LENGTH.none || length > this.#maxPayload) return NOT_A_FRAME.garbage;
    return length === NO_LENGTH.cutShort || length > available ? NOT_A_FRAME.cutShort : length;
  }

  /** Finds the packets of a whole frame, which are the device's, and says how many. 0: all of it is the machine's, to answer or to count. */
  findPackets(bytes: Uint8Array, at: number, length: number): number {
    const frames = this.#frames;
    const end = at + length;
    this.#found = 0;
    if (frames.isCut) return 0;
    for (let header = at, partEnd = at; partEnd < end; header = partEnd - frames.repeatedFrom) {
      partEnd = frames.partEnd(bytes, header, end);
      const offset = frames.packetOffset(bytes, header, partEnd);
      if (offset === NO_PACKET || !this.#takePart(bytes, header + offset, partEnd)) return 0;
    }
    return this.#found;
  }

  packetStart(index: number): number {
    return this.#starts[index] ?? 0;
  }
  packetEnd(index: number): number {
    return this.#ends[index] ?? 0;
  }

  /** False: not all from `start` to `end` is packets, or there is no room for so many. */
  #takePart(bytes: Uint8Array, start: number, end: number): boolean {
    if (!this.#holdsSeveral) return isIpPacket(bytes, start, end) && this.#take(start, end);
    const family = (bytes[start] ?? 0) >>> 4;
    for (let at = start, next = start; at < end; at = next) {
      next = at + ipPacketLength(bytes, at, end);
      const isPacket = next > at && next <= end && (bytes[at] ?? 0) >>> 4 === family;
      if (!isPacket || this.#frames.isException(bytes, at, next) || !this.#take(at, next)) return false;
    }
    return true;
  }

  #take(start: number, end: number): boolean {
    if (this.#found === this.#starts.length) return false;
    this.#starts[this.#found] = start;
    this.#ends[this.#found] = end;
    this.#found++;
    return true;
  }
}

function checkDescription({ framing, maxPayload, tunnelMtu, received, innerSources = [] }: StreamTraffic): void {
  const header = framing.frame.bytes.length;
  const must = (holds: boolean, what: string): void => {
    if (!holds) throw new MisuseError(`traffic description: ${what}`);
  };
  checkStreamFraming(framing);
  must(maxPayload > 0 && maxPayload <= MAX_FRAME - header, `payloads of up to ${maxPayload} bytes`);
  must(received.length <= MAX_FRAME, `${received.length} bytes that came before`);
  must(innerSources.length <= MAX_INNER_SOURCES, `${innerSources.length} networks that packets may come from`);
  must(Number.isInteger(tunnelMtu) && tunnelMtu >= 0 && tunnelMtu <= maxPayload, `tunnel MTU ${tunnelMtu}`);
}
