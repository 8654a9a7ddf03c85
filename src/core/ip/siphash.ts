/**
 * SipHash-2-4 with 32 bits of result: a keyed hash for initial sequence numbers and tables that strangers fill.
 *
 * Read first: Aumasson, Bernstein, "SipHash: a fast short-input PRF" (2012). 64-bit words are two 32-bit halves here.
 */
import { MisuseError } from '../errors.ts';

export const SIPHASH_KEY_LENGTH = 16;

export class SipHash {
  readonly #key = new Int32Array(4);
  /** v0 to v3, low half first. */
  readonly #v = new Int32Array(8);

  constructor(key: Uint8Array) {
    if (key.length !== SIPHASH_KEY_LENGTH) throw new MisuseError(`a SipHash key has ${SIPHASH_KEY_LENGTH} bytes, not ${key.length}`);
    for (let i = 0; i < 4; i++) this.#key[i] = littleEndian(key, 4 * i);
  }

  /** The low half of the 64-bit hash, as a signed integer. */
  hash32(bytes: Uint8Array, start = 0, end: number = bytes.length): number {
    this.#run(bytes, start, end);
    const v = this.#v;
    return (v[0] as number) ^ (v[2] as number) ^ (v[4] as number) ^ (v[6] as number);
  }

  /** All 64 bits, little-endian. */
  hash(bytes: Uint8Array): Uint8Array {
    this.#run(bytes, 0, bytes.length);
    const v = this.#v;
    const low = (v[0] as number) ^ (v[2] as number) ^ (v[4] as number) ^ (v[6] as number);
    const high = (v[1] as number) ^ (v[3] as number) ^ (v[5] as number) ^ (v[7] as number);
    return Uint8Array.from({ length: 8 }, (_, i) => (i < 4 ? low : high) >>> (8 * (i & 3)));
  }

  #run(bytes: Uint8Array, start: number, end: number): void {
    const v = this.#v;
    const [k0 = 0, k1 = 0, k2 = 0, k3 = 0] = this.#key;
    v[0] = k0 ^ 0x70736575;
    v[1] = k1 ^ 0x736f6d65;
    v[2] = k2 ^ 0x6e646f6d;
    v[3] = k3 ^ 0x646f7261;
    v[4] = k0 ^ 0x6e657261;
    v[5] = k1 ^ 0x6c796765;
    v[6] = k2 ^ 0x79746573;
    v[7] = k3 ^ 0x74656462;
    let at = start;
    for (; at + 8 <= end; at += 8) this.#block(littleEndian(bytes, at), littleEndian(bytes, at + 4));
    let low = 0;
    let high = (end - start) << 24;
    for (let i = 0; at + i < end; i++) {
      if (i < 4) low |= (bytes[at + i] as number) << (8 * i);
      else high |= (bytes[at + i] as number) << (8 * (i - 4));
    }
    this.#block(low, high);
    v[4] = (v[4] as number) ^ 0xff;
    for (let i = 0; i < 4; i++) this.#round();
  }

  #block(low: number, high: number): void {
    const v = this.#v;
    v[6] = (v[6] as number) ^ low;
    v[7] = (v[7] as number) ^ high;
    this.#round();
    this.#round();
    v[0] = (v[0] as number) ^ low;
    v[1] = (v[1] as number) ^ high;
  }

  #round(): void {
    this.#mix(0, 2, 13);
    this.#swap(0);
    this.#mix(4, 6, 16);
    this.#mix(0, 6, 21);
    this.#mix(4, 2, 17);
    this.#swap(4);
  }

  /** a += b; b = rotate(b, bits) ^ a. */
  #mix(a: number, b: number, bits: number): void {
    const v = this.#v;
    const low = ((v[a] as number) >>> 0) + ((v[b] as number) >>> 0);
    v[a + 1] = (v[a + 1] as number) + (v[b + 1] as number) + (low > 0xffff_ffff ? 1 : 0);
    v[a] = low;
    const bLow = v[b] as number;
    const bHigh = v[b + 1] as number;
    v[b] = ((bLow << bits) | (bHigh >>> (32 - bits))) ^ (v[a] as number);
    v[b + 1] = ((bHigh << bits) | (bLow >>> (32 - bits))) ^ (v[a + 1] as number);
  }

  /** Rotates by 32 bits. */
  #swap(a: number): void {
    const v = this.#v;
    const low = v[a] as number;
    v[a] = v[a + 1] as number;
    v[a + 1] = low;
  }
}

function littleEndian(bytes: Uint8Array, at: number): number {
  return (bytes[at] as number) | ((bytes[at + 1] as number) << 8) | ((bytes[at + 2] as number) << 16) | ((bytes[at + 3] as number) << 24);
}
