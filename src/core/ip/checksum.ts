/**
 * The Internet checksum.
 *
 * Read first: RFC 1071. A sum is carried unfolded between the calls, at most 2^31: one packet of 64 KiB and its pseudo-header fit.
 */
import { u16 } from './byte-order.ts';

/** Shorter ranges are not worth a view. */
const VIEW_FROM = 64;

/** The sum of the 16-bit words from `start` to `end`, an odd last byte filled up with zero, added to `sum`. `start` is an even place of what is summed. */
export function sumWords(bytes: Uint8Array, start: number, end: number, sum = 0): number {
  let at = start;
  let total = sum;
  if (end - start >= VIEW_FROM) {
    const view = new DataView(bytes.buffer, bytes.byteOffset + start, end - start);
    const whole = (end - start) & ~7;
    // Each half of a word has an accumulator of its own: 2^14 words of 16 bits stay below 2^30.
    let high = 0;
    let low = 0;
    for (let i = 0; i < whole; i += 8) {
      const first = view.getInt32(i);
      const second = view.getInt32(i + 4);
      high += (first >>> 16) + (second >>> 16);
      low += (first & 0xffff) + (second & 0xffff);
    }
    total += fold(high) + fold(low);
    at += whole;
  }
  for (; at + 1 < end; at += 2) total += u16(bytes, at);
  if (at < end) total += (bytes[at] as number) << 8;
  return total;
}

/** The sum of the pseudo-header (RFC 9293 §3.1, RFC 8200 §8.1): addresses that stand one behind the other, protocol, length. */
export function sumPseudoHeader(bytes: Uint8Array, addressesAt: number, addressLength: number, protocol: number, length: number): number {
  return sumWords(bytes, addressesAt, addressesAt + 2 * addressLength) + protocol + (length >>> 16) + (length & 0xffff);
}

/** A sum as 16 bits. */
export function fold(sum: number): number {
  let folded = (sum & 0xffff) + (sum >>> 16);
  folded = (folded & 0xffff) + (folded >>> 16);
  return folded;
}

/** What goes into the checksum's field. A range that has its checksum in it gives 0. */
export function checksumOf(sum: number): number {
  return ~fold(sum) & 0xffff;
}
