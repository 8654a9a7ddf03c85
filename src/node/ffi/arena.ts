/**
 * One fixed piece of memory in which system calls and OpenSSL work by address.
 *
 * The danger it removes: a JavaScript buffer whose address is stored in native memory (a pollfd table, an iovec, a cipher context) can be
 * collected while C still uses it, and the heap is corrupted. So no address of a buffer ever leaves JavaScript, only addresses inside an
 * arena, and whoever uses an address holds the arena. Nothing in it moves: the memory never grows, and nothing is handed back.
 *
 * It is a WebAssembly memory: the byte kernels work in the same bytes.
 */
import { MisuseError } from '../../core/errors.ts';
import { koffi } from './koffi.ts';

const PAGE = 65_536;

/** What every allocation is aligned to: enough for any C type, and for SIMD loads. */
const ALIGNMENT = 16;

/** So many bytes behind the last allocation are nobody's, for who writes a little beyond a piece of memory and puts back what stood there. */
export const BEYOND = 128;

export class Arena {
  /** All of the arena. Offsets into it are what the rest of the code passes around. */
  readonly bytes: Buffer;
  readonly view: DataView;
  readonly #memory: Memory;
  readonly #address: number;
  #used = 0;

  /** @param size in bytes, rounded up to whole pages of 64 KiB */
  constructor(size: number) {
    const pages = Math.ceil((size + BEYOND) / PAGE);
    this.#memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
    const { buffer } = this.#memory;
    this.bytes = Buffer.from(buffer);
    this.view = new DataView(buffer);
    // Addresses of user space have at most 47 bits (57 with five-level paging, which nothing hands out unasked): exact as a number.
    this.#address = Number(koffi('Native memory').address(buffer));
  }

  /** Room for good: the offset of `length` zeroed bytes. Throws {@link MisuseError} when the arena is full. */
  allocate(length: number): number {
    const offset = this.#used;
    const end = offset + Math.ceil(length / ALIGNMENT) * ALIGNMENT;
    const room = this.bytes.length - BEYOND;
    if (end > room) throw new MisuseError(`arena: ${length} bytes do not fit in the ${room - offset} that are left`);
    this.#used = end;
    return offset;
  }

  /** The address of an offset, for a native call. Use it only while this arena is held. */
  address(offset: number): number {
    return this.#address + offset;
  }

  /** Writes the address of `offset` to `at`, as a pointer in a structure. Without a BigInt, since it is done for each packet. */
  writeAddress(at: number, offset: number): void {
    const address = this.#address + offset;
    this.view.setUint32(at, address % 2 ** 32, true);
    this.view.setUint32(at + 4, Math.floor(address / 2 ** 32), true);
  }

  /** Loads a WebAssembly module that works in this memory, which it imports as `env.memory`. Its exports. */
  load(module: Uint8Array): object {
    return new WebAssembly.Instance(new WebAssembly.Module(module), { env: { memory: this.#memory } }).exports;
  }
}

/**
 * An address for a call that is made for every packet, mostly with the same offset.
 *
 * A number of this size is an object to V8, and a new one for each call if it is computed or comes from a field that only ever held numbers. So the last
 * one is kept in a field that once held something else.
 */
export class KeptAddress {
  readonly #arena: Arena;
  #offset = -1;
  #address: number | undefined = undefined;

  constructor(arena: Arena) {
    this.#arena = arena;
  }

  /** The address of an offset of the arena. */
  of(offset: number): number {
    if (this.#address === undefined || offset !== this.#offset) {
      this.#offset = offset;
      this.#address = this.#arena.address(offset);
    }
    return this.#address;
  }
}

/**
 * The same for a call that is made for each packet of a burst: bursts of equal packets have equal offsets, so that the addresses of the last one are
 * mostly those of the next.
 */
export class KeptAddresses {
  readonly #places: readonly KeptAddress[];

  constructor(arena: Arena) {
    this.#places = Array.from({ length: KEPT_PLACES }, () => new KeptAddress(arena));
  }

  /** The address of an offset of the arena. */
  of(offset: number): number {
    // Fibonacci hashing: offsets of a burst differ by a constant, and shall not meet in a few places.
    const place = Math.imul(offset, 0x9e37_79b1) >>> KEPT_SHIFT;
    return this.#places[place]?.of(offset) ?? 0;
  }
}

/** 2 to the power of 32 less the shift: a few bursts' worth. */
const KEPT_SHIFT = 23;
const KEPT_PLACES = 2 ** (32 - KEPT_SHIFT);

/** The part of the platform's WebAssembly that is used here; Node's types do not declare it. */
interface Memory {
  readonly buffer: ArrayBuffer;
}
declare const WebAssembly: {
  readonly Memory: new (pages: { readonly initial: number; readonly maximum: number }) => Memory;
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object, imports: { readonly env: { readonly memory: Memory } }) => { readonly exports: object };
};
