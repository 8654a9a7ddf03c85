/**
 * All TCP of a stack: connections, listeners, their deadlines and who of them wants to send.
 *
 * A segment: {@link TcpHost.receive} finds its connection → segment-arrival.ts → the connection is queued to send, to be looked at, or both.
 */

import { MisuseError, NetworkError } from '../../errors.ts';
import type { Millis } from '../../tunnel/packet.ts';
import { TokenBucket } from '../../tunnel/token-bucket.ts';
import { copyOf } from '../../wire/copy.ts';
import { type Endpoint, formatEndpoint, type IpAddress, sameIp } from '../../wire/ip-address.ts';
import { i32, u16 } from '../byte-order.ts';
import { checksumOf, sumPseudoHeader, sumWords } from '../checksum.ts';
import { DeadlineHeap } from '../deadline-heap.ts';
import type { HeldSyn, Intercept } from '../intercept.ts';
import { IpPacket, PROTOCOL } from '../ip-packet.ts';
import type { StackLimits } from '../limits.ts';
import { type Memory, pooled, RingPool } from '../memory.ts';
import type { PacketSink } from '../packet-sink.ts';
import { PortTable } from '../port-table.ts';
import type { ReadyList } from '../ready-list.ts';
import { SipHash } from '../siphash.ts';
import type { DropCause, StackCounters } from '../stack-counters.ts';
import { TcpConnection } from './connection.ts';
import { ConnectionTable } from './connection-table.ts';
import { ControlBlock, type TcpError, type TcpOptions, type TcpServices } from './control-block.ts';
import { InitialSequence } from './initial-sequence.ts';
import type { TcpListener } from './listener.ts';
import { ListenerTable } from './listener-table.ts';
import { isKeptBlock } from './receive-queue.ts';
import { resetFor } from './reset-segment.ts';
import { segmentArrived, synArrived } from './segment-arrival.ts';
import { distance } from './sequence.ts';
import { FLAG, TcpSegment } from './tcp-segment.ts';
import { handleDeadlines, nextDeadline } from './timeouts.ts';
import { transmit } from './transmission.ts';

/** What TCP needs of the rest of the stack. */
export interface TcpSurroundings {
  readonly limits: StackLimits;
  readonly counters: StackCounters;
  readonly options: TcpOptions;
  readonly hasOffload: boolean;
  readonly ready: ReadyList;
  /** Takes SYNs for which nobody listens; undefined: they are refused. */
  readonly intercept: Intercept | undefined;
  /** 32 bytes that nobody else knows. */
  readonly secret: Uint8Array;
  readonly random: () => number;
  readonly memory: Memory;
  mtu(): number;
  pathMtu(remote: IpAddress, now: Millis): number;
  /** Sends a packet that is ready. */
  send(packet: Uint8Array): void;
}

const DEFAULT_BACKLOG = 128;

export class TcpHost implements TcpServices {
  readonly limits: StackLimits;
  readonly counters: StackCounters;
  readonly options: TcpOptions;
  readonly hasOffload: boolean;
  readonly memory: Memory;
  readonly rings: RingPool;
  received = 0;
  readonly #surroundings: TcpSurroundings;
  readonly #table: ConnectionTable;
  readonly #initial: InitialSequence;
  readonly #listeners = new ListenerTable();
  readonly #ports: PortTable;
  readonly #deadlines = new DeadlineHeap<ControlBlock>();
  /** In the order of their turns. */
  #senders: ControlBlock[] = [];
  #nextSenders: ControlBlock[] = [];
  /** The oldest first. */
  readonly #timeWait = new Set<ControlBlock>();
  readonly #segment = new TcpSegment();
  /** A packet that was kept. */
  readonly #held = new IpPacket();
  readonly #challenges: TokenBucket;
  readonly #resets: TokenBucket;

