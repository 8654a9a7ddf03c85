/** What ends a hash's last block: a bit, zeros, and the number of bits. RFC 6234 §4.1, RFC 1321 §3.1. */

/** Of a block of MD5, SHA-1 and SHA-256. */
export const HASH_BLOCK = 64;

/** The bit, in a byte of its own. */
export const END_MARK = 0x80;

/** The byte with the bit, and the number. */
export const LEAST_PADDING = 9;

/** Writes how many bytes were hashed, to the padding that ends at `end`. */
export function writeHashedLength(view: DataView, end: number, length: number, isLittleEndian: boolean): void {
  view.setUint32(isLittleEndian ? end - 8 : end - 4, length * 8, isLittleEndian);
}

/** Writes a padding from `start` to `end`, over whatever stands there. @param length of all that is hashed, in bytes */
export function writePadding(view: DataView, start: number, end: number, length: number, isLittleEndian: boolean): void {
  for (let at = start; at < end; at++) view.setUint8(at, 0);
  view.setUint8(start, END_MARK);
  writeHashedLength(view, end, length, isLittleEndian);
}
