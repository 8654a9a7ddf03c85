/**
 * Records of one pass on their way out: laid one behind the other, and sent with as few calls as the kernel allows.
 *
 *   room:       | record | record | record | record (shorter) | record | next …              each is made where it lies
 *   messages:   └──── one: UDP_SEGMENT of equal size ─────────┘ └ one ┘                      and one sendmmsg for all of them
 *
 * A gateway's records are of many sockets, in turns: each socket has its own sent by one call, in their order.
 *
 * The story of a burst: {@link DatagramBurst.next} says where a record goes → it is made there → {@link DatagramBurst.add} →
 * {@link DatagramBurst.flush} groups, sends, and tells each socket what became of its records. A record that is alone is one plain send.
 *
 * What a kernel or a route does not take as a run is sent record by record; if that works, the socket remembers.
 */
import type { Arena } from '../ffi/arena.ts';
import { ERRNO } from '../ffi/errno.ts';
import type { Libc } from '../ffi/libc.ts';
import { MessageTable } from '../ffi/message-table.ts';
import type { CbcLanes } from './cbc-lanes.ts';
import { isUnsealed } from './record-form.ts';

/** Runs of a burst; one is a large part of what a peer's socket holds by default (guide "data plane", section 5). */
const MAX_RUNS = 2;

/** Records of a burst: small packets do not come near the bytes. */
const MAX_RECORDS = 256;

/** In the place of a record's number. */
export const NO_RECORD = -1;

/** Of a run: the kernel's UDP_MAX_SEGMENTS, when it was least, and what one UDP datagram can hold. */
const MAX_RUN_RECORDS = 64;
const MAX_RUN_BYTES = 65_000;

/**
 * Words about a run, and not about what an earlier datagram met. EIO: the device cannot compute checksums, or IPsec is on the way. EINVAL: it can no runs.
 * EMSGSIZE: it wants shorter ones.
 */
const ABOUT_RUNS: ReadonlySet<number> = new Set([ERRNO.EIO, ERRNO.EINVAL, ERRNO.EMSGSIZE]);

/** The most bytes of a burst. */
const MAX_BURST_BYTES = MAX_RUNS * MAX_RUN_BYTES;

/** Who a record goes to, and who hears what became of it. */
export interface BurstSocket {
  readonly fd: number;
  /** The burst's own note: its last record of this socket; {@link NO_RECORD}: it has none. */
  lastInBurst: number;
  /** Several datagrams may leave by one call. */
  readonly sendsBursts: boolean;
  /** Equal datagrams may leave as a run, which the kernel cuts. */
  readonly sendsRuns: boolean;
  /** Sends one datagram and counts it. False if it did not leave. */
  send(start: number, length: number, isFromMain: boolean): boolean;
  sent(datagrams: number, bytes: number): void;
  /** They did not fit into the socket's buffer, or could not be sealed. */
  dropped(datagrams: number): void;
  /** A call told what became of an earlier datagram. */
  heard(errno: number): void;
  /** A run was refused whose datagrams left one by one. */
  refusesRuns(errno: number): void;
}

export class DatagramBurst {
  /** Where the next record goes. */
  next: number;
  /** Bytes of whole runs of records that are as long as the last. */
  #fullAt = MAX_BURST_BYTES;
  readonly #libc: Libc;
  readonly #arena: Arena;
  readonly #lanes: Pick<CbcLanes, 'finish' | 'takeFailure'> | undefined;
  readonly #start: number;
  readonly #table: MessageTable;
  /** All records, as they were made: where, how long, and the next one of the same socket. */
  #total = 0;
  readonly #placeOf = new Int32Array(MAX_RECORDS);
  readonly #lengthOf = new Int32Array(MAX_RECORDS);
  readonly #nextOf = new Int32Array(MAX_RECORDS);
  /** The sockets that have records, and the first record of each. */
  #socketCount = 0;
  readonly #sockets: (BurstSocket | undefined)[] = [];
  readonly #firstOfSocket = new Int32Array(MAX_RECORDS);
  /** Those of the socket whose turn it is. */
  #records = 0;
  readonly #recordAt = new Int32Array(MAX_RECORDS);
  readonly #recordLength = new Int32Array(MAX_RECORDS);
  #messages = 0;
  /** The first record of each message; the one after the last message's last. */
  readonly #firstOf = new Int32Array(MAX_RECORDS + 1);
  readonly #bytesOf = new Int32Array(MAX_RECORDS);

  /**
   * @param maxRecord room behind the budget for a record of any length, which may still begin within it
   * @param lanes what may still have records of the burst to seal
   */
  constructor(libc: Libc, arena: Arena, maxRecord: number, lanes?: Pick<CbcLanes, 'finish' | 'takeFailure'>) {
    this.#libc = libc;
    this.#lanes = lanes;
    this.#arena = arena;
    this.#start = arena.allocate(MAX_BURST_BYTES + maxRecord);
    this.next = this.#start;
    this.#table = new MessageTable(arena, libc, MAX_RECORDS);
  }

  get isEmpty(): boolean {
    return this.#total === 0;
  }

  /** It must be flushed before another record is made: one as long as the last would be in a run of its own. */
  get isFull(): boolean {
    return this.#total === MAX_RECORDS || this.next - this.#start >= this.#fullAt;
  }

