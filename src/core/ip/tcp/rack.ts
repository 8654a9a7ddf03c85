/**
 * RACK: a piece is lost when one that was sent later has arrived long enough ago.
 *
 * Read first: RFC 8985 §5.3, §6.2.
 */
import type { Millis } from '../../tunnel/packet.ts';
import type { Scoreboard, SentPiece } from './scoreboard.ts';
import { distance, type Sequence } from './sequence.ts';

/** RFC 5681 §3.2, RFC 8985 §6.2: so many segments behind one prove it lost, where no reordering was seen. */
export const DUPLICATE_THRESHOLD = 3;

/** §6.2, step 4: a grown window shrinks after so many recoveries. */
const WINDOW_PERSISTENCE = 16;

export class Rack {
  /** Of the piece that was sent last among those that have arrived. */
  #order = 0;
  #end: Sequence = 0;
  #roundTrip: Millis = 0;
  /** The highest end of all that has arrived. */
  #forward: Sequence;
  #hasReordering = false;
  #multiplier = 1;
  #persistence = WINDOW_PERSISTENCE;
  /** A D-SACK widens the window once a round trip: until this is acknowledged. */
  #dsackRound: Sequence | undefined;

  constructor(start: Sequence) {
    this.#forward = start;
  }

  /** §6.2, steps 1 to 3: a piece has arrived. `minimum`: the smallest round trip. */
  delivered(piece: SentPiece, now: Millis, minimum: Millis, isEchoed: boolean): void {
    if (distance(piece.end, this.#forward) > 0) this.#forward = piece.end;
    else if (!piece.isRetransmitted && distance(piece.end, this.#forward) < 0) this.#hasReordering = true;
    const roundTrip = now - piece.sentAt;
    // What came too soon was the first transmission's answer.
    if (piece.isRetransmitted && (!isEchoed || roundTrip < minimum)) return;
    if (!isAfter(piece.order, piece.end, this.#order, this.#end)) return;
    this.#order = piece.order;
    this.#end = piece.end;
    this.#roundTrip = roundTrip;
  }

  /** The peer reports a duplicate: something was sent again for nothing, so the window was too small. */
  duplicateReported(una: Sequence, nextSequence: Sequence): void {
    if (this.#dsackRound !== undefined && distance(una, this.#dsackRound) < 0) return;
    this.#dsackRound = nextSequence;
    this.#multiplier++;
    this.#persistence = WINDOW_PERSISTENCE;
  }

  /** A recovery is over. */
  recovered(): void {
    if (--this.#persistence > 0) return;
    this.#multiplier = 1;
    this.#persistence = WINDOW_PERSISTENCE;
  }

  /**
   * §6.2, step 5: marks what is lost. Returns how long until more may be; 0: nothing waits.
   *
   * @param isEager in recovery, or enough has arrived behind: without reordering there is nothing to wait for
   */
  detect(board: Scoreboard, now: Millis, minimum: Millis, smoothed: Millis, isEager: boolean): Millis {
    const window = this.#window(minimum, smoothed, isEager);
    let wait: Millis = 0;
    for (let piece = board.oldest; piece !== undefined; ) {
      if (!isAfter(this.#order, this.#end, piece.order, piece.end)) break;
      const { later } = piece;
      const remaining = piece.sentAt + this.#roundTrip + window - now;
      if (remaining <= 0) board.markLost(piece);
      else wait = Math.max(wait, remaining);
      piece = later;
    }
    return wait;
  }

  #window(minimum: Millis, smoothed: Millis, isEager: boolean): Millis {
    if (!this.#hasReordering && isEager) return 0;
    return Math.min((this.#multiplier * minimum) / 4, smoothed);
  }
}

/** Whether the first was sent after the second. §5.3 goes by time, and by sequence where that is the same; the order of sending says it all. */
function isAfter(aOrder: number, aEnd: Sequence, bOrder: number, bEnd: Sequence): boolean {
  return aOrder > bOrder || (aOrder === bOrder && distance(aEnd, bEnd) > 0);
}
