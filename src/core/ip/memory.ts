/** Memory that the stack's buffers are made of. */

/** Bytes of any content: whoever asked writes before it reads. */
export type Allocate = (length: number) => Uint8Array;

export const plainMemory: Allocate = (length) => new Uint8Array(length);

/** Rings that were given back, by size: a connection that empties its buffer again and again takes the same memory again. */
export class RingPool {
  /** Bytes that all send buffers together hold. */
  held = 0;
  readonly #allocate: Allocate;
  readonly #limit: number;
  readonly #rings = new Map<number, Uint8Array[]>();
  #bytes = 0;

  /** @param limit bytes that are kept */
  constructor(allocate: Allocate, limit: number) {
    this.#allocate = allocate;
    this.#limit = limit;
  }

  /** @param size a power of two */
  take(size: number): Uint8Array {
    const ring = this.#rings.get(size)?.pop();
    if (ring === undefined) return this.#allocate(size);
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
