/**
 * Which bare acknowledgement of TCP makes an older one of its flow needless: one that says all of what that one says, and more.
 *
 * What an acknowledgement says is where the data ends that has come without a gap, and by SACK (RFC 2018) what has come behind the first gap. In a
 * transfer that loses packets nearly all have SACK, and each that reaches the host runs all of its TCP, so they count most where they cost most. The
 * host knows afterwards what it would have known of what has arrived (RFC 6675 §4), as if the older one had been lost.
 */
import * as packets from './headers';

const ACK: u32 = 0x10;

const TCP_HEADER: i32 = 20;

/** Two no-operations and a timestamp of ten bytes (RFC 7323 §3.2), as the first word lies. */
const TIMESTAMP: u32 = 0x0a08_0101;
const TIMESTAMP_LENGTH: i32 = 12;

/** Two no-operations and SACK (RFC 2018 §3), as the first word lies, but for the length of its blocks. */
const SACK: u32 = 0x0205_0101;
const BLOCK: i32 = 8;

/** Of the acknowledgement that {@link countBlocks} looked at last: where its blocks lie, and whether it has a timestamp. */
let blocks: i32 = 0;
let isTimed: bool = false;

/** Whether the acknowledgement at `newer` makes the one at `older` needless. Both are plain packets of one flow with TCP. @param ipHeader the length of both */
export function makesNeedless(newer: i32, newerLength: i32, older: i32, olderLength: i32, ipHeader: i32): bool {
  const b = newer + ipHeader;
  const given = countBlocks(b, newerLength - ipHeader);
  const givenAt = blocks;
  const isNewerTimed = isTimed;
  const a = older + ipHeader;
  const before = given < 0 ? -1 : countBlocks(a, olderLength - ipHeader);
  const beforeAt = blocks;
  // Who uses timestamps may discard what has none (RFC 7323 §3.2).
  if (before < 0 || isTimed !== isNewerTimed) return false;
  // The same sequence: nothing was sent between.
  if (load<u32>(a + 4) !== load<u32>(b + 4)) return false;
  const end = bswap<u32>(load<u32>(b + 8));
  const progress = distance(bswap<u32>(load<u32>(a + 8)), end);
  if (progress < 0 || (before > 0 && reportsDuplicate(beforeAt, before, end - progress))) return false;
  for (let i = 0; i < before; i++) {
    const block = beforeAt + i * BLOCK;
    if (distance(endOf(block), end) < 0 && !isWithinOne(block, givenAt, given)) return false;
  }
  // One that is repeated says that something more has come, or is missing.
  return progress > 0 || given !== before || !packets.isSame(beforeAt, givenAt, before * BLOCK);
}

/** How many blocks of SACK a bare acknowledgement has; -1: it is none, or has other options. */
function countBlocks(at: i32, length: i32): i32 {
  if (<u32>load<u8>(at + 13) !== ACK || length !== (<i32>load<u8>(at + 12) >> 4) * 4) return -1;
  let options = at + TCP_HEADER;
  let left = length - TCP_HEADER;
  isTimed = left >= TIMESTAMP_LENGTH && load<u32>(options) === TIMESTAMP;
  if (isTimed) {
    options += TIMESTAMP_LENGTH;
    left -= TIMESTAMP_LENGTH;
  }
  if (left === 0) return 0;
  blocks = options + 4;
  const bytes = left - 4;
  if (bytes < BLOCK || bytes % BLOCK !== 0 || load<u32>(options) !== SACK + ((<u32>bytes) << 24)) return -1;
  return bytes / BLOCK;
}

/** The first block is of what had come before (RFC 2883 §4): that is news of its own. */
function reportsDuplicate(first: i32, count: i32, end: u32): bool {
  return distance(endOf(first), end) >= 0 || isWithinOne(first, first + BLOCK, count - 1);
}

function isWithinOne(block: i32, others: i32, count: i32): bool {
  for (let i = 0; i < count; i++) {
    const other = others + i * BLOCK;
    if (distance(startOf(other), startOf(block)) >= 0 && distance(endOf(block), endOf(other)) >= 0) return true;
  }
  return false;
}

function startOf(block: i32): u32 {
  return bswap<u32>(load<u32>(block));
}

function endOf(block: i32): u32 {
  return bswap<u32>(load<u32>(block + 4));
}

/** How far it is from one sequence number to another; negative: that is before it. */
function distance(from: u32, to: u32): i32 {
  return <i32>(to - from);
}
