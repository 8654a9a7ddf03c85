/** The frames of a carried stream, as its description has them (`packet-frames.ts`), and what may be in them. */
import { MisuseError } from '../../core/errors.ts';
import { isIpPacket } from '../../core/tunnel/inner-packet.ts';
import type { SourceFilter } from '../../core/tunnel/source-filter.ts';
import type { StreamTraffic } from '../../core/tunnel/traffic.ts';
import { MAX_INNER_SOURCES, sourceFilterOf } from './carried-packets.ts';
import { MAX_HEADER_LENGTH, NO_PACKET, PacketFrames } from './packet-frames.ts';

/** RFC 8446 §5.1: what one record holds. */
export const MAX_FRAME: number = 16_384 + MAX_HEADER_LENGTH;

export class StreamFrames {
  readonly tunnelMtu: number;
  /** Bytes in front of a packet that is sent. */
  readonly headerLength: number;
  /** Where the peer's packets may come from; undefined: from anywhere. */
  readonly sources: SourceFilter | undefined;
  readonly #frames: PacketFrames;
  readonly #maxPayload: number;

  /** @throws MisuseError if the description is not one that this engine can carry */
  constructor(description: StreamTraffic) {
    checkDescription(description);
    this.tunnelMtu = description.tunnelMtu;
    this.sources = sourceFilterOf(description.innerSources);
    this.#frames = new PacketFrames(description.framing);
    this.headerLength = this.#frames.sentLength;
    this.#maxPayload = description.maxPayload;
  }

  /** Puts the header of a data frame in front of a packet. False: packets of its family are not sent. */
  writeHeader(bytes: Uint8Array, packet: number, length: number): boolean {
    return this.#frames.writeHeader(bytes, packet, length);
  }

  /** Length of the whole frame that starts at `at`, if all of it is there; else one of {@link NOT_A_FRAME}. */
  measure(bytes: Uint8Array, at: number, available: number): number {
    return this.#frames.measure(bytes, at, available, this.#maxPayload);
  }

  /** Where in a whole frame its IP packet begins, which is the device's. {@link NO_PACKET}: all others are the machine's, to answer or to count. */
  packetOffset(bytes: Uint8Array, at: number, length: number): number {
    const offset = this.#frames.packetOffset(bytes, at, at + length);
    return offset !== NO_PACKET && isIpPacket(bytes, at + offset, at + length) ? offset : NO_PACKET;
  }
}

function checkDescription({ framing, maxPayload, tunnelMtu, received, innerSources = [] }: StreamTraffic): void {
  const header = framing.frame.bytes.length;
  const must = (holds: boolean, what: string): void => {
    if (!holds) throw new MisuseError(`traffic description: ${what}`);
  };
  must(header > 0, 'a stream without frames');
  must(maxPayload > 0 && maxPayload <= MAX_FRAME - header, `payloads of up to ${maxPayload} bytes`);
  must(received.length <= MAX_FRAME, `${received.length} bytes that came before`);
  must(innerSources.length <= MAX_INNER_SOURCES, `${innerSources.length} networks that packets may come from`);
  must(Number.isInteger(tunnelMtu) && tunnelMtu >= 0 && tunnelMtu <= maxPayload, `tunnel MTU ${tunnelMtu}`);
}
