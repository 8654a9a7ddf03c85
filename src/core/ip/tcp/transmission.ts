/**
 * What a connection sends when there is room: handshake, what was lost, new data, acknowledgements, in this order.
 *
 * Read first: RFC 9293 §3.8.6 (windows), §3.7.4 (Nagle); RFC 5681 §4.2 (acknowledgements); RFC 8985 §7.3 (probes).
 *
 * The story of a segment: {@link transmit} decides that one leaves → {@link emit} has room reserved, writes options and data into it and the
 * header around them → what it acknowledges is noted → the recovery keeps it in mind.
 */
import type { Millis } from '../../tunnel/packet.ts';
import { putU16, putU32 } from '../byte-order.ts';
import type { PacketSink } from '../packet-sink.ts';
import { type ControlBlock, TIMESTAMP_OPTION } from './control-block.ts';
import type { SentPiece } from './scoreboard.ts';
import { distance, plus, type Sequence } from './sequence.ts';
import { FLAG, MAX_SACK_BLOCKS, OPTION, TCP_HEADER } from './tcp-segment.ts';

/** done: nothing more for now. more: others come first. blocked: the device is full. */
export type Transmitted = 'done' | 'more' | 'blocked';

/** What one connection sends in a turn before others do. */
const QUANTUM = 262_144;

/** Largest IP packet (RFC 791 §3.1). */
const MAX_PACKET = 65_535;

/**
 * What a device cuts and seals leaves as runs of datagrams, up to so many bytes each and with about so many around each packet, as DTLS has: a longer
 * super-segment would be a whole run and a small one.
 */
const LARGEST_RUN = 65_000;
const SEALING = 40;

/** So much of 40 bytes of options is left beside timestamps (RFC 7323 §3, RFC 2018 §3). */
const SACK_BLOCKS_WITH_TIMESTAMPS = 3;

const edges = new Int32Array(2 * MAX_SACK_BLOCKS);

export function transmit(block: ControlBlock, sink: PacketSink, now: Millis): Transmitted {
  block.now = now;
  if (block.mustReset) return sendReset(block, sink);
  if (block.mustSendSyn) return sendSyn(block, sink, now);
  if (!block.isMade) {
    // In SYN-RECEIVED an acknowledgement of ours may be owed.
    return block.state === 'syn-received' && block.acksOwed > 0 && !emit(block, sink, block.next, 0, FLAG.ack, now) ? 'blocked' : 'done';
  }
  let quantum = QUANTUM;
  for (;;) {
    const sent = sendLost(block, sink, now);
    if (sent < 0) return 'blocked';
    if (sent === 0) break;
    quantum -= sent;
    if (quantum <= 0) return 'more';
  }
  if (block.wantsProbe && !sendLossProbe(block, sink, now)) return 'blocked';
  for (;;) {
    const sent = sendNew(block, sink, now);
    if (sent < 0) return 'blocked';
    if (sent === 0) break;
    quantum -= sent;
    if (quantum <= 0) return 'more';
  }
  if (block.wantsWindowProbe && !sendWindowProbe(block, sink, now)) return 'blocked';
  if (block.wantsKeepAlive) {
    // RFC 9293 §3.8.4: a sequence number that was acknowledged, no data.
    if (!emit(block, sink, plus(block.next, -1), 0, FLAG.ack, now)) return 'blocked';
    block.wantsKeepAlive = false;
  }
  while (block.acksOwed > 0) {
    const owed = block.acksOwed;
    if (!emit(block, sink, block.next, 0, FLAG.ack, now)) return 'blocked';
    block.acksOwed = owed - 1;
  }
  return 'done';
}

function sendReset(block: ControlBlock, sink: PacketSink): Transmitted {
  const packet = sink.reserve(block.writer.ipHeader + TCP_HEADER);
  if (packet === undefined) return 'blocked';
  block.writer.write(packet.buffer, packet.start, block.next, block.queue.next, FLAG.rst | FLAG.ack, 0, 0, 0, false);
  sink.commit(block.writer.ipHeader + TCP_HEADER, 0, false);
  block.services.counters.resetsSent++;
  block.mustReset = false;
  return 'done';
}

