/** What a hostile gateway decides by: everything follows from the seed, so a run can be played again. */
import { SeededRandom } from '../support/seeded-random.ts';

export class Dice {
  readonly #random: SeededRandom;

  constructor(seed: number | SeededRandom) {
    this.#random = typeof seed === 'number' ? new SeededRandom(seed) : seed;
  }

  /** Dice of its own for the nth of something: what is thrown there does not depend on what else happens first. */
  fork(stream: number): Dice {
    return new Dice(this.#random.fork(stream));
  }

  /** From 0 up to `limit`, which is not among them. */
  below(limit: number): number {
    return Math.floor(this.#random.fraction() * limit);
  }

  /** Both ends are among them. */
  between(least: number, most: number): number {
    return least + this.below(most - least + 1);
  }

  /** True once in `n` throws. */
  oneIn(n: number): boolean {
    return this.below(n) === 0;
  }

  pick<T>(from: readonly [T, ...(readonly T[])]): T {
    return from[this.below(from.length)] ?? from[0];
  }

  /** Of a list that may be empty: then undefined. */
  pickOf<T>(from: readonly T[]): T | undefined {
    return from[this.below(from.length)];
  }

  /** Small as a rule, now and then as large as `most`. */
  size(most: number): number {
    return this.oneIn(8) ? this.below(most + 1) : this.below(Math.min(most, 12) + 1);
  }

  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.below(256));
  }

  times<T>(count: number, make: (i: number) => T): T[] {
    return Array.from({ length: count }, (_, i) => make(i));
  }

  shuffled<T>(from: readonly T[]): T[] {
    const left = [...from];
    return this.times(from.length, () => left.splice(this.below(left.length), 1)).flat();
  }
}
