/**
 * The worker's end of a UDP flow. While it carries traffic, packets go straight between the device and the socket.
 *
 * The story of a packet out: the loop reads it from the device into the arena → {@link WorkerPath.sendPacket} makes it a record around itself → send.
 * In: {@link WorkerPath.receive} takes a datagram → each record opens in place → data is written to the device from where it lies, everything else
 * goes to main.
 */
import { MisuseError } from '../../core/errors.ts';
import type { StreamTraffic, TrafficDescription } from '../../core/tunnel/traffic.ts';
import { type Endpoint, formatEndpoint } from '../../core/wire/ip-address.ts';
import type { CarriedState } from '../datagram-path.ts';
import { KeptAddress } from '../ffi/arena.ts';
import { ERRNO, errnoName, networkError } from '../ffi/errno.ts';
import { LINUX } from '../ffi/libc.ts';
import { kernelPathMtu, setTypeOfService } from '../ffi/sockets.ts';
import { plainError } from '../plain-error.ts';
import { Allowance } from './allowance.ts';
import { CarriedTraffic, type KeyUse, NOT_OPENED } from './carried-traffic.ts';
import { ENTRY, entryTag, type PathOptions, type PlainProblem } from './messages.ts';
import { count, MAX_PACKET_LENGTH, PATH } from './shared-memory.ts';
import type { WorkerContext } from './worker-context.ts';
import type { WorkerDevice } from './worker-device.ts';
import type { WorkerEnd } from './worker-end.ts';

/** Datagrams that one path takes at most in one pass of the loop, so that the others have their turn. */
const MAX_DATAGRAMS = 64;

/** The same problem is told once in this time; all are counted. */
const PROBLEM_INTERVAL = 1000;

/** RFC 6040 §4.1: the two ECN bits stay behind, since our peers do not carry congestion marks back into the inner packet. */
const DSCP_MASK = 0xfc;

export class WorkerPath implements WorkerEnd {
  readonly fd: number;
  readonly #id: number;
  readonly #context: WorkerContext;
  readonly #counters: Float64Array;
  readonly #remote: Endpoint;
  readonly #copiesDscp: boolean;
  readonly #sendAddress: KeptAddress;
  readonly #receiveAddress: KeptAddress;
  #tos = 0;
  #isGone = false;
  #traffic: CarriedTraffic | undefined;
  /** What main was last told of the keys. */
  #toldKeyUse: Record<'seal' | 'open', KeyUse> = { seal: 'fresh', open: 'fresh' };
  readonly #allowance = new Allowance(MAX_DATAGRAMS);
  readonly #toldAt = new Map<string, number>();

  /** @param fd a connected datagram socket, from here on this object's */
  constructor(context: WorkerContext, id: number, fd: number, counters: Float64Array, options: Pick<PathOptions, 'remote' | 'copiesDscp'>) {
    this.#context = context;
    this.#id = id;
    this.#remote = options.remote;
    this.#copiesDscp = options.copiesDscp;
    this.#counters = counters;
    this.#sendAddress = new KeptAddress(context.arena);
    this.#receiveAddress = new KeptAddress(context.arena);
    this.fd = fd;
  }

  get pollEvents(): number {
    return this.#isGone ? 0 : LINUX.POLLIN;
  }

  /** It waits for nobody. */
  get mayProceed(): boolean {
    return false;
  }

  /** What the socket does not take is dropped. */
  get isFull(): boolean {
    return false;
  }

  get isCarried(): boolean {
    return this.#traffic !== undefined;
  }

  /** Packets up to this length can leave by {@link sendPacket}; 0 while nothing is carried. */
  get tunnelMtu(): number {
    return this.#traffic?.tunnelMtu ?? 0;
  }

  /** Begins, changes or ends carrying. Answers where the one before stood. */
  carry(description: TrafficDescription | StreamTraffic | undefined): CarriedState | undefined {
    if (description?.record.kind === 'tls-stream') throw new MisuseError('a UDP path carries records');
    const before = this.#traffic;
    if (description === undefined) {
      before?.close();
      this.#traffic = undefined;
      return before?.state;
    }
    this.#traffic = new CarriedTraffic(this.#context.arena, this.#context.makeCipher, description as TrafficDescription, before);
    this.#toldKeyUse = { seal: 'fresh', open: 'fresh' };
    return before?.state;
  }

