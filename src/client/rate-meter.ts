/** How fast traffic flows, from counters that are looked at now and then. */
import type { Millis } from '../core/tunnel/packet.ts';

/** What has passed so far, in bytes. */
export interface ByteCounts {
  readonly received: number;
  readonly sent: number;
}

/** Looks further back make the rate steadier, and later to follow a change. */
const WINDOW: Millis = 3_000;

export class RateMeter {
  /** The oldest first; the last is the latest. */
  readonly #samples: (ByteCounts & { readonly time: Millis })[] = [];

  /** `counts`: so far, at this time. */
  sample(counts: ByteCounts, now: Millis): void {
    this.#samples.push({ ...counts, time: now });
    // The one before the window stays: from it to the next the rate is known.
    while ((this.#samples[1]?.time ?? now) < now - WINDOW) this.#samples.shift();
  }

  /** Bytes a second, between the first and the last look. */
  rate(): ByteCounts {
    const first = this.#samples[0];
    const last = this.#samples.at(-1);
    if (first === undefined || last === undefined || last.time <= first.time) return { received: 0, sent: 0 };
    const seconds = (last.time - first.time) / 1000;
    return {
      received: Math.round(Math.max(0, last.received - first.received) / seconds),
      sent: Math.round(Math.max(0, last.sent - first.sent) / seconds),
    };
  }
}
