/** The anti-replay window as RFC 6347 §4.1.2.6 says it, without bits: every number seen, and the highest. */
export class ObviousReplayWindow {
  readonly #seen = new Set<number>();
  #highest = -1;
  readonly #width: number;

  constructor(width: number) {
    this.#width = width;
  }

  allows(sequence: number): boolean {
    return sequence > this.#highest - this.#width && !this.#seen.has(sequence);
  }

  mark(sequence: number): void {
    this.#seen.add(sequence);
    this.#highest = Math.max(this.#highest, sequence);
  }
}
