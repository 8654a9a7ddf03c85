/**
 * How much the peer may send: never less than was promised, never in small steps, and more while the reader keeps up.
 *
 * Read first: RFC 9293 §3.8.6 (windows; silly window syndrome); RFC 7323 §2 (scale).
 */
import type { Millis } from '../../tunnel/packet.ts';
import { distance, plus, type Sequence } from './sequence.ts';
import { MAX_WINDOW_SCALE } from './tcp-segment.ts';

const MAX_UNSCALED = 0xffff;

/** The round trip that growth is measured by, where none is known. */
const ASSUMED_ROUND_TRIP: Millis = 100;

/** Clocks in timestamps tell milliseconds. */
const SHORTEST_ROUND_TRIP: Millis = 1;

export class ReceiveWindow {
  /** Bytes that may wait to be read. */
  capacity: number;
  /** The sequence number behind what the peer may send, as it was told. */
  edge: Sequence;
  /** The same before it was rounded up to what a field can say: rounding must not add up. */
  #exactEdge: Sequence;
  /** How far window fields are shifted; 0 until both sides have said that they do. */
  scale = 0;
  /** In the SYN, once that was sent. */
  #offered = 0;
  readonly #largest: number;
  /** Read since {@link #since}. */
  #read = 0;
  #since: Millis = Number.NEGATIVE_INFINITY;
  #roundTrip: Millis = ASSUMED_ROUND_TRIP;

  constructor(next: Sequence, initial: number, largest: number) {
    this.capacity = initial;
    this.edge = this.#exactEdge = next;
    this.#largest = largest;
  }

  /** What the option of a SYN says: enough for the largest window. */
  get wantedScale(): number {
    let scale = 0;
    while (scale < MAX_WINDOW_SCALE && MAX_UNSCALED << scale < this.#largest) scale++;
    return scale;
  }

  /** The field of a SYN's window, which is never scaled. */
  initialField(next: Sequence): number {
    this.#offered = Math.min(this.capacity, MAX_UNSCALED);
    this.synchronized(next);
    return this.#offered;
  }

  /** The peer's first sequence number is known: what was offered counts from there. */
  synchronized(next: Sequence): void {
    this.edge = this.#exactEdge = plus(next, this.#offered);
  }

  /** The field to send now. `held`: bytes that wait to be read; `segment`: a full one's payload. */
  field(next: Sequence, held: number, segment: number, isTight: boolean): number {
    const free = this.#free(held, isTight);
    // RFC 9293 §3.8.6.2.2: small gains are kept back.
    if (free - distance(this.#exactEdge, next) >= Math.min(this.capacity / 2, segment)) this.#exactEdge = plus(next, free);
    const window = Math.max(0, distance(this.#exactEdge, next));
    // Rounded up: rounding down would take back what was promised.
    const field = Math.min(MAX_UNSCALED, Math.ceil(window / (1 << this.scale)));
    const edge = plus(next, field << this.scale);
    if (distance(edge, this.edge) > 0) this.edge = edge;
    return field;
  }

  /** Whether reading has made room that is worth a word to the peer. */
  isWorthTelling(next: Sequence, held: number, segment: number): boolean {
    const open = Math.max(0, distance(this.edge, next));
    const gain = this.#free(held, false) - open;
    // A peer that is held up hears at once; others when half of the window is free again.
    return gain >= (open < 2 * segment ? Math.min(this.capacity / 2, 2 * segment) : this.capacity / 2);
  }

  /** A sample of the round trip, from timestamps: the smaller ones are nearer the truth, as the peer may have waited. */
  sampleRoundTrip(roundTrip: Millis): void {
    if (roundTrip < this.#roundTrip) this.#roundTrip = roundTrip;
    else this.#roundTrip += (roundTrip - this.#roundTrip) / 16;
  }

  /** The reader has taken this much: a window's worth is what it takes in two round trips. `mayGrow`: there is memory for it. */
  consumed(bytes: number, now: Millis, mayGrow: boolean): void {
    this.#read += bytes;
    if (now - this.#since < Math.max(SHORTEST_ROUND_TRIP, this.#roundTrip)) return;
    const wanted = 2 * this.#read;
    if (mayGrow && wanted > this.capacity) this.capacity = Math.min(this.#largest, Math.max(wanted, this.capacity * 1.25));
    this.#read = 0;
    this.#since = now;
  }

  #free(held: number, isTight: boolean): number {
    const most = this.scale === 0 ? MAX_UNSCALED : MAX_UNSCALED << this.scale;
    return isTight ? 0 : Math.min(most, Math.max(0, Math.floor(this.capacity) - held));
  }
}
