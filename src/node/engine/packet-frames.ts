/**
 * How IP packets stand in records and streams, as a description has it: headers written in front of packets, whole frames measured, and packets found in
 * them, in place.
 *
 *   +--------------+------+-----------
 *   | frame header | sent | IP packet…      the frame header is the description's, but for lengths and marks that lie in it
 *   +--------------+------+-----------
 */
import { MisuseError } from '../../core/errors.ts';
import type { LengthField, PacketFraming } from '../../core/tunnel/traffic.ts';

/** Limits of what a description may ask for. */
export const MAX_HEADER_LENGTH = 32;
const MAX_LENGTH_FIELDS = 4;
const MAX_MARKS = 16;

/** What {@link PacketFrames.measure} answers instead of a length. */
export const NOT_A_FRAME = { cutShort: 0, garbage: -1 } as const;

/** What {@link PacketFrames.packetOffset} answers for what is not data. */
export const NO_PACKET = -1;

const NOTHING = new Uint8Array(0);

export class PacketFrames {
  /** Bytes in front of a packet that is sent. */
  readonly sentLength: number;
  /** Of the frame header alone. */
  readonly #frameLength: number;
  // The description's own fields, so that the code for each packet sees one shape of object only, whoever made the description.
  readonly #ipv4: Uint8Array;
  readonly #ipv6: Uint8Array;
  readonly #hasIpv4: boolean;
  readonly #hasIpv6: boolean;
  readonly #fields: readonly LengthField[];
  /** Of a frame header: 1 for bytes that are always the same. */
  readonly #isFixed: Uint8Array;
  readonly #frame: Uint8Array;
  readonly #markOffset: number;
  readonly #marks: readonly Uint8Array[];

