/**
 * Packets as a TUN with offloads gives them, made the packets that the wire wants: checksums completed, super-packets cut into segments.
 *
 * Read first: the virtio specification, "Device Operation" of the network device (the header); RFC 9293 §3.1; RFC 3168 §6.1.2 (CWR).
 *
 *   0       1      2               4          6            8
 *   +-------+------+---------------+----------+------------+-----------------+
 *   | flags | type | header length | gso size | csum start | checksum offset |   then the packet; all little endian
 *   +-------+------+---------------+----------+------------+-----------------+
 *
 * The story of a super-packet: {@link inspect} reads the header once → {@link segment} writes the n-th segment to where its record will be. What is one
 * packet already is there after inspect.
 * The header length of the virtio header is only a hint; what counts is in the packet.
 */
import { sumOf, swapped } from './checksum';

const NEEDS_CHECKSUM: u32 = 1;

const GSO_NONE: u32 = 0;
const GSO_TCPV4: u32 = 1;
const GSO_TCPV6: u32 = 4;
const GSO_UDP_L4: u32 = 5;
/** A bit beside the type: the segments' CWR rule, which holds here always. */
const GSO_ECN: u32 = 0x80;

const IPV4_HEADER: i32 = 20;
const IPV6_HEADER: i32 = 40;
const TCP_HEADER: i32 = 20;
const UDP_HEADER: i32 = 8;

/** Up to this length {@link copy} does it itself. */
const MAX_SHORT: i32 = 256;

const FIN: u32 = 0x01;
const PSH: u32 = 0x08;
const CWR: u32 = 0x80;

// What inspect() found out of the packet that is being split.
let source: i32 = 0;
let sourceLength: i32 = 0;
let isSuper: bool = false;
let isIpv4: bool = false;
let isTcp: bool = false;
/** Where the TCP or UDP header starts in the packet. */
let transport: i32 = 0;
/** Of all headers. */
let headers: i32 = 0;
/** Payload bytes of each segment but the last. */
let segmentSize: i32 = 0;
let segments: i32 = 0;
/** Where the checksum of a single packet starts, and where it goes; 0: it is complete. */
let checksumStart: i32 = 0;
let checksumAt: i32 = 0;
/** The pseudo header's sum without the length. */
let pseudo: u32 = 0;

/**
 * Looks at the packet of `length` bytes at `packet`, whose virtio header is at `header`.
 *
 * @param mtu the longest segment, headers included, where segments can be made shorter than the sender asked: TCP's
 * @param target where the packet goes, as long as it is, if it becomes one only
 * @returns how many packets it becomes; 0: it contradicts itself
 */
export function inspect(header: i32, packet: i32, length: i32, mtu: i32, target: i32): i32 {
  source = packet;
  sourceLength = length;
  segments = 1;
  const needsChecksum = (<u32>load<u8>(header) & NEEDS_CHECKSUM) !== 0;
  const kind = <u32>load<u8>(header + 1) & ~GSO_ECN;
  isSuper = kind !== GSO_NONE;
  checksumStart = 0;
  if (needsChecksum) {
    checksumStart = load<u16>(header + 6);
    checksumAt = checksumStart + <i32>load<u16>(header + 8);
    if (checksumAt + 2 > length) return 0;
  }
  if (isSuper ? !needsChecksum || !inspectSuper(kind, load<u16>(header + 4), mtu) : length <= 0) return 0;
  if (segments === 1) segment(0, target);
  return segments;
}

