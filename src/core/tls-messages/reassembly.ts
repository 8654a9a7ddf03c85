/**
 * Handshake messages put together again: fragments come in any order, twice, overlapping or never, and nothing in them is authenticated.
 *
 * Read first: RFC 6347 §4.2.2 (numbers, order), §4.2.3 (fragments).
 *
 * Memory is bounded whatever arrives: {@link MAX_MESSAGES_AHEAD} messages of {@link MAX_MESSAGE_LENGTH} bytes.
 */
import type { HandshakeFragment, HandshakeMessage } from './handshake-fragment.ts';

/** The largest message body taken. Our handshakes stay below 1 KiB; hellos of foreign clients may be larger. */
export const MAX_MESSAGE_LENGTH = 16_384;

/** How far messages may run ahead of the next one in order: more than any flight has. */
export const MAX_MESSAGES_AHEAD = 8;

/** `old`: of a message already delivered, so the peer repeats itself; `refused`: outside the limits, or contradicting an earlier fragment. */
export type FragmentFate = 'taken' | 'old' | 'refused';

export class Reassembler {
  readonly #partial = new Map<number, PartialMessage>();
  #next: number;

  /** `next`: the number of the first message to deliver. */
  constructor(next = 0) {
    this.#next = next;
  }

  /** The number of the message that is delivered next. */
  get next(): number {
    return this.#next;
  }

  /** Copies what it keeps. */
  add(fragment: HandshakeFragment): FragmentFate {
    const { sequence } = fragment;
    if (sequence < this.#next) return 'old';
    if (sequence >= this.#next + MAX_MESSAGES_AHEAD || fragment.length > MAX_MESSAGE_LENGTH) return 'refused';
    const partial = this.#partial.get(sequence) ?? new PartialMessage(fragment.type, fragment.length);
    if (!partial.add(fragment)) return 'refused';
    this.#partial.set(sequence, partial);
    return 'taken';
  }

  /** The next message in order, if it is complete. */
  take(): HandshakeMessage | undefined {
    const partial = this.#partial.get(this.#next);
    if (partial === undefined || !partial.isComplete) return undefined;
    this.#partial.delete(this.#next);
    return { type: partial.type, sequence: this.#next++, body: partial.body };
  }

  /** Counts a message that has no fragments: ChangeCipherSpec in the pre-RFC dialect. */
  skip(): void {
    this.#partial.delete(this.#next++);
  }
}

class PartialMessage {
  readonly type: number;
  readonly body: Uint8Array;
  /** 1 for each byte of the body that has arrived. */
  readonly #arrived: Uint8Array;
  #missing: number;

  constructor(type: number, length: number) {
    this.type = type;
    this.body = new Uint8Array(length);
    this.#arrived = new Uint8Array(length);
    this.#missing = length;
  }

  get isComplete(): boolean {
    return this.#missing === 0;
  }

  /** Takes the bytes that have not arrived before: the first to come win. False if the fragment is of another message. */
  add({ type, length, offset, data }: HandshakeFragment): boolean {
    if (type !== this.type || length !== this.body.length) return false;
    for (let i = 0; i < data.length; i++) {
      if (this.#arrived[offset + i] === 1) continue;
      this.body[offset + i] = data[i] ?? 0;
      this.#arrived[offset + i] = 1;
      this.#missing--;
    }
    return true;
  }
}
