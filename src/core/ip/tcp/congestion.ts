/** How much may be on its way: what a congestion control is to the loss recovery, and the one of RFC 5681. All sizes are bytes. */
import type { Millis } from '../../tunnel/packet.ts';

export interface CongestionControl {
  /** The congestion window. The recovery sets it while it repairs a loss. */
  window: number;
  threshold: number;
  /** Bytes were acknowledged outside of a recovery, while the window was what held the sender back. */
  acknowledged(bytes: number, segment: number, now: Millis, roundTrip: Millis): void;
  /** A loss: sets {@link threshold}. `flight`: what was on its way. */
  lossDetected(flight: number, segment: number): void;
  /** Nothing was sent for a retransmission timeout or longer (RFC 5681 §4.1). */
  idle(initial: number): void;
  /** The last loss was none: threshold and window are as they were. */
  undo(): void;
  /** The recovery or the slow start after a timeout has begun: growth begins anew from here. */
  epochEnded(): void;
}

/** RFC 5681 §3.1: what is below it is slow start whatever happens. */
export const MIN_THRESHOLD_SEGMENTS = 2;

/** RFC 6928 §2. */
export function initialWindow(segment: number): number {
  return Math.min(10 * segment, Math.max(2 * segment, 14_600));
}

/** Slow start and congestion avoidance of RFC 5681, by bytes acknowledged (RFC 3465). */
export class NewReno implements CongestionControl {
  window: number;
  threshold: number = Number.POSITIVE_INFINITY;
  #windowBefore = 0;
  #thresholdBefore: number = Number.POSITIVE_INFINITY;
  /** Acknowledged since the window grew last, in congestion avoidance. */
  #counted = 0;

  constructor(initial: number) {
    this.window = initial;
  }

  acknowledged(bytes: number, segment: number): void {
    if (this.window < this.threshold) {
      this.window += bytes;
      return;
    }
    this.#counted += bytes;
    if (this.#counted < this.window) return;
    this.#counted -= this.window;
    this.window += segment;
  }

  lossDetected(flight: number, segment: number): void {
    this.#windowBefore = this.window;
    this.#thresholdBefore = this.threshold;
    this.threshold = Math.max(flight / 2, MIN_THRESHOLD_SEGMENTS * segment);
  }

  idle(initial: number): void {
    this.window = Math.min(this.window, initial);
  }

  undo(): void {
    this.window = Math.max(this.window, this.#windowBefore);
    this.threshold = this.#thresholdBefore;
  }

  epochEnded(): void {
    this.#counted = 0;
  }
}