function inspectSuper(kind: u32, gsoSize: i32, mtu: i32): bool {
  isTcp = kind === GSO_TCPV4 || kind === GSO_TCPV6;
  if (!isTcp && kind !== GSO_UDP_L4) return false;
  isIpv4 = load<u8>(source) >> 4 === 4;
  if ((kind === GSO_TCPV4 && !isIpv4) || (kind === GSO_TCPV6 && isIpv4)) return false;
  transport = checksumStart;
  const leastIp = isIpv4 ? IPV4_HEADER : IPV6_HEADER;
  const leastTransport = isTcp ? TCP_HEADER : UDP_HEADER;
  if (transport < leastIp || transport + leastTransport > sourceLength) return false;
  if (isIpv4 && (<i32>load<u8>(source) & 15) * 4 !== transport) return false;
  if (checksumAt !== transport + (isTcp ? 16 : 6)) return false;
  headers = transport + (isTcp ? (<i32>load<u8>(source + transport + 12) >> 4) * 4 : UDP_HEADER);
  const payload = sourceLength - headers;
  if (headers < transport + leastTransport || payload <= 0 || gsoSize <= 0) return false;
  // A TCP segment may be shorter than the sender had in mind; a datagram is what it is.
  segmentSize = isTcp && mtu - headers < gsoSize ? mtu - headers : gsoSize;
  if (segmentSize <= 0) return false;
  segments = (payload + segmentSize - 1) / segmentSize;
  // The kernel left the pseudo header's sum in the checksum's place, with the length of the whole.
  const field = <u32>load<u16>(source + checksumAt);
  pseudo = field + (~swapped(sourceLength - transport) & 0xffff);
  return true;
}

/** Writes segment `index` of what was inspected to `target`, and returns its length. */
export function segment(index: i32, target: i32): i32 {
  if (!isSuper) return whole(target);
  const offset = index * segmentSize;
  const left = sourceLength - headers - offset;
  const isLast = left <= segmentSize;
  const payload = isLast ? left : segmentSize;
  const length = headers + payload;
  copy(target, source, headers);
  copy(target + headers, source + headers + offset, payload);
  if (isIpv4) writeIpv4(index, target, length);
  else store<u16>(target + 4, <u16>swapped(length - IPV6_HEADER));
  const at = target + transport;
  if (isTcp) writeTcp(index, at, offset, isLast);
  else store<u16>(at + 4, <u16>swapped(UDP_HEADER + payload));
  writeChecksum(target, length);
  return length;
}

/** A packet that is one already, with its checksum completed if the kernel left that to us. */
function whole(target: i32): i32 {
  copy(target, source, sourceLength);
  if (checksumStart !== 0) {
    // The pseudo header's sum lies in the checksum's place and is added with the rest.
    storeChecksum(target + checksumAt, sumOf(target + checksumStart, sourceLength - checksumStart, 0));
  }
  return sourceLength;
}

/** For a few bytes the engine's own copy is a call that costs more than they do. */
function copy(target: i32, from: i32, length: i32): void {
  if (length < 16 || length > MAX_SHORT) {
    memory.copy(target, from, length);
    return;
  }
  const last = length - 16;
  for (let i = 0; i < last; i += 16) v128.store(target + i, v128.load(from + i));
  v128.store(target + last, v128.load(from + last));
}

function writeIpv4(index: i32, target: i32, length: i32): void {
  store<u16>(target + 2, <u16>swapped(length));
  // RFC 6864 §4: each datagram has an identification of its own.
  const identification = swapped(load<u16>(target + 4)) + index;
  store<u16>(target + 4, <u16>swapped(identification & 0xffff));
  store<u16>(target + 10, 0);
  store<u16>(target + 10, <u16>(~sumOf(target, transport, 0) & 0xffff));
}

function writeTcp(index: i32, at: i32, offset: i32, isLast: bool): void {
  store<u32>(at + 4, bswap<u32>(bswap<u32>(load<u32>(at + 4)) + offset));
  let flags = <u32>load<u8>(at + 13);
  if (index > 0) flags &= ~CWR;
  if (!isLast) flags &= ~(FIN | PSH);
  store<u8>(at + 13, <u8>flags);
}

function writeChecksum(target: i32, length: i32): void {
  store<u16>(target + checksumAt, 0);
  storeChecksum(target + checksumAt, sumOf(target + transport, length - transport, pseudo + swapped(length - transport)));
}

/** RFC 768: a sum of zero is sent as ones, since zero means that there is none. For TCP both mean the same. */
function storeChecksum(at: i32, sum: u32): void {
  const checksum = ~sum & 0xffff;
  store<u16>(at, <u16>(checksum === 0 ? 0xffff : checksum));
}
