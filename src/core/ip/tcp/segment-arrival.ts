/**
 * A segment has arrived for a connection.
 *
 * Read first: RFC 9293 §3.10.7.3 and §3.10.7.4, whose steps these are; RFC 7323 §5 (PAWS); RFC 5961 (attacks from aside); RFC 1337 (TIME-WAIT).
 */
import type { Millis } from '../../tunnel/packet.ts';
import { acknowledgementArrived, takeWindow } from './acknowledgement.ts';
import { initialWindow } from './congestion.ts';
import type { ControlBlock } from './control-block.ts';
import { ReceiveQueue } from './receive-queue.ts';
import { distance, plus } from './sequence.ts';
import { FLAG, type TcpSegment } from './tcp-segment.ts';
import { armKeepAlive } from './timeouts.ts';

/**
 * handled: that was all. reset: it is to be answered by a reset, as if nobody were there. reopen: TIME-WAIT is over before its time, and the
 * segment begins a new connection.
 */
export type Arrived = 'handled' | 'reset' | 'reopen';

/** RFC 9293 §3.8.6.3: less than half a second. */
const ACK_DELAY: Millis = 40;

/** RFC 7323 §5.5: a timestamp that was not renewed for 24 days says nothing. */
const TIMESTAMP_LIFETIME: Millis = 24 * 24 * 3_600_000;

/** RFC 5961 §7, for one connection: attackers must not learn from the sum of all. */
const CHALLENGE_INTERVAL: Millis = 500;

/** How long a connection that its user has left waits for the peer's FIN. RFC 9293 has no such limit; every system does. */
const FIN_WAIT_2_TIMEOUT: Millis = 60_000;

export function segmentArrived(block: ControlBlock, segment: TcpSegment, now: Millis): Arrived {
  block.now = now;
  if (block.state === 'syn-sent') return arrivedInSynSent(block, segment, now);
  if (block.state === 'time-wait' && mayReopen(block, segment)) return 'reopen';
  if (block.state === 'syn-received' && segment.has(FLAG.syn) && segment.sequence === block.irs) {
    const isAcknowledged = segment.has(FLAG.ack) && segment.acknowledgement === block.sentMax;
    if (!isAcknowledged) {
      // The answer to it was lost.
      block.mustSendSyn = true;
      block.services.wantsTransmit(block);
      return 'handled';
    }
    // Simultaneous open (RFC 9293 §3.5, figure 7): the SYN is known.
    segment.sequence = plus(segment.sequence, 1);
    segment.flags &= ~FLAG.syn;
    segment.window >>>= block.peerWindowScale; // a SYN's is never scaled (RFC 7323 §2.2)
  }
  if (!isAcceptable(block, segment, now)) return 'handled';
  if (segment.has(FLAG.rst)) return resetArrived(block, segment, now);
  if (segment.has(FLAG.syn)) return challenge(block, now); // RFC 5961 §4.2
  if (!segment.has(FLAG.ack)) {
    block.services.drop('bad-segment');
    return 'handled';
  }
  if (block.state === 'syn-received') {
    if (distance(segment.acknowledgement, block.una) <= 0 || distance(segment.acknowledgement, block.sentMax) > 0) return 'reset';
    established(block, segment, now);
  }
  // RFC 5961 §5.2: what is too old or was never sent is an attack or a bug.
  const behind = distance(segment.acknowledgement, block.una);
  if (distance(segment.acknowledgement, block.sentMax) > 0 || behind < -Math.max(block.largestPeerWindow, 0xffff)) {
    block.services.drop('bad-acknowledgement');
    return challenge(block, now);
  }
  heard(block, segment, now);
  acknowledgementArrived(block, segment, now);
  if (finAcknowledged(block) && afterFin(block, now)) return 'handled';
  takeData(block, segment, now);
  takeFin(block, segment, now);
  return 'handled';
}

