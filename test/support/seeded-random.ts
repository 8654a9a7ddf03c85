/** Random numbers that come again with the same seed, so that a failure can be replayed. Not for secrets. */
export class SeededRandom {
  #state: number;

  /** Only the seed's low 32 bits count. */
  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** The next 32-bit number: a Weyl sequence through the finaliser of MurmurHash3 (public domain), which reaches every seed's full period. */
  uint32(): number {
    this.#state = (this.#state + 0x9e3779b9) >>> 0;
    let x = this.#state;
    x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
    x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
    return (x ^ (x >>> 16)) >>> 0;
  }

  /** The next fraction, at least 0 and below 1. */
  fraction(): number {
    return this.uint32() / 2 ** 32;
  }

  /** A generator of its own for each stream: what one draws does not move the others. */
  fork(stream: number): SeededRandom {
    return new SeededRandom(new SeededRandom(this.#state ^ Math.imul(stream + 1, 0x27d4eb2f)).uint32());
  }
}
