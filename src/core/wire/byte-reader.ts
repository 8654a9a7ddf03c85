/** Reads big-endian values from bytes. Every read names its field, so that an error says what was cut short. */
import { TruncatedError } from '../errors.ts';

export class ByteReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** How many bytes are left. */
  get remaining(): number {
    return this.#bytes.length - this.#at;
  }

  /** How many bytes have been read. */
  get position(): number {
    return this.#at;
  }

  u8(field: string): number {
    this.#need(1, field);
    return this.#byte();
  }

  u16(field: string): number {
    this.#need(2, field);
    return (this.#byte() << 8) | this.#byte();
  }

  u24(field: string): number {
    this.#need(3, field);
    return (this.#byte() << 16) | (this.#byte() << 8) | this.#byte();
  }

  u32(field: string): number {
    this.#need(4, field);
    return this.u16(field) * 0x1_0000 + this.u16(field);
  }

  /** 48 bits, as a number: exact up to 2^48 - 1. */
  u48(field: string): number {
    this.#need(6, field);
    return this.u16(field) * 0x1_0000_0000 + this.u32(field);
  }

  /** The next `length` bytes as a view, not a copy: the caller who keeps them copies. */
  bytes(length: number, field: string): Uint8Array {
    this.#need(length, field);
    const from = this.#at;
    this.#at += length;
    return this.#bytes.subarray(from, this.#at);
  }

  /** Everything that is left, as a view. */
  rest(): Uint8Array {
    return this.bytes(this.remaining, 'rest');
  }

  #need(length: number, field: string): void {
    if (length > this.remaining) {
      throw new TruncatedError(`${field}: wanted ${length} byte${length === 1 ? '' : 's'}, had ${this.remaining}`);
    }
  }

  #byte(): number {
    // The length was checked by the caller, so the element exists.
    return this.#bytes[this.#at++] as number;
  }
}