  /** @throws MisuseError if the description is not one that this engine can carry */
  constructor({ frame, sent, isData }: PacketFraming) {
    checkFraming({ frame, sent, isData });
    this.#frame = Uint8Array.from(frame.bytes);
    this.#frameLength = frame.bytes.length;
    this.#hasIpv4 = sent.ipv4 !== undefined;
    this.#hasIpv6 = sent.ipv6 !== undefined;
    this.#ipv4 = Uint8Array.from([...frame.bytes, ...(sent.ipv4 ?? NOTHING)]);
    this.#ipv6 = Uint8Array.from([...frame.bytes, ...(sent.ipv6 ?? NOTHING)]);
    this.sentLength = Math.max(this.#ipv4.length, this.#ipv6.length);
    this.#fields = frame.lengths.map(({ offset, width, add }) => ({ offset, width, add }));
    const marksLength = isData.values[0]?.length ?? 0;
    this.#isFixed = this.#frame.map((_, i) => {
      const isLength = frame.lengths.some(({ offset, width }) => i >= offset && i < offset + width);
      return isLength || (i >= isData.offset && i < isData.offset + marksLength) ? 0 : 1;
    });
    this.#markOffset = isData.offset;
    this.#marks = isData.values.map((value) => Uint8Array.from(value));
  }

  /** Puts in front of a packet what belongs there. False: packets of its family are not sent. */
  writeHeader(bytes: Uint8Array, packet: number, length: number): boolean {
    const isIpv6 = (bytes[packet] ?? 0) >>> 4 === 6;
    if (isIpv6 ? !this.#hasIpv6 : !this.#hasIpv4) return false;
    const header = isIpv6 ? this.#ipv6 : this.#ipv4;
    const at = packet - this.sentLength;
    for (let i = 0; i < header.length; i++) bytes[at + i] = header[i] ?? 0;
    const following = header.length - this.#frameLength + length;
    for (const { offset, width, add } of this.#fields) {
      for (let i = at + offset + width - 1, left = following + add; i >= at + offset; i--, left >>>= 8) bytes[i] = left;
    }
    return true;
  }

  /** Length of the whole frame that starts at `at`, if all of it is there and at most `most` follow its header; else one of {@link NOT_A_FRAME}. */
  measure(bytes: Uint8Array, at: number, available: number, most: number): number {
    const known = Math.min(available, this.#frameLength);
    for (let i = 0; i < known; i++) {
      if (this.#isFixed[i] === 1 && bytes[at + i] !== this.#frame[i]) return NOT_A_FRAME.garbage;
    }
    if (known < this.#frameLength) return NOT_A_FRAME.cutShort;
    let following = -1;
    for (const { offset, width, add } of this.#fields) {
      let length = -add;
      for (let i = 0, unit = 256 ** (width - 1); i < width; i++, unit /= 256) length += (bytes[at + offset + i] ?? 0) * unit;
      if (length < 0 || length > most || (following >= 0 && following !== length)) return NOT_A_FRAME.garbage;
      following = length;
    }
    const whole = this.#frameLength + following;
    return available < whole ? NOT_A_FRAME.cutShort : whole;
  }

  /** Where in the frame from `at` to `end` an IP packet begins; {@link NO_PACKET} if it is not data, or nothing follows the mark. */
  packetOffset(bytes: Uint8Array, at: number, end: number): number {
    const mark = at + this.#markOffset;
    for (const value of this.#marks) {
      if (!hasMark(bytes, mark, value)) continue;
      const packet = Math.max(this.#frameLength, this.#markOffset + value.length);
      return at + packet < end ? packet : NO_PACKET;
    }
    return NO_PACKET;
  }

  /** The same for a record that is one frame, or none. */
  packetOffsetInRecord(bytes: Uint8Array, at: number, end: number): number {
    if (this.#frameLength > 0 && this.measure(bytes, at, end - at, end - at) !== end - at) return NO_PACKET;
    return this.packetOffset(bytes, at, end);
  }
}

function hasMark(bytes: Uint8Array, at: number, value: Uint8Array): boolean {
  for (let i = 0; i < value.length; i++) if (bytes[at + i] !== value[i]) return false;
  return true;
}

function checkFraming({ frame, sent, isData }: PacketFraming): void {
  const must = (holds: boolean, what: string): void => {
    if (!holds) throw new MisuseError(`traffic description: ${what}`);
  };
  const { bytes, lengths } = frame;
  const isNatural = (value: number) => Number.isInteger(value) && value >= 0;
  const families = [sent.ipv4, sent.ipv6].filter((header) => header !== undefined);
  must(families.length > 0, 'no family is sent');
  for (const header of families) {
    must(header.length === families[0]?.length, 'the headers of the families differ in length');
    must(
      bytes.length + header.length <= MAX_HEADER_LENGTH,
      `header of ${bytes.length + header.length} bytes; at most ${MAX_HEADER_LENGTH}`,
    );
  }
  must(lengths.length <= MAX_LENGTH_FIELDS, `${lengths.length} lengths in a header; at most ${MAX_LENGTH_FIELDS}`);
  must(bytes.length === 0 || lengths.length > 0, 'a frame header without a length');
  for (const { offset, width, add } of lengths) {
    must(width === 2 || width === 4, `length of ${width} bytes`);
    must(isNatural(offset) && offset + width <= bytes.length, `length at ${offset}`);
    must(isNatural(add) && add <= MAX_HEADER_LENGTH, `length that is ${add} more`);
  }
  const { offset, values } = isData;
  must(values.length > 0 && values.length <= MAX_MARKS, `${values.length} marks of data; 1 to ${MAX_MARKS} are possible`);
  must(isNatural(offset) && offset <= bytes.length, `data mark at ${offset}`);
  for (const value of values) must(value.length > 0 && offset + value.length <= MAX_HEADER_LENGTH, `data mark of ${value.length} bytes`);
  must(
    offset === bytes.length || values.every(({ length }) => length === values[0]?.length && offset + length <= bytes.length),
    'data marks across the header',
  );
  must(
    values.every((value, i) => values.every((other, k) => i === k || !beginsWith(other, value))),
    'a data mark begins with another',
  );
}

function beginsWith(bytes: Uint8Array, start: Uint8Array): boolean {
  return bytes.length >= start.length && start.every((byte, i) => bytes[i] === byte);
}