/** RFC 9293 §3.10.7.3. */
function arrivedInSynSent(block: ControlBlock, segment: TcpSegment, now: Millis): Arrived {
  const { services } = block;
  const hasAck = segment.has(FLAG.ack);
  if (hasAck && (distance(segment.acknowledgement, block.iss) <= 0 || distance(segment.acknowledgement, block.sentMax) > 0)) {
    services.drop('bad-acknowledgement');
    return segment.has(FLAG.rst) ? 'handled' : 'reset';
  }
  if (segment.has(FLAG.rst)) {
    if (hasAck) block.release('refused');
    return 'handled';
  }
  if (!segment.has(FLAG.syn)) {
    services.drop('bad-segment');
    return 'handled';
  }
  synArrived(block, segment, now);
  if (!hasAck) {
    // Both have called at once (§3.5, figure 7).
    block.state = 'syn-received';
    block.mustSendSyn = true;
    services.wantsTransmit(block);
    return 'handled';
  }
  established(block, segment, now);
  heard(block, segment, now);
  acknowledgementArrived(block, segment, now);
  block.acknowledgeNow();
  // §3.10.7.3 has data and FIN of a SYN processed; what follows is as in every other segment.
  segment.sequence = plus(segment.sequence, 1);
  takeData(block, segment, now);
  takeFin(block, segment, now);
  return 'handled';
}

/** Takes what a SYN says: its number and its options. */
export function synArrived(block: ControlBlock, segment: TcpSegment, now: Millis): void {
  const { services } = block;
  block.hasReceivedSyn = true;
  block.irs = segment.sequence;
  block.queue = new ReceiveQueue(plus(segment.sequence, 1), services.memory);
  block.window.synchronized(block.queue.next);
  block.windowSequence = segment.sequence;
  block.windowAcknowledgement = segment.acknowledgement;
  block.peerWindow = block.largestPeerWindow = segment.window;
  if (segment.mss > 0) block.peerSegment = segment.mss;
  block.hasSack = block.recovery.hasSack = segment.isSackPermitted;
  block.hasTimestamps = segment.hasTimestamps;
  if (segment.hasTimestamps) {
    block.recentTimestamp = segment.timestamp;
    block.recentTimestampAt = now;
  }
  if (segment.windowScale >= 0) {
    block.peerWindowScale = segment.windowScale;
    block.window.scale = block.window.wantedScale;
  }
  block.heardAt = now;
  services.reschedule(block);
}

function established(block: ControlBlock, segment: TcpSegment, now: Millis): void {
  const { services, rtt, recovery } = block;
  block.state = 'established';
  block.synAt = block.endAt = Number.POSITIVE_INFINITY;
  if (block.synRetries === 0) rtt.sample(now - block.lastSentAt, now);
  else rtt.synWasLost();
  block.una = block.bufferStart;
  takeWindow(block, segment);
  // RFC 5681 §3.1: a lost SYN makes it one segment.
  recovery.congestion.window = block.synRetries > 1 ? block.segment : initialWindow(block.segment);
  block.sendLimit = Math.min(services.limits.sendBuffer, Math.max(block.sendLimit, Math.floor(4 * recovery.congestion.window)));
  if (block.isPassive) services.accepted(block);
  services.ready(block);
  services.wantsTransmit(block);
}

/** First: the sequence number and the timestamp. */
function isAcceptable(block: ControlBlock, segment: TcpSegment, now: Millis): boolean {
  const isReset = segment.has(FLAG.rst);
  if (block.hasTimestamps && !isReset) {
    if (!segment.hasTimestamps) {
      // RFC 7323 §3.2: it is not from the peer that agreed on them.
      block.services.drop('bad-segment');
      return false;
    }
    const isOld = ((segment.timestamp - block.recentTimestamp) | 0) < 0 && now - block.recentTimestampAt < TIMESTAMP_LIFETIME;
    if (isOld) {
      block.services.drop('old-timestamp');
      unacceptable(block, segment, now);
      return false;
    }
  }
  if (isInWindow(block, segment)) return true;
  const isOld = distance(plus(segment.sequence, segment.length), block.queue.next) <= 0;
  block.services.drop(isOld ? 'duplicate' : 'out-of-window');
  if (!isReset) unacceptable(block, segment, now);
  return false;
}

/** RFC 9293 §3.4, the four cases. */
function isInWindow(block: ControlBlock, segment: TcpSegment): boolean {
  const { next } = block.queue;
  const open = Math.max(0, distance(block.window.edge, next));
  const offset = distance(segment.sequence, next);
  const { length } = segment;
  // A closed window lets acknowledgements and resets in, and the acknowledgement of a probe: its data is cut off later.
  if (open === 0) return offset === 0;
  if (length === 0) return offset >= 0 && offset < open;
  return offset < open && offset + length > 0;
}

