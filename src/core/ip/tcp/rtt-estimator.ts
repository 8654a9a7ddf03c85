/**
 * How long an answer takes, and how long to wait for one.
 *
 * Read first: RFC 6298 §2, §5; RFC 8985 §6.2 (the smallest of late).
 */
import type { Millis } from '../../tunnel/packet.ts';

// RFC 6298.

/** §2.1: before there is a sample. */
export const INITIAL_TIMEOUT: Millis = 1_000;
/** §5.7: after a SYN was lost. */
export const TIMEOUT_AFTER_LOST_SYN: Millis = 3_000;
/** §2.5: at least 60 seconds. */
export const MAX_TIMEOUT: Millis = 60_000;
const ALPHA = 1 / 8;
const BETA = 1 / 4;
const K = 4;

// Tuning.

/**
 * What the variance counts for at least. RFC 6298 §2.4 wants timeouts of 1 s and more, because of clocks of 500 ms. Systems of today take 200 ms,
 * above their longest delayed acknowledgement; on top of the round trip, as in Linux, since a repair takes one and a half of those.
 */
const MIN_VARIANCE: Millis = 200;
/** For how long a smallest round trip counts (RFC 8985 §6.2 leaves the window open; BBR's 10 s, longer for slow paths). */
const MINIMUM_LIFETIME: Millis = 60_000;

export class RttEstimator {
  /** Smoothed; undefined until there is a sample. */
  smoothed: Millis | undefined;
  /** The smallest of the last minute; Infinity until there is a sample. */
  minimum: Millis = Number.POSITIVE_INFINITY;
  #variance: Millis = 0;
  #timeout: Millis = INITIAL_TIMEOUT;
  #minimumUntil: Millis = Number.NEGATIVE_INFINITY;
  #backoff = 0;

  sample(roundTrip: Millis, now: Millis): void {
    if (roundTrip <= this.minimum || now >= this.#minimumUntil) {
      this.minimum = roundTrip;
      this.#minimumUntil = now + MINIMUM_LIFETIME;
    }
    if (this.smoothed === undefined) {
      this.smoothed = roundTrip;
      this.#variance = roundTrip / 2;
    } else {
      this.#variance += BETA * (Math.abs(this.smoothed - roundTrip) - this.#variance);
      this.smoothed += ALPHA * (roundTrip - this.smoothed);
    }
    this.#timeout = Math.min(MAX_TIMEOUT, this.smoothed + Math.max(MIN_VARIANCE, K * this.#variance));
  }

  /** The retransmission timeout, backed off. */
  get timeout(): Millis {
    return Math.min(MAX_TIMEOUT, this.#timeout * 2 ** this.#backoff);
  }

  /** §5.5: it expired. */
  backOff(): void {
    this.#backoff = Math.min(this.#backoff + 1, 16);
  }

  /** Something new was acknowledged: the path works. */
  resetBackoff(): void {
    this.#backoff = 0;
  }

  /** §5.7: the handshake needed more than one SYN. */
  synWasLost(): void {
    this.#backoff = 0;
    if (this.smoothed === undefined) this.#timeout = TIMEOUT_AFTER_LOST_SYN;
  }
}
