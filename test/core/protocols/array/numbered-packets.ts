/** Packets of Array's tests. */

/** An IPv4 packet from the client, or for it, with a number in it. */
export function numberedPacket(number: number, { length = 100, isDown = false } = {}): Uint8Array {
  const bytes = new Uint8Array(length);
  const [own, peer] = [
    [10, 77, 0, 50],
    [10, 77, 0, 1],
  ];
  bytes.set([0x45, 0, length >>> 8, length & 0xff, 0, 0, 0, 0, 64, 17, 0, 0, ...(isDown ? [...peer, ...own] : [...own, ...peer])]);
  new DataView(bytes.buffer).setUint32(20, number);
  return bytes;
}

/** One for the client. */
export const packetDown = (number: number): Uint8Array => numberedPacket(number, { isDown: true });
