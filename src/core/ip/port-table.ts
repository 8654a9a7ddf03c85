/** Picks local ports at random, so that strangers cannot guess them (RFC 6056 §3.3.1). */

/** Linux begins here, too; RFC 6056 §3.2 wants as many as there can be, and below are ports of services. */
const FIRST_EPHEMERAL = 32_768;
const EPHEMERALS = 65_536 - FIRST_EPHEMERAL;

export class PortTable {
  readonly #random: () => number;

  /** @param random 32 bits that nobody can guess */
  constructor(random: () => number) {
    this.#random = random;
  }

  /** A port that `isFree` says is; undefined: there is none. */
  pick(isFree: (port: number) => boolean): number | undefined {
    const start = this.#random() % EPHEMERALS;
    for (let i = 0; i < EPHEMERALS; i++) {
      const port = FIRST_EPHEMERAL + ((start + i) % EPHEMERALS);
      if (isFree(port)) return port;
    }
    return undefined;
  }
}