/** SYN, or SYN and ACK (RFC 9293 §3.5), with the options of RFC 7323 and 2018. */
function sendSyn(block: ControlBlock, sink: PacketSink, now: Millis): Transmitted {
  const { writer, hasReceivedSyn } = block;
  const packet = sink.reserve(writer.ipHeader + TCP_HEADER + 40);
  if (packet === undefined) return 'blocked';
  const { buffer } = packet;
  let at = writer.tcpAt(packet.start) + TCP_HEADER;
  const optionsAt = at;
  buffer[at] = OPTION.mss;
  buffer[at + 1] = 4;
  putU16(buffer, at + 2, block.ownSegment);
  at += 4;
  // An answer has only those options that the SYN had; which those are was settled when it came.
  if (!hasReceivedSyn || block.hasSack) at = twoBytes(buffer, at, OPTION.sackPermitted, 2);
  if (!hasReceivedSyn || block.hasTimestamps) at = timestamps(block, buffer, at, now);
  if (!hasReceivedSyn || block.window.scale > 0 || block.peerWindowScale > 0) {
    putU32(buffer, at, (OPTION.nop << 24) | (OPTION.windowScale << 16) | (3 << 8) | block.window.wantedScale);
    at += 4;
  }
  const flags = hasReceivedSyn ? FLAG.syn | FLAG.ack : FLAG.syn;
  const window = block.window.initialField(block.queue.next);
  writer.write(buffer, packet.start, block.iss, block.queue.next, flags, window, at - optionsAt, 0, false);
  sink.commit(at - packet.start, 0, false);
  block.mustSendSyn = false;
  block.acksOwed = 0;
  block.lastAcknowledged = block.queue.next;
  block.lastSentAt = now;
  block.next = block.sentMax = plus(block.iss, 1);
  block.synAt = now + block.rtt.timeout;
  return 'done';
}

function twoBytes(buffer: Uint8Array, at: number, kind: number, length: number): number {
  putU32(buffer, at, (OPTION.nop << 24) | (OPTION.nop << 16) | (kind << 8) | length);
  return at + 4;
}

function timestamps(block: ControlBlock, buffer: Uint8Array, at: number, now: Millis): number {
  twoBytes(buffer, at, OPTION.timestamps, 10);
  putU32(buffer, at + 4, block.timestamp(now));
  putU32(buffer, at + 8, block.recentTimestamp);
  return at + TIMESTAMP_OPTION;
}

/** Sends the first lost piece again, as far as the window allows. Bytes sent; 0: none; -1: the device is full. */
function sendLost(block: ControlBlock, sink: PacketSink, now: Millis): number {
  const { recovery } = block;
  const { board } = recovery;
  const piece = board.firstLost();
  if (piece === undefined) return 0;
  const { segment } = block;
  const allowance = Math.floor(recovery.allowance);
  // Something always leaves when nothing else is on its way.
  if (allowance < Math.min(piece.length, segment) && recovery.pipe > 0) {
    block.isWindowLimited = true;
    return 0;
  }
  const most = Math.min(largestData(block, segment), Math.max(segment, allowance - (allowance % segment)));
  return sendAgain(block, piece, most, sink, now);
}

function sendAgain(block: ControlBlock, piece: SentPiece, most: number, sink: PacketSink, now: Millis): number {
  const { recovery } = block;
  if (piece.length > most) recovery.board.split(piece, plus(piece.start, most));
  const hasFin = block.finSequence !== undefined && distance(piece.end, block.finSequence) > 0;
  const data = piece.length - (hasFin ? 1 : 0);
  if (!emit(block, sink, piece.start, data, FLAG.ack | (hasFin ? FLAG.fin : 0) | FLAG.psh, now)) return -1;
  recovery.retransmitted(piece, now);
  const { counters } = block.services;
  counters.retransmissions++;
  counters.retransmittedBytes += data;
  return piece.length;
}

