/**
 * ICMP and ICMPv6 messages: what the stack understands and says.
 *
 * Read first: RFC 792; RFC 4443; RFC 1122 §3.2.2; RFC 4884 (what a quotation may be followed by).
 */
import { putU16, putU32, u16 } from './byte-order.ts';
import { checksumOf, sumPseudoHeader, sumWords } from './checksum.ts';
import { addressesOffset, ipHeaderLength, writeIpHeader } from './ip-header.ts';
import { PROTOCOL } from './ip-packet.ts';

/** Type, code, checksum, and four bytes that depend on the type. */
export const ICMP_HEADER = 8;

export const ICMP = { echoReply: 0, unreachable: 3, echoRequest: 8, timeExceeded: 11 } as const;
export const ICMPV6 = { unreachable: 1, tooBig: 2, timeExceeded: 3, parameterProblem: 4, echoRequest: 128, echoReply: 129 } as const;

/** What an error says, in words that both families have. */
export type IcmpError = 'network-unreachable' | 'host-unreachable' | 'protocol-unreachable' | 'port-unreachable' | 'too-big' | 'transient';

export function echoTypes(family: 4 | 6): { readonly request: number; readonly reply: number } {
  return family === 4 ? { request: ICMP.echoRequest, reply: ICMP.echoReply } : { request: ICMPV6.echoRequest, reply: ICMPV6.echoReply };
}

/** What a message reports; undefined: it is no error, or none that anyone has to hear of. */
export function errorOf(family: 4 | 6, type: number, code: number): IcmpError | undefined {
  return family === 4 ? icmpError(type, code) : icmpv6Error(type, code);
}

/** Whether it is an error message at all: those are never answered by errors. */
export function isError(family: 4 | 6, type: number): boolean {
  // RFC 1122 §3.2.2: unreachable, source quench, redirect, time exceeded, parameter problem. RFC 4443 §2.1: those below 128.
  return family === 4 ? type === 3 || type === 4 || type === 5 || type === 11 || type === 12 : type < 128;
}

function icmpError(type: number, code: number): IcmpError | undefined {
  if (type === ICMP.timeExceeded) return 'transient';
  if (type !== ICMP.unreachable) return undefined;
  switch (code) {
    case 0:
    case 6:
    case 9:
    case 11:
      return 'network-unreachable';
    case 2:
      return 'protocol-unreachable';
    case 3:
      return 'port-unreachable';
    case 4:
      return 'too-big';
    default:
      return 'host-unreachable';
  }
}

function icmpv6Error(type: number, code: number): IcmpError | undefined {
  switch (type) {
    case ICMPV6.tooBig:
      return 'too-big';
    case ICMPV6.timeExceeded:
      return 'transient';
    case ICMPV6.parameterProblem:
      return code === 1 ? 'protocol-unreachable' : undefined;
    case ICMPV6.unreachable:
      return code === 0 ? 'network-unreachable' : code === 4 ? 'port-unreachable' : 'host-unreachable';
    default:
      return undefined;
  }
}

/** The MTU of a too-big error; 0: the router does not say (RFC 1191 §4). */
export function mtuOf(family: 4 | 6, bytes: Uint8Array, at: number): number {
  return family === 4 ? u16(bytes, at + 6) : u16(bytes, at + 4) * 0x1_0000 + u16(bytes, at + 6);
}

/** A whole packet with one message. */
export function icmpPacket(
  family: 4 | 6,
  source: Uint8Array,
  destination: Uint8Array,
  message: { readonly type: number; readonly code: number; readonly rest: number; readonly body: Uint8Array },
): Uint8Array {
  const header = ipHeaderLength(family);
  const length = ICMP_HEADER + message.body.length;
  const packet = new Uint8Array(header + length);
  const protocol = family === 4 ? PROTOCOL.icmp : PROTOCOL.icmpv6;
  writeIpHeader(packet, 0, family, source, destination, protocol, length);
  packet[header] = message.type;
  packet[header + 1] = message.code;
  putU32(packet, header + 4, message.rest);
  packet.set(message.body, header + ICMP_HEADER);
  // RFC 4443 §2.3: ICMPv6 sums the pseudo-header, ICMP does not.
  const start = family === 4 ? 0 : sumPseudoHeader(packet, addressesOffset(6), 16, protocol, length);
  putU16(packet, header + 2, checksumOf(sumWords(packet, header, packet.length, start)));
  return packet;
}
