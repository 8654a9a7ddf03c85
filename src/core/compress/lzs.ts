/**
 * LZS, stateless: one packet is one bit stream, most significant bit first.
 *
 * Read first: spec "AnyConnect", section 6.3; RFC 1974 §2 describes the same format.
 *
 *   stream  := token* endmark
 *   token   := 0 LLLLLLLL                literal byte
 *            | 1 1 ooooooo       length  copy from 1..127 bytes back
 *            | 1 0 ooooooooooo   length  copy from 1..2047 bytes back
 *   endmark := 1 1 0000000               then zeros to the end of the byte
 *   length  := 00 01 10 (2 3 4) | 1100 1101 1110 (5 6 7) | 1111, then groups of 4 bits: 8 + 15 for each 1111 + the first group below it
 */

const MIN_MATCH = 2;
const MAX_OFFSET = 2047;
const MAX_SHORT_OFFSET = 127;

/** How many earlier places that begin with the same two bytes the encoder tries: bounds its time, at little cost in length. */
export const LZS_MAX_CANDIDATES = 64;

/** Places are counted on through all packets; before this number the table is cleared and they start again. */
const MAX_PLACE = 1 << 24;

/** Finds the longest of the nearest {@link LZS_MAX_CANDIDATES} matches at each place, greedily. Keeps its tables between packets. */
export class LzsEncoder {
  readonly #maxLength: number;
  /** The newest place of each pair of bytes. Places below `#base` are of earlier packets, so nothing is cleared for a packet. */
  readonly #newest = new Int32Array(1 << 16);
  /** For each place of the window, the place before it with the same pair. */
  readonly #before = new Int32Array(MAX_OFFSET + 1);
  /** The place of the input's first byte. */
  #base = 1;
  #matchLength = 0;
  #matchOffset = 0;
  readonly #output: Uint8Array<ArrayBuffer>;
  #length = 0;
  #bits = 0;
  #held = 0;

  /** `maxLength`: of the longest input. */
  constructor(maxLength: number) {
    this.#maxLength = maxLength;
    // 9 bits for each literal at worst, then the endmark; a match is never longer than the literals it stands for.
    this.#output = new Uint8Array(maxLength + Math.ceil(maxLength / 8) + 2);
  }

  /** The compressed form, lent until the next call; undefined if it is not shorter than `limit` (default: the input), or the input is too long. */
  encode(input: Uint8Array, limit: number = input.length): Uint8Array | undefined {
    if (input.length > this.#maxLength) return undefined;
    this.#length = 0;
    this.#held = 0;
    if (this.#base > MAX_PLACE - input.length) this.#forget();
    let at = 0;
    while (at < input.length && this.#length < limit) {
      this.#find(input, at);
      this.#writeToken(input[at] as number); // at is below the length
      const next = at + Math.max(this.#matchLength, 1);
      for (; at < next; at++) this.#remember(input, at);
    }
    this.#base += input.length;
    this.#writeEndmark();
    return this.#length < limit ? this.#output.subarray(0, this.#length) : undefined;
  }

  /** Sets the match's length and offset; length 0 if there is none. Of equally long matches the nearest wins: its offset may take fewer bits. */
  #find(input: Uint8Array, at: number): void {
    this.#matchLength = 0;
    const longest = input.length - at;
    if (longest < MIN_MATCH) return;
    let place = this.#newest[pairAt(input, at)] as number; // pairs are below the table's length
    for (let candidates = 0; candidates < LZS_MAX_CANDIDATES && place >= this.#base; candidates++) {
      const from = place - this.#base;
      if (at - from > MAX_OFFSET) return;
      let length = MIN_MATCH;
      while (length < longest && input[from + length] === input[at + length]) length++;
      if (length > this.#matchLength) {
        this.#matchLength = length;
        this.#matchOffset = at - from;
        if (length === longest) return;
      }
      place = this.#before[from & MAX_OFFSET] as number; // masked to the table's length
    }
  }

  #remember(input: Uint8Array, at: number): void {
    if (at + 1 >= input.length) return;
    const pair = pairAt(input, at);
    this.#before[at & MAX_OFFSET] = this.#newest[pair] as number; // pairs are below the table's length
    this.#newest[pair] = this.#base + at;
  }

  #forget(): void {
    this.#newest.fill(0);
    this.#base = 1;
  }

