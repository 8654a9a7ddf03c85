/**
 * Packets on their way to the TUN: consecutive segments of a flow become one super-packet, which the host takes in for the price of one.
 *
 * The story of a burst: the caller lists its packets → {@link join} finds for each the group that it continues, or makes it the first of its own →
 * writes one list of pieces (struct iovec) for each group, and the virtio header that says how the host could cut it again.
 *
 *   packets   | offset (4) | length (4) |                                                          in: the caller's list
 *   entries   | next (4) | last (4) | bytes (4) | size (4) | hash (4) | saved (16) | state (4) |   one a packet, of its group if it is the first
 *   pieces    | address (8) | length (8) |                                                         out: struct iovec
 *   writes    | first piece (4) | pieces (4) | packets (4) | bytes (4) | first packet (4) | 0 |    out: one a group
 *   headers   | virtio header (10), padded to 16 |                                                 out: one a group
 *
 * The rules (guide "data plane", section 4): same flow, consecutive sequence, same headers but for what counts on, nothing but ACK among the flags
 * (PSH ends a group), valid checksums, no fragments. Everything else passes alone and unchanged, and nothing of one flow overtakes another of it.
 */
import { makesNeedless } from './acknowledgements';
import { pseudoSum, sumOf, swapped } from './checksum';
import * as packets from './headers';

const ENTRY: i32 = 40;
const NEXT: i32 = 0;
const LAST: i32 = 4;
const BYTES: i32 = 8;
const SIZE: i32 = 12;
const HASH: i32 = 16;
const SAVED: i32 = 20;
const STATE: i32 = 36;

const WRITE: i32 = 24;

/** States of an entry. */
const OPEN: u32 = 0; // first of a group that may grow
const CLOSED: u32 = 1; // first of a group that may not
const MEMBER: u32 = 2; // of another's group
const DROPPED: u32 = 3; // an acknowledgement that a newer one makes needless

/** How many flows are looked after at a time. More in one burst join less, and arrive all the same. */
const FLOWS: i32 = 16;

/** A packet's length field has 16 bits. */
const MAX_LENGTH: i32 = 65_535;
/** The kernel's UDP_MAX_SEGMENTS, when it was least. */
const MAX_SEGMENTS: i32 = 64;

/** What the caller wants, as bits. */
const JOINS_TCP: u32 = 1;
const JOINS_UDP: u32 = 2;
const THINS: u32 = 4;
const VIRTIO: u32 = 8;

const ACK: u32 = 0x10;
const PSH: u32 = 0x08;

const NEEDS_CHECKSUM: u8 = 1;
const GSO_TCPV4: u8 = 1;
const GSO_TCPV6: u8 = 4;
const GSO_UDP_L4: u8 = 5;
const VIRTIO_LENGTH: i32 = 10;

// Where the tables are: set once.
let base: u64 = 0;
let list: i32 = 0;
let entries: i32 = 0;
let pieces: i32 = 0;
let writes: i32 = 0;
let virtio: i32 = 0;
/** Index of the entry that stands for each flow, or -1. */
let flows: i32 = 0;
let nextFlow: i32 = 0;

/** How many acknowledgements {@link join} left out. */
export let thinned: i32 = 0;

/** Says where the tables are, and the address of offset 0 as the system sees it, in halves. Each table has room for all packets of a burst. */
export function setTables(
  low: u32,
  high: u32,
  listAt: i32,
  entriesAt: i32,
  piecesAt: i32,
  writesAt: i32,
  virtioAt: i32,
  flowsAt: i32,
): void {
  base = ((<u64>high) << 32) | <u64>low;
  list = listAt;
  entries = entriesAt;
  pieces = piecesAt;
  writes = writesAt;
  virtio = virtioAt;
  flows = flowsAt;
}

/** Makes `count` packets of the list writes, and returns how many. */
export function join(count: i32, wishes: u32): i32 {
  thinned = 0;
  nextFlow = 0;
  closeAll();
  for (let i = 0; i < count; i++) place(i, wishes);
  return layOut(count, wishes);
}

