/** Bounds what a hostile peer can make us do (spec "PPP", section 14, and others): so many times in a period, and no more. */
import type { Millis } from './packet.ts';

export class AnswerLimit {
  readonly #most: number;
  readonly #period: Millis;
  #since: Millis = Number.NEGATIVE_INFINITY;
  #count = 0;

  constructor(most: number, period: Millis) {
    this.#most = most;
    this.#period = period;
  }

  /** Whether it may be done once more. */
  allows(now: Millis): boolean {
    if (now >= this.#since + this.#period) {
      this.#since = now;
      this.#count = 0;
    }
    this.#count++;
    return this.#count <= this.#most;
  }
}