/** Sends new data, as far as both windows allow and it is worth it. Bytes sent; 0: none; -1: the device is full. */
function sendNew(block: ControlBlock, sink: PacketSink, now: Millis): number {
  if (block.finSequence !== undefined) return 0;
  const { segment, recovery } = block;
  if (block.sendBuffer.length > 0 && recovery.board.isEmpty) restartAfterIdle(block, now);
  const unsent = distance(block.bufferEnd, block.next);
  const open = distance(plus(block.una, block.peerWindow), block.next);
  const allowance = Math.floor(recovery.allowance);
  let length = Math.min(unsent, open, largestData(block, segment));
  if (length > allowance) {
    block.isWindowLimited = true;
    length = allowance;
  } else if (unsent > 0) {
    block.isWindowLimited = false;
  }
  const isFinDue = block.isEnding && length === unsent;
  if (length <= 0 && !(isFinDue && unsent === 0)) {
    waitForWindow(block, unsent, now);
    return 0;
  }
  const isLast = length === unsent;
  if (length >= segment) {
    const rest = length % segment;
    if (rest > 0 && !(isLast && mayBeSmall(block, isFinDue))) length -= rest;
  } else if (isLast) {
    if (length > 0 && !mayBeSmall(block, isFinDue)) return 0;
  } else if (length < open) {
    return 0; // the congestion window will grow by acknowledgements that are on their way
  } else if (length < block.largestPeerWindow / 2) {
    return waitForWindow(block, unsent, now); // RFC 9293 §3.8.6.2.1: no silly windows
  }
  const hasFin = isFinDue && length === unsent;
  const flags = FLAG.ack | (length === unsent && length > 0 ? FLAG.psh : 0) | (hasFin ? FLAG.fin : 0);
  const start = block.next;
  if (!emit(block, sink, start, length, flags, now)) return -1;
  const end = plus(start, length + (hasFin ? 1 : 0));
  if (length % segment !== 0) block.smallEnd = plus(start, length);
  if (hasFin) finSent(block, plus(start, length));
  block.next = end;
  if (distance(end, block.sentMax) > 0) block.sentMax = end;
  block.persistAt = Number.POSITIVE_INFINITY;
  recovery.sent(start, end, now);
  return Math.max(1, length);
}

/** RFC 9293 §3.7.4, with Minshall's change: a small segment waits only for a small one before it. */
function mayBeSmall(block: ControlBlock, isFinDue: boolean): boolean {
  return block.noDelay || isFinDue || distance(block.una, block.smallEnd) >= 0;
}

/** Nothing on its way, something to send and no room at the peer: it has to be asked (RFC 9293 §3.8.6.1). Always 0. */
function waitForWindow(block: ControlBlock, unsent: number, now: Millis): 0 {
  if (unsent > 0 && block.recovery.board.isEmpty && block.persistAt === Number.POSITIVE_INFINITY && !block.wantsWindowProbe) {
    block.persistAt = now + block.rtt.timeout;
  }
  return 0;
}

/** RFC 5681 §4.1: after a silence nobody knows what the path takes. */
function restartAfterIdle(block: ControlBlock, now: Millis): void {
  if (now - block.lastSentAt <= block.rtt.timeout) return;
  block.recovery.congestion.idle(Math.min(10 * block.segment, Math.max(2 * block.segment, 14_600)));
  block.lastSentAt = now;
}

function finSent(block: ControlBlock, sequence: Sequence): void {
  block.finSequence = sequence;
  if (block.state === 'established') block.state = 'fin-wait-1';
  else if (block.state === 'close-wait') block.state = 'last-ack';
}

