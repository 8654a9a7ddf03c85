/**
 * A short look-out for the answer to a packet that left alone, instead of sleep: to be woken costs the answer more time than all of the engine's work, and
 * what that work needs has left the processor's caches meanwhile.
 *
 * It is worth the processor's time only where answers do come soon. That shows without a look-out: the time between a lone packet and what comes next, as
 * this thread is awake for both. So a peer that is far away, or does not answer, costs nothing. The kernel's halt polling does the same for virtual
 * processors.
 */
import type { Millis } from '../../core/tunnel/packet.ts';

/** How long to look out. On the machine of docs/performance.md an answer from the next namespace takes 0.25 to 0.4 ms, most of it wake-ups. */
export const LOOK_OUT: Millis = 0.5;

/** A turn of a look-out that takes so long was somebody else's, too. */
export const YIELDED: Millis = 0.03;

/** A packet this soon after another is not alone: the traffic itself keeps the thread awake. */
const ALONE: Millis = 1;

/** Look-outs in vain, in a row, until they are given up. */
const PATIENCE = 4;

export class AnswerWait {
  readonly #alone: Millis;
  #isDue = false;
  /** The last lone packet has had no answer. */
  #isOpen = false;
  /** In a row. At first nobody knows that answers come soon. */
  #missed = PATIENCE;
  #sentAt: Millis = Number.NEGATIVE_INFINITY;

  /** @param alone how long after another one a packet is alone; for the warm-up, whose packets all are */
  constructor(alone: Millis = ALONE) {
    this.#alone = alone;
  }

  /** What left in the last pass was one packet after a pause, and its answer may come soon. */
  get isDue(): boolean {
    return this.#isDue;
  }

  /** A pass is over, in which so many packets left and so many came. `now` is only asked for where the time says something. */
  passed(sent: number, received: number, now: () => Millis): void {
    this.#isDue = false;
    if (sent === 0 && !(this.#isOpen && received > 0)) return;
    const at = now();
    if (this.#isOpen && received > 0) this.#missed = at - this.#sentAt <= LOOK_OUT ? 0 : PATIENCE;
    if (sent === 0) {
      this.#isOpen = false;
      return;
    }
    this.#isOpen = sent === 1 && received === 0 && at - this.#sentAt >= this.#alone;
    this.#sentAt = at;
    this.#isDue = this.#isOpen && this.#missed < PATIENCE;
  }

  /** A look-out is over: something came, or not. */
  ended(came: boolean): void {
    this.#isDue = false;
    this.#missed = came ? 0 : this.#missed + 1;
  }
}
