/**
 * Decides what is lost, when to send it again, and how much may be on its way.
 *
 * Read first: RFC 8985 (RACK-TLP); RFC 6298 §5 (timeout); RFC 6582 (peers without SACK); RFC 3522 and 4015 (losses that were none).
 *
 *           a loss is seen                    everything of then is acknowledged
 *   open ──────────────────────► recovery ───────────────────────────────────────► open
 *     └──────── timeout ───────► loss (slow start) ───────────────────────────────►
 */
import type { Millis } from '../../tunnel/packet.ts';
import type { CongestionControl } from './congestion.ts';
import { ProportionalRate } from './proportional-rate.ts';
import { DUPLICATE_THRESHOLD, Rack } from './rack.ts';
import type { RttEstimator } from './rtt-estimator.ts';
import { type DeliveryObserver, Scoreboard, type SentPiece } from './scoreboard.ts';
import { distance, type Sequence } from './sequence.ts';

/** RFC 8985 §7.2: how long a receiver may keep an acknowledgement of a single segment back. */
const MAX_ACK_DELAY: Millis = 40;
/** RFC 8985 §7.2: before there is a round trip to go by. */
const FIRST_PROBE_TIMEOUT: Millis = 1_000;

/** What one acknowledgement says, beside the SACK blocks. */
export interface Acknowledgement {
  readonly una: Sequence;
  /** Bytes that it acknowledges for the first time in order. */
  advanced: number;
  /** Bytes that it says have arrived, for the first time. */
  delivered: number;
  /** It brings nothing new, for a peer without SACK: RFC 5681 §2. */
  isDuplicate: boolean;
  /** The first byte that was sent never. */
  nextSequence: Sequence;
  /** When the segment that it answers was sent, by the timestamps; undefined: they are not used. */
  echoedAt: Millis | undefined;
}

export type TimerKind = 'none' | 'reordering' | 'probe' | 'timeout';

export class LossRecovery implements DeliveryObserver {
  readonly board: Scoreboard = new Scoreboard();
  readonly rtt: RttEstimator;
  readonly congestion: CongestionControl;
  state: 'open' | 'recovery' | 'loss' = 'open';
  /** When {@link timer} is due; Infinity: there is none. */
  dueAt: Millis = Number.POSITIVE_INFINITY;
  timer: TimerKind = 'none';
  /** Timeouts since something was acknowledged. */
  retries = 0;
  hasSack = false;
  readonly #rack: Rack;
  readonly #rate = new ProportionalRate();
  /** Leaving the recovery needs this acknowledged. */
  #recoveryEnd: Sequence;
  /** When the first retransmission of this episode was sent: an answer to something earlier shows that it was for nothing. */
  #firstRetransmission: Millis | undefined;
  /** Where that one ended. */
  #firstRetransmissionEnd: Sequence = 0;
  /** From this on the retransmission timeout counts. */
  #timeoutFrom: Millis = 0;
  /** A tail loss probe is out: the sequence number behind it, and whether it was a retransmission. */
  #probe: { readonly end: Sequence; readonly isRetransmission: boolean } | undefined;
  #duplicates = 0;
  // What one acknowledgement has shown; see delivered().
  #now: Millis = 0;
  #sample: Millis | undefined;
  #sampleIsCumulative = false;
  #echoedAt: Millis | undefined;
  #hasSeenRetransmitted = false;
  /** Payload of a full segment, as of the last call. */
  #segment = 0;
  /** Timeouts that were for nothing; the owner counts them and sets it to 0. */
  spuriousTimeouts = 0;

  constructor(start: Sequence, rtt: RttEstimator, congestion: CongestionControl) {
    this.rtt = rtt;
    this.congestion = congestion;
    this.#rack = new Rack(start);
    this.#recoveryEnd = start;
  }

  /** How much more may leave now. */
  get allowance(): number {
    return this.congestion.window - this.pipe;
  }

