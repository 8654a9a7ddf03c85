/**
 * The packets of the load: UDP in IPv4, with the number of the session and their own, so that what comes back can be told apart.
 *
 *   0        20     28        32       36
 *   +--------+------+---------+--------+----------
 *   | IPv4   | UDP  | session | number | filling…
 *   +--------+------+---------+--------+----------
 *
 * Read first: RFC 791 §3.1, RFC 768. A UDP checksum of 0 means that there is none.
 */
import type { IpAddress } from '../../src/core/wire/ip-address.ts';

const IP_HEADER = 20;
const HEADERS = 28;
const MARKS = 8;

const PROTOCOL_UDP = 17;
const TIME_TO_LIVE = 64;

/** Any that nobody else has. */
const CLIENT_PORT = 4000;

export interface Marks {
  readonly session: number;
  readonly number: number;
}

export interface PacketRoute {
  readonly from: IpAddress;
  readonly to: IpAddress;
  readonly port: number;
}

/** A packet of so many bytes in all. */
export function numberedPacket({ from, to, port }: PacketRoute, { session, number }: Marks, length: number): Uint8Array {
  const packet = Buffer.alloc(Math.max(length, HEADERS + MARKS));
  packet[0] = 0x45; // version 4, five words of header
  packet.writeUInt16BE(packet.length, 2);
  packet[8] = TIME_TO_LIVE;
  packet[9] = PROTOCOL_UDP;
  packet.set(from.bytes, 12);
  packet.set(to.bytes, 16);
  packet.writeUInt16BE(checksumOf(packet.subarray(0, IP_HEADER)), 10);
  packet.writeUInt16BE(CLIENT_PORT, 20);
  packet.writeUInt16BE(port, 22);
  packet.writeUInt16BE(packet.length - IP_HEADER, 24);
  packet.writeUInt32BE(session, HEADERS);
  packet.writeUInt32BE(number, HEADERS + 4);
  return packet;
}

/** Undefined for what is no answer to one of ours. */
export function marksOf(bytes: Uint8Array): Marks | undefined {
  const packet = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (packet.length < HEADERS + MARKS || packet[0] !== 0x45 || packet[9] !== PROTOCOL_UDP || packet.readUInt16BE(22) !== CLIENT_PORT) {
    return undefined;
  }
  return { session: packet.readUInt32BE(HEADERS), number: packet.readUInt32BE(HEADERS + 4) };
}

function checksumOf(header: Buffer): number {
  let sum = 0;
  for (let at = 0; at < header.length; at += 2) sum += header.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
