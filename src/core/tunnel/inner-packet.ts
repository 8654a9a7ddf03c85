/** A look at the packets inside a tunnel: what is no IP packet is dropped before any device sees it (spec "AnyConnect", section 12.1). */

const MIN_IPV4_LENGTH = 20;
const MIN_IPV6_LENGTH = 40;

/** True if the bytes from `start` to `end` can be one IP packet: its version, its length, and that length not beyond the bytes. */
export function isIpPacket(bytes: Uint8Array, start: number, end: number): boolean {
  const available = end - start;
  switch ((bytes[start] ?? 0) >>> 4) {
    case 4: {
      const length = ((bytes[start + 2] ?? 0) << 8) | (bytes[start + 3] ?? 0);
      return available >= MIN_IPV4_LENGTH && length >= MIN_IPV4_LENGTH && length <= available;
    }
    case 6: {
      const payload = ((bytes[start + 4] ?? 0) << 8) | (bytes[start + 5] ?? 0);
      return available >= MIN_IPV6_LENGTH + payload;
    }
    default:
      return false;
  }
}
