/**
 * The transmission control block: all that is known of one connection. What happens to it is in the files beside:
 *
 *   segment-arrival.ts   a segment has arrived (RFC 9293 §3.10.7)
 *   acknowledgement.ts   … its acknowledgement and window
 *   transmission.ts      what leaves, when there is room for it
 *   timeouts.ts          what happens when nothing does
 *   connection.ts        what its user sees and does
 *
 * Read first: RFC 9293 §3.3.
 */
import type { Millis } from '../../tunnel/packet.ts';
import type { Endpoint } from '../../wire/ip-address.ts';
import type { Sleeper } from '../deadline-heap.ts';
import type { StackLimits } from '../limits.ts';
import type { Memory, RingPool } from '../memory.ts';
import type { DropCause, StackCounters } from '../stack-counters.ts';
import { type CongestionControl, initialWindow, NewReno } from './congestion.ts';
import { Cubic } from './cubic.ts';
import { LossRecovery } from './loss-recovery.ts';
import { ReceiveQueue } from './receive-queue.ts';
import { ReceiveWindow } from './receive-window.ts';
import { RttEstimator } from './rtt-estimator.ts';
import { SegmentWriter } from './segment-writer.ts';
import { SendBuffer } from './send-buffer.ts';
import { plus, type Sequence } from './sequence.ts';
import { TCP_HEADER } from './tcp-segment.ts';

/** RFC 9293 §3.3.2; LISTEN is a listener's. */
export type TcpState =
  | 'syn-sent'
  | 'syn-received'
  | 'established'
  | 'fin-wait-1'
  | 'fin-wait-2'
  | 'close-wait'
  | 'closing'
  | 'last-ack'
  | 'time-wait'
  | 'closed';

/** Why a connection ended before its time. */
export type TcpError = 'refused' | 'reset' | 'timed-out' | 'host-unreachable' | 'network-unreachable' | 'aborted';

export interface TcpOptions {
  readonly congestion: 'cubic' | 'new-reno';
  /** The time constants below, where a test wants others. */
  readonly maxSegmentLifetime: Millis;
}

/** What a connection needs of the stack. */
export interface TcpServices {
  readonly limits: StackLimits;
  readonly counters: StackCounters;
  readonly options: TcpOptions;
  /** The device cuts super-segments and finishes checksums. */
  readonly hasOffload: boolean;
  /** Largest packet of the device. */
  readonly mtu: number;
  readonly memory: Memory;
  readonly rings: RingPool;
  /** Bytes that all connections hold for their readers. */
  received: number;
  wantsTransmit(block: ControlBlock): void;
  reschedule(block: ControlBlock): void;
  /** The user is to look at it. */
  ready(block: ControlBlock): void;
  /** It is closed and in no table any more. */
  released(block: ControlBlock): void;
  enteredTimeWait(block: ControlBlock): void;
  /** A connection of a listener is made. */
  accepted(block: ControlBlock): void;
  /** May one more answer to something doubtful be sent (RFC 5961 §7)? Counts it if so. */
  mayChallenge(now: Millis): boolean;
  drop(cause: DropCause): void;
}

/** RFC 9293 §3.7.1: where the peer says nothing. */
const DEFAULT_SEGMENT = { 4: 536, 6: 1220 } as const;

/** A peer that wants less makes packets of headers. Linux has the same least size. */
const MIN_SEGMENT = 88;

export const TIMESTAMP_OPTION = 12;

/** Segments that are acknowledged at once when a connection begins, so that the peer's window opens. */
const QUICK_ACKS = 16;

export class ControlBlock implements Sleeper {
  readonly services: TcpServices;
  readonly local: Endpoint;
  readonly remote: Endpoint;
  readonly family: 4 | 6;
  readonly isPassive: boolean;
  readonly writer: SegmentWriter;
  state: TcpState;
  error: TcpError | undefined;

  // Places in the stack's tables, written by those.
  wakeAt: Millis = Number.POSITIVE_INFINITY;
  heapPlace = -1;
  hash = 0;
  chained: ControlBlock | undefined;
  isTransmitQueued = false;
  isReadyQueued = false;
  /** Called when {@link TcpServices.ready} is worked off. */
  onReady: (() => void) | undefined;

  // Send sequence space (RFC 9293 §3.3.1).
  readonly iss: Sequence;
  una: Sequence;
  next: Sequence;
  /** Behind all that was ever sent: a window probe is sent again as data. */
  sentMax: Sequence;
  peerWindow = 0;
  largestPeerWindow = 0;
  windowSequence: Sequence = 0;
  windowAcknowledgement: Sequence = 0;
  peerWindowScale = 0;
  /** The peer's MSS option, or the default. */
  peerSegment: number;
  /** Largest packet of the path. */
  pathMtu: number;
  readonly sendBuffer: SendBuffer;
  /** The sequence number of the buffer's first byte. */
  bufferStart: Sequence;
  /** How much may wait to be acknowledged; grows with the congestion window. */
  sendLimit: number;
  /** The user has written all. */
  isEnding = false;
  /** FIN's sequence number, once it was sent. */
  finSequence: Sequence | undefined;
  readonly recovery: LossRecovery;
  readonly rtt: RttEstimator = new RttEstimator();
  isWindowLimited = false;
  /** Behind the last segment that was not full: Nagle's algorithm as Minshall has it. */
  smallEnd: Sequence;
  noDelay = false;
  /** The user was told that there is no room, and waits. */
  wantsRoom = false;
  lastSentAt: Millis = Number.NEGATIVE_INFINITY;

