/**
 * Tunnels that their clients may begin by UDP: they were told keys, and what they say next comes without a connection. Which worker has the keys is known
 * here, by what such datagrams begin with.
 *
 * One for each session, the last; it lives for some minutes at most, and ends with the session's next tunnel.
 */
import type { Millis } from '../../core/tunnel/packet.ts';
import { toHex } from '../../core/wire/text.ts';

/** Clients begin at once, or when a host report is made. */
export const EXPECTATION_LIFE: Millis = 300_000;

interface Expectation {
  readonly session: string;
  readonly worker: number;
  readonly id: string;
  readonly until: Millis;
}

export class ExpectedFlows {
  readonly #byId = new Map<string, Expectation>();
  readonly #bySession = new Map<string, Expectation>();

  /** In the place of the one before. False: another session has this id. */
  expect(session: string, worker: number, datagramId: Uint8Array, now: Millis): boolean {
    this.#forgetOld(now);
    this.forget(session);
    const id = toHex(datagramId);
    if (this.#byId.has(id)) return false;
    const expectation = { session, worker, id, until: now + EXPECTATION_LIFE };
    this.#byId.set(id, expectation);
    this.#bySession.set(session, expectation);
    return true;
  }

  /** Whose keys it is under. */
  workerOf(datagramId: Uint8Array, now: Millis): number | undefined {
    const expectation = this.#byId.get(toHex(datagramId));
    return expectation !== undefined && now < expectation.until ? expectation.worker : undefined;
  }

  forget(session: string): void {
    const expectation = this.#bySession.get(session);
    if (expectation === undefined) return;
    this.#bySession.delete(session);
    this.#byId.delete(expectation.id);
  }

  #forgetOld(now: Millis): void {
    for (const { session, until } of this.#bySession.values()) {
      if (until > now) break; // the rest came later
      this.forget(session);
    }
  }
}
