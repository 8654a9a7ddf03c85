/** The end of an engine whose connections have said goodbye: how long it waits for their peers, see {@link StreamFarewell}. */
import type { Millis } from '../../core/tunnel/packet.ts';

/** The peers' systems have all that we said: for them to read it, and to say goodbye themselves. */
const READING_LIMIT: Millis = 200;

/** Something is on its way still: peers that take nothing of it for so long are gone, or the network is. */
const STANDSTILL_LIMIT: Millis = 1000;

/** How often that is looked at. */
const STEP: Millis = 20;

export class FarewellPatience {
  #unacknowledged = -1;
  #changedAt: Millis = 0;

  /** Whether to wait on. @param unacknowledged bytes that are on their way now */
  lasts(unacknowledged: number, now: Millis): boolean {
    if (unacknowledged !== this.#unacknowledged) this.#changedAt = now;
    this.#unacknowledged = unacknowledged;
    return now < this.#changedAt + (unacknowledged === 0 ? READING_LIMIT : STANDSTILL_LIMIT);
  }
}

/**
 * Resolves when all peers have said goodbye, or are not going to, or a second after the last answer of who knows how much is on its way.
 *
 * @param farewells each connection's, with a limit of its own
 * @param unacknowledged bytes of theirs that are on their way
 */
export async function hearFarewells(farewells: readonly Promise<void>[], unacknowledged: () => Promise<number>): Promise<void> {
  const patience = new FarewellPatience();
  let isOver = farewells.length === 0;
  const over = Promise.all(farewells).then(() => {
    isOver = true;
    return 0;
  });
  for (;;) {
    const left = await within(STANDSTILL_LIMIT, unacknowledged(), over);
    if (isOver || left === undefined || !patience.lasts(left, performance.now())) return;
    await within(STEP, over);
  }
}

/** What the first of them resolves to; undefined: none has in that time. */
async function within<T>(limit: Millis, ...promises: readonly Promise<T>[]): Promise<T | undefined> {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => resolve(undefined), limit);
  try {
    return await Promise.race([...promises, promise]);
  } finally {
    clearTimeout(timer);
  }
}
