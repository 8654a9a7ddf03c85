/**
 * What the engine's news of a carried datagram path mean to those who watch it: whether the peer lives, and whether packets are out that nothing came back
 * for. The engine's times are of all records; those of control records are known here, and are not of packets.
 */
import type { Keepalive } from '../../tunnel/keepalive.ts';
import type { Millis } from '../../tunnel/packet.ts';
import type { PathDoubt } from '../../tunnel/path-doubt.ts';

/** How often the owner is woken to say what the engine has carried: what PathDoubt works with. */
const CARRIED_INTERVAL: Millis = 5_000;

/** A control record has left the engine this long after it was committed; what leaves later is data. */
const CONTROL_LAG: Millis = 100;

export class CarriedNews {
  /** When to be woken for news of the engine. */
  #dueAt: Millis;
  /** When something other than packets was sent last, and when the peer asked last. */
  #controlAt: Millis = 0;
  #askedAt: Millis = 0;

  /** @param now when the traffic was handed over */
  constructor(now: Millis) {
    this.#dueAt = now + CARRIED_INTERVAL;
  }

  /** Something other than packets was committed. */
  sentControl(now: Millis): void {
    this.#controlAt = now;
  }

  /** The peer's request came: no sign that it hears us. */
  asked(now: Millis): void {
    this.#askedAt = now;
  }

  /** The engine's times; 0: never. */
  take(heardAt: Millis, sentAt: Millis, keepalive: Keepalive | undefined, doubt: PathDoubt): void {
    if (heardAt > 0) {
      keepalive?.heard(heardAt);
      if (heardAt > this.#askedAt) doubt.heard(heardAt);
    }
    if (sentAt > 0) {
      keepalive?.sent(sentAt);
      if (sentAt > this.#controlAt + CONTROL_LAG) doubt.sent(sentAt);
    }
  }

  nextTimeout(): Millis {
    return this.#dueAt;
  }

  /** Being woken is all there is to it. */
  handleTimeout(now: Millis): void {
    if (now >= this.#dueAt) this.#dueAt = now + CARRIED_INTERVAL;
  }
}
