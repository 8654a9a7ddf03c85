/**
 * What arrived: bytes in order that wait to be read, and pieces out of order that wait for what is missing before them.
 *
 *   read ◄── in order ──┤ next           ┌ range ┐          ┌ range ┐
 *                       └──── missing ───┘       └─ missing ┘
 *
 * Every byte is copied once, out of the packet; what is read is handed out as the memory it was copied to.
 */
import type { Memory } from '../memory.ts';
import { plus, type Sequence } from './sequence.ts';
import { MAX_SACK_BLOCKS } from './tcp-segment.ts';

/** Sizes of blocks are powers of two. */
const FIRST_BLOCK = 2_048;
/** What comes in one turn of a fast connection: its reader has one chunk of it. */
const LARGEST_BLOCK = 262_144;
/** From this size on they may come back: see {@link TcpConnection.giveBack}. */
const KEPT_BLOCK = 65_536;

/** Whether memory of this size is worth keeping. Of a block's size, it is a block's. */
export function isKeptBlock(length: number): boolean {
  return length >= KEPT_BLOCK && length <= LARGEST_BLOCK && (length & (length - 1)) === 0;
}

/** Ranges whose order of change is kept: twice of what one segment reports. */
const REMEMBERED_RANGES = 2 * MAX_SACK_BLOCKS;

/** What a piece costs beside its bytes, about: an array's object and its place. */
const PIECE_OVERHEAD = 160;

/** Shorter ones are copied when their turn comes: as arrays of their own they would cost several times what is counted. */
const SMALL_PIECE = 512;

interface Range {
  start: Sequence;
  end: Sequence;
  readonly pieces: Uint8Array[];
}

export class ReceiveQueue {
  /** RCV.NXT: the first byte that has not arrived in order. */
  next: Sequence;
  /** Bytes in order that nobody has read. */
  readable = 0;
  /** Bytes out of order. */
  outOfOrder = 0;
  /** Pieces they are in. */
  pieces = 0;
  /** What the last segment brought a second time, for D-SACK (RFC 2883); equal: nothing. */
  duplicateStart: Sequence = 0;
  duplicateEnd: Sequence = 0;
  /** In order of sequence; neither overlapping nor touching. */
  readonly #ranges: Range[] = [];
  /** The most recently changed first (RFC 2018 §4). */
  readonly #recent: Range[] = [];
  /** Full blocks, and those handed over by a range. */
  #whole: Uint8Array[] = [];
  #wholeRead = 0;
  /** The block that is being filled, from {@link #blockRead} to {@link #blockEnd}. */
  #block: Uint8Array | undefined;
  #blockRead = 0;
  #blockEnd = 0;
  #blockSize = FIRST_BLOCK;

  readonly #memory: Memory;

  constructor(next: Sequence, memory: Memory) {
    this.#memory = memory;
    this.next = next;
  }

  /**
   * Takes the data of a segment, which the caller has cut to the window. Returns how far {@link next} moved.
   *
   * @param maxPieces out of order; beyond it new ones are not taken
   */
  accept(sequence: Sequence, buffer: Uint8Array, start: number, end: number, maxPieces: number): number {
    const before = this.next;
    const old = (before - sequence) | 0;
    this.duplicateStart = this.duplicateEnd = 0;
    if (old > 0) {
      this.duplicateStart = sequence;
      this.duplicateEnd = plus(sequence, Math.min(old, end - start));
    }
    if (old >= end - start) return 0;
    if (old < 0) {
      this.#keep(sequence, buffer, start, end, maxPieces);
      return 0;
    }
    if (this.#ranges.length === 0) {
      this.#append(buffer, start + old, end);
      return (this.next - before) | 0;
    }
    this.#acceptBeforeRanges(buffer, start + old, end);
    return (this.next - before) | 0;
  }

