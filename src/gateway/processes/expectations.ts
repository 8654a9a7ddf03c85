/**
 * Tunnels that their clients may begin by UDP: they were told keys, and what they say next comes without a connection. What is known of such a tunnel is
 * found by what its datagrams begin with: in main the worker that has its keys, and in that worker the keys.
 *
 * One for each session, the last; it lives for some minutes at most, and ends with the session's next tunnel.
 */
import type { Millis } from '../../core/tunnel/packet.ts';
import { toHex } from '../../core/wire/text.ts';

/** Clients begin at once, or when a host report is made. */
export const EXPECTATION_LIFE: Millis = 300_000;

interface Expectation<T> {
  readonly session: string;
  readonly value: T;
  readonly id: string;
  readonly until: Millis;
}

export class Expectations<T> {
  readonly #most: number;
  readonly #byId = new Map<string, Expectation<T>>();
  readonly #bySession = new Map<string, Expectation<T>>();

  /** @param most with more at once those that wait longest are forgotten: their clients go by TLS. Default: as many as there are sessions */
  constructor(most: number = Number.POSITIVE_INFINITY) {
    this.#most = most;
  }

  /** In the place of the session's one before. False: another session has this id. */
  expect(session: string, datagramId: Uint8Array, value: T, now: Millis): boolean {
    this.forget(session);
    this.#forgetOld(now);
    const id = toHex(datagramId);
    if (this.#byId.has(id)) return false;
    const expectation = { session, value, id, until: now + EXPECTATION_LIFE };
    this.#byId.set(id, expectation);
    this.#bySession.set(session, expectation);
    return true;
  }

  /** What is known of the tunnel of this id; undefined: nobody expects it. */
  of(datagramId: Uint8Array, now: Millis): T | undefined {
    const expectation = this.#byId.get(toHex(datagramId));
    return expectation !== undefined && now < expectation.until ? expectation.value : undefined;
  }

  /** The session has a tunnel, or is over. */
  forget(session: string): void {
    this.#remove(this.#bySession.get(session));
  }

  /** The client has come. */
  forgetId(datagramId: Uint8Array): void {
    this.#remove(this.#byId.get(toHex(datagramId)));
  }

  /** All that this is true of. */
  forgetWhere(isGone: (value: T) => boolean): void {
    for (const expectation of [...this.#bySession.values()]) if (isGone(expectation.value)) this.#remove(expectation);
  }

  #remove(expectation: Expectation<T> | undefined): void {
    if (expectation === undefined) return;
    this.#bySession.delete(expectation.session);
    this.#byId.delete(expectation.id);
  }

  #forgetOld(now: Millis): void {
    for (const expectation of this.#bySession.values()) {
      if (expectation.until > now && this.#bySession.size < this.#most) break; // the rest came later
      this.#remove(expectation);
    }
  }
}