  /** Seals and sends the IP packet that lies at the arena's outgoing place. */
  sendPacket(length: number): void {
    const traffic = this.#traffic;
    const packet = this.#context.outgoing;
    const tos = this.#copiesDscp ? innerDscp(this.#context.arena.bytes, packet) : 0; // before it is sealed
    const recordLength = traffic?.sealPacket(packet, length) ?? 0;
    if (traffic === undefined || recordLength === 0) {
      this.#notSealed();
      return;
    }
    this.#tellKeyUse('seal', traffic.sealing);
    if (tos !== this.#tos) this.#setTos(tos);
    this.#send(packet - traffic.prefixLength, recordLength, false);
  }

  /** Sends a datagram as main gave it. */
  sendDatagram(source: Buffer, start: number, end: number): void {
    const { arena, outgoing } = this.#context;
    source.copy(arena.bytes, outgoing, start, end);
    if (this.#tos !== 0) this.#setTos(0);
    this.#send(outgoing, end - start, true);
  }

  /** Seals and sends a record as main gave it: `[content type][plaintext]`. */
  sendRecord(source: Buffer, start: number, end: number): void {
    const traffic = this.#traffic;
    const contentType = source[start];
    if (traffic === undefined || contentType === undefined) {
      this.#notSealed();
      return;
    }
    const { arena, outgoing } = this.#context;
    const record = outgoing - traffic.prefixLength;
    source.copy(arena.bytes, record + traffic.payloadOffset, start + 1, end);
    const recordLength = traffic.sealRecord(record, contentType, end - start - 1);
    if (recordLength === 0) {
      this.#notSealed();
      return;
    }
    this.#tellKeyUse('seal', traffic.sealing);
    if (this.#tos !== 0) this.#setTos(0);
    this.#send(record, recordLength, true);
  }

  /** Takes what has arrived. @param device where data goes; undefined: to main */
  receive(device: WorkerDevice | undefined): void {
    const { libc, incoming } = this.#context;
    let datagrams = 0;
    while (datagrams < this.#allowance.packets) {
      const length = libc.recv(this.fd, this.#receiveAddress.of(incoming), MAX_PACKET_LENGTH, 0);
      if (length < 0) {
        const errno = libc.errno();
        if (errno !== ERRNO.EAGAIN && errno !== ERRNO.EINTR) this.#tellError(errno, undefined, false);
        break; // poll says if there is more
      }
      count(this.#counters, PATH.received);
      count(this.#counters, PATH.receivedBytes, length);
      this.#handleDatagram(incoming, length, device);
      datagrams++;
    }
    this.#allowance.used(datagrams);
  }

  /** A datagram that was delivered to main before this path carried: main gives it back to be opened. */
  receiveAgain(source: Buffer, start: number, end: number, device: WorkerDevice | undefined): void {
    const { arena, incoming } = this.#context;
    source.copy(arena.bytes, incoming, start, end);
    this.#handleDatagram(incoming, end - start, device);
  }

  /** Nothing waits: each datagram has left, or was dropped. */
  proceed(): void {}

  close(): void {
    this.#traffic?.close();
    this.#traffic = undefined;
    this.#context.libc.close(this.fd);
  }

  /** The descriptor is no more: told at once, however often. */
  fail(errno: number): void {
    this.#isGone = true;
    this.#tell({ type: 'failed', error: plainError(networkError(this.#what, errno)) });
  }

  #handleDatagram(datagram: number, length: number, device: WorkerDevice | undefined): void {
    const traffic = this.#traffic;
    if (traffic === undefined) {
      this.#counters[PATH.receivedAt] = this.#context.now;
      this.#deliver(ENTRY.datagram, datagram, datagram + length);
      return;
    }
    const end = datagram + length;
    for (let record = datagram; record < end; ) {
      const opened = traffic.open(record, end - record);
      if (opened >= 0) this.#handleOpened(traffic, record, opened, device);
      else this.#countNotOpened(traffic, opened);
      if (traffic.recordLength === 0) break;
      record += traffic.recordLength;
    }
  }

  #handleOpened(traffic: CarriedTraffic, record: number, length: number, device: WorkerDevice | undefined): void {
    const plaintext = record + traffic.payloadOffset;
    if (device !== undefined && traffic.isData(record, length)) {
      device.write(plaintext + traffic.packetOffset, length - traffic.packetOffset);
      this.#counters[PATH.receivedAt] = this.#context.now;
      return;
    }
    this.#counters[PATH.receivedAt] = this.#context.now;
    const { bytes } = this.#context.arena;
    bytes[plaintext - 1] = bytes[record] ?? 0; // the content type, in front of the plaintext: the header has been used
    this.#deliver(ENTRY.record, plaintext - 1, plaintext + length);
  }

  #countNotOpened(traffic: CarriedTraffic, cause: number): void {
    switch (cause) {
      case NOT_OPENED.badTag:
        count(this.#counters, PATH.badTag);
        this.#tellKeyUse('open', traffic.opening);
        break;
      case NOT_OPENED.replayed:
        count(this.#counters, PATH.replayed);
        break;
      case NOT_OPENED.unknownEpoch:
        count(this.#counters, PATH.unknownEpoch);
        break;
      default:
        count(this.#counters, PATH.malformed);
    }
  }

  #notSealed(): void {
    count(this.#counters, PATH.notSealed);
    if (this.#traffic !== undefined) this.#tellKeyUse('seal', this.#traffic.sealing);
  }

  #deliver(kind: 1 | 2, start: number, end: number): void {
    if (!this.#context.deliver(entryTag(kind, this.#id), start, end)) count(this.#counters, PATH.deliverDropped);
  }

  #send(start: number, length: number, isFromMain: boolean): void {
    const { libc } = this.#context;
    const address = this.#sendAddress.of(start);
    if (libc.send(this.fd, address, length, 0) === length) {
      this.#sent(length);
      return;
    }
    let errno = libc.errno();
    if (errno !== ERRNO.EAGAIN && errno !== ERRNO.ENOBUFS) {
      // Perhaps the word of an earlier datagram (ICMP), told by this call and forgotten with it. The datagram has not been tried then.
      if (libc.send(this.fd, address, length, 0) === length) {
        this.#sent(length);
        this.#tellError(errno, undefined, false);
        return;
      }
      errno = libc.errno();
    }
    if (errno === ERRNO.EAGAIN || errno === ERRNO.ENOBUFS) {
      count(this.#counters, PATH.sendDropped);
    } else {
      count(this.#counters, errno === ERRNO.EMSGSIZE ? PATH.sendTooBig : PATH.sendFailed);
      this.#tellError(errno, length, isFromMain);
    }
  }

  #sent(length: number): void {
    count(this.#counters, PATH.sent);
    count(this.#counters, PATH.sentBytes, length);
    this.#counters[PATH.sentAt] = this.#context.now;
  }

  /** @param length of the refused datagram; undefined: a router's word @param always a probe of main's, which waits for the answer */
  #tellError(errno: number, length: number | undefined, always: boolean): void {
    const key = errnoName(errno);
    const { now } = this.#context;
    if (!always && now < (this.#toldAt.get(key) ?? Number.NEGATIVE_INFINITY) + PROBLEM_INTERVAL) return;
    this.#toldAt.set(key, now);
    if (errno === ERRNO.EMSGSIZE) {
      this.#tell({ type: 'too-big', length, pathMtu: kernelPathMtu(this.#context.libc, this.fd, this.#remote.address.family) });
    } else {
      this.#tell({ type: 'unreachable', error: plainError(networkError(this.#what, errno)) });
    }
  }

  /** Tells main when a key grows old; each step once. */
  #tellKeyUse(direction: 'seal' | 'open', use: KeyUse): void {
    if (this.#toldKeyUse[direction] === use) return;
    this.#toldKeyUse[direction] = use;
    this.#tell({ type: 'key-used-up', direction, isOver: use === 'over' });
  }

  #tell(problem: PlainProblem): void {
    this.#context.report({ type: 'path-problem', path: this.#id, problem });
  }

  /** For when the outer type of service changes, which between packets of one flow it does not. */
  #setTos(tos: number): void {
    this.#tos = tos;
    // Refused: the packet leaves with the one before, which is better than not at all.
    setTypeOfService(this.#context.libc, this.fd, this.#remote.address.family, tos);
  }

  get #what(): string {
    return `UDP to ${formatEndpoint(this.#remote)}`;
  }
}

/** The DSCP of an IP packet, in the place it has in the type-of-service byte (RFC 2474 §3): IPv4's second byte, IPv6's traffic class. */
function innerDscp(bytes: Uint8Array, packet: number): number {
  const first = bytes[packet] ?? 0;
  const second = bytes[packet + 1] ?? 0;
  const tos = first >>> 4 === 6 ? ((first & 0x0f) << 4) | (second >>> 4) : second;
  return tos & DSCP_MASK;
}
