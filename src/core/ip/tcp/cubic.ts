/**
 * CUBIC: the window grows as a cubic function of the time since the last loss, so that fast and long paths are filled.
 *
 * Read first: RFC 9438 §4. Windows are in bytes here and in segments there; time is in seconds in the formulas.
 */
import type { Millis } from '../../tunnel/packet.ts';
import { type CongestionControl, MIN_THRESHOLD_SEGMENTS } from './congestion.ts';

// RFC 9438.

/** §5.1. */
const C = 0.4;
/** §4.6. */
const BETA = 0.7;
/** §4.3: what makes the window of an AIMD sender with this decrease as large as Reno's. */
const RENO_ALPHA = (3 * (1 - BETA)) / (1 + BETA);
/** §4.4: the window grows by half of itself in a round trip at most. */
const MAX_GROWTH = 1.5;

export class Cubic implements CongestionControl {
  window: number;
  threshold: number = Number.POSITIVE_INFINITY;
  /** W_max, in bytes. */
  #largest = 0;
  /** The window when it was reduced last: up to there Reno's estimate grows slower. */
  #prior = 0;
  /** When the present epoch of growth began; undefined: with the next acknowledgement. */
  #epochStart: Millis | undefined;
  /** W_est, in bytes. */
  #renoEstimate = 0;
  /** K, in seconds. */
  #plateau = 0;
  #before: { readonly window: number; readonly threshold: number; readonly largest: number; readonly prior: number } | undefined;

  constructor(initial: number) {
    this.window = initial;
  }

  acknowledged(bytes: number, segment: number, now: Millis, roundTrip: Millis): void {
    if (this.window < this.threshold) {
      // RFC 3465 §2.2 limits this to 2 segments; acknowledgements of today stand for many packets, which were spread by the path.
      this.window += bytes;
      return;
    }
    this.#epochStart ??= this.#startEpoch(segment, now);
    const elapsed = (now - this.#epochStart + roundTrip) / 1_000;
    const cubic = C * (elapsed - this.#plateau) ** 3 * segment + this.#largest;
    const target = Math.min(Math.max(cubic, this.window), MAX_GROWTH * this.window);
    const alpha = this.#renoEstimate < this.#prior ? RENO_ALPHA : 1;
    this.#renoEstimate += (alpha * segment * bytes) / this.window;
    // §4.3: where Reno would be faster, be as fast.
    if (cubic < this.#renoEstimate) this.window = Math.max(this.window, this.#renoEstimate);
    else this.window += ((target - this.window) * bytes) / this.window;
  }

  lossDetected(flight: number, segment: number): void {
    this.#before = { window: this.window, threshold: this.threshold, largest: this.#largest, prior: this.#prior };
    this.#prior = this.window;
    // §4.7, fast convergence: a window that did not come back to where it was makes room for others.
    this.#largest = this.window < this.#largest ? (this.window * (1 + BETA)) / 2 : this.window;
    this.threshold = Math.max(flight * BETA, MIN_THRESHOLD_SEGMENTS * segment);
    this.#epochStart = undefined;
  }

  idle(initial: number): void {
    this.window = Math.min(this.window, initial);
    this.#epochStart = undefined;
  }

  undo(): void {
    if (this.#before === undefined) return;
    this.window = Math.max(this.window, this.#before.window);
    this.threshold = this.#before.threshold;
    this.#largest = this.#before.largest;
    this.#prior = this.#before.prior;
    this.#before = undefined;
  }

  epochEnded(): void {
    this.#epochStart = undefined;
  }

  #startEpoch(segment: number, now: Millis): Millis {
    this.#renoEstimate = this.window;
    if (this.window >= this.#largest) {
      this.#largest = this.window;
      this.#plateau = 0;
    } else {
      this.#plateau = Math.cbrt((this.#largest - this.window) / segment / C);
    }
    return now;
  }
}
