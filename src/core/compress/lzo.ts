/**
 * LZO1X blocks, read only: one packet is one block. Nobody is known to want them written.
 *
 * Read first: spec "ESP", section 6.1, whose table this follows row by row.
 *
 *   block       := [17 + n: n literals]  instruction*  11 00 00
 *   instruction := literals, where none stand in front of it
 *                | copy from far back, and up to three literals
 *
 * What a byte below 16 means depends on the literals in front of it: hence {@link Before}.
 */

/** Of one number: what an instruction does not hold in its own bits. */
const STEP = 255;

/** First bytes of a block above this one are literals; and what they count from. */
const FIRST_LITERALS = 17;

/** A run of literals has as many more than it says; it is known by as many literals as no copy brings. */
const MIN_RUN = 3;

/** A block's end looks like a copy of three from exactly so far back. */
const END_DISTANCE = 16_384;
const END = 0x11;

/** Literals in front of an instruction: none, the one to three of a copy, or a run. */
type Before = 0 | 1 | 2 | 3 | 'run';

/** The length of the packet written to `output`, or -1: malformed, cut short, longer than `output`, or with something behind its end. */
export function decodeLzo(input: Uint8Array, output: Uint8Array): number {
  return decoder.decode(input, output);
}

class LzoDecoder {
  #input: Uint8Array = new Uint8Array(0);
  #output: Uint8Array = this.#input;
  #at = 0;
  #length = 0;

  decode(input: Uint8Array, output: Uint8Array): number {
    this.#input = input;
    this.#output = output;
    this.#at = 0;
    this.#length = 0;
    let before: Before = 0;
    const first = input[0] ?? 0;
    if (first > FIRST_LITERALS) {
      this.#at = 1;
      if (!this.#literals(first - FIRST_LITERALS) || (input[this.#at] ?? 0) < 16) return -1; // no encoder begins like this
    }
    while (this.#at < input.length) {
      const byte = input[this.#at++] as number; // below the length
      if (byte === END && input[this.#at] === 0 && input[this.#at + 1] === 0) return this.#at + 2 === input.length ? this.#length : -1;
      if (byte < 16 && before === 0) {
        if (!this.#literals(this.#extended(byte, 15) + MIN_RUN)) return -1;
        before = 'run';
      } else {
        const trail = this.#copyOf(byte, before);
        if (trail < 0 || !this.#literals(trail)) return -1;
        before = trail as Before; // two bits
      }
    }
    return -1; // no end
  }

  /** How many literals follow the copy; -1: there is no such copy. */
  #copyOf(byte: number, before: Before): number {
    if (byte >= 64) {
      const distance = 1 + ((byte >> 2) & 7) + (this.#next() << 3);
      return this.#copy(distance, (byte >> 5) + 1) ? byte & 3 : -1;
    }
    if (byte < 16) {
      const distance = 1 + (byte >> 2) + (this.#next() << 2);
      const isCopied = before === 'run' ? this.#copy(2048 + distance, 3) : this.#copy(distance, 2);
      return isCopied ? byte & 3 : -1;
    }
    const isFar = byte < 32;
    const count = this.#extended(byte & (isFar ? 7 : 31), isFar ? 7 : 31) + 2;
    const low = this.#next();
    const distance = (this.#next() << 6) + (low >> 2);
    if (!isFar) return this.#copy(1 + distance, count) ? low & 3 : -1;
    const far = END_DISTANCE + ((byte & 8) << 11) + distance;
    return far !== END_DISTANCE && this.#copy(far, count) ? low & 3 : -1;
  }

  /** What a field of an instruction says, or if that is nothing, what follows it says: `base`, and steps, and a rest. */
  #extended(field: number, base: number): number {
    if (field !== 0) return field;
    let length = base;
    while (this.#input[this.#at] === 0 && length <= this.#output.length) {
      length += STEP;
      this.#at++;
    }
    return length + this.#next();
  }

  /** Behind the end there are zeros without end; that something is missing shows when the place is looked at. */
  #next(): number {
    return this.#input[this.#at++] ?? 0;
  }

  #literals(count: number): boolean {
    if (count > this.#input.length - this.#at || count > this.#output.length - this.#length) return false;
    for (const end = this.#at + count; this.#at < end; ) this.#output[this.#length++] = this.#input[this.#at++] as number; // below the length
    return true;
  }

  #copy(distance: number, count: number): boolean {
    if (this.#at > this.#input.length || distance > this.#length || count > this.#output.length - this.#length) return false;
    // Byte by byte: the copy may run into what it has just written.
    for (const end = this.#length + count; this.#length < end; this.#length++) {
      this.#output[this.#length] = this.#output[this.#length - distance] as number; // at most the length
    }
    return true;
  }
}

/** One for all packets: decoding is synchronous. */
const decoder = new LzoDecoder();
