/**
 * Notices a path that swallows packets, long before dead peer detection would: whoever sends and hears nothing for a few seconds asks, and while
 * nobody answers the packets go another way.
 *
 * Dead peer detection (Keepalive) knows nothing of traffic: with the usual 90 s a black hole swallows packets for three minutes. This policy acts
 * only where packets were sent and nothing came back, so it never says a word on an idle tunnel, and on one that only sends no more than a request
 * now and then, which the peer answers.
 *
 *   calm ── packet ──► waiting ── 5 s ──► asking: 3 requests, 1 s apart ── 1 s ──► doubted: requests after 2, 4, 8 s ── 30 s in all ──► give up
 *     ▲                   │                  │                                        │
 *     └────── heard ──────┴──────────────────┴────────────────────────────────────────┘
 */
import type { Millis } from './packet.ts';

/** Many applications speak one way for a while; fewer that also wait for an answer wait longer than this. */
const SILENCE_LIMIT: Millis = 5_000;

/** From one request to the next, and from the last one to doubt. Longer than a round trip by satellite. */
const ASK_INTERVAL: Millis = 1_000;

/** Unanswered ones before there is doubt: two in a row are lost now and then on a bad radio link. */
const REQUESTS = 3;

/** How long a doubted path may take to come back before it is given up: then a new one, with new ports and new keys, has better chances. */
const DOUBT_LIMIT: Millis = 30_000;

/** `ask`: send a request that the peer must answer. */
export type PathDoubtAction = 'none' | 'ask' | 'give-up';

export class PathDoubt {
  #heardAt: Millis = Number.NEGATIVE_INFINITY;
  /** When the next request is due; undefined: calm. */
  #askAt: Millis | undefined;
  #requests = 0;
  #doubtedAt: Millis | undefined;

  /** Packets go another way while this is true. */
  get isDoubted(): boolean {
    return this.#doubtedAt !== undefined;
  }

  /** A packet left by the path at this time, which may be past. */
  sent(at: Millis): void {
    if (at >= this.#heardAt) this.#askAt ??= at + SILENCE_LIMIT;
  }

  /**
   * Something came by the path at this time, which may be past: what can be an answer. That the peer asks or shows that it lives is none; where only
   * one direction fails, that is all that comes.
   */
  heard(at: Millis): void {
    if (at <= this.#heardAt) return;
    this.#heardAt = at;
    this.#askAt = undefined;
    this.#requests = 0;
    this.#doubtedAt = undefined;
  }

  /** There is reason to ask at once: the network says that nobody is there. */
  suspect(now: Millis): void {
    if (this.#requests === 0) this.#askAt = now;
  }

  /** The peer asks whether we are there: if packets are out that were not answered, they may not have arrived. */
  asked(now: Millis): void {
    if (this.#askAt !== undefined) this.suspect(now);
  }

  nextTimeout(): Millis | undefined {
    return this.#askAt === undefined ? undefined : Math.min(this.#askAt, this.#giveUpAt);
  }

  handleTimeout(now: Millis): PathDoubtAction {
    if (this.#askAt === undefined) return 'none';
    if (now >= this.#giveUpAt) {
      this.#askAt = undefined;
      return 'give-up';
    }
    if (now < this.#askAt) return 'none';
    if (this.#requests === REQUESTS) this.#doubtedAt = now;
    this.#requests++;
    this.#askAt = now + ASK_INTERVAL * 2 ** Math.max(0, this.#requests - REQUESTS);
    return 'ask';
  }

  get #giveUpAt(): Millis {
    return this.#doubtedAt === undefined ? Number.POSITIVE_INFINITY : this.#doubtedAt + DOUBT_LIMIT;
  }
}
