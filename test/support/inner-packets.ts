/** IP packets with TCP or UDP, written from their fields: slow, obvious, with right checksums. */
import { randomBytes } from 'node:crypto';

export const TCP = 6;
export const UDP = 17;

export const FLAGS = { fin: 1, syn: 2, rst: 4, psh: 8, ack: 16, urg: 32, ece: 64, cwr: 128 } as const;

/** Two no-operations and a timestamp. */
export function timestamps(value: number, echo: number): Buffer {
  const options = Buffer.from('0101080a0000000000000000', 'hex');
  options.writeUInt32BE(value, 4);
  options.writeUInt32BE(echo, 8);
  return options;
}

/** Two no-operations and SACK (RFC 2018 §3), of data from one sequence number to another; nothing of none. */
export function selective(...blocks: readonly (readonly [number, number])[]): Buffer {
  if (blocks.length === 0) return Buffer.alloc(0);
  const options = Buffer.from([1, 1, 5, 2 + blocks.length * 8, ...new Array<number>(blocks.length * 8).fill(0)]);
  for (const [i, ends] of blocks.entries()) {
    for (const [j, end] of ends.entries()) options.writeUInt32BE(end >>> 0, 4 + i * 8 + j * 4);
  }
  return options;
}

export interface PacketFields {
  readonly version: 4 | 6;
  readonly protocol: number;
  /** Of the flow: ends in addresses and ports. */
  readonly flow: number;
  readonly tos: number;
  readonly ttl: number;
  readonly identification: number;
  /** Of IPv4's flags and offset field: 0x4000 is "don't fragment". */
  readonly fragment: number;
  readonly sequence: number;
  readonly acknowledgement: number;
  readonly window: number;
  readonly urgent: number;
  readonly flags: number;
  /** TCP's, a multiple of four bytes. */
  readonly options: Uint8Array;
  readonly payload: Uint8Array;
}

export const PLAIN: PacketFields = {
  version: 4,
  protocol: TCP,
  flow: 1,
  tos: 0,
  ttl: 64,
  identification: 7,
  fragment: 0x4000,
  sequence: 1000,
  acknowledgement: 2000,
  window: 501,
  urgent: 0,
  flags: FLAGS.ack,
  options: new Uint8Array(0),
  payload: new Uint8Array(0),
};

export function packetFrom(given: Partial<PacketFields>): Buffer {
  const fields = { ...PLAIN, ...given };
  const body = transportOf(fields);
  const header = fields.version === 6 ? ipv6Header(fields, body.length) : ipv4Header(fields, body.length);
  const at = fields.protocol === TCP ? 16 : 6;
  body.writeUInt16BE(0, at);
  const sum = onesSum(body, pseudoSum(header, fields, body.length));
  body.writeUInt16BE(sum === 0xffff ? 0xffff : ~sum & 0xffff, at); // zero would mean "none"
  return Buffer.concat([header, body]);
}

/** The same as the kernel hands it to a TUN with offloads: the checksum's place has the pseudo header's sum only. */
export function uncheckedFrom(given: Partial<PacketFields>): Buffer {
  const fields = { ...PLAIN, ...given };
  const packet = packetFrom(fields);
  const ip = fields.version === 6 ? 40 : 20;
  const length = packet.length - ip;
  packet.writeUInt16BE(pseudoSum(packet, fields, length), ip + (fields.protocol === TCP ? 16 : 6));
  return packet;
}

function transportOf(fields: PacketFields): Buffer {
  const { protocol, flow, payload, options } = fields;
  if (protocol !== TCP) {
    const header = Buffer.alloc(8);
    header.writeUInt16BE(1000 + flow, 0);
    header.writeUInt16BE(2000 + flow, 2);
    header.writeUInt16BE(8 + payload.length, 4);
    return Buffer.concat([header, payload]);
  }
  const header = Buffer.alloc(20);
  header.writeUInt16BE(1000 + flow, 0);
  header.writeUInt16BE(2000 + flow, 2);
  header.writeUInt32BE(fields.sequence >>> 0, 4);
  header.writeUInt32BE(fields.acknowledgement >>> 0, 8);
  header[12] = (5 + options.length / 4) << 4;
  header[13] = fields.flags;
  header.writeUInt16BE(fields.window, 14);
  header.writeUInt16BE(fields.urgent, 18);
  return Buffer.concat([header, options, payload]);
}

function ipv4Header(fields: PacketFields, length: number): Buffer {
  const header = Buffer.from('4500000000000000000000000a0900020a090001', 'hex');
  header[1] = fields.tos;
  header.writeUInt16BE(20 + length, 2);
  header.writeUInt16BE(fields.identification & 0xffff, 4);
  header.writeUInt16BE(fields.fragment, 6);
  header[8] = fields.ttl;
  header[9] = fields.protocol;
  header[15] = fields.flow & 0xff;
  header.writeUInt16BE(~onesSum(header, 0) & 0xffff, 10);
  return header;
}

function ipv6Header(fields: PacketFields, length: number): Buffer {
  const header = Buffer.alloc(40);
  header.writeUInt32BE((0x60000000 | (fields.tos << 20) | (fields.flow & 0xfffff)) >>> 0, 0);
  header.writeUInt16BE(length, 4);
  header[6] = fields.protocol;
  header[7] = fields.ttl;
  header[8] = 0xfd;
  header[23] = fields.flow & 0xff;
  header[24] = 0xfd;
  header[39] = 1;
  return header;
}

function pseudoSum(header: Uint8Array, fields: PacketFields, length: number): number {
  const addresses = fields.version === 6 ? header.subarray(8, 40) : header.subarray(12, 20);
  return onesSum(addresses, fields.protocol + length);
}

function onesSum(bytes: Uint8Array, start: number): number {
  let sum = start;
  for (let i = 0; i < bytes.length; i += 2) sum += ((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return sum;
}

/** A virtio header, as the kernel writes it: flags, type, header length, segment size, and where the checksum is. */
export function virtioHeader(type: number, size: number, start: number, offset: number, flags = 1): Buffer {
  const header = Buffer.alloc(10);
  header[0] = flags;
  header[1] = type;
  header.writeUInt16LE(size, 4);
  header.writeUInt16LE(start, 6);
  header.writeUInt16LE(offset, 8);
  return header;
}

export function someBytes(length: number): Buffer {
  return randomBytes(length);
}