  constructor(surroundings: TcpSurroundings) {
    const { limits, counters, options, hasOffload, secret, random, memory } = surroundings;
    this.#surroundings = surroundings;
    this.limits = limits;
    this.counters = counters;
    this.options = options;
    this.hasOffload = hasOffload;
    const rings = new RingPool(memory, limits.spareSendMemory);
    this.rings = rings;
    this.memory = pooled(rings, isKeptBlock);
    this.#initial = new InitialSequence(secret.subarray(0, 16));
    this.#table = new ConnectionTable(new SipHash(secret.subarray(16, 32)));
    this.#ports = new PortTable(random);
    const rate = limits.repliesPerSecond;
    this.#challenges = new TokenBucket(rate, { burst: rate, maxDelay: 0 });
    this.#resets = new TokenBucket(rate, { burst: rate, maxDelay: 0 });
  }

  get mtu(): number {
    return this.#surroundings.mtu();
  }

  /** Connections of all states. */
  get size(): number {
    return this.#table.size;
  }

  /** Throws {@link NetworkError} (`EADDRINUSE`, `ENOBUFS`). */
  connect(local: IpAddress, remote: Endpoint, now: Millis, localPort = 0): TcpConnection {
    if (remote.port < 1 || remote.port > 0xffff) throw new MisuseError(`there is no port ${remote.port}`);
    this.#makeRoom();
    const isFree = (port: number) => !this.#table.has({ address: local, port }, remote) && this.#listeners.find(local, port) === undefined;
    const port = localPort === 0 ? this.#ports.pick(isFree) : isFree(localPort) ? localPort : undefined;
    if (port === undefined) {
      throw new NetworkError(`The connection to ${formatEndpoint(remote)} has no free local port.`, { code: 'EADDRINUSE' });
    }
    const block = this.#newBlock({ address: local, port }, remote, now, false);
    block.mustSendSyn = true;
    this.wantsTransmit(block);
    return new TcpConnection(block);
  }

  /** Throws {@link NetworkError} (`EADDRINUSE`). */
  listen(address: IpAddress | undefined, port: number, backlog: number = DEFAULT_BACKLOG): TcpListener {
    const chosen = port === 0 ? this.#ports.pick((candidate) => this.#listeners.isFree(address, candidate)) : port;
    if (chosen === undefined || !this.#listeners.isFree(address, chosen)) {
      throw new NetworkError(`Port ${port} is in use.`, { code: 'EADDRINUSE' });
    }
    return this.#listeners.open(address, chosen, backlog);
  }

