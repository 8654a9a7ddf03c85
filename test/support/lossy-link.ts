/**
 * A datagram link between two ends that loses, delays, reorders and repeats ({@link LinkModel}), for tests that move time themselves:
 * it says when the next datagram arrives, and hands over what has arrived.
 */
import type { Millis } from '../../src/core/tunnel/packet.ts';
import { type LinkConditions, LinkModel, PERFECT_LINK } from './link-model.ts';
import { SeededRandom } from './seeded-random.ts';

export type End = 'left' | 'right';

interface Flying {
  readonly at: Millis;
  readonly to: End;
  readonly bytes: Uint8Array;
}

export class LossyLink {
  /** By sender. */
  readonly #models: Readonly<Record<End, LinkModel>>;
  #flying: Flying[] = [];

  /** What `conditions` does not name is perfect. */
  constructor(conditions: Partial<LinkConditions>, seed: number) {
    const random = new SeededRandom(seed);
    const all = { ...PERFECT_LINK, ...conditions };
    this.#models = { left: new LinkModel(random.fork(0), all), right: new LinkModel(random.fork(1), all) };
  }

  /** Takes a copy of the datagram. */
  send(from: End, bytes: Uint8Array, now: Millis): void {
    const to = from === 'left' ? 'right' : 'left';
    for (const at of this.#models[from].admit(bytes.length, now)) this.#flying.push({ at, to, bytes: new Uint8Array(bytes) });
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
