/**
 * The frames of a carried stream, as its description has them: headers written, and whole frames found, in place.
 *
 *   +--------------------------+----------
 *   | header with the length   | payload…      the header is the description's template but for the length and the byte that tells data
 *   +--------------------------+----------
 */
import { MisuseError } from '../../core/errors.ts';
import { isIpPacket } from '../../core/tunnel/inner-packet.ts';
import type { SourceFilter } from '../../core/tunnel/source-filter.ts';
import type { StreamTraffic } from '../../core/tunnel/traffic.ts';
import { MAX_INNER_SOURCES, sourceFilterOf } from './carried-packets.ts';

/** Limits of what a description may ask for. */
export const MAX_STREAM_HEADER = 32;
/** RFC 8446 §5.1: what one record holds. */
export const MAX_FRAME: number = 16_384 + MAX_STREAM_HEADER;

/** What {@link StreamFrames.measure} answers instead of a length. */
export const NOT_A_FRAME = { cutShort: 0, garbage: -1 } as const;

export class StreamFrames {
  readonly tunnelMtu: number;
  readonly headerLength: number;
  /** Where the peer's packets may come from; undefined: from anywhere. */
  readonly sources: SourceFilter | undefined;
  // The description's own fields, so that the code for each frame sees one shape of object only, whoever made the description.
  readonly #header: Uint8Array;
  readonly #lengthOffset: number;
  readonly #lengthEnd: number;
  readonly #dataOffset: number;
  readonly #dataValue: number;
  readonly #maxPayload: number;

  /** @throws MisuseError if the description is not one that this engine can carry */
  constructor(description: StreamTraffic) {
    checkDescription(description);
    const { header, isData, maxPayload, tunnelMtu } = description;
    this.tunnelMtu = tunnelMtu;
    this.headerLength = header.bytes.length;
    this.sources = sourceFilterOf(description.innerSources);
    this.#header = Uint8Array.from(header.bytes);
    this.#lengthOffset = header.length.offset;
    this.#lengthEnd = header.length.offset + header.length.width;
    this.#dataOffset = isData.offset;
    this.#dataValue = isData.value;
    this.#maxPayload = maxPayload;
  }

  /** Puts the header of a data frame in front of its payload. */
  writeHeader(bytes: Uint8Array, payload: number, length: number): void {
    const at = payload - this.headerLength;
    for (let i = 0; i < this.headerLength; i++) bytes[at + i] = this.#header[i] ?? 0;
    bytes[at + this.#dataOffset] = this.#dataValue;
    for (let i = this.#lengthEnd - 1, left = length; i >= this.#lengthOffset; i--, left >>>= 8) bytes[at + i] = left;
  }

  /** Length of the whole frame that starts at `at`, if all of it is there; else one of {@link NOT_A_FRAME}. */
  measure(bytes: Uint8Array, at: number, available: number): number {
    const known = Math.min(available, this.headerLength);
    let length = 0;
    for (let i = 0; i < known; i++) {
      const byte = bytes[at + i] ?? 0;
      if (i >= this.#lengthOffset && i < this.#lengthEnd) length = length * 256 + byte;
      else if (byte !== this.#header[i] && i !== this.#dataOffset) return NOT_A_FRAME.garbage;
    }
    if (known < this.headerLength) return NOT_A_FRAME.cutShort;
    if (length > this.#maxPayload) return NOT_A_FRAME.garbage;
    return available < this.headerLength + length ? NOT_A_FRAME.cutShort : this.headerLength + length;
  }

  /** Whether a whole frame is the device's: its payload is an IP packet. Other data is the machine's to count. */
  isData(bytes: Uint8Array, at: number, length: number): boolean {
    return bytes[at + this.#dataOffset] === this.#dataValue && isIpPacket(bytes, at + this.headerLength, at + length);
  }
}

function checkDescription({ header, isData, maxPayload, tunnelMtu, received, innerSources = [] }: StreamTraffic): void {
  const { bytes, length } = header;
  const must = (holds: boolean, what: string): void => {
    if (!holds) throw new MisuseError(`traffic description: ${what}`);
  };
  const isInHeader = (offset: number, width: number) => Number.isInteger(offset) && offset >= 0 && offset + width <= bytes.length;
  must(bytes.length <= MAX_STREAM_HEADER, `header of ${bytes.length} bytes; at most ${MAX_STREAM_HEADER}`);
  must(length.width === 2 || length.width === 4, `length of ${length.width} bytes`);
  must(isInHeader(length.offset, length.width), `length at ${length.offset}`);
  must(isInHeader(isData.offset, 1), `data mark at ${isData.offset}`);
  must(maxPayload > 0 && maxPayload <= MAX_FRAME - bytes.length, `payloads of up to ${maxPayload} bytes`);
  must(received.length <= MAX_FRAME, `${received.length} bytes that came before`);
  must(innerSources.length <= MAX_INNER_SOURCES, `${innerSources.length} networks that packets may come from`);
  must(Number.isInteger(tunnelMtu) && tunnelMtu >= 0 && tunnelMtu <= maxPayload, `tunnel MTU ${tunnelMtu}`);
}
