/**
 * A ring of packets between two threads: one pushes, the other takes. No locks, no messages, no allocation per packet.
 *
 *   memory:   head (4) | … | tail (4) | … | data (capacity)          head and tail on cache lines of their own
 *   entry:    length (4) | tag (4) | bytes, padded to 8              never cut in two: a SKIP entry fills the end of the data
 *
 *        tail ──────────► head            free running 32-bit byte positions; position & (capacity - 1) is the place in the data
 *        │ taken next     │ pushed next   head === tail: empty
 *
 * Why it is right: only the pusher writes head and only the taker writes tail, both with sequentially consistent atomics. Entries are written with
 * plain stores before the store of head that covers them, and the taker reads them after a load of head that saw it; the same the other way for room
 * that tail gives back. The threads' view of all other bytes follows from these two (ECMAScript's memory model, "synchronizes-with").
 *
 * A push is seen after {@link PacketRing.publish}, room comes back after {@link PacketRing.release}: once a burst, not once a packet.
 */
import { MisuseError } from '../../core/errors.ts';

const HEAD_AT = 0;
const TAIL_AT = 64;
const DATA_AT = 128;

/** What an entry costs beside its bytes. */
const ENTRY_HEADER = 8;

/** As an entry's length: nothing more before the data starts again. */
const SKIP = 0xffff_ffff;

const MIN_CAPACITY = 64;
const MAX_CAPACITY = 2 ** 30;

/** Bytes of memory that a ring of this capacity takes. */
export function ringSize(capacity: number): number {
  return DATA_AT + capacity;
}

/** Each thread has an object of its own over the same memory, and uses one of its two halves: push and publish, or next and release. */
export class PacketRing {
  /** The entry that {@link next} found: its tag, and its bytes in {@link data} from `start` to `end`. */
  tag = 0;
  start = 0;
  end = 0;
  /** All entries' bytes. */
  readonly data: Buffer;

  readonly #head: Int32Array;
  readonly #tail: Int32Array;
  readonly #words: Uint32Array;
  readonly #capacity: number;
  /** Pusher: where the next entry goes. Taker: behind the entry that was found last. */
  #position: number;
  /** What was last seen of the other thread's position. */
  #seen: number;
  /** Bytes at the end of the data that the entry which was reserved last leaves out. */
  #skipped = 0;

  /**
   * The pusher's is made before anything is pushed.
   *
   * @param at a multiple of 64
   * @param capacity of the data in bytes, a power of two
   */
  constructor(memory: SharedArrayBuffer, at: number, capacity: number) {
    if (capacity < MIN_CAPACITY || capacity > MAX_CAPACITY || (capacity & (capacity - 1)) !== 0) {
      throw new MisuseError(`a ring's capacity is a power of two from ${MIN_CAPACITY} to ${MAX_CAPACITY}, not ${capacity}`);
    }
    this.#capacity = capacity;
    this.#head = new Int32Array(memory, at + HEAD_AT, 1);
    this.#tail = new Int32Array(memory, at + TAIL_AT, 1);
    this.data = Buffer.from(memory, at + DATA_AT, capacity);
    this.#words = new Uint32Array(memory, at + DATA_AT, capacity / 4);
    this.#position = Atomics.load(this.#tail, 0);
    this.#seen = this.#position;
  }

  // The pusher's half.

  /**
   * Copies `source` from `start` to `end` behind the last entry. Seen by the other thread after {@link publish}.
   *
   * @param keepFree bytes that shall stay free behind it, for entries that matter more
   * @returns false if there is no room: the caller drops it or waits
   */
  push(tag: number, source: Uint8Array, start: number, end: number, keepFree = 0): boolean {
    const at = this.reserve(end - start, keepFree);
    if (at < 0) return false;
    // Buffer's copy takes offsets: no view is made.
    if (end > start) Buffer.prototype.copy.call(source, this.data, at, start, end);
    this.commit(tag, end - start);
    return true;
  }