  /** The next bytes in order, which are the caller's from here on; undefined: there are none. */
  read(): Uint8Array | undefined {
    if (this.#wholeRead < this.#whole.length) {
      const chunk = this.#whole[this.#wholeRead++] as Uint8Array; // below its length
      if (this.#wholeRead === this.#whole.length) {
        this.#whole = [];
        this.#wholeRead = 0;
      }
      this.readable -= chunk.length;
      return chunk;
    }
    if (this.#block === undefined || this.#blockRead === this.#blockEnd) return undefined;
    const chunk = this.#block.subarray(this.#blockRead, this.#blockEnd);
    this.#blockRead = this.#blockEnd;
    // Nothing is kept for a connection that is idle: the next block is as small again as this one's content was.
    this.#block = undefined;
    this.#blockSize = blockSizeFor(chunk.length + 1);
    this.readable -= chunk.length;
    return chunk;
  }

  /** Writes up to `max` SACK blocks as pairs of edges, a D-SACK first, and returns how many. */
  sackBlocks(edges: Int32Array, max: number): number {
    let count = 0;
    if (this.duplicateStart !== this.duplicateEnd && max > 0) {
      edges[0] = this.duplicateStart;
      edges[1] = this.duplicateEnd;
      count = 1;
    }
    for (const range of this.#recent) {
      if (count >= max) break;
      edges[2 * count] = range.start;
      edges[2 * count + 1] = range.end;
      count++;
    }
    return count;
  }

  /** What all of it costs, about: bytes. */
  get held(): number {
    return this.readable + this.outOfOrder + this.pieces * PIECE_OVERHEAD;
  }

  get hasRanges(): boolean {
    return this.#ranges.length > 0;
  }

  /** Forgets everything that was not read. */
  clear(): void {
    this.#ranges.length = 0;
    this.#recent.length = 0;
    this.#whole = [];
    this.#wholeRead = 0;
    this.#block = undefined;
    this.readable = this.outOfOrder = this.pieces = 0;
  }

  /** Appends bytes in order, out of the packet. */
  #append(buffer: Uint8Array, start: number, end: number): void {
    let at = start;
    while (at < end) {
      let block = this.#block;
      if (block === undefined || this.#blockEnd === block.length) block = this.#newBlock(end - at);
      const length = Math.min(end - at, block.length - this.#blockEnd);
      this.#memory.copy(buffer, at, at + length, block, this.#blockEnd);
      this.#blockEnd += length;
      at += length;
    }
    this.readable += end - start;
    this.next = plus(this.next, end - start);
  }

  #newBlock(wanted: number): Uint8Array {
    this.#finishBlock();
    const size = Math.max(blockSizeFor(wanted), this.#blockSize);
    this.#blockSize = Math.min(LARGEST_BLOCK, 2 * size);
    const block = this.#memory.allocate(size);
    this.#block = block;
    this.#blockRead = this.#blockEnd = 0;
    return block;
  }

  /** A piece that is next in order, as it is. */
  #takeWhole(piece: Uint8Array): void {
    this.#finishBlock();
    this.#whole.push(piece);
    this.readable += piece.length;
    this.next = plus(this.next, piece.length);
  }

  /** Bytes that the block still takes. */
  get #room(): number {
    return this.#block === undefined ? 0 : this.#block.length - this.#blockEnd;
  }

