/**
 * LZ4 blocks, stateless: one packet is one block without frame, size or dictionary.
 *
 * Read first: spec "AnyConnect", section 6.4; "LZ4 Block Format Description" for the rules at a block's end.
 *
 *   block    := sequence* last
 *   sequence := token  [literal length: 255* n]  literals  offset (2, little-endian)  [match length: 255* n]
 *   last     := token  [literal length: 255* n]  literals
 *   token    := literal length (high 4 bits), match length - 4 (low 4 bits); 15: bytes follow, each added, up to the first that is not 255
 */

const MIN_MATCH = 4;
const MAX_OFFSET = 65_535;

/** The last bytes of a block are literals, and the last match begins so far before the end: older decoders copy in large steps. */
const LAST_LITERALS = 5;
const MATCH_LIMIT = 12;

const HASH_BITS = 12;

/** Places are counted on through all packets; before this number the table is cleared and they start again. */
const MAX_PLACE = 1 << 24;

/** Takes the newest place that begins with the same four bytes. Keeps its table between packets. */
export class Lz4Encoder {
  readonly #maxLength: number;
  /** The newest place of each hash of four bytes. Places below `#base` are of earlier packets, so nothing is cleared for a packet. */
  readonly #newest = new Int32Array(1 << HASH_BITS);
  /** The place of the input's first byte. */
  #base = 1;
  readonly #output: Uint8Array<ArrayBuffer>;
  #length = 0;

  /** `maxLength`: of the longest input. */
  constructor(maxLength: number) {
    this.#maxLength = maxLength;
    this.#output = new Uint8Array(maxLength + Math.ceil(maxLength / 255) + 16); // the format's own bound: all literals
  }

  /** The compressed form, lent until the next call; undefined if it is not shorter than `limit` (default: the input), or the input is too long. */
  encode(input: Uint8Array, limit: number = input.length): Uint8Array | undefined {
    if (input.length > this.#maxLength) return undefined;
    this.#length = 0;
    if (this.#base > MAX_PLACE - input.length) this.#forget();
    let at = 0;
    let literalsFrom = 0;
    while (at <= input.length - MATCH_LIMIT && this.#length < limit) {
      const from = this.#exchange(input, at);
      if (from < 0 || at - from > MAX_OFFSET || !sameFourBytes(input, from, at)) {
        at++;
        continue;
      }
      const offset = at - from;
      const end = endOfMatch(input, from, at);
      while (at > literalsFrom && at > offset && input[at - 1] === input[at - 1 - offset]) at--; // it may have begun earlier
      this.#writeSequence(input, literalsFrom, at, offset, end - at);
      at = end;
      literalsFrom = end;
      if (end <= input.length - MATCH_LIMIT) this.#exchange(input, end - 2); // the next repetition often begins with the end of this one
    }
    this.#base += input.length;
    this.#writeLiterals(input, literalsFrom, input.length, 0);
    return this.#length < limit ? this.#output.subarray(0, this.#length) : undefined;
  }

  /** The newest place with the hash of the bytes at `at`, which takes its place; negative if there is none in this input. */
  #exchange(input: Uint8Array, at: number): number {
    const hash = Math.imul(fourBytes(input, at), 0x9e37_79b1) >>> (32 - HASH_BITS); // Fibonacci hashing
    const place = this.#newest[hash] as number; // hashes are below the table's length
    this.#newest[hash] = this.#base + at;
    return place - this.#base;
  }

  #forget(): void {
    this.#newest.fill(0);
    this.#base = 1;
  }

  #writeSequence(input: Uint8Array, literalsFrom: number, literalsEnd: number, offset: number, matchLength: number): void {
    const length = matchLength - MIN_MATCH;
    this.#writeLiterals(input, literalsFrom, literalsEnd, Math.min(length, 15));
    this.#output[this.#length++] = offset;
    this.#output[this.#length++] = offset >>> 8;
    if (length >= 15) this.#writeLength(length - 15);
  }

  #writeLiterals(input: Uint8Array, from: number, end: number, tokenLow: number): void {
    const count = end - from;
    this.#output[this.#length++] = (Math.min(count, 15) << 4) | tokenLow;
    if (count >= 15) this.#writeLength(count - 15);
    for (let i = from; i < end; i++) this.#output[this.#length++] = input[i] as number; // i is below the length
  }

  #writeLength(length: number): void {
    let rest = length;
    for (; rest >= 255; rest -= 255) this.#output[this.#length++] = 255;
    this.#output[this.#length++] = rest;
  }
}

/** As a 32-bit number; they exist, as matches begin at least 12 bytes before the end. */
function fourBytes(input: Uint8Array, at: number): number {
  return (input[at] as number) | ((input[at + 1] as number) << 8) | ((input[at + 2] as number) << 16) | ((input[at + 3] as number) << 24);
}

function sameFourBytes(input: Uint8Array, a: number, b: number): boolean {
  return fourBytes(input, a) === fourBytes(input, b);
}

function endOfMatch(input: Uint8Array, from: number, at: number): number {
  const limit = input.length - LAST_LITERALS;
  let end = at + MIN_MATCH;
  while (end < limit && input[end] === input[from + end - at]) end++;
  return end;
}

/** The length of the packet written to `output`, or -1: malformed, cut short, or longer than `output`. */
export function decodeLz4(input: Uint8Array, output: Uint8Array): number {
  let at = 0;
  let length = 0;
  while (at < input.length) {
    const token = input[at++] as number; // at is below the length
    let literals = token >>> 4;
    if (literals === 15) {
      let more: number;
      do {
        if (at === input.length) return -1;
        more = input[at++] as number; // at is below the length
        literals += more;
      } while (more === 255);
    }
    if (literals > input.length - at || literals > output.length - length) return -1;
    for (const end = at + literals; at < end; ) output[length++] = input[at++] as number; // at is below the length
    if (at === input.length) return length;

    if (input.length - at < 2) return -1;
    const offset = (input[at] as number) | ((input[at + 1] as number) << 8); // both were just checked
    at += 2;
    let count = (token & 15) + MIN_MATCH;
    if (count === 15 + MIN_MATCH) {
      let more: number;
      do {
        if (at === input.length) return -1;
        more = input[at++] as number; // at is below the length
        count += more;
      } while (more === 255);
    }
    if (offset === 0 || offset > length || count > output.length - length) return -1;
    // Byte by byte: the copy may run into what it has just written.
    for (const end = length + count; length < end; length++) output[length] = output[length - offset] as number; // offset is at most length
  }
  return -1; // no last literals: cut short
}
