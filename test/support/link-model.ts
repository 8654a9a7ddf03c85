/**
 * What a bad link does to each packet: lose it, delay it, let it be overtaken, bring it twice. Pure: packets and time go in, times of
 * delivery come out, and the same seed gives the nth packet the same fate. The relay uses it on real sockets, {@link FaultyLink} in memory.
 */
import type { Millis } from '../../src/core/tunnel/packet.ts';
import type { FakeClock } from './fake-clock.ts';
import type { SeededRandom } from './seeded-random.ts';

/** How one direction of a link is. */
export interface LinkConditions {
  /** Every packet's way. */
  readonly delay: Millis;
  /** Up to this much more, evenly spread: packets overtake each other. */
  readonly jitter: Millis;
  /** The probability that a packet is lost, 0 to 1. */
  readonly loss: number;
  /** The probability that a packet comes twice, 0 to 1; each copy has a jitter of its own. */
  readonly duplication: number;
  /** Bytes a millisecond, or Infinity. */
  readonly bandwidth: number;
  /** With a finite bandwidth: packets that would wait longer than this for the line are lost. */
  readonly queue: Millis;
}

export const PERFECT_LINK: LinkConditions = { delay: 0, jitter: 0, loss: 0, duplication: 0, bandwidth: Infinity, queue: 200 };

export class LinkModel {
  readonly #random: SeededRandom;
  #lineFreeAt: Millis = 0;
  conditions: LinkConditions;

  constructor(random: SeededRandom, conditions: LinkConditions = PERFECT_LINK) {
    this.#random = random;
    this.conditions = conditions;
  }

  /** When a packet of `length` bytes, sent `now`, arrives: not at all, once or twice. */
  admit(length: number, now: Millis): readonly Millis[] {
    const { delay, jitter, loss, duplication, bandwidth, queue } = this.conditions;
    // Four draws a packet, needed or not: then the nth packet's luck does not depend on the conditions of those before it.
    const [isLost, isDoubled] = [this.#random.fraction() < loss, this.#random.fraction() < duplication];
    const [first, second] = [this.#random.fraction(), this.#random.fraction()];
    const leavesAt = Math.max(now, this.#lineFreeAt);
    if (isLost || leavesAt - now > queue) return [];
    this.#lineFreeAt = leavesAt + length / bandwidth;
    const arrival = this.#lineFreeAt + delay;
    return isDoubled ? [arrival + first * jitter, arrival + second * jitter] : [arrival + first * jitter];
  }
}

/** One direction of a bad link in memory, on a fake clock: for pair tests of machines. */
export class FaultyLink {
  readonly model: LinkModel;
  readonly #clock: FakeClock;
  readonly #deliver: (bytes: Uint8Array, now: Millis) => void;

  constructor(clock: FakeClock, model: LinkModel, deliver: (bytes: Uint8Array, now: Millis) => void) {
    this.#clock = clock;
    this.model = model;
    this.#deliver = deliver;
  }

  /** Sends a copy of the bytes. */
  send(bytes: Uint8Array): void {
    for (const time of this.model.admit(bytes.length, this.#clock.now)) {
      const copy = bytes.slice();
      this.#clock.at(time, () => this.#deliver(copy, this.#clock.now));
    }
  }
}