  /** What follows does not go into the block that is being filled. */
  #finishBlock(): void {
    if (this.#block !== undefined && this.#blockRead < this.#blockEnd) {
      this.#whole.push(this.#block.subarray(this.#blockRead, this.#blockEnd));
    }
    this.#block = undefined;
  }

  /** Data that begins at {@link next} while there are ranges: it may reach into some and fill gaps between others. */
  #acceptBeforeRanges(buffer: Uint8Array, start: number, end: number): void {
    let at = start;
    while (at < end) {
      const first = this.#ranges[0];
      const gap = first === undefined ? end - at : (first.start - this.next) | 0;
      const length = Math.min(gap, end - at);
      this.#append(buffer, at, at + length);
      at += length;
      if (first === undefined || this.next !== first.start) break;
      const covered = Math.min(end - at, (first.end - first.start) | 0);
      if (covered > 0) this.#noteDuplicate(first.start, plus(first.start, covered));
      at += covered;
      this.#takeFirstRange(first);
    }
    const first = this.#ranges[0];
    if (first !== undefined && first.start === this.next) this.#takeFirstRange(first);
  }

  #takeFirstRange(first: Range): void {
    for (const piece of first.pieces) {
      // A block with room is not left behind either: what is free in it is less than what follows.
      if (piece.length < SMALL_PIECE || piece.length <= this.#room) this.#append(piece, 0, piece.length);
      else this.#takeWhole(piece);
    }
    this.outOfOrder -= (first.end - first.start) | 0;
    this.pieces -= first.pieces.length;
    this.#ranges.shift();
    this.#forget(first);
  }

  /** Keeps what comes too early; only the parts that are not there yet. */
  #keep(sequence: Sequence, buffer: Uint8Array, start: number, end: number, maxPieces: number): void {
    const stop = plus(sequence, end - start);
    let i = this.#ranges.length;
    // Mostly the newest data belongs to the last range or behind it.
    while (i > 0 && (((this.#ranges[i - 1] as Range).start - sequence) | 0) > 0) i--;
    let touched = i > 0 ? this.#ranges[i - 1] : undefined;
    if (touched !== undefined && ((touched.end - sequence) | 0) < 0) touched = undefined;
    let from = sequence;
    if (touched !== undefined) {
      const known = Math.min((touched.end - sequence) | 0, end - start);
      if (known > 0) this.#noteDuplicate(sequence, plus(sequence, known));
      from = plus(sequence, known);
    }
    while (((stop - from) | 0) > 0) {
      if (this.pieces >= maxPieces) break;
      const following = this.#ranges[i];
      const room = following === undefined ? (stop - from) | 0 : Math.min((stop - from) | 0, (following.start - from) | 0);
      if (room > 0) {
        const at = start + ((from - sequence) | 0);
        const piece = new Uint8Array(room);
        this.#memory.copy(buffer, at, at + room, piece, 0);
        this.outOfOrder += room;
        this.pieces++;
        if (touched === undefined) {
          touched = { start: from, end: from, pieces: [] };
          this.#ranges.splice(i, 0, touched);
          i++;
        }
        touched.pieces.push(piece);
        touched.end = plus(from, room);
        from = touched.end;
      }
      if (following !== undefined && from === following.start) {
        const covered = Math.min((stop - from) | 0, (following.end - following.start) | 0);
        if (covered > 0) this.#noteDuplicate(from, plus(from, covered));
        from = plus(from, covered);
        touched = this.#join(touched, following, i);
        i = this.#ranges.indexOf(touched) + 1;
      }
    }
    if (touched !== undefined) this.#touch(touched);
  }

  /** `before` has reached `after`, which stands at `place`. */
  #join(before: Range | undefined, after: Range, place: number): Range {
    if (before === undefined) return after;
    for (const piece of after.pieces) before.pieces.push(piece);
    before.end = after.end;
    this.#ranges.splice(place, 1);
    this.#forget(after);
    return before;
  }

  #forget(range: Range): void {
    const at = this.#recent.indexOf(range);
    if (at >= 0) this.#recent.splice(at, 1);
  }

  #touch(range: Range): void {
    this.#forget(range);
    this.#recent.unshift(range);
    if (this.#recent.length > REMEMBERED_RANGES) this.#recent.length = REMEMBERED_RANGES;
  }

  #noteDuplicate(start: Sequence, end: Sequence): void {
    if (this.duplicateStart !== this.duplicateEnd) return; // the first is what RFC 2883 §4 reports
    this.duplicateStart = start;
    this.duplicateEnd = end;
  }
}

function blockSizeFor(length: number): number {
  let size = FIRST_BLOCK;
  while (size < length && size < LARGEST_BLOCK) size *= 2;
  return size;
}