  /** What is believed to be on its way. */
  get pipe(): number {
    return this.hasSack ? this.board.inFlight : Math.max(0, this.board.inFlight - this.#duplicates * this.#segment);
  }

  /** New data left. */
  sent(start: Sequence, end: Sequence, now: Millis): void {
    if (this.board.isEmpty) this.#timeoutFrom = now;
    this.board.sent(start, end, now);
    if (this.state === 'recovery') this.#rate.sent(distance(end, start));
    this.arm(now);
  }

  /** A piece left again. */
  retransmitted(piece: SentPiece, now: Millis): void {
    this.board.retransmitted(piece, now);
    if (this.#firstRetransmission === undefined) {
      this.#firstRetransmission = now;
      this.#firstRetransmissionEnd = piece.end;
    }
    if (this.state === 'recovery') this.#rate.sent(piece.length);
    // RFC 6675 §5.1: its answer is a round trip away.
    if (piece === this.board.head) this.#timeoutFrom = now;
    if (this.timer === 'none' || this.timer === 'probe') this.arm(now);
  }

  /** The SACK blocks have been checked: each lies within what was sent. `edges`: pairs. */
  acknowledge(ack: Acknowledgement, edges: Int32Array, blocks: number, segment: number, isCwndLimited: boolean, now: Millis): void {
    const { board, congestion } = this;
    this.#segment = segment;
    this.#now = now;
    this.#sample = undefined;
    this.#sampleIsCumulative = this.#hasSeenRetransmitted = false;
    this.#echoedAt = ack.echoedAt;
    const lostBefore = board.lost;
    if (ack.advanced > 0) ack.delivered += board.acknowledge(ack.una, this);
    for (let i = 0; i < blocks; i++) ack.delivered += board.sack(edges[2 * i] as number, edges[2 * i + 1] as number, this);
    this.#takeSample(now);
    if (ack.advanced > 0) {
      this.retries = 0;
      this.rtt.resetBackoff();
      this.#timeoutFrom = now;
    }
    if (this.#isSpurious(ack)) this.#undo();
    this.#judgeProbe(ack, blocks > 0);
    if (!this.hasSack) this.#countDuplicates(ack);
    const wasOpen = this.state === 'open';
    this.#leaveIfDone(ack.una);
    if (this.hasSack) this.#detect(now);
    else this.#detectWithoutSack(ack);
    if (board.lost > 0 && this.state === 'open') this.#enterRecovery(ack.nextSequence);
    if (this.state === 'recovery') {
      const isSafe = ack.advanced > 0 && board.lost <= lostBefore;
      congestion.window = this.#rate.window(ack.delivered, this.pipe, congestion.threshold, segment, isSafe);
    } else if (ack.advanced > 0 && isCwndLimited && (wasOpen || this.state === 'loss')) {
      congestion.acknowledged(ack.advanced, segment, now, this.rtt.smoothed ?? 0);
    }
    if (ack.advanced > 0 || ack.delivered > 0 || this.timer !== 'timeout') this.arm(now);
  }

  /** RFC 2883: the peer got something twice. */
  duplicateReported(una: Sequence, nextSequence: Sequence): void {
    this.#rack.duplicateReported(una, nextSequence);
  }

  /** The timer is due. `timeout`: RFC 6298 §5.4 and what follows has been done; `probe`: one is to be sent. */
  handleTimer(now: Millis, una: Sequence, nextSequence: Sequence, segment: number): 'none' | 'probe' | 'timeout' {
    const { timer } = this;
    this.#segment = segment;
    this.timer = 'none';
    this.dueAt = Number.POSITIVE_INFINITY;
    if (this.board.isEmpty) return 'none';
    switch (timer) {
      case 'reordering':
        this.#detect(now);
        if (this.board.lost > 0 && this.state === 'open') {
          this.#enterRecovery(nextSequence);
          this.congestion.window = this.#rate.window(0, this.pipe, this.congestion.threshold, segment, false);
        }
        this.arm(now);
        return 'none';
      case 'probe':
        return 'probe';
      case 'timeout':
        this.#timedOut(now, una, nextSequence, segment);
        return 'timeout';
      case 'none':
        return 'none';
      default:
        return timer satisfies never;
    }
  }

  /** A tail loss probe has left (RFC 8985 §7.3): until it is answered there is no other. */
  probed(end: Sequence, isRetransmission: boolean, now: Millis): void {
    this.#probe = { end, isRetransmission };
    this.#timeoutFrom = now;
    this.arm(now);
  }

  /** Sets the timer to what is to be waited for next. */
  arm(now: Millis): void {
    const { board } = this;
    if (board.isEmpty) {
      this.timer = 'none';
      this.dueAt = Number.POSITIVE_INFINITY;
      return;
    }
    if (this.timer === 'reordering' && this.dueAt > now) return;
    const timeoutAt = this.#timeoutFrom + this.rtt.timeout;
    const probeAt = this.#mayProbe() ? now + this.#probeTimeout() : Number.POSITIVE_INFINITY;
    this.timer = probeAt < timeoutAt ? 'probe' : 'timeout';
    this.dueAt = Math.min(probeAt, timeoutAt);
  }

  /** All of it is to be sent again in other sizes: the path takes no packets of this size. */
  segmentsTooBig(now: Millis): void {
    this.board.markAllLost();
    this.#firstRetransmission = undefined;
    this.arm(now);
  }

  delivered(piece: SentPiece, isCumulative: boolean): void {
    const isEchoed = this.#echoedAt === undefined || this.#echoedAt >= Math.floor(piece.sentAt);
    this.#rack.delivered(piece, this.#now, this.rtt.minimum, isEchoed);
    if (piece.isRetransmitted) {
      this.#hasSeenRetransmitted = true;
      return; // Karn's algorithm (RFC 6298 §3)
    }
    // Cumulative before selective, and of those the first: it has waited longest.
    if (this.#sample === undefined || (isCumulative && !this.#sampleIsCumulative)) {
      this.#sample = this.#now - piece.sentAt;
      this.#sampleIsCumulative = isCumulative;
    }
  }

  #takeSample(now: Millis): void {
    if (this.#sample !== undefined) this.rtt.sample(this.#sample, now);
    // RFC 7323 §4.1: the echo says which of the transmissions it was.
    else if (this.#hasSeenRetransmitted && this.#echoedAt !== undefined) this.rtt.sample(Math.max(0, now - this.#echoedAt), now);
  }

  #detect(now: Millis): void {
    const { board, rtt } = this;
    const isEager = this.state !== 'open' || board.sacked > (DUPLICATE_THRESHOLD - 1) * this.#segment;
    const smoothed = rtt.smoothed ?? 0;
    const wait = this.#rack.detect(board, now, Number.isFinite(rtt.minimum) ? rtt.minimum : smoothed, smoothed, isEager);
    if (this.timer === 'reordering') this.timer = 'none';
    if (wait <= 0) return;
    this.timer = 'reordering';
    this.dueAt = now + wait;
  }

  /** RFC 6582 §3.2: three duplicates, and in a recovery each acknowledgement that does not end it, show that the first segment is lost. */
  #detectWithoutSack(ack: Acknowledgement): void {
    const isFirst = this.state === 'open' && this.#duplicates >= DUPLICATE_THRESHOLD && distance(ack.una, this.#recoveryEnd) >= 0;
    const isPartial = this.state === 'recovery' && ack.advanced > 0;
    if (isFirst || isPartial) this.#markFirstLost();
  }

  #markFirstLost(): void {
    const { board } = this;
    const { head } = board;
    if (head === undefined || head.isLost) return;
    if (head.length > this.#segment) board.split(head, (head.start + this.#segment) | 0);
    board.markLost(head);
  }

  #countDuplicates(ack: Acknowledgement): void {
    if (ack.isDuplicate) {
      this.#duplicates++;
      ack.delivered += this.#segment;
    } else if (ack.advanced > 0) {
      this.#duplicates = Math.max(0, this.#duplicates - Math.ceil(ack.advanced / Math.max(1, this.#segment)) + 1);
      if (this.state === 'open') this.#duplicates = 0;
    }
  }

