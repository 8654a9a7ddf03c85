/**
 * The anti-replay window: which of the last 64 record numbers have been seen.
 *
 * Read first: RFC 6347 §4.1.2.6 (and RFC 4303 §3.4.3, where the method is from). A number is marked only after its record has been authenticated.
 */

export const REPLAY_WINDOW = 64;

export class ReplayWindow {
  #highest = -1;
  /** Bit i: `highest - i` has been seen. */
  #recent = 0;
  /** Bit i: `highest - 32 - i` has been seen. */
  #older = 0;

  /** The number that comes next if nothing is lost. */
  get next(): number {
    return this.#highest + 1;
  }

  /** True if this number may be new: not seen, and not too old to tell. */
  allows(sequence: number): boolean {
    const age = this.#highest - sequence;
    if (age < 0) return true;
    if (age >= REPLAY_WINDOW) return false;
    return age < 32 ? ((this.#recent >>> age) & 1) === 0 : ((this.#older >>> (age - 32)) & 1) === 0;
  }

  /** Call it only for a number that {@link allows} allowed and whose record is authentic. */
  mark(sequence: number): void {
    const age = this.#highest - sequence;
    if (age < 0) {
      this.#advance(-age);
      this.#highest = sequence;
      this.#recent |= 1;
    } else if (age < 32) {
      this.#recent |= 1 << age;
    } else {
      this.#older |= 1 << (age - 32);
    }
  }

  /** From now on everything below `next` counts as seen. */
  moveTo(next: number): void {
    this.#highest = next - 1;
    this.#recent = -1;
    this.#older = -1;
  }

  #advance(steps: number): void {
    if (steps < 32) {
      this.#older = (this.#older << steps) | (this.#recent >>> (32 - steps));
      this.#recent <<= steps;
    } else {
      // JavaScript shifts by the lower five bits only, so larger steps go by way of the upper word.
      this.#older = steps < REPLAY_WINDOW ? this.#recent << (steps - 32) : 0;
      this.#recent = 0;
    }
  }
}