  /**
   * Room for an entry of up to `length` bytes behind the last one. {@link commit} makes it one; what was reserved and not committed is reserved anew.
   *
   * @returns where its bytes go in {@link data}; -1 if there is no room
   */
  reserve(length: number, keepFree = 0): number {
    const size = entrySize(length);
    const place = this.#position & (this.#capacity - 1);
    const untilEnd = this.#capacity - place;
    const skipped = size > untilEnd ? untilEnd : 0;
    if (!this.#hasRoom(skipped + size + keepFree)) return -1;
    if (skipped > 0) this.#words[place >>> 2] = SKIP;
    this.#skipped = skipped;
    return (skipped > 0 ? 0 : place) + ENTRY_HEADER;
  }

  /** The first `length` bytes of what was reserved last are an entry. Seen by the other thread after {@link publish}. */
  commit(tag: number, length: number): void {
    this.#position = (this.#position + this.#skipped) | 0;
    const at = this.#position & (this.#capacity - 1);
    this.#words[at >>> 2] = length;
    this.#words[(at >>> 2) + 1] = tag;
    this.#position = (this.#position + entrySize(length)) | 0;
  }

  /** Stops this thread until the other one gives back room, and says so: {@link release} with `wakes`. In milliseconds at most. */
  waitForRoom(timeout: number): void {
    Atomics.wait(this.#tail, 0, this.#seen, timeout);
  }

  /** Whether an entry of `length` bytes will fit wherever it starts, with `keepFree` to spare. */
  fits(length: number, keepFree = 0): boolean {
    // In the worst case the entry just does not fit before the end.
    return this.#hasRoom(2 * entrySize(length) + keepFree);
  }

  /** Shows the other thread what was pushed. */
  publish(): void {
    Atomics.store(this.#head, 0, this.#position);
  }

  #hasRoom(wanted: number): boolean {
    if (((this.#position - this.#seen) >>> 0) + wanted <= this.#capacity) return true;
    this.#seen = Atomics.load(this.#tail, 0);
    return ((this.#position - this.#seen) >>> 0) + wanted <= this.#capacity;
  }

  /** Whether the other thread has given back the room of all that was pushed: it has done with them what it does. */
  get isTaken(): boolean {
    return Atomics.load(this.#tail, 0) === this.#position;
  }

  /** Whether the other thread has given back the room of what was pushed before the pusher was at `position`. */
  hasTaken(position: number): boolean {
    return ((Atomics.load(this.#tail, 0) - position) | 0) >= 0;
  }

  // The taker's half.

  /** Finds the next entry: see {@link tag}, {@link start}, {@link end}. False if there is none. Its bytes stay until {@link release}. */
  next(): boolean {
    if (this.#position === this.#seen) {
      this.#seen = Atomics.load(this.#head, 0);
      if (this.#position === this.#seen) return false;
    }
    let place = this.#position & (this.#capacity - 1);
    if (this.#words[place >>> 2] === SKIP) {
      this.#position = (this.#position + this.#capacity - place) | 0;
      place = 0;
    }
    const length = this.#words[place >>> 2] ?? 0;
    this.tag = this.#words[(place >>> 2) + 1] ?? 0;
    this.start = place + ENTRY_HEADER;
    this.end = this.start + length;
    // Entries never cross the end: this one was not written by push().
    if (this.end > this.#capacity)
      throw new MisuseError(`packet ring: an entry of ${length} bytes at ${place}; the memory has been overwritten`);
    this.#position = (this.#position + entrySize(length)) | 0;
    return true;
  }

  /** Gives the room of all entries found so far back to the pusher. @param wakes it, if it waits for that: {@link waitForRoom} */
  release(wakes = false): void {
    Atomics.store(this.#tail, 0, this.#position);
    if (wakes) Atomics.notify(this.#tail, 0);
  }

  /** Whether what was published and not found yet fills no more than half of it. */
  get isHalfRead(): boolean {
    return ((Atomics.load(this.#head, 0) - this.#position) >>> 0) * 2 <= this.#capacity;
  }

  /** Whether {@link next} has found all that was published. */
  get isRead(): boolean {
    return this.#position === Atomics.load(this.#head, 0);
  }

  /** The position up to which entries were published so far: see {@link hasReached}. */
  get published(): number {
    return Atomics.load(this.#head, 0);
  }

  // Both halves.

  /** The pusher's: behind the last entry pushed. The taker's: behind the last one found. Compare by {@link hasReached}. */
  get position(): number {
    return this.#position;
  }

  /** Whether the taker has found everything that was pushed before the pusher was at `position`. */
  hasReached(position: number): boolean {
    return ((this.#position - position) | 0) >= 0;
  }
}

function entrySize(length: number): number {
  return (ENTRY_HEADER + length + 7) & ~7;
}
