/** Writes big-endian values into a buffer that grows. For control traffic; the packet path writes into its own rooms. */
const INITIAL_CAPACITY = 256;

export class ByteWriter {
  #bytes: Uint8Array = new Uint8Array(INITIAL_CAPACITY);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  u8(value: number): this {
    this.#room(1);
    this.#bytes[this.#length++] = value;
    return this;
  }

  u16(value: number): this {
    return this.u8(value >>> 8).u8(value);
  }

  u24(value: number): this {
    return this.u8(value >>> 16).u16(value & 0xffff);
  }

  u32(value: number): this {
    return this.u16(Math.floor(value / 0x1_0000) & 0xffff).u16(value & 0xffff);
  }

  /** 48 bits from a number: exact up to 2^48 - 1. */
  u48(value: number): this {
    return this.u16(Math.floor(value / 0x1_0000_0000) & 0xffff).u32(value % 0x1_0000_0000);
  }

  bytes(value: Uint8Array): this {
    this.#room(value.length);
    this.#bytes.set(value, this.#length);
    this.#length += value.length;
    return this;
  }

  /** Writes a length of `width` bytes, then what `body` writes: the length is filled in afterwards. */
  prefixed(width: 1 | 2 | 3, body: (writer: this) => void): this {
    const at = this.#length;
    for (let i = 0; i < width; i++) this.u8(0);
    body(this);
    let length = this.#length - at - width;
    for (let i = width - 1; i >= 0; i--) {
      this.#bytes[at + i] = length;
      length >>>= 8;
    }
    return this;
  }

  /** What has been written, as a copy that is the caller's own. */
  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  #room(length: number): void {
    if (this.#length + length <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(this.#bytes.length * 2, this.#length + length));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
  }
}
