/** Packets in pooled buffers with room on both sides, so that layers add headers and trailers without copying. */

/** Time in milliseconds since a start that the caller chooses; it only ever grows. */
export type Millis = number;

/** One packet: the bytes of `buffer` from `start` to `end`. Lent for the call: who keeps it copies. */
export interface Packet {
  readonly buffer: Uint8Array;
  start: number;
  end: number;
}

/** Room that devices leave in front of a packet: enough for every layer's headers. */
export const PACKET_HEADROOM = 64;

/** Room that devices leave behind a packet: padding, tags and trailers. */
export const PACKET_TAILROOM = 96;

/** The bytes of a packet, as a view. */
export function packetBytes(packet: Packet): Uint8Array {
  return packet.buffer.subarray(packet.start, packet.end);
}

/** A packet over a copy of the bytes, with room on both sides. */
export function packetOf(bytes: Uint8Array): Packet {
  const buffer = new Uint8Array(PACKET_HEADROOM + bytes.length + PACKET_TAILROOM);
  buffer.set(bytes, PACKET_HEADROOM);
  return { buffer, start: PACKET_HEADROOM, end: PACKET_HEADROOM + bytes.length };
}
