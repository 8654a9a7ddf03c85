/**
 * The anti-replay window: which of the last numbers have been seen, the newest and the 64 before it.
 *
 * Read first: RFC 4303 §3.4.3, RFC 6347 §4.1.2.6; spec "ESP", section 4. A number is marked only after its record has been authenticated.
 */

/** RFC 4303 and RFC 6347 want 64 at least. One more is what ESP's deployed peers have. */
export const REPLAY_WINDOW = 65;

export class ReplayWindow {
  #highest = -1;
  /** Bit i: `highest - 1 - i` has been seen. */
  #recent = 0;
  /** Bit i: `highest - 33 - i` has been seen. */
  #older = 0;

  /** The number that comes next if nothing is lost. */
  get next(): number {
    return this.#highest + 1;
  }

  /** True if this number may be new: not seen, and not too old to tell. */
  allows(sequence: number): boolean {
    const age = this.#highest - sequence;
    if (age < 0) return true;
    if (age === 0 || age >= REPLAY_WINDOW) return false;
    return age <= 32 ? ((this.#recent >>> (age - 1)) & 1) === 0 : ((this.#older >>> (age - 33)) & 1) === 0;
  }

  /** Call it only for a number that {@link allows} allowed and whose record is authentic. */
  mark(sequence: number): void {
    const age = this.#highest - sequence;
    if (age < 0) {
      this.#advance(-age);
      this.#highest = sequence;
    } else if (age <= 32) {
      this.#recent |= 1 << (age - 1);
    } else {
      this.#older |= 1 << (age - 33);
    }
  }

  /** From now on everything below `next` counts as seen. */
  moveTo(next: number): void {
    this.#highest = next - 1;
    this.#recent = -1;
    this.#older = -1;
  }

  /** What was the newest becomes one of those before it. */
  #advance(steps: number): void {
    // JavaScript shifts by the lower five bits only, so whole words move by themselves.
    if (steps > 64) {
      this.#older = 0;
      this.#recent = 0;
    } else if (steps > 32) {
      const rest = steps - 32;
      this.#older = (rest === 32 ? 0 : this.#recent << rest) | (1 << (rest - 1));
      this.#recent = 0;
    } else {
      this.#older = steps === 32 ? this.#recent : (this.#older << steps) | (this.#recent >>> (32 - steps));
      this.#recent = (steps === 32 ? 0 : this.#recent << steps) | (1 << (steps - 1));
    }
  }
}
