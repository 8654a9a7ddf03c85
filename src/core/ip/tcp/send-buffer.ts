/** What was written and is not acknowledged yet: a ring that grows up to its limit and gives its memory back when it is empty. */
import type { RingPool } from '../memory.ts';

const NOTHING = new Uint8Array(0);

const FIRST_SIZE = 2_048;

/** A ring up to this size is kept while nothing is in it. */
const KEPT_SIZE = 16_384;

export class SendBuffer {
  readonly #pool: RingPool;
  #ring: Uint8Array = NOTHING;
  #start = 0;
  #length = 0;

  constructor(pool: RingPool) {
    this.#pool = pool;
  }

  get length(): number {
    return this.#length;
  }

  /** Appends a copy of the bytes from `start` to `end`. The caller keeps to its limit. */
  append(bytes: Uint8Array, start: number, end: number): void {
    const added = end - start;
    if (this.#length + added > this.#ring.length) this.#grow(this.#length + added);
    const ring = this.#ring;
    const at = (this.#start + this.#length) & (ring.length - 1);
    const first = Math.min(added, ring.length - at);
    const { memory } = this.#pool;
    memory.copy(bytes, start, start + first, ring, at);
    if (first < added) memory.copy(bytes, start + first, end, ring, 0);
    this.#length += added;
    this.#pool.held += added;
  }

  /** Copies `length` bytes from `offset` on to `at` of the target. */
  copy(offset: number, length: number, target: Uint8Array, at: number): void {
    const ring = this.#ring;
    const from = (this.#start + offset) & (ring.length - 1);
    const first = Math.min(length, ring.length - from);
    const { memory } = this.#pool;
    memory.copy(ring, from, from + first, target, at);
    if (first < length) memory.copy(ring, 0, length - first, target, at + first);
  }

  /** Forgets the first bytes. */
  drop(length: number): void {
    this.#length -= length;
    this.#pool.held -= length;
    this.#start = this.#length === 0 ? 0 : (this.#start + length) & (this.#ring.length - 1);
    if (this.#length === 0 && this.#ring.length > KEPT_SIZE) this.clear();
  }

  clear(): void {
    this.#pool.held -= this.#length;
    this.#pool.give(this.#ring);
    this.#ring = NOTHING;
    this.#start = 0;
    this.#length = 0;
  }

  #grow(wanted: number): void {
    let size = Math.max(FIRST_SIZE, this.#ring.length);
    while (size < wanted) size *= 2;
    const grown = this.#pool.take(size);
    if (this.#length > 0) this.copy(0, this.#length, grown, 0);
    this.#pool.give(this.#ring);
    this.#ring = grown;
    this.#start = 0;
  }
}
