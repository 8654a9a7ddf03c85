/**
 * What of a packet's headers decides whether it can be joined to others: read once per packet, into the variables below.
 *
 * A plain packet is IPv4 without options, or IPv6 without extension headers, no fragment, as long as it says, and carries TCP or UDP. All others are
 * none: they pass as they are.
 */
import { pseudoSum, sumOf, swapped } from './checksum';

export const TCP: u32 = 6;
export const UDP: u32 = 17;

export const IPV4_HEADER: i32 = 20;
export const IPV6_HEADER: i32 = 40;
const TCP_HEADER: i32 = 20;
export const UDP_HEADER: i32 = 8;

/** Of IPv4's flags and offset: all but "don't fragment", in network byte order as it lies. */
const FRAGMENT_BITS: u32 = 0xffbf;

export let isIpv6: bool = false;
export let protocol: u32 = 0;
export let ipHeader: i32 = 0;
/** Of both headers. */
export let headers: i32 = 0;
export let payload: i32 = 0;
/** Of the flow: a hint that saves the comparison. */
export let flowHash: u32 = 0;

/** Reads the packet's headers. False if it is not a plain one. */
export function readHeaders(packet: i32, length: i32): bool {
  if (length < IPV4_HEADER) return false;
  const version = load<u8>(packet) >> 4;
  isIpv6 = version === 6;
  if (isIpv6) {
    if (length < IPV6_HEADER || <i32>swapped(load<u16>(packet + 4)) + IPV6_HEADER !== length) return false;
    ipHeader = IPV6_HEADER;
    protocol = load<u8>(packet + 6);
  } else {
    if (load<u8>(packet) !== 0x45 || <i32>swapped(load<u16>(packet + 2)) !== length) return false;
    if ((<u32>load<u16>(packet + 6) & FRAGMENT_BITS) !== 0) return false;
    ipHeader = IPV4_HEADER;
    protocol = load<u8>(packet + 9);
  }
  return readTransport(packet, length);
}

function readTransport(packet: i32, length: i32): bool {
  const at = packet + ipHeader;
  if (protocol === TCP) {
    if (length < ipHeader + TCP_HEADER) return false;
    headers = ipHeader + (<i32>load<u8>(at + 12) >> 4) * 4;
    if (headers < ipHeader + TCP_HEADER || headers > length) return false;
  } else if (protocol === UDP) {
    headers = ipHeader + UDP_HEADER;
    if (length < headers || <i32>swapped(load<u16>(at + 4)) !== length - ipHeader) return false;
  } else {
    return false;
  }
  payload = length - headers;
  const address = isIpv6 ? load<u32>(packet + 20) ^ load<u32>(packet + 36) : load<u32>(packet + 12) ^ load<u32>(packet + 16);
  flowHash = (address ^ load<u32>(at) ^ protocol) * 0x9e37_79b1;
  return true;
}

/** Whether two plain packets of one IP version and protocol belong to the same flow. */
export function isSameFlow(a: i32, b: i32): bool {
  if (load<u8>(a) >> 4 !== load<u8>(b) >> 4) return false;
  if (load<u8>(a) >> 4 === 6) {
    return load<u8>(a + 6) === load<u8>(b + 6) && isSame(a + 8, b + 8, 32) && load<u32>(a + IPV6_HEADER) === load<u32>(b + IPV6_HEADER);
  }
  return (
    load<u8>(a + 9) === load<u8>(b + 9) &&
    load<u64>(a + 12) === load<u64>(b + 12) &&
    load<u32>(a + IPV4_HEADER) === load<u32>(b + IPV4_HEADER)
  );
}

/** Whether two runs of bytes are the same; lengths are multiples of four. */
export function isSame(a: i32, b: i32, length: i32): bool {
  for (let i = 0; i < length; i += 4) if (load<u32>(a + i) !== load<u32>(b + i)) return false;
  return true;
}

/** Whether a plain packet's checksums are right. A UDP packet over IPv4 that has none is not: there is nothing to go by. */
export function isIntact(packet: i32, length: i32): bool {
  const isVersion6 = load<u8>(packet) >> 4 === 6;
  const ip = isVersion6 ? IPV6_HEADER : IPV4_HEADER;
  if (!isVersion6 && sumOf(packet, IPV4_HEADER, 0) !== 0xffff) return false;
  const kind = <u32>load<u8>(packet + (isVersion6 ? 6 : 9));
  if (kind === UDP && load<u16>(packet + ip + 6) === 0) return false;
  return sumOf(packet + ip, length - ip, pseudoSum(packet, isVersion6, kind, length - ip)) === 0xffff;
}
