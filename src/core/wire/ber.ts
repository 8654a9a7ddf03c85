/**
 * Reads ASN.1 in BER, of which DER is the strict part: certificates and keys are DER, PKCS#12 files are often BER (indefinite lengths,
 * strings in pieces).
 *
 * Read first: ITU-T X.690, clauses 8.1 to 8.14.
 *
 *   +------------+-----------------------------+------------+------------
 *   | identifier | length: 0x00 … 0x7f         | contents   |
 *   |            |         0x81 … 0x84, bytes  |            |
 *   |            |         0x80 (indefinite)   |            | 0x00 0x00
 *   +------------+-----------------------------+------------+------------
 *
 * The caller walks the structure that it expects; nothing is read that nobody asked for, so nothing grows but by the caller's own loops.
 */
import { PeerMisbehavedError, TruncatedError } from '../errors.ts';

/** Identifier bytes. */
export const BER = {
  endOfContents: 0x00,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  oid: 0x06,
  sequence: 0x30,
  set: 0x31,
} as const;

const CONSTRUCTED = 0x20;
const CONTEXT_CLASS = 0x80;
const TAG_NUMBER = 0x1f;

/** Indefinite lengths and strings in pieces may nest; more than this nobody writes. */
const MAX_DEPTH = 32;
/** Longest form of a length: four bytes, which is more than any file we read. */
const MAX_LENGTH_BYTES = 4;
const MAX_OID_BYTES = 64;
const MAX_INTEGER_BYTES = 6;

export interface BerElement {
  /** The identifier byte: class, constructed bit and tag number. */
  readonly tag: number;
  /** What is between the length and the end, as a view. */
  readonly contents: Uint8Array;
  /** The whole element, as a view. */
  readonly encoded: Uint8Array;
}

/** Reads the elements of a constructed value, or of a whole file, one after the other. Every read names its field for the error. */
export class BerReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#bytes.length;
  }

  /** The identifier byte of the next element; undefined at the end. */
  peekTag(): number | undefined {
    return this.#bytes[this.#at];
  }

  /** The next element, whatever it is. Throws {@link TruncatedError} if it is cut short, {@link PeerMisbehavedError} if it is not BER. */
  element(field: string): BerElement {
    const element = elementAt(this.#bytes, this.#at, field, MAX_DEPTH);
    this.#at += element.encoded.length;
    return element;
  }

  /** The next element, which must have this identifier byte. */
  expect(tag: number, field: string): BerElement {
    const element = this.element(field);
    if (element.tag !== tag) throw new PeerMisbehavedError(`${field}: expected ASN.1 tag ${hexByte(tag)}, got ${hexByte(element.tag)}`);
    return element;
  }

  sequence(field: string): BerReader {
    return new BerReader(this.expect(BER.sequence, field).contents);
  }

  set(field: string): BerReader {
    return new BerReader(this.expect(BER.set, field).contents);
  }

  /** What is inside an explicit context tag `[number]`. */
  explicit(number: number, field: string): BerReader {
    return new BerReader(this.expect(CONTEXT_CLASS | CONSTRUCTED | number, field).contents);
  }

  /** An OCTET STRING, joined if it is in pieces; `[number] IMPLICIT OCTET STRING` if a number is given. */
  octets(field: string, implicitTag?: number): Uint8Array {
    const tag = implicitTag === undefined ? BER.octetString : CONTEXT_CLASS | implicitTag;
    const element = this.element(field);
    if (element.tag !== tag && element.tag !== (tag | CONSTRUCTED)) {
      throw new PeerMisbehavedError(`${field}: expected an ASN.1 octet string, got tag ${hexByte(element.tag)}`);
    }
    return element.tag === tag ? element.contents : joined(element.contents, field);
  }

  /** A small non-negative INTEGER: versions, counts. */
  integer(field: string): number {
    const { contents } = this.expect(BER.integer, field);
    const [first] = contents;
    if (first === undefined || first >= 0x80 || contents.length > MAX_INTEGER_BYTES) {
      throw new PeerMisbehavedError(`${field}: not a number from 0 to 2^47`);
    }
    return contents.reduce((value, byte) => value * 0x100 + byte, 0);
  }

  /** An OBJECT IDENTIFIER, dotted. */
  oid(field: string): string {
    return dotted(this.expect(BER.oid, field).contents, field);
  }
}

