/** The Adler-32 checksum (RFC 1950 §8.2), running: what comes out goes in again with the next bytes. */

/** The checksum before any byte. */
export const ADLER32_START = 1;

const MODULUS = 65_521;

/** So many bytes fit before the sums could pass 2^32 and must be reduced (zlib's NMAX). */
const CHUNK = 5552;

/** The checksum of what `checksum` covered and `bytes` after it, as an unsigned 32-bit number. */
export function adler32(checksum: number, bytes: Uint8Array): number {
  let a = checksum & 0xffff;
  let b = checksum >>> 16;
  for (let from = 0; from < bytes.length; from += CHUNK) {
    const end = Math.min(from + CHUNK, bytes.length);
    for (let i = from; i < end; i++) {
      a += bytes[i] as number; // i is below the length
      b += a;
    }
    a %= MODULUS;
    b %= MODULUS;
  }
  return ((b << 16) | a) >>> 0;
}