/** What comes a second time or too late is answered, so that the peer learns where we are; but not without end. */
function unacceptable(block: ControlBlock, segment: TcpSegment, now: Millis): void {
  const hasContent = segment.length > 0;
  if (block.state === 'time-wait' && segment.has(FLAG.fin)) block.endAt = now + 2 * block.services.options.maxSegmentLifetime;
  if (hasContent) {
    noteDuplicate(block, segment);
    block.acknowledgeNow();
  } else {
    challenge(block, now);
  }
}

/** D-SACK: an old segment came whole a second time. */
function noteDuplicate(block: ControlBlock, segment: TcpSegment): void {
  const { queue } = block;
  const end = plus(segment.sequence, segment.dataLength);
  if (segment.dataLength === 0 || distance(end, queue.next) > 0) return;
  queue.duplicateStart = segment.sequence;
  queue.duplicateEnd = end;
}

/** RFC 5961 §3.2, §4.2, §5.2: an acknowledgement that says where we are. Whoever is the peer knows what to do. */
function challenge(block: ControlBlock, now: Millis): 'handled' {
  const { services } = block;
  if (now - block.challengedAt < CHALLENGE_INTERVAL || !services.mayChallenge(now)) {
    services.drop('rate-limit');
    return 'handled';
  }
  block.challengedAt = now;
  services.counters.challengeAcks++;
  block.acknowledgeNow();
  return 'handled';
}

/** Second: RST (RFC 5961 §3.2). */
function resetArrived(block: ControlBlock, segment: TcpSegment, now: Millis): Arrived {
  if (segment.sequence !== block.queue.next) return challenge(block, now);
  switch (block.state) {
    case 'time-wait': // RFC 1337: a reset must not end it
      return 'handled';
    case 'closing':
    case 'last-ack':
      block.release();
      return 'handled';
    case 'syn-received':
      block.release('refused');
      return 'handled';
    default:
      block.release('reset');
      return 'handled';
  }
}

/** The segment is the peer's. */
function heard(block: ControlBlock, segment: TcpSegment, now: Millis): void {
  block.heardAt = now;
  if (block.keepAliveIdle > 0) armKeepAlive(block);
  if (!block.hasTimestamps) return;
  // RFC 7323 §4.3: the timestamp of the segment that the next acknowledgement answers.
  if (distance(segment.sequence, block.lastAcknowledged) <= 0) {
    block.recentTimestamp = segment.timestamp;
    block.recentTimestampAt = now;
  }
  if (segment.dataLength > 0) block.window.sampleRoundTrip(Math.max(0, now - block.echoedAt(segment.timestampEcho, now)));
}

function finAcknowledged(block: ControlBlock): boolean {
  return block.finSequence !== undefined && distance(block.una, block.finSequence) > 0;
}

/** Our FIN has arrived. True: there is no more to do with the segment. */
function afterFin(block: ControlBlock, now: Millis): boolean {
  switch (block.state) {
    case 'fin-wait-1':
      block.state = 'fin-wait-2';
      if (block.isReaderGone) block.endAt = now + FIN_WAIT_2_TIMEOUT;
      block.services.ready(block);
      return false;
    case 'closing':
      enterTimeWait(block, now);
      return true;
    case 'last-ack':
      block.release();
      return true;
    default:
      return false;
  }
}

/** The user closes the reading side while the connection is ending: it must not wait without end. */
export function readerGone(block: ControlBlock, now: Millis): void {
  if (block.state === 'fin-wait-2' && block.endAt === Number.POSITIVE_INFINITY) block.endAt = now + FIN_WAIT_2_TIMEOUT;
}

function enterTimeWait(block: ControlBlock, now: Millis): void {
  block.state = 'time-wait';
  block.endAt = now + 2 * block.services.options.maxSegmentLifetime;
  block.keepAliveAt = block.persistAt = Number.POSITIVE_INFINITY;
  block.recovery.board.clear();
  block.recovery.arm(now);
  block.sendBuffer.clear();
  block.services.enteredTimeWait(block);
  block.services.ready(block);
}