function elementAt(bytes: Uint8Array, start: number, field: string, depthLeft: number): BerElement {
  if (depthLeft === 0) throw new PeerMisbehavedError(`${field}: ASN.1 nests deeper than ${MAX_DEPTH} levels`);
  const byteAt = (at: number): number => {
    const byte = bytes[at];
    if (byte === undefined) throw new TruncatedError(`${field}: ASN.1 element is cut short`);
    return byte;
  };
  const tag = byteAt(start);
  if ((tag & TAG_NUMBER) === TAG_NUMBER) throw new PeerMisbehavedError(`${field}: ASN.1 tag numbers above 30 are not expected`);
  const first = byteAt(start + 1);
  if (first === 0x80) return indefiniteAt(bytes, start, tag, field, depthLeft);

  const lengthBytes = first > 0x80 ? first - 0x80 : 0;
  if (lengthBytes > MAX_LENGTH_BYTES) throw new PeerMisbehavedError(`${field}: ASN.1 length takes ${lengthBytes} bytes`);
  let length = first;
  if (lengthBytes > 0) {
    length = 0;
    for (let i = 0; i < lengthBytes; i++) length = length * 0x100 + byteAt(start + 2 + i);
  }
  const from = start + 2 + lengthBytes;
  if (length > bytes.length - from) throw new TruncatedError(`${field}: wanted ${length} bytes, had ${bytes.length - from}`);
  return { tag, contents: bytes.subarray(from, from + length), encoded: bytes.subarray(start, from + length) };
}

/** X.690 §8.1.3.6: the contents end where two zero bytes stand in place of an element. */
function indefiniteAt(bytes: Uint8Array, start: number, tag: number, field: string, depthLeft: number): BerElement {
  if ((tag & CONSTRUCTED) === 0) throw new PeerMisbehavedError(`${field}: a primitive ASN.1 element has an indefinite length`);
  const from = start + 2;
  let at = from;
  for (;;) {
    const element = elementAt(bytes, at, field, depthLeft - 1);
    const next = at + element.encoded.length;
    if (element.tag === BER.endOfContents && element.contents.length === 0)
      return { tag, contents: bytes.subarray(from, at), encoded: bytes.subarray(start, next) };
    at = next;
  }
}

/** X.690 §8.7.3.2: the pieces of a constructed octet string are octet strings, constructed again or not. */
function joined(contents: Uint8Array, field: string): Uint8Array {
  const whole = new Uint8Array(contents.length); // the pieces are never longer than what they are in
  let length = 0;
  const gather = (pieces: Uint8Array, depthLeft: number): void => {
    if (depthLeft === 0) throw new PeerMisbehavedError(`${field}: ASN.1 nests deeper than ${MAX_DEPTH} levels`);
    for (let at = 0; at < pieces.length; ) {
      const piece = elementAt(pieces, at, field, depthLeft);
      at += piece.encoded.length;
      if (piece.tag === (BER.octetString | CONSTRUCTED)) {
        gather(piece.contents, depthLeft - 1);
      } else if (piece.tag === BER.octetString) {
        whole.set(piece.contents, length);
        length += piece.contents.length;
      } else {
        throw new PeerMisbehavedError(`${field}: a piece of an octet string has ASN.1 tag ${hexByte(piece.tag)}`);
      }
    }
  };
  gather(contents, MAX_DEPTH);
  return whole.subarray(0, length);
}

/** X.690 §8.19. Arcs can be 128-bit numbers (UUIDs under 2.25), hence BigInt. */
function dotted(contents: Uint8Array, field: string): string {
  const last = contents[contents.length - 1];
  if (last === undefined || last >= 0x80 || contents.length > MAX_OID_BYTES) {
    throw new PeerMisbehavedError(`${field}: not an object identifier`);
  }
  const arcs: bigint[] = [];
  let arc = 0n;
  for (const byte of contents) {
    arc = (arc << 7n) | BigInt(byte & 0x7f);
    if (byte >= 0x80) continue;
    arcs.push(arc);
    arc = 0n;
  }
  const [joint = 0n, ...others] = arcs;
  const top = joint < 80n ? joint / 40n : 2n;
  return [top, joint - 40n * top, ...others].join('.');
}

function hexByte(value: number): string {
  return `0x${value.toString(16).padStart(2, '0')}`;
}
