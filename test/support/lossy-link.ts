/**
 * A datagram link between two ends that loses, delays, reorders and repeats, on a fake clock and from a seed.
 *
 * Datagrams that are under way at the same time overtake each other, as each has a delay of its own.
 */
import type { Millis } from '../../src/core/tunnel/packet.ts';
import { SeededRandom } from './seeded-random.ts';

export interface LinkQuality {
  /** Share of datagrams that never arrive, 0 to 1. */
  readonly loss: number;
  /** Share of datagrams that arrive twice. */
  readonly duplication: number;
  /** Each datagram takes this long … */
  readonly delay: Millis;
  /** … and up to this much longer. More than the time between two datagrams means reordering. */
  readonly jitter: Millis;
}

export const PERFECT_LINK: LinkQuality = { loss: 0, duplication: 0, delay: 5, jitter: 0 };

export type End = 'left' | 'right';

interface Flying {
  readonly at: Millis;
  readonly to: End;
  readonly bytes: Uint8Array;
}

export class LossyLink {
  readonly #quality: LinkQuality;
  readonly #random: SeededRandom;
  #flying: Flying[] = [];

  constructor(quality: LinkQuality, seed: number) {
    this.#quality = quality;
    this.#random = new SeededRandom(seed);
  }

  /** Takes a copy of the datagram. */
  send(from: End, bytes: Uint8Array, now: Millis): void {
    const copies = this.#random.fraction() < this.#quality.duplication ? 2 : 1;
    for (let i = 0; i < copies; i++) {
      if (this.#random.fraction() < this.#quality.loss) continue;
      const at = now + this.#quality.delay + this.#random.fraction() * this.#quality.jitter;
      this.#flying.push({ at, to: from === 'left' ? 'right' : 'left', bytes: bytes.slice() });
    }
  }

  /** When the next datagram arrives. */
  nextArrival(): Millis | undefined {
    return this.#flying.reduce<Millis | undefined>((first, { at }) => (first === undefined || at < first ? at : first), undefined);
  }

  /** What has arrived by now, in the order of arrival. */
  arrived(now: Millis): { readonly to: End; readonly bytes: Uint8Array }[] {
    const due = this.#flying.filter(({ at }) => at <= now).sort((a, b) => a.at - b.at);
    this.#flying = this.#flying.filter(({ at }) => at > now);
    return due;
  }
}