  /** Answers a SYN that was held. Undefined: there is such a connection already. Throws {@link NetworkError} (`ENOBUFS`). */
  admit(syn: HeldSyn, now: Millis): TcpConnection | undefined {
    if (this.#table.has(syn.to, syn.from)) return undefined;
    this.#makeRoom();
    return new TcpConnection(this.#answerSyn(syn.to, syn.from, this.#segmentOf(syn), now));
  }

  /** Answers a SYN that was held by a reset. */
  refuse(syn: HeldSyn, now: Millis): void {
    this.#reset(this.#held, this.#segmentOf(syn), now);
  }

  /** The segment of a packet for us. */
  receive(packet: IpPacket, now: Millis, isVerified: boolean): void {
    const { buffer, payload, end, addressesAt, addressLength } = packet;
    const segment = this.#segment;
    if (!isVerified) {
      const pseudo = sumPseudoHeader(buffer, addressesAt, addressLength, PROTOCOL.tcp, end - payload);
      if (checksumOf(sumWords(buffer, payload, end, pseudo)) !== 0) {
        this.drop('bad-checksum');
        return;
      }
    }
    if (!segment.parse(buffer, payload, end)) {
      this.drop('malformed');
      return;
    }
    const block = this.#table.find(packet, segment);
    if (block === undefined) {
      this.#receiveAtListener(packet, segment, now);
      return;
    }
    const arrived = segmentArrived(block, segment, now);
    if (arrived === 'reset') this.#reset(packet, segment, now);
    else if (arrived === 'reopen') {
      block.release();
      this.#receiveAtListener(packet, segment, now);
    }
    this.reschedule(block);
  }

  /**
   * Whether an ICMP error quotes a segment that is on its way: others are not believed (RFC 5927 §4).
   *
   * @param packet its addresses as if the other end had sent it
   * @param quoted the first 8 bytes of its TCP header
   */
  isOnItsWay(quoted: Uint8Array, packet: IpPacket): boolean {
    return this.#quotedConnection(quoted, packet) !== undefined;
  }

  /** A router says what became of a segment of ours (RFC 5461): see {@link isOnItsWay}. */
  icmpError(packet: IpPacket, error: TcpError | 'too-big', quoted: Uint8Array, now: Millis): void {
    const block = this.#quotedConnection(quoted, packet);
    if (block === undefined) return;
    if (error === 'too-big') this.#segmentsTooBig(block, now);
    else if (!block.isMade) block.release(error);
    // RFC 5461: those of a connection that is made pass by themselves.
    this.reschedule(block);
  }

  /** Sends what is to be sent until the sink is full. False: it is, and more waits. */
  transmit(sink: PacketSink, now: Millis): boolean {
    for (;;) {
      const senders = this.#senders;
      if (senders.length === 0) return true;
      this.#senders = this.#nextSenders;
      for (let i = 0; i < senders.length; i++) {
        const block = senders[i] as ControlBlock;
        block.isTransmitQueued = false;
        const result = transmit(block, sink, now);
        this.reschedule(block);
        if (result !== 'done') this.wantsTransmit(block);
        if (result !== 'blocked') continue;
        // The others wait in front of it.
        this.#senders = [...senders.slice(i + 1), ...this.#senders];
        this.#nextSenders = [];
        return false;
      }
      senders.length = 0;
      this.#nextSenders = senders;
    }
  }

  get isWaitingToSend(): boolean {
    return this.#senders.length > 0;
  }

  nextTimeout(): Millis | undefined {
    return this.#deadlines.next;
  }

  handleTimeout(now: Millis): void {
    for (let block = this.#deadlines.takeDue(now); block !== undefined; block = this.#deadlines.takeDue(now)) {
      handleDeadlines(block, now);
      this.reschedule(block);
    }
  }

  /** The link's MTU is another. */
  mtuChanged(now: Millis): void {
    for (const block of this.#table) this.#segmentsTooBig(block, now);
  }

  /** Ends every connection with this local address. */
  addressGone(address: IpAddress): void {
    for (const block of [...this.#table]) if (sameIp(block.local.address, address)) block.release('aborted');
  }

  // For connections.

  wantsTransmit(block: ControlBlock): void {
    if (block.isTransmitQueued) return;
    block.isTransmitQueued = true;
    this.#senders.push(block);
  }

  /** A deadline that moves back is let pass: waking once too early costs less than a change for each segment. */
  reschedule(block: ControlBlock): void {
    const deadline = block.state === 'closed' ? Number.POSITIVE_INFINITY : nextDeadline(block);
    if (block.heapPlace < 0 || deadline < block.wakeAt || deadline === Number.POSITIVE_INFINITY) this.#deadlines.schedule(block, deadline);
  }

  ready(block: ControlBlock): void {
    this.#surroundings.ready.add(block);
  }

  released(block: ControlBlock): void {
    this.#table.remove(block);
    this.#deadlines.remove(block);
    this.#timeWait.delete(block);
    if (block.isPassive) this.#listeners.find(block.local.address, block.local.port)?.gone(block);
  }

  enteredTimeWait(block: ControlBlock): void {
    this.#timeWait.add(block);
    if (this.#timeWait.size <= this.limits.timeWait) return;
    for (const oldest of this.#timeWait) {
      oldest.release();
      break;
    }
  }

  accepted(block: ControlBlock): void {
    const listener = this.#listeners.find(block.local.address, block.local.port);
    if (listener?.made(block) === true) this.#surroundings.ready.add(listener);
  }

  mayChallenge(now: Millis): boolean {
    return this.#challenges.delayOf(1, now) === 0;
  }

  drop(cause: DropCause): void {
    this.counters.drop(cause);
  }

  #receiveAtListener(packet: IpPacket, segment: TcpSegment, now: Millis): void {
    const local: Endpoint = { address: { family: packet.family, bytes: copyOf(packet.destination) }, port: segment.destinationPort };
    const listener = this.#listeners.find(local.address, local.port);
    const { intercept } = this.#surroundings;
    if (listener === undefined && intercept !== undefined && segment.isOpening) {
      if (intercept.holdSyn(packet, segment)) this.#surroundings.ready.add(intercept);
      return;
    }
    // RFC 9293 §3.10.7.1 and .2
    if (listener === undefined || segment.has(FLAG.ack) || segment.has(FLAG.rst)) {
      this.drop(listener === undefined ? 'no-port' : 'bad-segment');
      this.#reset(packet, segment, now);
      return;
    }
    if (!segment.has(FLAG.syn) || segment.has(FLAG.fin)) {
      this.drop('bad-segment');
      return;
    }
    if (listener.isFull) {
      this.drop('backlog-full'); // the peer tries again
      return;
    }
    if (this.#table.size >= this.limits.connections && !this.#forgetOldest()) {
      this.drop('connection-limit');
      return;
    }
    const remote: Endpoint = { address: { family: packet.family, bytes: copyOf(packet.source) }, port: segment.sourcePort };
    listener.began(this.#answerSyn(local, remote, segment, now));
  }

  #answerSyn(local: Endpoint, remote: Endpoint, segment: TcpSegment, now: Millis): ControlBlock {
    const block = this.#newBlock(local, remote, now, true);
    synArrived(block, segment, now);
    block.mustSendSyn = true;
    this.wantsTransmit(block);
    return block;
  }

  /** Reads a held packet again, into {@link TcpHost.#held}. It was well-formed. */
  #segmentOf({ packet }: HeldSyn): TcpSegment {
    this.#held.parse(packet, 0, packet.length);
    this.#segment.parse(packet, this.#held.payload, this.#held.end);
    return this.#segment;
  }

  #reset(packet: IpPacket, segment: TcpSegment, now: Millis): void {
    if (segment.has(FLAG.rst)) return;
    if (this.#resets.delayOf(1, now) !== 0) {
      this.drop('rate-limit');
      return;
    }
    this.counters.resetsSent++;
    this.#surroundings.send(resetFor(packet, segment));
  }

  #newBlock(local: Endpoint, remote: Endpoint, now: Millis, isPassive: boolean): ControlBlock {
    const block = new ControlBlock(
      this,
      local,
      remote,
      this.#initial.sequence(local, remote, now),
      this.#initial.timestampOffset(local, remote),
      this.#surroundings.pathMtu(remote.address, now),
      isPassive,
    );
    block.now = now;
    this.#table.add(block);
    return block;
  }

  #makeRoom(): void {
    if (this.#table.size < this.limits.connections || this.#forgetOldest()) return;
    throw new NetworkError(`There are ${this.limits.connections} connections already.`, { code: 'ENOBUFS' });
  }

  /** Those that only wait for the network to forget them go first. */
  #forgetOldest(): boolean {
    for (const oldest of this.#timeWait) {
      oldest.release();
      return true;
    }
    return false;
  }

  #quotedConnection(quoted: Uint8Array, packet: IpPacket): ControlBlock | undefined {
    const segment = this.#segment;
    // The quoted packet was ours: its source is local.
    segment.sourcePort = u16(quoted, 2);
    segment.destinationPort = u16(quoted, 0);
    const block = this.#table.find(packet, segment);
    if (block === undefined || block.state === 'closed' || block.state === 'time-wait') return undefined;
    const sequence = i32(quoted, 4);
    return distance(sequence, block.una) >= 0 && distance(sequence, block.sentMax) < 0 ? block : undefined;
  }

  #segmentsTooBig(block: ControlBlock, now: Millis): void {
    const pathMtu = this.#surroundings.pathMtu(block.remote.address, now);
    const isSmaller = pathMtu < block.pathMtu;
    block.pathMtu = pathMtu;
    if (isSmaller) {
      block.recovery.segmentsTooBig(now);
    } else {
      // A window below one segment, which a timeout leaves, would never send any.
      const { congestion } = block.recovery;
      congestion.window = Math.max(congestion.window, block.segment);
    }
    this.wantsTransmit(block);
  }
}
