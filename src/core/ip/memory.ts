/** Memory that the stack's buffers are made of. */

export interface Memory {
  /** Bytes of any content: whoever asked writes before it reads. */
  allocate(length: number): Uint8Array;
  /** Copies the bytes of `source` from `start` to `end` to `at` of the target. */
  copy(source: Uint8Array, start: number, end: number, target: Uint8Array, at: number): void;
}

/** The language's own. It zeroes what it allocates, and takes five times as long as a system's memmove for each copy into or out of shared memory. */
export const plainMemory: Memory = {
  allocate: (length) => new Uint8Array(length),
  copy: (source, start, end, target, at) => target.set(source.subarray(start, end), at),
};

/** Rings that were given back, by size: a connection that empties its buffer again and again takes the same memory again. */
export class RingPool {
  /** Bytes that all send buffers together hold. */
  held = 0;
  readonly memory: Memory;
  readonly #limit: number;
  readonly #rings = new Map<number, Uint8Array[]>();
  #bytes = 0;

  /** @param limit bytes that are kept */
  constructor(memory: Memory, limit: number) {
    this.memory = memory;
    this.#limit = limit;
  }

  /** @param size a power of two */
  take(size: number): Uint8Array {
    const ring = this.#rings.get(size)?.pop();
    if (ring === undefined) return this.memory.allocate(size);
    this.#bytes -= size;
    return ring;
  }

  give(ring: Uint8Array): void {
    const size = ring.length;
    if (size === 0 || this.#bytes + size > this.#limit) return;
    this.#bytes += size;
    const same = this.#rings.get(size);
    if (same === undefined) this.#rings.set(size, [ring]);
    else same.push(ring);
  }
}

/** Memory whose blocks of some sizes are taken from the pool. */
export function pooled(pool: RingPool, isKept: (length: number) => boolean): Memory {
  const { memory } = pool;
  return { allocate: (length) => (isKept(length) ? pool.take(length) : memory.allocate(length)), copy: memory.copy };
}