/** RFC 8985 §7.3: new data if there is any, whatever the congestion window says, else the last segment again. False: the device is full. */
function sendLossProbe(block: ControlBlock, sink: PacketSink, now: Millis): boolean {
  const { recovery, segment } = block;
  const unsent = distance(block.bufferEnd, block.next);
  const open = distance(plus(block.una, block.peerWindow), block.next);
  const length = Math.min(unsent, open, segment);
  const { tail } = recovery.board;
  if (length > 0) {
    const start = block.next;
    if (!emit(block, sink, start, length, FLAG.ack | FLAG.psh, now)) return false;
    block.next = plus(start, length);
    if (distance(block.next, block.sentMax) > 0) block.sentMax = block.next;
    if (length < segment) block.smallEnd = block.next;
    recovery.sent(start, block.next, now);
    recovery.probed(block.next, false, now);
  } else if (tail !== undefined && !tail.isSacked) {
    if (tail.length > segment) recovery.board.split(tail, plus(tail.end, -segment));
    const last = recovery.board.tail ?? tail;
    if (sendAgain(block, last, segment, sink, now) < 0) return false;
    recovery.probed(block.next, true, now);
  }
  block.services.counters.lossProbes++;
  block.wantsProbe = false;
  return true;
}

/** One byte beyond the window; it counts as sent when it is acknowledged. False: the device is full. */
function sendWindowProbe(block: ControlBlock, sink: PacketSink, now: Millis): boolean {
  const unsent = distance(block.bufferEnd, block.next);
  if (unsent > 0 && block.recovery.board.isEmpty) {
    if (!emit(block, sink, block.next, 1, FLAG.ack, now)) return false;
    const behind = plus(block.next, 1);
    if (distance(behind, block.sentMax) > 0) block.sentMax = behind;
  }
  block.wantsWindowProbe = false;
  return true;
}

/** Data of the largest segment, or super-segment, that may be made now. */
function largestData(block: ControlBlock, segment: number): number {
  if (!block.services.hasOffload) return segment;
  const headers = block.writer.ipHeader + TCP_HEADER;
  const sealed = headers + (block.hasTimestamps ? TIMESTAMP_OPTION : 0) + segment + SEALING;
  return segment * Math.max(1, Math.min(Math.floor((MAX_PACKET - headers - 40) / segment), Math.floor(LARGEST_RUN / sealed)));
}

/**
 * Makes one segment of `length` bytes of data from `sequence` on. False: the device is full.
 * SACK blocks take their room from what is not full only: a segment that brings data leaves them out if both do not fit.
 */
function emit(block: ControlBlock, sink: PacketSink, sequence: Sequence, length: number, flags: number, now: Millis): boolean {
  const { writer, services, queue } = block;
  const packet = sink.reserve(writer.ipHeader + TCP_HEADER + 40 + length);
  if (packet === undefined) return false;
  const { buffer, start } = packet;
  const optionsAt = writer.tcpAt(start) + TCP_HEADER;
  let at = optionsAt;
  if (block.hasTimestamps) at = timestamps(block, buffer, at, now);
  if (block.hasSack && length === 0 && (queue.hasRanges || queue.duplicateStart !== queue.duplicateEnd)) at = sack(block, buffer, at);
  if (length > 0) block.sendBuffer.copy(distance(sequence, block.bufferStart), length, buffer, at);
  const held = queue.readable;
  const isTight = services.received > services.limits.receiveMemory;
  const field = block.window.field(queue.next, held, Math.min(block.receiveSegment, block.ownSegment), isTight);
  const { segment } = block;
  const isSuper = length > segment;
  const isUnfinished = services.hasOffload && length > 0;
  writer.write(buffer, start, sequence, queue.next, flags, field, at - optionsAt, length, isUnfinished);
  sink.commit(at - start + length, isSuper ? segment : 0, isUnfinished);
  block.lastAcknowledged = queue.next;
  block.unacknowledged = 0;
  block.delayedAckAt = Number.POSITIVE_INFINITY;
  block.acksOwed = 0;
  queue.duplicateStart = queue.duplicateEnd = 0;
  if (length > 0) block.lastSentAt = now;
  if (block.quickAcks > 0) block.quickAcks--;
  return true;
}

function sack(block: ControlBlock, buffer: Uint8Array, start: number): number {
  const count = block.queue.sackBlocks(edges, block.hasTimestamps ? SACK_BLOCKS_WITH_TIMESTAMPS : MAX_SACK_BLOCKS);
  let at = twoBytes(buffer, start, OPTION.sack, 2 + 8 * count);
  for (let i = 0; i < 2 * count; i++, at += 4) putU32(buffer, at, edges[i] as number);
  return at;
}
