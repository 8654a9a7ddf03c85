/** Headers of IP packets that the stack sends: IPv4 without options, IPv6 without extensions. */
import { putU16, putU32 } from './byte-order.ts';
import { checksumOf, sumWords } from './checksum.ts';

/** RFC 1122 §3.2.1.7 wants it set by the system; 64 is what IANA names (RFC 1700) and everybody sends. */
const HOP_LIMIT = 64;

const DONT_FRAGMENT = 0x4000;

export function ipHeaderLength(family: 4 | 6): 20 | 40 {
  return family === 4 ? 20 : 40;
}

/** Where the two addresses stand in a header. */
export function addressesOffset(family: 4 | 6): 12 | 8 {
  return family === 4 ? 12 : 8;
}

/**
 * Writes a header at `at` for `payloadLength` bytes behind it. IPv4 packets say that nobody may fragment them on the way, and have the
 * identification 0, which means nothing in them (RFC 6864 §4.1).
 */
export function writeIpHeader(
  buffer: Uint8Array,
  at: number,
  family: 4 | 6,
  source: Uint8Array,
  destination: Uint8Array,
  protocol: number,
  payloadLength: number,
): void {
  if (family === 4) {
    putU32(buffer, at, 0x4500_0000 | (20 + payloadLength));
    putU32(buffer, at + 4, DONT_FRAGMENT);
    putU32(buffer, at + 8, (HOP_LIMIT << 24) | (protocol << 16));
    buffer.set(source, at + 12);
    buffer.set(destination, at + 16);
    putU16(buffer, at + 10, checksumOf(sumWords(buffer, at, at + 20)));
  } else {
    putU32(buffer, at, 0x6000_0000);
    putU32(buffer, at + 4, (payloadLength << 16) | (protocol << 8) | HOP_LIMIT);
    buffer.set(source, at + 8);
    buffer.set(destination, at + 24);
  }
}