  #enterRecovery(nextSequence: Sequence): void {
    const { board, congestion } = this;
    const flight = board.inFlight + board.lost;
    this.state = 'recovery';
    this.#recoveryEnd = nextSequence;
    this.#firstRetransmission = undefined;
    congestion.lossDetected(flight, this.#segment);
    this.#rate.begin(flight);
    this.#probe = undefined;
  }

  #leaveIfDone(una: Sequence): void {
    if (this.state === 'open' || distance(una, this.#recoveryEnd) < 0) return;
    if (this.state === 'recovery') this.congestion.window = Math.max(this.congestion.threshold, this.#segment);
    this.congestion.epochEnded();
    this.#rack.recovered();
    this.state = 'open';
    this.#duplicates = 0;
    this.#firstRetransmission = undefined;
  }

  /** RFC 6298 §5.4 to 5.6, RFC 5681 §3.1 (7). */
  #timedOut(now: Millis, una: Sequence, nextSequence: Sequence, segment: number): void {
    const { board, congestion } = this;
    // RFC 2018 §8: a receiver that has acknowledged the first piece selectively and not in order has thrown it away.
    if (board.head?.isSacked === true) board.forgetSacks();
    // Only the first timeout of an episode is news about the path.
    if (this.state !== 'loss' || distance(una, this.#recoveryEnd) >= 0) {
      congestion.lossDetected(board.inFlight + board.lost, segment);
      this.#firstRetransmission = undefined;
    }
    this.state = 'loss';
    this.#recoveryEnd = nextSequence;
    congestion.window = segment;
    board.markAllLost();
    this.#duplicates = 0;
    this.#probe = undefined;
    this.retries++;
    this.rtt.backOff();
    this.#timeoutFrom = now;
    this.arm(now);
  }

  /** RFC 3522 §3.2: what is acknowledged now was sent before anything was sent again. */
  #isSpurious(ack: Acknowledgement): boolean {
    if (this.state === 'open' || ack.advanced === 0 || ack.echoedAt === undefined || this.#firstRetransmission === undefined) return false;
    // One that was sent before says nothing of it.
    if (distance(ack.una, this.#firstRetransmissionEnd) < 0) return false;
    return ack.echoedAt < Math.floor(this.#firstRetransmission);
  }

  #undo(): void {
    if (this.state === 'loss') this.spuriousTimeouts++;
    this.congestion.undo();
    this.board.unmarkLost();
    this.state = 'open';
    this.#firstRetransmission = undefined;
    this.#duplicates = 0;
  }

  #mayProbe(): boolean {
    return this.hasSack && this.state === 'open' && this.#probe === undefined && this.board.sacked === 0;
  }

  /** RFC 8985 §7.2. */
  #probeTimeout(): Millis {
    const { smoothed } = this.rtt;
    if (smoothed === undefined) return FIRST_PROBE_TIMEOUT;
    return Math.max(2, 2 * smoothed) + (this.board.inFlight <= this.#segment ? MAX_ACK_DELAY : 0);
  }

  /** RFC 8985 §7.4: did the probe repair a loss that nothing else has shown? Then the window pays for it. */
  #judgeProbe(ack: Acknowledgement, hasSackBlocks: boolean): void {
    const probe = this.#probe;
    if (probe === undefined || distance(ack.una, probe.end) < 0) {
      if (probe !== undefined && hasSackBlocks && !probe.isRetransmission) this.#probe = undefined;
      return;
    }
    this.#probe = undefined;
    if (!probe.isRetransmission || this.state !== 'open' || hasSackBlocks) return;
    // With timestamps it is known which of the two was acknowledged first.
    if (ack.echoedAt === undefined || this.#firstRetransmission === undefined) return;
    if (ack.echoedAt < Math.floor(this.#firstRetransmission)) return;
    this.congestion.lossDetected(this.congestion.window, this.#segment);
    this.congestion.window = Math.min(this.congestion.window, this.congestion.threshold);
    this.#firstRetransmission = undefined;
  }
}
