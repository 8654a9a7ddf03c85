/**
 * When a gateway renews the keys of its ESP, and what it does about a client that does not answer: it asks again, and in the end it does without ESP.
 *
 * Read first: spec "ESP", section 5.6.
 *
 *   agreed ── lifetime ──► asked ── no answer ──► asked again … ──► given up
 *      ◄──────────────────── answered ──┘
 */
import type { Millis } from '../tunnel/packet.ts';

/**
 * How long a client may take. What it sends under the keys before is opened for as long after each question ({@link EspAssociations}); the stream by which it is
 * asked loses nothing, so it answers within a round trip or never.
 */
const ANSWER_TIME: Millis = 10_000;

/** Questions that are not answered before ESP ends. */
const MAX_QUESTIONS = 3;

export class RekeySchedule {
  /** The client was asked often enough: there are no new keys any more. */
  isOver = false;
  readonly #lifetime: Millis;
  #unanswered = 0;
  #dueAt: Millis | undefined;

  /** `lifetime`: of keys, from when both ends have them. */
  constructor(lifetime: Millis) {
    this.#lifetime = lifetime;
  }

  /** Both ends have the newest keys. */
  agreed(now: Millis): void {
    this.#unanswered = 0;
    this.#dueAt = now + this.#lifetime;
  }

  /** The client has been sent new keys. */
  asked(now: Millis): void {
    this.#unanswered++;
    this.#dueAt = now + ANSWER_TIME;
  }

  nextTimeout(): Millis | undefined {
    return this.#dueAt;
  }

  handleTimeout(now: Millis): 'none' | 'ask' | 'give-up' {
    if (this.#dueAt === undefined || now < this.#dueAt) return 'none';
    if (this.#unanswered < MAX_QUESTIONS) return 'ask';
    this.isOver = true;
    this.#dueAt = undefined;
    return 'give-up';
  }
}
