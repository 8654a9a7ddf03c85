/**
 * How IP packets stand in records and streams, as a description has it: headers written in front of packets, whole frames measured, and packets found in
 * them, in place.
 *
 *   +--------------+------+-----------
 *   | frame header | sent | IP packet…      the frame header is the description's, but for lengths and marks that lie in it
 *   +--------------+------+-----------
 */
import type { DataMark, FrameHeader, LengthField, PacketException, PacketFraming } from '../../core/tunnel/traffic.ts';
import { checkFraming } from './check-framing.ts';
import { CutParts } from './cut-parts.ts';

/** What {@link PacketFrames.measure} answers instead of a length. */
export const NOT_A_FRAME = { cutShort: 0, garbage: -1 } as const;

/** What {@link PacketFrames.packetOffset} answers for what is not data. */
export const NO_PACKET = -1;

const NOTHING = new Uint8Array(0);

// The description's own fields, copied below so that the code for each packet sees one shape of object only, whoever made the description.
interface Length {
  readonly offset: number;
  readonly width: number;
  readonly add: number;
  /** Of the byte that counts least, and what is to be added to come to the next. */
  readonly first: number;
  readonly step: 1 | -1;
}

interface Mark {
  readonly bytes: Uint8Array;
  /** 0: any. */
  readonly family: number;
}

/** What stands in front of packets that are sent, with the lengths for one of so many bytes: most are as long as the one before. */
interface SentHeader {
  readonly bytes: Uint8Array;
  packetLength: number;
}

/** All bytes of an exception, with where they stand. */
interface Exception {
  readonly family: number;
  readonly offsets: readonly number[];
  readonly bytes: readonly number[];
}

export class PacketFrames {
  /** Bytes in front of a packet that is sent. */
  readonly sentLength: number;
  /** Of the frame header alone. */
  readonly frameLength: number;
  /** Where in it a part begins that comes again. Its length: none does. */
  readonly repeatedFrom: number;
  readonly #ipv4: SentHeader;
  readonly #ipv6: SentHeader;
  readonly #hasIpv4: boolean;
  readonly #hasIpv6: boolean;
  /** Those of all that follows the frame header, and those of a part that comes again. */
  readonly #lengths: readonly Length[];
  readonly #partLengths: readonly Length[];
  /** Of a frame header: 1 for bytes that are always the same. */
  readonly #isFixed: Uint8Array;
  readonly #frame: Uint8Array;
  readonly #markOffset: number;
  readonly #marks: readonly Mark[];
  readonly #exceptions: readonly Exception[];
  readonly #cut: CutParts;
  /** All that is looked at in front of a packet, as it was in the last record that had one; how long that was, and where its packet began. */
  readonly #lastHead: Uint8Array;
  #lastLength = -1;
  #lastOffset = 0;
  #lastFamily = 0;
  /** The frame that was measured last does not hold whole parts alone: all of it is the machine's. */
  isCut = false;

