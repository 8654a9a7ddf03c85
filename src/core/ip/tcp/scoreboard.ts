/**
 * What was sent and is not acknowledged: pieces in order of sequence, each with what is known of it.
 *
 * Read first: RFC 8985 §5.2, §6 (what is kept of each); RFC 6675 §2 (pipe).
 *
 *   sequence   head ⇄ … ⇄ tail          all that is outstanding
 *   time       oldest ⇄ … ⇄ newest      those that are believed to be on their way, by when they were sent last
 *
 * A piece is what one turn has sent, up to a super-segment. It is cut where an acknowledgement or a retransmission ends inside it.
 */
import type { Millis } from '../../tunnel/packet.ts';
import { distance, type Sequence } from './sequence.ts';

export class SentPiece {
  start: Sequence = 0;
  end: Sequence = 0;
  sentAt: Millis = 0;
  /** Counts transmissions: a burst has one time for all. */
  order = 0;
  isSacked = false;
  /** Believed to be lost, and not sent again yet. */
  isLost = false;
  isRetransmitted = false;
  previous: SentPiece | undefined;
  next: SentPiece | undefined;
  earlier: SentPiece | undefined;
  later: SentPiece | undefined;
  isInTime = false;

  get length(): number {
    return distance(this.end, this.start);
  }
}

/** Hears of each piece that has arrived, once. */
export interface DeliveryObserver {
  delivered(piece: SentPiece, isCumulative: boolean): void;
}

/** Larger pieces are begun anew: a super-segment's worth. */
const LARGEST_PIECE = 65_536;

/** Beyond these no selective acknowledgement is heard, each of which may cut two more: a full send buffer of usual segments has fewer. */
export const MAX_PIECES = 16_384;

/** Pieces that are kept to be used again. */
const POOL = 64;

export class Scoreboard {
  /** Bytes that are believed to be on their way: neither selectively acknowledged nor lost. */
  inFlight = 0;
  sacked = 0;
  lost = 0;
  head: SentPiece | undefined;
  tail: SentPiece | undefined;
  oldest: SentPiece | undefined;
  #newest: SentPiece | undefined;
  /** No lost piece comes before it. */
  #lostFrom: SentPiece | undefined;
  /** Where the last SACK block ended: the next one is likely to begin there. */
  #sackedTo: SentPiece | undefined;
  readonly #pool: SentPiece[] = [];
  #transmissions = 0;
  #count = 0;

  get isEmpty(): boolean {
    return this.head === undefined;
  }

  /** New data was sent. */
  sent(start: Sequence, end: Sequence, now: Millis): void {
    const length = distance(end, start);
    this.inFlight += length;
    const { tail } = this;
    const extends_ =
      tail !== undefined && tail.end === start && tail.sentAt === now && tail.isInTime && !tail.isRetransmitted && tail === this.#newest;
    if (extends_ && tail.length + length <= LARGEST_PIECE) {
      tail.end = end;
      return;
    }
    const piece = this.#newPiece();
    piece.start = start;
    piece.end = end;
    piece.sentAt = now;
    piece.order = ++this.#transmissions;
    piece.isSacked = piece.isLost = piece.isRetransmitted = false;
    piece.previous = tail;
    piece.next = undefined;
    if (tail === undefined) this.head = piece;
    else tail.next = piece;
    this.tail = piece;
    this.#appendTime(piece);
  }

  /** A lost piece, or the last one as a probe, was sent again. */
  retransmitted(piece: SentPiece, now: Millis): void {
    if (piece.isLost) {
      piece.isLost = false;
      this.lost -= piece.length;
      this.inFlight += piece.length;
    }
    piece.isRetransmitted = true;
    piece.sentAt = now;
    piece.order = ++this.#transmissions;
    this.#removeTime(piece);
    this.#appendTime(piece);
  }

  /** Cuts a piece in two; it keeps the front. */
  split(piece: SentPiece, at: Sequence): void {
    const rest = this.#newPiece();
    rest.start = at;
    rest.end = piece.end;
    rest.sentAt = piece.sentAt;
    rest.order = piece.order;
    rest.isSacked = piece.isSacked;
    rest.isLost = piece.isLost;
    rest.isRetransmitted = piece.isRetransmitted;
    piece.end = at;
    rest.previous = piece;
    rest.next = piece.next;
    if (piece.next === undefined) this.tail = rest;
    else piece.next.previous = rest;
    piece.next = rest;
    rest.isInTime = piece.isInTime;
    rest.earlier = rest.later = undefined;
    if (!piece.isInTime) return;
    rest.earlier = piece;
    rest.later = piece.later;
    if (piece.later === undefined) this.#newest = rest;
    else piece.later.earlier = rest;
    piece.later = rest;
  }

