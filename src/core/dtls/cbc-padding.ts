/**
 * What opening a CBC record must not tell by its time: how long the padding was, or whether padding or MAC was wrong (Lucky 13: AlFardan and Paterson,
 * 2013). As far as JavaScript can: the padding is checked without branches ({@link checkedPadding}), a record with bad padding is MACed as if it had none,
 * and the hash blocks that longer padding saves are hashed elsewhere ({@link savedBytes}). Either way the record is dropped without a word, which leaves
 * an attacker nothing to time but our next packet.
 */

export const CBC_BLOCK_LENGTH = 16;

/** RFC 5246 §6.2.3.2: up to 255 bytes of padding, and the byte that counts them. */
export const MAX_PADDING = 255;

/** Record number, type, version and length, in front of the plaintext: RFC 5246 §6.2.3.1, RFC 6347 §4.1.2.1. */
export const MAC_PREFIX_LENGTH = 13;

/** SHA-1 and SHA-256 hash blocks of 64 bytes; the last one has at least 9 bytes of its own (a bit, and the length). */
const HASH_BLOCK_LENGTH = 64;
const HASH_TRAILER_LENGTH = 9;

/** The most that {@link savedBytes} answers. */
export const MAX_SAVED_BYTES: number = Math.ceil(MAX_PADDING / HASH_BLOCK_LENGTH) * HASH_BLOCK_LENGTH;

/**
 * The number of padding bytes in front of the last byte, which names it; with all bits below the sign cleared and the sign set if the padding is
 * bad. No branch depends on the bytes.
 *
 * @param start where the decrypted plaintext, MAC and padding lie in `bytes`, `length` of them
 * @param longest the plaintext's length if there were no padding
 */
export function checkedPadding(bytes: Uint8Array, start: number, length: number, longest: number): number {
  const last = start + length - 1;
  const padding = bytes[last] ?? 0;
  let bad = longest - padding; // negative if there is no room for so much padding
  const scanned = Math.min(MAX_PADDING, length - 1);
  for (let i = 1; i <= scanned; i++) {
    const isPadding = (i - padding - 1) >> 31; // all ones for i <= padding
    const differs = isPadding & ((bytes[last - i] ?? 0) ^ padding);
    bad |= -differs; // negative unless equal
  }
  const badMask = bad >> 31;
  return (padding & ~badMask) | (badMask & -0x8000_0000);
}

/** Bytes to hash beside a MAC over so much plaintext, for as many hash blocks as the longest plaintext would have taken. */
export function savedBytes(longest: number, plaintextLength: number): number {
  return (hashBlocks(longest) - hashBlocks(plaintextLength)) * HASH_BLOCK_LENGTH;
}

/** Blocks that the inner hash of an HMAC runs over, after the one of the key. */
function hashBlocks(plaintextLength: number): number {
  return Math.ceil((MAC_PREFIX_LENGTH + plaintextLength + HASH_TRAILER_LENGTH) / HASH_BLOCK_LENGTH);
}
