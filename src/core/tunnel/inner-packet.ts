/** A look at the packets inside a tunnel: what is no IP packet is dropped before any device sees it (spec "AnyConnect", section 12.1). */
import type { Packet } from './packet.ts';

const MIN_IPV4_LENGTH = 20;
const MIN_IPV6_LENGTH = 40;

/** What {@link ipPacketLength} answers instead of a length. */
export const NO_LENGTH = { cutShort: 0, none: -1 } as const;

/** True if the bytes from `start` to `end` can be one IP packet: its version, its length, and that length not beyond the bytes. */
export function isIpPacket(bytes: Uint8Array, start: number, end: number): boolean {
  const length = ipPacketLength(bytes, start, end);
  return length > 0 && length <= end - start;
}

/** The length that an IP packet at `start` says of itself, of which the bytes up to `end` are there; or one of {@link NO_LENGTH}. */
export function ipPacketLength(bytes: Uint8Array, start: number, end: number): number {
  const available = end - start;
  if (available <= 0) return NO_LENGTH.cutShort;
  switch ((bytes[start] ?? 0) >>> 4) {
    case 4: {
      if (available < MIN_IPV4_LENGTH) return NO_LENGTH.cutShort;
      const length = ((bytes[start + 2] ?? 0) << 8) | (bytes[start + 3] ?? 0);
      return length >= MIN_IPV4_LENGTH ? length : NO_LENGTH.none;
    }
    case 6: {
      if (available < MIN_IPV6_LENGTH) return NO_LENGTH.cutShort;
      return MIN_IPV6_LENGTH + (((bytes[start + 4] ?? 0) << 8) | (bytes[start + 5] ?? 0));
    }
    default:
      return NO_LENGTH.none;
  }
}

export function isOfFamily({ buffer, start }: Packet, family: 4 | 6): boolean {
  return (buffer[start] ?? 0) >>> 4 === family;
}
