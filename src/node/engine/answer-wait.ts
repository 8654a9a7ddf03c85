/**
 * A short look-out for the answer to a packet that left alone, instead of sleep: being woken takes as long as a near peer takes to answer.
 *
 * It is worth the processor's time only where answers do come that soon, which the look-outs themselves tell: after some in vain only one in
 * {@link TRY_AGAIN} lone packets is followed by another try. So a peer far away, or one that does not answer, costs next to nothing, and an idle tunnel
 * nothing. The kernel's halt polling does the same for virtual processors.
 */
import type { Millis } from '../../core/tunnel/packet.ts';

/** How long to look out. Answers of a gateway on the same switch were seen after 40 to 70 µs; a wake-up takes 5 to 50. */
export const LOOK_OUT: Millis = 0.1;

/** A packet this soon after another is not alone: the traffic itself keeps the thread awake. */
const ALONE: Millis = 1;

/** Look-outs in vain, in a row, until they are given up. */
const PATIENCE = 4;

/** Lone packets without a look-out, until the next one is tried. */
const TRY_AGAIN = 64;

export class AnswerWait {
  #isDue = false;
  #missed = 0;
  #skipped = 0;
  #sentAt: Millis = Number.NEGATIVE_INFINITY;

  /** What left in the last pass was one packet after a pause, and its answer may come soon. */
  get isDue(): boolean {
    return this.#isDue;
  }

  /** A pass is over, in which so many packets left and so many came. `now` is only asked for if one left. */
  passed(sent: number, received: number, now: () => Millis): void {
    this.#isDue = false;
    if (sent === 0) return;
    const at = now();
    const isAlone = sent === 1 && received === 0 && at - this.#sentAt >= ALONE;
    this.#sentAt = at;
    if (!isAlone) return;
    this.#isDue = this.#missed < PATIENCE || ++this.#skipped > TRY_AGAIN;
  }

  /** A look-out is over: something came, or not. */
  ended(came: boolean): void {
    this.#isDue = false;
    this.#skipped = 0;
    this.#missed = came ? 0 : Math.min(this.#missed + 1, PATIENCE);
  }
}
