/**
 * Remembers which record numbers of one epoch have been seen: RFC 6347 §4.1.2.6, with a bitmap that is walked in a circle instead of shifted.
 *
 *     floor            next - width                      next
 *   ────┴──────────────────┴────────────────────────────────┴───────► record number
 *   refused                 │ accepted once each              │ accepted, moves the window
 *
 * Ask first, open the record, then mark: a forged record must not move the window.
 */

const BITS = 32;

export class ReplayWindow {
  readonly #width: number;
  /** Numbers below were before this window's time. */
  readonly #floor: number;
  /** Bit n of the circle: number n modulo the circle was seen. A power of two of words, one more than the width needs. */
  readonly #seen: Int32Array;
  #next: number;

  /** @param next the lowest number that is acceptable: the sender's next one */
  constructor(width: number, next: number) {
    this.#width = width;
    this.#floor = next;
    this.#next = next;
    this.#seen = new Int32Array(2 ** Math.ceil(Math.log2(Math.ceil(width / BITS) + 1)));
  }

  /** One more than the highest number that was marked. */
  get next(): number {
    return this.#next;
  }

  /** Whether this number may still come. */
  accepts(number: number): boolean {
    if (number >= this.#next) return true;
    if (number < this.#floor || number < this.#next - this.#width) return false;
    return ((this.#seen[this.#word(number)] ?? 0) & (1 << (number % BITS))) === 0;
  }

  /** The record with this number opened. */
  mark(number: number): void {
    if (number >= this.#next) this.#advance(number);
    const word = this.#word(number);
    this.#seen[word] = (this.#seen[word] ?? 0) | (1 << (number % BITS));
  }

  /** Empties the words that the window moves onto. */
  #advance(number: number): void {
    const before = this.#next === 0 ? -1 : Math.floor((this.#next - 1) / BITS);
    const last = Math.floor(number / BITS);
    const first = Math.max(before + 1, last - this.#seen.length + 1);
    for (let word = first; word <= last; word++) this.#seen[word & (this.#seen.length - 1)] = 0;
    this.#next = number + 1;
  }

  /** Record numbers have 48 bits; `&` takes the low 32 of the quotient, which is all that a circle needs. */
  #word(number: number): number {
    return Math.floor(number / BITS) & (this.#seen.length - 1);
  }
}
