/**
 * The acknowledgement and the window of a segment that has arrived, in a connection that is made.
 *
 * Read first: RFC 9293 §3.10.7.4 (fifth, ESTABLISHED); RFC 2018, RFC 2883 (SACK); RFC 5681 §2 (duplicates).
 */
import type { Millis } from '../../tunnel/packet.ts';
import type { ControlBlock } from './control-block.ts';
import type { Acknowledgement } from './loss-recovery.ts';
import { distance, plus, type Sequence } from './sequence.ts';
import { FLAG, MAX_SACK_BLOCKS, type TcpSegment } from './tcp-segment.ts';

const edges = new Int32Array(2 * MAX_SACK_BLOCKS);

/** One for all connections: it lives for a call. */
const ack: { -readonly [Key in keyof Acknowledgement]: Acknowledgement[Key] } = {
  una: 0,
  advanced: 0,
  delivered: 0,
  isDuplicate: false,
  nextSequence: 0,
  echoedAt: undefined,
};

/** The caller has seen that the acknowledgement is of something that was sent. */
export function acknowledgementArrived(block: ControlBlock, segment: TcpSegment, now: Millis): void {
  const { recovery, services } = block;
  const advanced = distance(segment.acknowledgement, block.una);
  const windowBefore = block.peerWindow;
  if (advanced >= 0) takeWindow(block, segment);
  ack.una = advanced > 0 ? segment.acknowledgement : block.una;
  ack.advanced = Math.max(0, advanced);
  ack.delivered = 0;
  ack.isDuplicate =
    advanced === 0 && segment.length === 0 && !segment.has(FLAG.syn) && block.peerWindow === windowBefore && !recovery.board.isEmpty;
  ack.echoedAt = block.hasTimestamps && segment.hasTimestamps ? block.echoedAt(segment.timestampEcho, now) : undefined;
  if (advanced > 0) takeAdvance(block, segment.acknowledgement);
  ack.nextSequence = block.next;
  const blocks = block.hasSack ? checkSackBlocks(block, segment) : 0;
  if (advanced > 0 || blocks > 0 || ack.isDuplicate) {
    recovery.acknowledge(ack, edges, blocks, block.segment, block.isWindowLimited, now);
    if (recovery.spuriousTimeouts > 0) {
      services.counters.spuriousTimeouts += recovery.spuriousTimeouts;
      recovery.spuriousTimeouts = 0;
    }
  }
  if (advanced > 0 || blocks > 0 || block.peerWindow !== windowBefore || ack.isDuplicate) services.wantsTransmit(block);
}

/** RFC 9293: only newer segments say what the window is. */
export function takeWindow(block: ControlBlock, segment: TcpSegment): void {
  const newer = distance(segment.sequence, block.windowSequence);
  if (newer < 0 || (newer === 0 && distance(segment.acknowledgement, block.windowAcknowledgement) < 0)) return;
  block.windowSequence = segment.sequence;
  block.windowAcknowledgement = segment.acknowledgement;
  block.peerWindow = segment.has(FLAG.syn) ? segment.window : segment.window << block.peerWindowScale;
  block.largestPeerWindow = Math.max(block.largestPeerWindow, block.peerWindow);
  if (block.peerWindow > 0) {
    block.persistAt = Number.POSITIVE_INFINITY;
    block.windowProbes = 0;
    block.wantsWindowProbe = false;
  }
}

/** What is acknowledged needs no memory. */
function takeAdvance(block: ControlBlock, acknowledged: Sequence): void {
  block.una = acknowledged;
  // A window probe's byte was taken.
  if (distance(acknowledged, block.next) > 0) block.next = acknowledged;
  const data = Math.min(distance(acknowledged, block.bufferStart), block.sendBuffer.length);
  if (data > 0) {
    block.sendBuffer.drop(data);
    block.bufferStart = plus(block.bufferStart, data);
  }
  const { limits } = block.services;
  block.sendLimit = Math.min(limits.sendBuffer, Math.max(block.sendLimit, Math.floor(2 * block.recovery.congestion.window)));
  // A writer that waits is woken when a third is free: not for every segment.
  if (block.wantsRoom && block.sendBuffer.length <= (block.sendLimit * 2) / 3) {
    block.wantsRoom = false;
    block.services.ready(block);
  }
}

/**
 * Copies the blocks that can be. RFC 2883 §4: a first block below the acknowledgement, or inside the second, reports a duplicate. Returns how many
 * are left for the scoreboard.
 */
function checkSackBlocks(block: ControlBlock, segment: TcpSegment): number {
  const { sackEdges } = segment;
  let count = 0;
  for (let i = 0; i < segment.sackBlocks; i++) {
    const start = sackEdges[2 * i] as number;
    const end = sackEdges[2 * i + 1] as number;
    if (distance(end, start) <= 0 || distance(end, block.next) > 0) continue;
    if (i === 0 && isDuplicateReport(block, segment, start, end)) {
      block.recovery.duplicateReported(block.una, block.next);
      continue;
    }
    if (distance(start, block.una) < 0) continue;
    edges[2 * count] = start;
    edges[2 * count + 1] = end;
    count++;
  }
  return count;
}

function isDuplicateReport(block: ControlBlock, segment: TcpSegment, start: Sequence, end: Sequence): boolean {
  if (distance(end, segment.acknowledgement) <= 0) return distance(end, block.una) <= 0;
  if (segment.sackBlocks < 2) return false;
  const { sackEdges } = segment;
  return distance(start, sackEdges[2] as number) >= 0 && distance(end, sackEdges[3] as number) <= 0;
}
