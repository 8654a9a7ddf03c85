/**
 * Holds one direction of a session to a rate: says of each packet when it may go, or that it may not.
 *
 * A leaky bucket seen as a queue ("virtual scheduling", ITU-T I.371, annex A): one number, the moment at which everything that was let through will
 * have been paid for at the rate. Holds no timer and allocates nothing: who delays a packet has the timer.
 *
 *                now          paid until
 *   ──────────────┼───────────────┼──────────► time        nothing to pay, or no more than the burst is worth: go now
 *                 └─── burst ─────┘  wait ─┘               more: wait for the rest; longer than the limit: drop
 */
import type { Millis } from './packet.ts';

/** What {@link TokenBucket.delayOf} says of a packet that has to be dropped. */
export const DROPPED = -1;

export interface TokenBucketOptions {
  /** Bytes that may go at once after a silence. Default: what the rate makes in {@link DEFAULT_BURST_TIME}, and two packets of full size at least. */
  readonly burst?: number;
  /** A packet that would have to wait longer is dropped; 0 only drops. Default: {@link DEFAULT_MAX_DELAY}. */
  readonly maxDelay?: Millis;
}

export const DEFAULT_BURST_TIME: Millis = 100;
/** TCP slows down by itself when packets wait; a voice call is better served by a loss than by a longer queue. */
export const DEFAULT_MAX_DELAY: Millis = 50;

const FULL_PACKET_BYTES = 1500;

export class TokenBucket {
  readonly #millisPerByte: number;
  readonly #burstTime: Millis;
  readonly #maxDelay: Millis;
  #paidUntil: Millis = Number.NEGATIVE_INFINITY;

  /** @param bytesPerSecond More than 0. */
  constructor(bytesPerSecond: number, options: TokenBucketOptions = {}) {
    const burst = options.burst ?? Math.max((bytesPerSecond * DEFAULT_BURST_TIME) / 1000, 2 * FULL_PACKET_BYTES);
    this.#millisPerByte = 1000 / bytesPerSecond;
    this.#burstTime = burst * this.#millisPerByte;
    this.#maxDelay = options.maxDelay ?? DEFAULT_MAX_DELAY;
  }

  /**
   * How long a packet of this length has to wait: 0 for not at all, {@link DROPPED} for too long. Any other answer counts it as gone; packets that
   * wait stay in order, since each waits for those before it.
   */
  delayOf(length: number, now: Millis): Millis {
    const paidUntil = Math.max(this.#paidUntil, now) + length * this.#millisPerByte;
    const wait = paidUntil - now - this.#burstTime;
    if (wait <= 0) {
      this.#paidUntil = paidUntil;
      return 0;
    }
    // One packet larger than the burst passes an idle bucket: else it never would.
    const isIdle = this.#paidUntil <= now;
    if (wait > this.#maxDelay && !isIdle) return DROPPED;
    this.#paidUntil = paidUntil;
    return isIdle ? 0 : wait;
  }
}