/** Seventh: the data. */
function takeData(block: ControlBlock, segment: TcpSegment, now: Millis): void {
  const { services, queue } = block;
  const length = segment.dataLength;
  if (length === 0 || block.hasPeerEnded) return;
  if (block.state !== 'established' && block.state !== 'fin-wait-1' && block.state !== 'fin-wait-2') return;
  if (block.isReaderGone) {
    // RFC 9293 §3.6.1: whoever still sends shall know that nobody reads.
    services.drop('closed-reader');
    block.mustReset = true;
    services.wantsTransmit(block);
    block.release('aborted');
    return;
  }
  const open = distance(block.window.edge, segment.sequence);
  if (open <= 0) {
    block.acknowledgeNow(); // a window probe
    return;
  }
  // Nothing comes behind a FIN.
  const untilFin = block.peerFin === undefined ? length : Math.max(0, distance(block.peerFin, segment.sequence));
  const end = segment.data + Math.min(length, open, untilFin);
  const isEarly = distance(segment.sequence, queue.next) > 0;
  // What was promised is kept while there is memory; the order of arrival is a favour.
  const { receiveMemory } = services.limits;
  if (services.received > (isEarly ? receiveMemory : 2 * receiveMemory)) {
    services.drop('memory-limit');
    block.acknowledgeNow();
    return;
  }
  const before = queue.held;
  const hadRanges = queue.hasRanges;
  const advanced = queue.accept(segment.sequence, segment.buffer, segment.data, end, services.limits.outOfOrderPieces);
  services.received += queue.held - before;
  if (advanced > 0) services.ready(block);
  block.receiveSegment = Math.max(block.receiveSegment, Math.min(length, block.ownSegment));
  owe(block, advanced, hadRanges || advanced < end - segment.data, now);
}

/** RFC 5681 §4.2: at once for what is out of order or fills a gap, and for every second full segment; else a little later. */
function owe(block: ControlBlock, advanced: number, isIrregular: boolean, now: Millis): void {
  block.unacknowledged += advanced;
  if (isIrregular) {
    // Without SACK the peer counts duplicates: each segment has its own.
    if (!block.hasSack && advanced === 0) block.acksOwed = Math.min(block.acksOwed, 2);
    if (!block.hasSack && advanced === 0) block.acksOwed++;
    block.acknowledgeNow();
  } else if (block.quickAcks > 0 || block.unacknowledged >= 2 * block.receiveSegment) {
    block.acknowledgeNow();
  } else if (block.delayedAckAt === Number.POSITIVE_INFINITY) {
    block.delayedAckAt = now + ACK_DELAY;
  }
}

/** Eighth: FIN. */
function takeFin(block: ControlBlock, segment: TcpSegment, now: Millis): void {
  if (block.state === 'closed') return;
  if (segment.has(FLAG.fin) && block.peerFin === undefined) {
    const sequence = plus(segment.sequence, segment.dataLength);
    // One behind the window will come again when there is room.
    if (distance(sequence, block.window.edge) <= 0) block.peerFin = sequence;
  } else if (segment.has(FLAG.fin) && block.hasPeerEnded) {
    block.acknowledgeNow();
    if (block.state === 'time-wait') block.endAt = now + 2 * block.services.options.maxSegmentLifetime;
  }
  if (block.hasPeerEnded || block.peerFin === undefined || block.queue.next !== block.peerFin) return;
  block.hasPeerEnded = true;
  block.queue.next = plus(block.queue.next, 1);
  block.acknowledgeNow();
  block.services.ready(block);
  switch (block.state) {
    case 'established':
      block.state = 'close-wait';
      break;
    case 'fin-wait-1':
      block.state = 'closing';
      break;
    case 'fin-wait-2':
      enterTimeWait(block, now);
      break;
    default:
  }
}

/** RFC 9293 §3.10.7.4, RFC 6191 §2: a SYN that is certainly newer. */
function mayReopen(block: ControlBlock, segment: TcpSegment): boolean {
  if (!segment.has(FLAG.syn) || segment.has(FLAG.rst) || segment.has(FLAG.ack)) return false;
  if (block.hasTimestamps && segment.hasTimestamps) {
    const newer = (segment.timestamp - block.recentTimestamp) | 0;
    if (newer !== 0) return newer > 0;
  }
  return distance(segment.sequence, block.queue.next) > 0;
}