  /** Everything before `to` has arrived. Returns bytes that were not known to have. */
  acknowledge(to: Sequence, observer: DeliveryObserver): number {
    let delivered = 0;
    for (let piece = this.head; piece !== undefined && distance(to, piece.start) > 0; piece = this.head) {
      if (distance(piece.end, to) > 0) this.split(piece, to);
      if (!piece.isSacked) {
        delivered += piece.length;
        observer.delivered(piece, true);
      }
      this.#remove(piece);
    }
    return delivered;
  }

  /** A SACK block. Returns bytes that were not known to have arrived. */
  sack(start: Sequence, end: Sequence, observer: DeliveryObserver): number {
    if (this.#count >= MAX_PIECES) return 0;
    let delivered = 0;
    const from = this.#sackedTo;
    let piece = from !== undefined && distance(start, from.start) >= 0 ? from : this.head;
    while (piece !== undefined && distance(piece.end, start) <= 0) piece = piece.next;
    while (piece !== undefined && distance(end, piece.start) > 0) {
      if (!piece.isSacked) {
        if (distance(start, piece.start) > 0) {
          this.split(piece, start);
          piece = piece.next as SentPiece; // just made
        }
        if (distance(piece.end, end) > 0) this.split(piece, end);
        delivered += piece.length;
        this.#markSacked(piece);
        observer.delivered(piece, false);
      }
      this.#sackedTo = piece;
      piece = piece.next;
    }
    return delivered;
  }

  /** The piece is believed to be lost. */
  markLost(piece: SentPiece): void {
    if (piece.isLost || piece.isSacked) return;
    piece.isLost = true;
    this.inFlight -= piece.length;
    this.lost += piece.length;
    this.#removeTime(piece);
    if (this.#lostFrom === undefined || distance(this.#lostFrom.start, piece.start) > 0) this.#lostFrom = piece;
  }

  /** Everything that is not selectively acknowledged is believed to be lost. */
  markAllLost(): void {
    for (let piece = this.head; piece !== undefined; piece = piece.next) this.markLost(piece);
  }

  /** It was not lost after all. */
  unmarkLost(): void {
    for (let piece = this.head; piece !== undefined; piece = piece.next) {
      if (!piece.isLost) continue;
      piece.isLost = false;
      this.lost -= piece.length;
      this.inFlight += piece.length;
      this.#appendTime(piece);
    }
    this.#lostFrom = undefined;
  }

  /** RFC 2018 §8: the receiver may have thrown away what it had acknowledged selectively. */
  forgetSacks(): void {
    for (let piece = this.head; piece !== undefined; piece = piece.next) {
      if (!piece.isSacked) continue;
      piece.isSacked = false;
      this.sacked -= piece.length;
      this.inFlight += piece.length;
      this.#appendTime(piece);
    }
    this.#sackedTo = undefined;
  }

  /** The first lost piece. */
  firstLost(): SentPiece | undefined {
    if (this.lost === 0) return undefined;
    let piece = this.#lostFrom ?? this.head;
    while (piece !== undefined && !piece.isLost) piece = piece.next;
    this.#lostFrom = piece;
    return piece;
  }

  clear(): void {
    this.head = this.tail = this.oldest = this.#newest = this.#lostFrom = this.#sackedTo = undefined;
    this.inFlight = this.sacked = this.lost = this.#count = 0;
    this.#pool.length = 0;
  }

  #newPiece(): SentPiece {
    this.#count++;
    return this.#pool.pop() ?? new SentPiece();
  }

  #markSacked(piece: SentPiece): void {
    const { length } = piece;
    if (piece.isLost) {
      piece.isLost = false;
      this.lost -= length;
    } else {
      this.inFlight -= length;
    }
    piece.isSacked = true;
    this.sacked += length;
    this.#removeTime(piece);
  }

  /** Takes the head out. */
  #remove(piece: SentPiece): void {
    const { length } = piece;
    if (piece.isSacked) this.sacked -= length;
    else if (piece.isLost) this.lost -= length;
    else this.inFlight -= length;
    this.#removeTime(piece);
    if (this.#lostFrom === piece) this.#lostFrom = piece.next;
    if (this.#sackedTo === piece) this.#sackedTo = undefined;
    this.#count--;
    this.head = piece.next;
    if (piece.next === undefined) this.tail = undefined;
    else piece.next.previous = undefined;
    piece.next = piece.previous = undefined;
    if (this.#pool.length < POOL) this.#pool.push(piece);
  }

  #appendTime(piece: SentPiece): void {
    piece.isInTime = true;
    piece.later = undefined;
    piece.earlier = this.#newest;
    if (this.#newest === undefined) this.oldest = piece;
    else this.#newest.later = piece;
    this.#newest = piece;
  }

  #removeTime(piece: SentPiece): void {
    if (!piece.isInTime) return;
    piece.isInTime = false;
    if (piece.earlier === undefined) this.oldest = piece.later;
    else piece.earlier.later = piece.later;
    if (piece.later === undefined) this.#newest = piece.earlier;
    else piece.later.earlier = piece.earlier;
    piece.earlier = piece.later = undefined;
  }
}