  #writeToken(literal: number): void {
    if (this.#matchLength === 0) {
      this.#write(literal, 9);
      return;
    }
    if (this.#matchOffset <= MAX_SHORT_OFFSET) this.#write(0b11_0000000 | this.#matchOffset, 9);
    else this.#write(0b10_00000000000 | this.#matchOffset, 13);
    this.#writeLength(this.#matchLength);
  }

  #writeLength(length: number): void {
    if (length < 5) {
      this.#write(length - 2, 2);
    } else if (length < 8) {
      this.#write(0b1100 + length - 5, 4);
    } else {
      this.#write(0b1111, 4);
      let rest = length - 8;
      for (; rest >= 15; rest -= 15) this.#write(0b1111, 4);
      this.#write(rest, 4);
    }
  }

  #writeEndmark(): void {
    this.#write(0b11_0000000, 9);
    if (this.#held > 0) this.#write(0, 8 - this.#held);
  }

  #write(value: number, width: number): void {
    this.#bits = (this.#bits << width) | value;
    this.#held += width;
    while (this.#held >= 8) {
      this.#held -= 8;
      this.#output[this.#length++] = this.#bits >>> this.#held;
    }
  }
}

/** Two bytes as a number. Both exist: callers look at places with at least two bytes left. */
function pairAt(input: Uint8Array, at: number): number {
  return ((input[at] as number) << 8) | (input[at + 1] as number);
}

/** The length of the packet written to `output`, or -1: malformed, cut short, or longer than `output`. */
export function decodeLzs(input: Uint8Array, output: Uint8Array): number {
  reader.start(input);
  let length = 0;
  for (;;) {
    const isCopy = reader.take(1);
    if (isCopy === 0) {
      const literal = reader.take(8);
      if (literal < 0 || length === output.length) return -1;
      output[length++] = literal;
      continue;
    }
    const isShort = reader.take(1); // -1, as isCopy may be too, if there is nothing left: then so is the offset
    const offset = reader.take(isShort === 1 ? 7 : 11);
    if (offset === 0 && isShort === 1) return length;
    const count = takeLength(output.length - length);
    if (offset <= 0 || offset > length || count < 0) return -1;
    // Byte by byte: the copy may run into what it has just written.
    for (const end = length + count; length < end; length++) output[length] = output[length - offset] as number; // offset is at most length
  }
}

/** The length of a copy, or -1 if the input ends or the copy is longer than `room`. */
function takeLength(room: number): number {
  let code = reader.take(2);
  if (code < 0b11) return code < 0 || code + 2 > room ? -1 : code + 2;
  code = reader.take(2);
  if (code < 0b11) return code < 0 || code + 5 > room ? -1 : code + 5;
  let length = 8;
  do {
    code = reader.take(4);
    length += code;
    if (code < 0 || length > room) return -1;
  } while (code === 0b1111);
  return length;
}

/** Bits of the input, most significant first. */
class BitReader {
  #input: Uint8Array = new Uint8Array(0);
  #at = 0;
  #bits = 0;
  #held = 0;

  start(input: Uint8Array): void {
    this.#input = input;
    this.#at = 0;
    this.#bits = 0;
    this.#held = 0;
  }

  /** The next `width` bits (at most 16), or -1 if the input has fewer: then nothing is left to take. */
  take(width: number): number {
    while (this.#held < width) {
      if (this.#at === this.#input.length) {
        this.#held = 0;
        return -1;
      }
      this.#bits = ((this.#bits << 8) | (this.#input[this.#at++] as number)) & 0xff_ffff; // at is below the length
      this.#held += 8;
    }
    this.#held -= width;
    return (this.#bits >>> this.#held) & ((1 << width) - 1);
  }
}

/** One for all packets: decoding is synchronous. */
const reader = new BitReader();
