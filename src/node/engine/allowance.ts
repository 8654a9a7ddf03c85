/**
 * How many packets to take from a descriptor before looking at the others.
 *
 * Latency first when idle: one, so that no call is spent on hearing that there is no second. Every time all of it was used it doubles, and when it was
 * not it is one again.
 */
export class Allowance {
  #packets = 1;
  readonly #most: number;

  constructor(most: number) {
    this.#most = most;
  }

  get packets(): number {
    return this.#packets;
  }

  /** @param taken how many there were */
  used(taken: number): void {
    this.#packets = taken < this.#packets ? 1 : Math.min(2 * this.#packets, this.#most);
  }
}