  /**
   * @param previous what it takes the place of, in the middle of a stream
   * @throws MisuseError if the description is not one that this engine can carry
   */
  constructor(framing: PacketFraming, repeatedFrom: number = framing.frame.bytes.length, previous?: PacketFrames) {
    checkFraming(framing);
    const { frame, sent, isData, exceptions = [] } = framing;
    this.#frame = Uint8Array.from(frame.bytes);
    this.frameLength = frame.bytes.length;
    this.#hasIpv4 = sent.ipv4 !== undefined;
    this.#hasIpv6 = sent.ipv6 !== undefined;
    this.#ipv4 = headerOf(frame, sent.ipv4 ?? NOTHING, sent.at);
    this.#ipv6 = headerOf(frame, sent.ipv6 ?? NOTHING, sent.at);
    this.sentLength = Math.max(this.#ipv4.bytes.length, this.#ipv6.bytes.length);
    this.repeatedFrom = repeatedFrom;
    const lengths = frame.lengths.map(lengthOf);
    this.#lengths = lengths.filter(({ offset }) => offset < repeatedFrom);
    this.#partLengths = lengths.filter(({ offset }) => offset >= repeatedFrom);
    this.#isFixed = fixedBytes(framing);
    this.#markOffset = isData.offset;
    this.#marks = isData.values.map(markOf);
    this.#exceptions = exceptions.map(exceptionOf);
    this.#lastHead = new Uint8Array(Math.max(this.frameLength, ...this.#marks.map(({ bytes }) => this.#markOffset + bytes.length)));
    this.#cut = previous === undefined ? new CutParts(repeatedFrom, frame.bytes.length) : previous.#cut;
  }

  /** Puts in front of a packet what belongs there. False: it is not the engine's to send. */
  writeHeader(bytes: Uint8Array, packet: number, length: number): boolean {
    const isIpv6 = (bytes[packet] ?? 0) >>> 4 === 6;
    if (isIpv6 ? !this.#hasIpv6 : !this.#hasIpv4) return false;
    if (this.isException(bytes, packet, packet + length)) return false;
    const header = isIpv6 ? this.#ipv6 : this.#ipv4;
    if (header.packetLength !== length) this.#setLengths(header, length);
    const at = packet - this.sentLength;
    for (let i = 0; i < header.bytes.length; i++) bytes[at + i] = header.bytes[i] ?? 0;
    return true;
  }

  #setLengths(header: SentHeader, length: number): void {
    const following = header.bytes.length - this.frameLength + length;
    for (const field of this.#lengths) writeLength(header.bytes, field, following);
    for (const field of this.#partLengths) writeLength(header.bytes, field, following);
    header.packetLength = length;
  }

  /** Length of the whole frame that starts at `at`, if all of it is there and at most `most` follow its header; else one of {@link NOT_A_FRAME}. */
  measure(bytes: Uint8Array, at: number, available: number, most: number): number {
    if (this.#partLengths.length > 0) return this.#measureParts(bytes, at, available, most);
    const known = Math.min(available, this.frameLength);
    if (!this.#isHeader(bytes, at, 0, known)) return NOT_A_FRAME.garbage;
    if (known < this.frameLength) return NOT_A_FRAME.cutShort;
    const following = readLengths(bytes, at, this.#lengths);
    if (following === NO_LENGTH || following > most) return NOT_A_FRAME.garbage;
    const whole = this.frameLength + following;
    return available < whole ? NOT_A_FRAME.cutShort : whole;
  }

  /**
   * Where in a frame that was measured, and is over at `end`, the part is over that belongs to the header at `header`. The next one's header would begin
   * {@link repeatedFrom} before that.
   */
  partEnd(bytes: Uint8Array, header: number, end: number): number {
    return this.#partLengths.length === 0 ? end : header + this.frameLength + readLengths(bytes, header, this.#partLengths);
  }

  /** Where in the frame from `at` to `end` an IP packet begins; {@link NO_PACKET} if it is not data, or nothing follows the mark. */
  packetOffset(bytes: Uint8Array, at: number, end: number): number {
    const mark = at + this.#markOffset;
    for (const { bytes: value, family } of this.#marks) {
      if (!hasMark(bytes, mark, value)) continue;
      const offset = Math.max(this.frameLength, this.#markOffset + value.length);
      const packet = at + offset;
      if (packet >= end) return NO_PACKET;
      if (family !== 0 && (bytes[packet] ?? 0) >>> 4 !== family) continue; // another mark is the same for the other family
      return this.isException(bytes, packet, end) ? NO_PACKET : offset;
    }
    return NO_PACKET;
  }

  /** The same for a record that is one frame, or none. */
  packetOffsetInRecord(bytes: Uint8Array, at: number, end: number): number {
    if (this.#isLikeLast(bytes, at, end)) return this.isException(bytes, at + this.#lastOffset, end) ? NO_PACKET : this.#lastOffset;
    if (this.frameLength > 0 && this.measure(bytes, at, end - at, end - at) !== end - at) return NO_PACKET;
    const offset = this.packetOffset(bytes, at, end);
    if (offset !== NO_PACKET) this.#noteLast(bytes, at, end, offset);
    return offset;
  }

  /** A record is as long as the last one in which a packet was found, and begins with the same bytes: all but exceptions is known then. */
  #isLikeLast(bytes: Uint8Array, at: number, end: number): boolean {
    const head = this.#lastHead;
    if (end - at !== this.#lastLength || (bytes[at + this.#lastOffset] ?? 0) >>> 4 !== this.#lastFamily) return false;
    for (let i = 0; i < head.length; i++) if (bytes[at + i] !== head[i]) return false;
    return true;
  }

  #noteLast(bytes: Uint8Array, at: number, end: number, offset: number): void {
    const head = this.#lastHead;
    if (head.length === 0 || end - at <= head.length || this.#partLengths.length > 0) return; // it is as quick to look, or depends on what came before
    for (let i = 0; i < head.length; i++) head[i] = bytes[at + i] ?? 0;
    this.#lastLength = end - at;
    this.#lastOffset = offset;
    this.#lastFamily = (bytes[at + offset] ?? 0) >>> 4;
  }

  /** Whether the packet from `packet` to `end` is the machine's, though it looks like data. */
  isException(bytes: Uint8Array, packet: number, end: number): boolean {
    for (const exception of this.#exceptions) if (isOf(exception, bytes, packet, end)) return true;
    return false;
  }

  /** The same where it says how long it is in front of the first part, of which there may be less than a header. */
  #measureParts(bytes: Uint8Array, at: number, available: number, most: number): number {
    const { frameLength, repeatedFrom } = this;
    const known = Math.min(available, repeatedFrom);
    if (!this.#isHeader(bytes, at, 0, known)) return NOT_A_FRAME.garbage;
    if (known < repeatedFrom) return NOT_A_FRAME.cutShort;
    const following = readLengths(bytes, at, this.#lengths, repeatedFrom + 1 - frameLength);
    if (following === NO_LENGTH || following > most) return NOT_A_FRAME.garbage;
    const whole = frameLength + following;
    const isNew = !this.#cut.isOpen;
    if (available < whole) {
      const isPossible = !isNew || this.#isHeader(bytes, at, repeatedFrom, Math.min(available, frameLength));
      return isPossible ? NOT_A_FRAME.cutShort : NOT_A_FRAME.garbage;
    }
    this.isCut = !isNew || !this.#isFilled(bytes, at, at + whole);
    if (!this.isCut) return whole;
    return this.#cut.follow(bytes, at + repeatedFrom, at + whole, this.#partLength) ? whole : NOT_A_FRAME.garbage;
  }

  /** For {@link CutParts.follow}. */
  readonly #partLength = (header: Uint8Array, known: number): number => {
    if (!this.#isHeader(header, 0, this.repeatedFrom, known)) return NO_LENGTH;
    return known < this.frameLength ? 0 : readLengths(header, 0, this.#partLengths);
  };

  /** The bytes from `from` to `to` of a frame header that begins at `at`, or would, are those of one. */
  #isHeader(bytes: Uint8Array, at: number, from: number, to: number): boolean {
    for (let i = from; i < to; i++) if (this.#isFixed[i] === 1 && bytes[at + i] !== this.#frame[i]) return false;
    return true;
  }

  /** The last part of a frame is over where the frame is. */
  #isFilled(bytes: Uint8Array, at: number, end: number): boolean {
    let partEnd = at + this.repeatedFrom;
    while (partEnd < end) {
      const header = partEnd - this.repeatedFrom;
      if (header + this.frameLength > end || !this.#isHeader(bytes, header, this.repeatedFrom, this.frameLength)) return false;
      const following = readLengths(bytes, header, this.#partLengths);
      if (following === NO_LENGTH) return false;
      partEnd = header + this.frameLength + following;
    }
    return partEnd === end;
  }
}

/** What stands in front of a packet of a family that is sent. */
function headerOf(frame: FrameHeader, mark: Uint8Array, at: number | undefined): SentHeader {
  const bytes = Uint8Array.from([...frame.bytes, ...(at === undefined ? mark : NOTHING)]);
  if (at !== undefined) bytes.set(mark, at);
  return { bytes, packetLength: -1 };
}

function lengthOf({ offset, width, add, isLittleEndian }: LengthField): Length {
  return isLittleEndian === true
    ? { offset, width, add, first: offset, step: 1 }
    : { offset, width, add, first: offset + width - 1, step: -1 };
}

function markOf({ bytes, family }: DataMark): Mark {
  return { bytes: Uint8Array.from(bytes), family: family ?? 0 };
}

function exceptionOf({ family, bytes }: PacketException): Exception {
  return {
    family,
    offsets: bytes.flatMap(({ offset, value }) => Array.from(value, (_, i) => offset + i)),
    bytes: bytes.flatMap(({ value }) => [...value]),
  };
}

function fixedBytes({ frame, sent, isData }: PacketFraming): Uint8Array {
  const isFixed = new Uint8Array(frame.bytes.length).fill(1);
  for (const { offset, width } of frame.lengths) isFixed.fill(0, offset, offset + width);
  for (const { offset, length } of frame.unread ?? []) isFixed.fill(0, offset, offset + length);
  isFixed.fill(0, isData.offset, isData.offset + (isData.values[0]?.bytes.length ?? 0));
  if (sent.at !== undefined) isFixed.fill(0, sent.at, sent.at + (sent.ipv4 ?? sent.ipv6 ?? NOTHING).length);
  return isFixed;
}

function writeLength(header: Uint8Array, { width, add, first, step }: Length, following: number): void {
  for (let i = 0, left = following + add; i < width; i++, left >>>= 8) header[first + i * step] = left;
}

/** What {@link readLengths} says where they differ, or it cannot be. Negative, as no length of what is whole. */
const NO_LENGTH = Number.NEGATIVE_INFINITY;

/** What all of them say that follows. @param least negative where a frame may be over before its header would be */
function readLengths(bytes: Uint8Array, at: number, fields: readonly Length[], least = 0): number {
  let following = NO_LENGTH;
  for (const { width, add, first, step } of fields) {
    let length = -add;
    for (let i = 0, unit = 1; i < width; i++, unit *= 256) length += (bytes[at + first + i * step] ?? 0) * unit;
    if (length < least || (following !== NO_LENGTH && following !== length)) return NO_LENGTH;
    following = length;
  }
  return following;
}

function hasMark(bytes: Uint8Array, at: number, value: Uint8Array): boolean {
  for (let i = 0; i < value.length; i++) if (bytes[at + i] !== value[i]) return false;
  return true;
}

function isOf({ family, offsets, bytes: wanted }: Exception, bytes: Uint8Array, packet: number, end: number): boolean {
  if ((bytes[packet] ?? 0) >>> 4 !== family) return false;
  for (let i = 0; i < offsets.length; i++) {
    const at = packet + (offsets[i] ?? 0);
    if (at >= end || bytes[at] !== wanted[i]) return false;
  }
  return true;
}