  /** The record that was made at {@link next} is `length` bytes long and belongs to the burst; also if it was made before a flush. */
  add(record: number, length: number, socket: BurstSocket): void {
    if (record !== this.next) this.#arena.bytes.copyWithin(this.next, record, record + length);
    const index = this.#total;
    this.#placeOf[index] = this.next;
    this.#lengthOf[index] = length;
    this.#nextOf[index] = NO_RECORD;
    if (socket.lastInBurst === NO_RECORD) {
      this.#sockets[this.#socketCount] = socket;
      this.#firstOfSocket[this.#socketCount] = index;
      this.#socketCount++;
    } else {
      this.#nextOf[socket.lastInBurst] = index;
    }
    socket.lastInBurst = index;
    this.#total++;
    this.next += length;
    this.#fullAt = MAX_RUNS * (MAX_RUN_BYTES - (MAX_RUN_BYTES % length));
  }

  /** Sends what there is, to all sockets. */
  flush(): void {
    this.#lanes?.finish();
    const hasUnsealed = this.#lanes?.takeFailure() === true;
    for (let i = 0; i < this.#socketCount; i++) {
      const socket = this.#sockets[i];
      if (socket === undefined) continue;
      this.#sockets[i] = undefined; // it may be closed before the next burst
      socket.lastInBurst = NO_RECORD;
      this.#gather(this.#firstOfSocket[i] ?? NO_RECORD);
      if (hasUnsealed) this.#dropUnsealed(socket);
      if (this.#records === 1 || !socket.sendsBursts) this.#sendEach(socket, 0, this.#records);
      else this.#sendMessages(socket);
    }
    this.#total = 0;
    this.#socketCount = 0;
    this.next = this.#start;
  }

  /** One socket's records, in their order. */
  #gather(first: number): void {
    let count = 0;
    for (let index = first; index !== NO_RECORD; index = this.#nextOf[index] ?? NO_RECORD) {
      this.#recordAt[count] = this.#placeOf[index] ?? 0;
      this.#recordLength[count] = this.#lengthOf[index] ?? 0;
      count++;
    }
    this.#records = count;
  }

  #dropUnsealed(socket: BurstSocket): void {
    let count = 0;
    for (let i = 0; i < this.#records; i++) {
      const place = this.#recordAt[i] ?? 0;
      if (isUnsealed(this.#arena.view, place)) continue;
      this.#recordAt[count] = place;
      this.#recordLength[count] = this.#recordLength[i] ?? 0;
      count++;
    }
    if (count < this.#records) socket.dropped(this.#records - count);
    this.#records = count;
  }

  #sendMessages(socket: BurstSocket): void {
    this.#group(socket.sendsRuns);
    let refused = -1;
    let earlier = 0;
    for (let from = 0; from < this.#messages; ) {
      const sent = this.#table.send(socket.fd, from, this.#messages);
      if (sent > 0) {
        if (refused === from) socket.heard(earlier);
        socket.sent(this.#firstRecord(from + sent) - this.#firstRecord(from), this.#bytes(from, from + sent));
        from += sent;
        continue;
      }
      const errno = this.#libc.errno();
      if (errno === ERRNO.EAGAIN || errno === ERRNO.ENOBUFS) {
        socket.dropped(this.#records - this.#firstRecord(from));
        return;
      }
      if (refused !== from) {
        // Perhaps the word of an earlier datagram, told by this call and forgotten with it. This message has not been tried then.
        refused = from;
        earlier = errno;
        continue;
      }
      this.#sendRefused(socket, from, errno);
      from++;
    }
  }

  /** A message that was refused twice: record by record, each with its own answer. */
  #sendRefused(socket: BurstSocket, message: number, errno: number): void {
    const first = this.#firstRecord(message);
    const end = this.#firstRecord(message + 1);
    const allSent = this.#sendEach(socket, first, end);
    if (!allSent || end - first === 1) return;
    if (ABOUT_RUNS.has(errno)) socket.refusesRuns(errno);
    else socket.heard(errno);
  }

  /** True if all of them left. */
  #sendEach(socket: BurstSocket, first: number, end: number): boolean {
    let allSent = true;
    for (let i = first; i < end; i++) {
      const isSent = socket.send(this.#recordAt[i] ?? 0, this.#recordLength[i] ?? 0, false);
      allSent &&= isSent;
    }
    return allSent;
  }

  /** Makes messages of the records: runs of equal length that lie together, of which the last may be shorter. */
  #group(makesRuns: boolean): void {
    this.#messages = 0;
    for (let first = 0; first < this.#records; ) {
      const size = this.#recordLength[first] ?? 0;
      const place = this.#recordAt[first] ?? 0;
      let end = first + 1;
      let bytes = size;
      while (makesRuns && end < this.#records && end - first < MAX_RUN_RECORDS) {
        const length = this.#recordLength[end] ?? 0;
        if (length > size || bytes + length > MAX_RUN_BYTES || this.#recordAt[end] !== place + bytes) break;
        bytes += length;
        end++;
        if (length < size) break;
      }
      this.#table.set(this.#messages, place, bytes);
      this.#table.setSegmentSize(this.#messages, end - first > 1 ? size : 0);
      this.#firstOf[this.#messages] = first;
      this.#bytesOf[this.#messages] = bytes;
      this.#messages++;
      first = end;
    }
    this.#firstOf[this.#messages] = this.#records;
  }

  #firstRecord(message: number): number {
    return this.#firstOf[message] ?? 0;
  }

  #bytes(from: number, to: number): number {
    let bytes = 0;
    for (let message = from; message < to; message++) bytes += this.#bytesOf[message] ?? 0;
    return bytes;
  }
}