/** Finds the packet's place: in its flow's group, or as the first of a new one. */
function place(index: i32, wishes: u32): void {
  const packet = packetAt(index);
  const length = lengthAt(index);
  const entry = entryAt(index);
  store<i32>(entry + NEXT, -1);
  store<i32>(entry + LAST, index);
  store<i32>(entry + BYTES, length);
  store<i32>(entry + SIZE, 1);
  store<u32>(entry + STATE, CLOSED);
  if (!packets.readHeaders(packet, length)) {
    // Perhaps a fragment of a flow that has a group: what comes later must not overtake it.
    closeAll();
    return;
  }
  store<u32>(entry + HASH, packets.flowHash);
  const flow = findFlow(packet, packets.flowHash);
  if (flow >= 0) {
    const head = load<i32>(flows + flow * 4);
    if (tryAppend(head, index, packet)) return;
    if ((wishes & THINS) !== 0 && supersedes(index, packet, head)) {
      store<u32>(entryAt(head) + STATE, DROPPED);
      thinned++;
    } else if (load<u32>(entryAt(head) + STATE) === OPEN) {
      store<u32>(entryAt(head) + STATE, CLOSED);
    }
    store<i32>(flows + flow * 4, index);
  } else {
    remember(index);
  }
  if (mayGrow(packet, wishes)) store<u32>(entry + STATE, OPEN);
}

function findFlow(packet: i32, hash: u32): i32 {
  for (let i = 0; i < FLOWS; i++) {
    const head = load<i32>(flows + i * 4);
    if (head >= 0 && load<u32>(entryAt(head) + HASH) === hash && packets.isSameFlow(packetAt(head), packet)) return i;
  }
  return -1;
}

/** The flow of this packet takes the place of the one that was met first. */
function remember(index: i32): void {
  const before = load<i32>(flows + nextFlow * 4);
  if (before >= 0 && load<u32>(entryAt(before) + STATE) === OPEN) store<u32>(entryAt(before) + STATE, CLOSED);
  store<i32>(flows + nextFlow * 4, index);
  nextFlow = (nextFlow + 1) % FLOWS;
}

function closeAll(): void {
  for (let i = 0; i < FLOWS; i++) store<i32>(flows + i * 4, -1);
}

/** Whether the packet that was read last may be the first of a group. */
function mayGrow(packet: i32, wishes: u32): bool {
  if (packets.payload === 0) return false;
  if (packets.protocol === packets.UDP) return (wishes & JOINS_UDP) !== 0;
  return (wishes & JOINS_TCP) !== 0 && flagsOf(packet, packets.ipHeader) === ACK;
}

/** Makes the packet that was read last the end of a group, if the rules allow it. */
function tryAppend(head: i32, index: i32, packet: i32): bool {
  const group = entryAt(head);
  if (load<u32>(group + STATE) !== OPEN || packets.payload === 0) return false;
  const first = packetAt(head);
  const size = lengthAt(head) - packets.headers; // payload of each segment, if the headers turn out to be as long
  const bytes = load<i32>(group + BYTES);
  const members = load<i32>(group + SIZE);
  if (packets.payload > size || bytes + packets.payload > MAX_LENGTH || members === MAX_SEGMENTS) return false;
  if (!continuesIp(first, packet, members)) return false;
  const isTcp = packets.protocol === packets.TCP;
  if (isTcp && !continuesTcp(first, packet, bytes)) return false;
  if (!packets.isIntact(packet, lengthAt(index))) return false;
  if (members === 1 && !packets.isIntact(first, lengthAt(head))) return false;
  const entry = entryAt(index);
  store<u32>(entry + STATE, MEMBER);
  store<i32>(entryAt(load<i32>(group + LAST)) + NEXT, index);
  store<i32>(group + LAST, index);
  store<i32>(group + BYTES, bytes + packets.payload);
  store<i32>(group + SIZE, members + 1);
  // The last segment may be shorter, and a push is the last one's.
  const isPushed = isTcp && (flagsOf(packet, packets.ipHeader) & PSH) !== 0;
  if (packets.payload < size || isPushed) store<u32>(group + STATE, CLOSED);
  return true;
}

