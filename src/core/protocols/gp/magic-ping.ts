/**
 * "Are you there?" in ESP: a ping from the client's own address to one that the gateway has named, with words that nobody else sends.
 *
 * Read first: spec "GlobalProtect", section 10.4.
 */
import type { EspProbe } from '../../esp/channel.ts';
import { NEXT_HEADER } from '../../esp/packet.ts';
import { putU16 } from '../../ip/byte-order.ts';
import { checksumOf, sumPseudoHeader, sumWords } from '../../ip/checksum.ts';
import { echoTypes, ICMP_HEADER, icmpPacket } from '../../ip/icmp-message.ts';
import { addressesOffset } from '../../ip/ip-header.ts';
import { IpPacket, PROTOCOL } from '../../ip/ip-packet.ts';
import type { PacketException } from '../../tunnel/traffic.ts';
import { copyOf } from '../../wire/copy.ts';
import type { IpAddress } from '../../wire/ip-address.ts';
import { fromHex } from '../../wire/text.ts';

/** "monitor", "pan ha ". Other clients send more behind it. */
const MAGIC = fromHex('6d6f6e69746f7200 0070616e20686120');
/** ICMP's identifier, and IPv4's identification. */
const ID = 0x4747;
const IPV4_ID_OFFSET = 4;
const IPV4_CHECKSUM_OFFSET = 10;
const IPV6_HOP_LIMIT_OFFSET = 7;
const IPV6_HOP_LIMIT = 128;
const ICMP_CHECKSUM_OFFSET = 2;
const PROTOCOL_OFFSET = { 4: 9, 6: 6 } as const;

export interface PingEnds {
  readonly client: IpAddress;
  /** Of the same family. */
  readonly gateway: IpAddress;
}

export function clientProbe({ client, gateway }: PingEnds): EspProbe {
  const { family } = gateway;
  const types = echoTypes(family);
  const packet = new IpPacket();
  return {
    request: (number) => {
      const message = { type: types.request, code: 0, rest: (ID << 16) | number, body: MAGIC };
      const bytes = icmpPacket(family, client.bytes, gateway.bytes, message);
      if (family === 4) identify(bytes);
      else bytes[IPV6_HOP_LIMIT_OFFSET] = IPV6_HOP_LIMIT;
      return { bytes, nextHeader: family === 4 ? NEXT_HEADER.ipv4 : NEXT_HEADER.ipv6 };
    },
    read: ({ bytes }) => (isPing(packet, bytes, 'reply') && isSame(packet.source, gateway.bytes) ? 'answer' : 'data'),
    exceptions: [allPings(gateway, addressesOffset(family))],
  };
}

/** @param named what clients were told to ask */
export function gatewayProbe(named: readonly IpAddress[]): EspProbe {
  const packet = new IpPacket();
  return {
    request: () => ({ bytes: MAGIC, nextHeader: NEXT_HEADER.ipv4 }), // never sent: this end is asked, and asks nothing
    read: ({ bytes, nextHeader }) => {
      if (!isPing(packet, bytes, 'request') || !named.some((address) => isSame(packet.destination, address.bytes))) return 'data';
      return { answer: { bytes: answerTo(packet), nextHeader } };
    },
    exceptions: named.map((address) => allPings(address, addressesOffset(address.family) + address.bytes.length)),
  };
}

/** What the engine can tell: an ICMP packet with this address at its place. */
function allPings({ family, bytes }: IpAddress, addressAt: number): PacketException {
  const protocol = Uint8Array.of(family === 4 ? PROTOCOL.icmp : PROTOCOL.icmpv6);
  return {
    family,
    bytes: [
      { offset: PROTOCOL_OFFSET[family], value: protocol },
      { offset: addressAt, value: bytes },
    ],
  };
}

/** Cheap for what is none: each packet of data is looked at so. */
function isPing(packet: IpPacket, bytes: Uint8Array, kind: 'request' | 'reply'): boolean {
  const family = (bytes[0] ?? 0) >>> 4 === 4 ? 4 : 6;
  const protocol = family === 4 ? PROTOCOL.icmp : PROTOCOL.icmpv6;
  if (bytes[PROTOCOL_OFFSET[family]] !== protocol || packet.parse(bytes, 0, bytes.length) !== undefined) return false;
  const { payload, end } = packet;
  if (packet.isFragment || packet.protocol !== protocol || end - payload < ICMP_HEADER + MAGIC.length) return false;
  return bytes[payload] === echoTypes(family)[kind] && isSame(bytes.subarray(payload + ICMP_HEADER).subarray(0, MAGIC.length), MAGIC);
}

/** The same packet the other way: IPv4's header has the same sum with its addresses swapped. */
function answerTo({ buffer, family, source, destination, addressesAt, addressLength, payload, protocol, end }: IpPacket): Uint8Array {
  const answer = copyOf(buffer.subarray(0, end));
  answer.set(destination, addressesAt);
  answer.set(source, addressesAt + addressLength);
  answer[payload] = echoTypes(family).reply;
  answer[payload + 1] = 0;
  putU16(answer, payload + ICMP_CHECKSUM_OFFSET, 0);
  const start = family === 4 ? 0 : sumPseudoHeader(answer, addressesAt, addressLength, protocol, end - payload);
  putU16(answer, payload + ICMP_CHECKSUM_OFFSET, checksumOf(sumWords(answer, payload, end, start)));
  return answer;
}

function identify(ipv4: Uint8Array): void {
  putU16(ipv4, IPV4_ID_OFFSET, ID);
  putU16(ipv4, IPV4_CHECKSUM_OFFSET, 0);
  putU16(ipv4, IPV4_CHECKSUM_OFFSET, checksumOf(sumWords(ipv4, 0, 20)));
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
