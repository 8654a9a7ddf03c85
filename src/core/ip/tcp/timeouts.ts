/**
 * What happens to a connection when time has passed.
 *
 * Read first: RFC 9293 §3.8.3 (giving up), §3.8.4 (keep-alive), §3.8.6.1 (zero windows), §3.10.8; RFC 6298 §5.
 */
import type { Millis } from '../../tunnel/packet.ts';
import type { ControlBlock } from './control-block.ts';
import { MAX_TIMEOUT } from './rtt-estimator.ts';

/** RFC 9293 §3.8.3 (R2): at least 100 seconds; with doubling timeouts these are 13 to 30 minutes. */
const MAX_RETRIES = 15;
/** R2 of a SYN: at least 3 minutes where the caller has no deadline of its own. */
const MAX_SYN_RETRIES = 7;
/** An unanswered SYN-ACK is given up sooner: it holds a place of a listener. */
const MAX_SYN_ACK_RETRIES = 5;
/** Probes of a closed window whose user has gone: nobody is left to give the connection up (RFC 6429 §3). */
const MAX_ORPHAN_PROBES = 8;
/** RFC 9293 §3.8.4 leaves them open; those of Linux. */
const KEEP_ALIVE_INTERVAL: Millis = 75_000;
const MAX_KEEP_ALIVE_PROBES = 9;

/** The earliest of all deadlines. */
export function nextDeadline(block: ControlBlock): Millis {
  return Math.min(block.recovery.dueAt, block.synAt, block.delayedAckAt, block.persistAt, block.keepAliveAt, block.endAt);
}

/** Handles everything that is due. */
export function handleDeadlines(block: ControlBlock, now: Millis): void {
  block.now = now;
  if (block.endAt <= now) {
    ended(block);
    return;
  }
  if (block.synAt <= now) synTimeout(block, now);
  if (block.recovery.dueAt <= now) recoveryTimer(block, now);
  if (block.persistAt <= now) persistTimeout(block, now);
  if (block.keepAliveAt <= now) keepAliveTimeout(block, now);
  if (block.delayedAckAt <= now) {
    block.delayedAckAt = Number.POSITIVE_INFINITY;
    block.acknowledgeNow();
  }
}

/** Whenever the peer was heard, and when keep-alive is switched on. */
export function armKeepAlive(block: ControlBlock): void {
  block.keepAliveProbes = 0;
  block.keepAliveAt =
    block.keepAliveIdle > 0 && block.isMade && block.state !== 'time-wait' ? block.heardAt + block.keepAliveIdle : Number.POSITIVE_INFINITY;
}

/** TIME-WAIT and an abandoned FIN-WAIT-2 are over; an attempt to connect has failed. */
function ended(block: ControlBlock): void {
  block.release(block.isMade ? undefined : 'timed-out');
}

function synTimeout(block: ControlBlock, now: Millis): void {
  block.synAt = Number.POSITIVE_INFINITY;
  if (block.isMade || block.state === 'closed') return;
  if (block.synRetries++ >= (block.isPassive ? MAX_SYN_ACK_RETRIES : MAX_SYN_RETRIES)) {
    block.release('timed-out');
    return;
  }
  block.rtt.backOff();
  block.mustSendSyn = true;
  // If the device stays full, the next try is due all the same.
  block.synAt = now + block.rtt.timeout;
  block.services.counters.retransmissions++;
  block.services.wantsTransmit(block);
}

function recoveryTimer(block: ControlBlock, now: Millis): void {
  const { recovery, services } = block;
  const what = recovery.handleTimer(now, block.una, block.next, block.segment);
  if (what === 'probe') block.wantsProbe = true;
  if (what === 'timeout') {
    services.counters.timeouts++;
    // A peer that has closed its window and says so is alive (RFC 9293 §3.8.6.1), as long as there is somebody to decide.
    const isHeldUp = !block.isReaderGone && block.peerWindow === 0 && now - block.heardAt < 2 * MAX_TIMEOUT;
    if (recovery.retries > MAX_RETRIES && !isHeldUp) {
      block.release('timed-out');
      return;
    }
  }
  services.wantsTransmit(block);
}

function persistTimeout(block: ControlBlock, now: Millis): void {
  if (block.isReaderGone && block.windowProbes >= MAX_ORPHAN_PROBES) {
    giveUp(block);
    return;
  }
  // As long as the peer answers, it may keep its window closed.
  if (block.windowProbes > MAX_RETRIES && now - block.heardAt > 2 * MAX_TIMEOUT) {
    block.release('timed-out');
    return;
  }
  block.windowProbes++;
  block.wantsWindowProbe = true;
  block.persistAt = now + Math.min(MAX_TIMEOUT, block.rtt.timeout * 2 ** Math.min(block.windowProbes, 16));
  block.services.wantsTransmit(block);
}

function keepAliveTimeout(block: ControlBlock, now: Millis): void {
  if (block.keepAliveProbes >= MAX_KEEP_ALIVE_PROBES) {
    giveUp(block);
    return;
  }
  block.keepAliveProbes++;
  block.keepAliveAt = now + KEEP_ALIVE_INTERVAL;
  block.wantsKeepAlive = true;
  block.services.wantsTransmit(block);
}

/** Ends it, and lets the peer know. */
function giveUp(block: ControlBlock): void {
  block.mustReset = true;
  block.services.wantsTransmit(block);
  block.release('timed-out');
}