/** Same class, congestion mark and time to live; identifications count up where they mean something. */
function continuesIp(first: i32, packet: i32, members: i32): bool {
  if (packets.isIpv6) return load<u32>(first) === load<u32>(packet) && load<u8>(first + 7) === load<u8>(packet + 7);
  if (
    load<u16>(first) !== load<u16>(packet) ||
    load<u16>(first + 6) !== load<u16>(packet + 6) ||
    load<u8>(first + 8) !== load<u8>(packet + 8)
  ) {
    return false;
  }
  // RFC 6864 §4: with "don't fragment" the identification means nothing.
  if (load<u16>(first + 6) !== 0) return true;
  return swapped(load<u16>(packet + 4)) === ((swapped(load<u16>(first + 4)) + members) & 0xffff);
}

/** Next in sequence, and the rest of the header the same: acknowledgement, window, urgent pointer, options. */
function continuesTcp(first: i32, packet: i32, bytes: i32): bool {
  const a = first + packets.ipHeader;
  const b = packet + packets.ipHeader;
  // Both header lengths, and the four bits beside.
  if (load<u8>(a + 12) !== load<u8>(b + 12)) return false;
  const sequence = bswap<u32>(load<u32>(a + 4)) + (bytes - packets.headers);
  if (bswap<u32>(load<u32>(b + 4)) !== sequence) return false;
  if ((flagsOf(packet, packets.ipHeader) & ~PSH) !== ACK) return false;
  if (load<u32>(a + 8) !== load<u32>(b + 8) || load<u16>(a + 14) !== load<u16>(b + 14) || load<u16>(a + 18) !== load<u16>(b + 18))
    return false;
  return packets.isSame(a + 20, b + 20, packets.headers - packets.ipHeader - 20);
}

/** Whether the packet that was read last is a bare acknowledgement, and the bare one that stands for its flow says nothing beside it. */
function supersedes(index: i32, packet: i32, head: i32): bool {
  if (packets.protocol !== packets.TCP) return false;
  const first = packetAt(head);
  if (!makesNeedless(packet, lengthAt(index), first, lengthAt(head), packets.ipHeader)) return false;
  // Only an intact packet may speak for another.
  return continuesIp(first, packet, 1) && packets.isIntact(packet, packets.headers);
}

// The lists for the system.

function layOut(count: i32, wishes: u32): i32 {
  let made = 0;
  let piece = 0;
  for (let i = 0; i < count; i++) {
    const entry = entryAt(i);
    const state = load<u32>(entry + STATE);
    if (state === MEMBER || state === DROPPED) continue;
    const members = load<i32>(entry + SIZE);
    const write = writes + made * WRITE;
    store<i32>(write, piece);
    if ((wishes & VIRTIO) !== 0) {
      const header = virtio + made * 16;
      store<u64>(header, 0);
      store<u16>(header + 8, 0);
      if (members > 1) makeSuper(i, header);
      writePiece(piece++, header, VIRTIO_LENGTH);
    }
    const skipped = members > 1 ? headersOf(packetAt(i)) : 0;
    for (let member = i; member >= 0; member = load<i32>(entryAt(member) + NEXT)) {
      const cut = member === i ? 0 : skipped;
      writePiece(piece++, packetAt(member) + cut, lengthAt(member) - cut);
    }
    store<i32>(write + 4, piece - load<i32>(write));
    store<i32>(write + 8, members);
    // Bytes as they came: each packet with its headers.
    store<i32>(write + 12, load<i32>(entry + BYTES) + (members - 1) * skipped);
    store<i32>(write + 16, i);
    made++;
  }
  return made;
}

function writePiece(index: i32, at: i32, length: i32): void {
  store<u64>(pieces + index * 16, base + <u64>at);
  store<u64>(pieces + index * 16 + 8, <u64>length);
}

