/**
 * Control packets: what an IPv4 packet of protocol 255 would look like, with a type in the place of its addresses.
 *
 * Read first: spec "Array", section 5.2.
 *
 *   0       2        4      8         12     14  16
 *   +-------+--------+------+---------+------+---+---------
 *   | 45 00 | length |  0   | 00ff 0  | type | 0 | payload, or four zeros
 *   +-------+--------+------+---------+------+---+---------
 */
import { u16 } from '../../ip/byte-order.ts';

export const CONTROL_TYPES = {
  /** "Are you there?", and its answer: the same bytes. */
  keepalive: 1,
  /** The tunnel by UDP: asked for, and answered. */
  datagram: 4,
  /** Packets go by TLS again. */
  datagramGone: 5,
} as const;

const HEADER_LENGTH = 16;
const NO_PAYLOAD = new Uint8Array(4);
/** Where IPv4 says the protocol, and what it is of control packets. */
export const PROTOCOL_OFFSET = 9;
export const PROTOCOL = 0xff;
const TYPE_OFFSET = 12;

export function renderControl(type: number, payload: Uint8Array = NO_PAYLOAD): Uint8Array {
  const length = HEADER_LENGTH + payload.length;
  const bytes = new Uint8Array(length);
  bytes.set([0x45, 0, length >>> 8, length & 0xff, 0, 0, 0, 0, 0, PROTOCOL, 0, 0, type >>> 8, type & 0xff]);
  bytes.set(payload, HEADER_LENGTH);
  return bytes;
}

/** The type of a control packet; undefined for packets of users. @param start where a whole packet begins */
export function controlTypeAt(bytes: Uint8Array, start: number): number | undefined {
  return bytes[start] === 0x45 && bytes[start + PROTOCOL_OFFSET] === PROTOCOL ? u16(bytes, start + TYPE_OFFSET) : undefined;
}

/** Whether a packet of IPv4 has the protocol that is the control packets' alone: no user may send one (spec 5.2). */
export function isReserved(bytes: Uint8Array, start: number): boolean {
  return (bytes[start] ?? 0) >>> 4 === 4 && bytes[start + PROTOCOL_OFFSET] === PROTOCOL;
}