  // Receive sequence space.
  irs: Sequence = 0;
  queue: ReceiveQueue;
  window: ReceiveWindow;
  hasReceivedSyn = false;
  /** The peer's FIN, once it was seen in the window, and once all before it is there. */
  peerFin: Sequence | undefined;
  hasPeerEnded = false;
  /** Nobody will read what comes. */
  isReaderGone = false;

  // Options.
  hasTimestamps = false;
  hasSack = false;
  timestampOffset: number;
  /** TS.Recent and when it was taken (RFC 7323 §4.3, §5.5). */
  recentTimestamp = 0;
  recentTimestampAt: Millis = 0;
  /** Last.ACK.sent. */
  lastAcknowledged: Sequence = 0;

  // What is to leave.
  mustSendSyn = false;
  mustReset = false;
  /** Acknowledgements owed; more than one only where the peer counts them. */
  acksOwed = 0;
  wantsProbe = false;
  wantsWindowProbe = false;
  wantsKeepAlive = false;
  /** Bytes that were not acknowledged yet, and acknowledgements to be sent without delay. */
  unacknowledged = 0;
  quickAcks: number = QUICK_ACKS;
  /** The largest payload that the peer has sent: what a full segment is. */
  receiveSegment: number;

  // Deadlines; Infinity where there is none.
  synAt: Millis = Number.POSITIVE_INFINITY;
  delayedAckAt: Millis = Number.POSITIVE_INFINITY;
  persistAt: Millis = Number.POSITIVE_INFINITY;
  keepAliveAt: Millis = Number.POSITIVE_INFINITY;
  /** TIME-WAIT and FIN-WAIT-2 end, or a connection attempt does. */
  endAt: Millis = Number.POSITIVE_INFINITY;
  synRetries = 0;
  windowProbes = 0;
  keepAliveProbes = 0;
  /** Silence before the first probe; 0: none are sent. */
  keepAliveIdle: Millis = 0;
  heardAt: Millis = 0;
  challengedAt: Millis = Number.NEGATIVE_INFINITY;
  /** Of the call that is under way, or the last one. */
  now: Millis = 0;

  constructor(
    services: TcpServices,
    local: Endpoint,
    remote: Endpoint,
    iss: Sequence,
    timestampOffset: number,
    pathMtu: number,
    isPassive: boolean,
  ) {
    this.services = services;
    this.local = local;
    this.remote = remote;
    this.family = local.address.family;
    this.isPassive = isPassive;
    this.state = isPassive ? 'syn-received' : 'syn-sent';
    this.writer = new SegmentWriter(local, remote);
    this.sendBuffer = new SendBuffer(services.rings);
    this.queue = new ReceiveQueue(0, services.memory);
    this.iss = iss;
    this.una = this.next = this.sentMax = iss;
    this.bufferStart = plus(iss, 1);
    this.smallEnd = iss;
    this.peerSegment = DEFAULT_SEGMENT[this.family];
    this.pathMtu = pathMtu;
    this.timestampOffset = timestampOffset;
    this.receiveSegment = DEFAULT_SEGMENT[this.family];
    const { limits, options } = services;
    this.window = new ReceiveWindow(0, limits.initialReceiveBuffer, limits.receiveBuffer);
    const initial = initialWindow(this.segment);
    const congestion: CongestionControl = options.congestion === 'cubic' ? new Cubic(initial) : new NewReno(initial);
    this.recovery = new LossRecovery(plus(iss, 1), this.rtt, congestion);
    this.sendLimit = Math.min(limits.sendBuffer, 2 * initial + 64 * 1024);
  }

  /** Payload of a full segment without SACK blocks. */
  get segment(): number {
    const byPath = this.pathMtu - this.writer.ipHeader - TCP_HEADER;
    return Math.max(MIN_SEGMENT, Math.min(this.peerSegment, byPath)) - (this.hasTimestamps ? TIMESTAMP_OPTION : 0);
  }

  /** What our own MSS option says (RFC 9293 §3.7.1: by the link, not by the path). */
  get ownSegment(): number {
    return Math.min(0xffff, this.services.mtu - this.writer.ipHeader - TCP_HEADER);
  }

  get bufferEnd(): Sequence {
    return plus(this.bufferStart, this.sendBuffer.length);
  }

  /** Our clock for the peer's echoes (RFC 7323 §5.4): milliseconds. */
  timestamp(now: Millis): number {
    return (Math.floor(now) + this.timestampOffset) | 0;
  }

  /** When a segment was sent that the peer echoes. */
  echoedAt(echo: number, now: Millis): Millis {
    return Math.floor(now) - ((this.timestamp(now) - echo) | 0);
  }

  get isMade(): boolean {
    return this.state !== 'syn-sent' && this.state !== 'syn-received' && this.state !== 'closed';
  }

  /** An acknowledgement is to leave with the next turn. */
  acknowledgeNow(): void {
    if (this.acksOwed === 0) this.acksOwed = 1;
    this.services.wantsTransmit(this);
  }

  /** The connection is over. What nobody has read stays for the reader, unless it ended by an error. */
  release(error?: TcpError): void {
    if (this.state === 'closed') return;
    this.state = 'closed';
    if (error !== undefined) this.error = error;
    this.sendBuffer.clear();
    this.recovery.board.clear();
    if (error !== undefined || this.isReaderGone) this.dropReceived();
    this.acksOwed = 0;
    this.mustSendSyn = this.wantsProbe = this.wantsWindowProbe = this.wantsKeepAlive = false;
    this.synAt = this.delayedAckAt = this.persistAt = this.keepAliveAt = this.endAt = Number.POSITIVE_INFINITY;
    this.services.released(this);
    this.services.ready(this);
  }

  /** Forgets what was received and not read. */
  dropReceived(): void {
    this.services.received -= this.queue.held;
    this.queue.clear();
  }
}