/** Makes the first packet's headers those of the whole, and the virtio header. {@link undo} takes it back. */
function makeSuper(index: i32, header: i32): void {
  const entry = entryAt(index);
  const packet = packetAt(index);
  const length = load<i32>(entry + BYTES);
  packets.readHeaders(packet, lengthAt(index));
  const at = packet + packets.ipHeader;
  const isTcp = packets.protocol === packets.TCP;
  const checksumAt = isTcp ? 16 : 6;
  store<u16>(entry + SAVED, load<u16>(packet + (packets.isIpv6 ? 4 : 2)));
  store<u16>(entry + SAVED + 2, load<u16>(packet + 10));
  store<u16>(entry + SAVED + 4, load<u16>(at + checksumAt));
  store<u16>(entry + SAVED + 6, load<u16>(at + (isTcp ? 12 : 4)));
  if (packets.isIpv6) {
    store<u16>(packet + 4, <u16>swapped(length - packets.IPV6_HEADER));
  } else {
    store<u16>(packet + 2, <u16>swapped(length));
    store<u16>(packet + 10, 0);
    store<u16>(packet + 10, <u16>(~sumOf(packet, packets.IPV4_HEADER, 0) & 0xffff));
  }
  if (isTcp) {
    const last = packetAt(load<i32>(entry + LAST));
    store<u8>(at + 13, load<u8>(at + 13) | (load<u8>(last + packets.ipHeader + 13) & <u8>PSH));
  } else {
    store<u16>(at + 4, <u16>swapped(length - packets.ipHeader));
  }
  store<u16>(at + checksumAt, <u16>pseudoSum(packet, packets.isIpv6, packets.protocol, length - packets.ipHeader));
  store<u8>(header, NEEDS_CHECKSUM);
  store<u8>(header + 1, isTcp ? (packets.isIpv6 ? GSO_TCPV6 : GSO_TCPV4) : GSO_UDP_L4);
  store<u16>(header + 2, <u16>packets.headers);
  store<u16>(header + 4, <u16>packets.payload);
  store<u16>(header + 6, <u16>packets.ipHeader);
  store<u16>(header + 8, <u16>checksumAt);
}

/** Gives the first packet of a group its own headers back. Returns whether it is TCP: the host refused such a group. */
export function undo(index: i32): bool {
  const entry = entryAt(index);
  const packet = packetAt(index);
  const isVersion6 = load<u8>(packet) >> 4 === 6;
  const at = packet + (isVersion6 ? packets.IPV6_HEADER : packets.IPV4_HEADER);
  const isTcp = <u32>load<u8>(packet + (isVersion6 ? 6 : 9)) === packets.TCP;
  store<u16>(packet + (isVersion6 ? 4 : 2), load<u16>(entry + SAVED));
  if (!isVersion6) store<u16>(packet + 10, load<u16>(entry + SAVED + 2));
  store<u16>(at + (isTcp ? 16 : 6), load<u16>(entry + SAVED + 4));
  store<u16>(at + (isTcp ? 12 : 4), load<u16>(entry + SAVED + 6));
  return isTcp;
}

/** The packet that follows another in its group; -1: none. */
export function nextOf(index: i32): i32 {
  return load<i32>(entryAt(index) + NEXT);
}

function headersOf(packet: i32): i32 {
  const ip = load<u8>(packet) >> 4 === 6 ? packets.IPV6_HEADER : packets.IPV4_HEADER;
  const isTcp = <u32>load<u8>(packet + (ip === packets.IPV6_HEADER ? 6 : 9)) === packets.TCP;
  return ip + (isTcp ? (<i32>load<u8>(packet + ip + 12) >> 4) * 4 : packets.UDP_HEADER);
}

function flagsOf(packet: i32, ipHeader: i32): u32 {
  return load<u8>(packet + ipHeader + 13);
}

function entryAt(index: i32): i32 {
  return entries + index * ENTRY;
}

function packetAt(index: i32): i32 {
  return load<i32>(list + index * 8);
}

function lengthAt(index: i32): i32 {
  return load<i32>(list + index * 8 + 4);
}
