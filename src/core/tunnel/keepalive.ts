/**
 * When a channel changes its keys, asks "are you there?", says "I am here", and stops believing in its peer. One for each channel.
 *
 * Read first: spec "AnyConnect", section 9.1. Holds no timer: {@link Keepalive.nextTimeout} says when to call {@link Keepalive.handleTimeout}.
 *
 *   heard ── dpd ──► probe ── dpd/2 ──► probe ── dpd/2 ──► probe ── 1 s ──► dead        (anything heard goes back to the start)
 *   sent ── keepalive ──► keepalive                                                     (anything sent goes back to the start)
 */
import type { Millis } from './packet.ts';

/** Each in milliseconds; 0 or absent: off. */
export interface KeepaliveTimes {
  /** Silence of the peer after which it is asked; twice that long and it is dead. */
  readonly dpd?: Millis;
  /** Silence of our own after which we say something. */
  readonly keepalive?: Millis;
  /** Age of the keys at which they change. */
  readonly rekey?: Millis;
}

/** What to do now. `send-dpd`: send a DPD request, which the peer must answer. `send-keepalive`: send a KEEPALIVE, which it must not. */
export type KeepaliveAction = 'rekey' | 'dead' | 'send-dpd' | 'send-keepalive' | 'none';

/** Code of the error that ends the tunnel of a peer that no longer answers. */
export const PEER_DEAD = 'ERR_PEER_DEAD';

/** Peers count whole seconds: the last request has this long for its answer. Also the shortest time between two requests. */
const SECOND: Millis = 1000;

export class Keepalive {
  readonly #dpd: Millis;
  readonly #keepalive: Millis;
  readonly #rekey: Millis;
  #heardAt: Millis;
  #sentAt: Millis;
  #rekeyedAt: Millis;
  /** When the peer was asked since it was last heard. */
  #askedAt: Millis | undefined;

  /** All times count from `now`, the moment the channel came up. */
  constructor(times: KeepaliveTimes, now: Millis) {
    this.#dpd = times.dpd ?? 0;
    this.#keepalive = times.keepalive ?? 0;
    this.#rekey = times.rekey ?? 0;
    this.#heardAt = now;
    this.#sentAt = now;
    this.#rekeyedAt = now;
  }

  /** Any frame or authentic datagram came from the peer at this time, which may be past: a packet engine tells of it later. */
  heard(at: Millis): void {
    if (at < this.#heardAt) return;
    this.#heardAt = at;
    if (this.#askedAt !== undefined && at >= this.#askedAt) this.#askedAt = undefined;
  }

  /** Any frame or datagram left for the peer at this time, which may be past. What {@link handleTimeout} tells to send is counted there. */
  sent(at: Millis): void {
    this.#sentAt = Math.max(this.#sentAt, at);
  }

  /** The keys have changed for another reason than `rekey`: their age starts again. */
  rekeyed(now: Millis): void {
    this.#rekeyedAt = now;
  }

  /** When the keys change next; undefined: never. */
  get rekeyAt(): Millis | undefined {
    return this.#rekey > 0 ? this.#rekeyedAt + this.#rekey : undefined;
  }

  /**
   * When {@link handleTimeout} wants to be called next; undefined: never.
   * `isStalled`: nothing can be written now (a full stream), so nothing is due that would be: only new keys and a dead peer.
   */
  nextTimeout(isStalled = false): Millis | undefined {
    const due = Math.min(
      this.rekeyAt ?? Number.POSITIVE_INFINITY,
      this.#deadAt,
      isStalled ? Number.POSITIVE_INFINITY : Math.min(this.#askAt, this.#keepaliveAt),
    );
    return due === Number.POSITIVE_INFINITY ? undefined : due;
  }

  /** The one action that comes first of those that are due. Call again while {@link nextTimeout} is not later than `now`. */
  handleTimeout(now: Millis, isStalled = false): KeepaliveAction {
    if (this.rekeyAt !== undefined && now >= this.rekeyAt) {
      this.#rekeyedAt = now;
      return 'rekey';
    }
    if (now >= this.#deadAt) return 'dead';
    if (isStalled) return 'none';
    if (now >= this.#askAt) {
      this.#askedAt = now;
      this.#sentAt = now;
      return 'send-dpd';
    }
    if (now >= this.#keepaliveAt) {
      this.#sentAt = now;
      return 'send-keepalive';
    }
    return 'none';
  }

  get #deadAt(): Millis {
    return this.#dpd > 0 ? this.#heardAt + 2 * this.#dpd + SECOND : Number.POSITIVE_INFINITY;
  }

  get #askAt(): Millis {
    if (this.#dpd === 0) return Number.POSITIVE_INFINITY;
    if (this.#askedAt === undefined) return this.#heardAt + this.#dpd;
    // Half, in whole seconds, but never at once: with a DPD time of 1 s that would be a flood.
    return this.#askedAt + Math.max(SECOND, Math.floor(this.#dpd / (2 * SECOND)) * SECOND);
  }

  get #keepaliveAt(): Millis {
    return this.#keepalive > 0 ? this.#sentAt + this.#keepalive : Number.POSITIVE_INFINITY;
  }
}
