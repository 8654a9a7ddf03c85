/**
 * The worker's end of a UDP flow. While it carries traffic, packets go straight between the device and the socket.
 *
 * The story of a packet out: it is written to {@link WorkerPath.packetPlace} in the burst → {@link WorkerPath.addPacket} makes it a record around
 * itself → {@link WorkerPath.flush} sends the burst.
 * In: {@link WorkerPath.receive} takes a burst of datagrams → each record opens in place → data is listed for the device where it lies, and written
 * at the end of the burst; everything else goes to main.
 */
import { MisuseError } from '../../core/errors.ts';
import type { StreamTraffic, TrafficDescription } from '../../core/tunnel/traffic.ts';
import type { CarriedState } from '../datagram-path.ts';
import { ERRNO } from '../ffi/errno.ts';
import { LINUX } from '../ffi/libc.ts';
import { admitPacket, countSentPacket, notePackets } from './carried-packets.ts';
import { CarriedTraffic, type KeyUse, NOT_OPENED, NOT_SEALED } from './carried-traffic.ts';
import { FIRST_SLOTS } from './datagram-slots.ts';
import { DatagramSocket } from './datagram-socket.ts';
import { ENTRY, entryTag, type PathOptions } from './messages.ts';
import { NO_PACKET } from './packet-frames.ts';
import { NOT_MADE } from './record-cipher.ts';
import { APPLICATION_DATA, isUnsealed } from './record-form.ts';
import { count, MAX_PACKET_LENGTH, PATH } from './shared-memory.ts';
import type { WorkerContext } from './worker-context.ts';
import type { WorkerDevice } from './worker-device.ts';
import type { WorkerEnd } from './worker-end.ts';

/** RFC 6040 §4.1: the two ECN bits stay behind, since our peers do not carry congestion marks back into the inner packet. */
const DSCP_MASK = 0xfc;

export class WorkerPath implements WorkerEnd {
  readonly fd: number;
  readonly #id: number;
  readonly #context: WorkerContext;
  readonly #counters: Float64Array;
  readonly #socket: DatagramSocket;
  readonly #copiesDscp: boolean;
  #isGone = false;
  /** A packet since the last flush. */
  #hasSealed = false;
  /** Since the clock was looked at for {@link #noteReceived}: something came that is the peer's, packets for the device among it. */
  #hasReceived = false;
  #hasAdmitted = false;
  #mostSlots = FIRST_SLOTS;
  #traffic: CarriedTraffic | undefined;
  /** What main was last told of the keys. */
  #toldKeyUse: Record<'seal' | 'open', KeyUse> = { seal: 'fresh', open: 'fresh' };

  /** @param fd a connected datagram socket, from here on this object's */
  constructor(context: WorkerContext, id: number, fd: number, counters: Float64Array, options: Pick<PathOptions, 'remote' | 'copiesDscp'>) {
    this.#context = context;
    this.#id = id;
    this.#socket = new DatagramSocket(context, id, fd, counters, options.remote);
    this.#copiesDscp = options.copiesDscp;
    this.#counters = counters;
    this.fd = fd;
  }

  get pollEvents(): number {
    return this.#isGone ? 0 : LINUX.POLLIN;
  }

  /** It waits for nobody. */
  get isWaiting(): boolean {
    return false;
  }
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

  /** Packets may be so long from now on. */
  setTunnelMtu(mtu: number): void {
    if (this.#traffic !== undefined) this.#traffic.tunnelMtu = mtu;
  }

  /**
   * Goes on with what another flow carries: if a datagram that came by this one opens with it, so that its peer speaks from a new address, or without
   * one. False: it does not, and nothing has changed.
   */
  takeOver(from: WorkerPath, datagram: Uint8Array | undefined, device: WorkerDevice | undefined): boolean {
    const traffic = from.#traffic;
    if (traffic === undefined || this.#traffic !== undefined) return false;
    if (datagram !== undefined && !this.#opensWith(traffic, datagram, device)) return false;
    this.#traffic = traffic;
    this.#toldKeyUse = from.#toldKeyUse;
    from.#traffic = undefined;
    return true;
  }

  #opensWith(traffic: CarriedTraffic, datagram: Uint8Array, device: WorkerDevice | undefined): boolean {
    if (datagram.length > MAX_PACKET_LENGTH) return false;
    const { slots, arena } = this.#context;
    device?.flush(); // perhaps it lists packets that lie in the slots
    const place = slots.offset(0);
    arena.bytes.set(datagram, place);
    const opened = traffic.open(place, datagram.length);
    if (opened < 0) {
      this.#countNotOpened(traffic, opened);
      return false;
    }
    this.#handleOpened(traffic, place, opened, device);
    device?.flush();
    this.#noteReceived();
    return true;
  }

  /** Where the next packet of a burst is to lie; {@link addPacket} makes it a record. */
  get packetPlace(): number {
    return this.#context.burst.next + (this.#traffic?.prefixLength ?? 0);
  }

  addPacket(length: number): boolean {
    const traffic = this.#traffic;
    const { burst } = this.#context;
    const packet = this.packetPlace;
    const record = burst.next;
    const tos = this.#copiesDscp ? innerDscp(this.#context.arena.bytes, packet) : 0; // before it is sealed
    const recordLength = traffic?.sealPacket(packet, length) ?? NOT_SEALED.usedUp;
    if (recordLength === NOT_SEALED.notOurs) return false;
    if (traffic === undefined || recordLength === NOT_SEALED.usedUp) {
      this.#notSealed();
      return true;
    }
    this.#tellKeyUse('seal', traffic.sealing);
    if (this.#socket.typeOfService !== tos) {
      this.flush();
      this.#socket.setTypeOfService(tos);
    }
    burst.add(record, recordLength, this.#socket);
    countSentPacket(this.#counters, length);
    this.#hasSealed = true;
    if (burst.isFull) this.flush();
    return true;
  }

  /** Sends what was sealed, for this path and others. */
  flush(): void {
    this.#context.burst.flush();
    if (this.#hasSealed) notePackets(this.#counters, this.#context.now);
    this.#hasSealed = false;
  }

  /** Sends a datagram as main gave it. */
  sendDatagram(source: Buffer, start: number, end: number): void {
    const { arena, outgoing } = this.#context;
    source.copy(arena.bytes, outgoing, start, end);
    this.#socket.setTypeOfService(0);
    this.#socket.send(outgoing, end - start, true);
  }

  /** Seals a record as main gave it: `[content type][plaintext]`, of ESP without a type. Data leaves with {@link flush}, at the latest; what is none may be a probe, and leaves at once. */
  sendRecord(source: Buffer, start: number, end: number): void {
    const traffic = this.#traffic;
    if (traffic === undefined || end === start) {
      this.#notSealed();
      return;
    }
    const contentType = traffic.typeLength === 0 ? APPLICATION_DATA : (source[start] ?? 0);
    const plaintext = start + traffic.typeLength;
    const { arena, burst } = this.#context;
    if (this.#socket.typeOfService !== 0) {
      this.flush();
      this.#socket.setTypeOfService(0);
    }
    const record = burst.next;
    source.copy(arena.bytes, record + traffic.payloadOffset, plaintext, end);
    arena.bytes[record] = contentType; // as the sealed one will have it
    const isData = traffic.packetOffset(record, end - plaintext) !== NO_PACKET;
    const recordLength = traffic.sealRecord(record, contentType, end - plaintext);
    if (recordLength === 0) {
      this.#notSealed();
      return;
    }
    this.#tellKeyUse('seal', traffic.sealing);
    if (isData) {
      burst.add(record, recordLength, this.#socket);
      if (burst.isFull) this.flush();
      return;
    }
    // Behind those that it was sealed after; it lies where their room ends, which a flush leaves as it is.
    this.flush();
    if (isUnsealed(arena.view, record)) this.#notSealed();
    else this.#socket.send(record, recordLength, true);
  }

  /** Takes what has arrived, and says how many datagrams. @param device where data goes; undefined: to main */
  receive(device: WorkerDevice | undefined): number {
    const { libc, slots } = this.#context;
    const filled = slots.receive(this.fd, this.#mostSlots);
    this.#mostSlots = slots.most;
    if (filled < 0) {
      const errno = libc.errno();
      if (errno !== ERRNO.EAGAIN && errno !== ERRNO.EINTR) this.#socket.heard(errno);
      return 0; // poll says if there is more
    }
    let datagrams = 0;
    for (let slot = 0; slot < filled; slot++) datagrams += this.#receiveSlot(slot, device);
    device?.flush();
    this.#noteReceived();
    return datagrams;
  }

  /** One datagram, or a run of them. How many. */
  #receiveSlot(slot: number, device: WorkerDevice | undefined): number {
    const { slots } = this.#context;
    const length = slots.length(slot);
    const size = slots.datagramLength(slot);
    let datagrams = 0;
    let at = 0;
    let [made, used] = [0, 0];
    do {
      const datagram = slots.offset(slot) + at;
      if (used === made) {
        made = this.#traffic?.makeMacs(datagram, size, Math.floor((length - at) / size)) ?? 0;
        used = 0;
      }
      this.#handleDatagram(datagram, Math.min(size, length - at), device, used < made ? used++ : NOT_MADE);
      at += size;
      datagrams++;
    } while (at < length);
    count(this.#counters, PATH.received, datagrams);
    count(this.#counters, PATH.receivedBytes, length);
    return datagrams;
  }

  /** A datagram that was delivered to main before this path carried: main gives it back to be opened. */
  receiveAgain(source: Buffer, start: number, end: number, device: WorkerDevice | undefined): void {
    device?.flush(); // perhaps it lists packets that lie in the slots
    const { arena, slots } = this.#context;
    const place = slots.offset(0);
    source.copy(arena.bytes, place, start, end);
    this.#handleDatagram(place, end - start, device);
    device?.flush();
    this.#noteReceived();
  }

  /** When what came did so: after the device has it, as a look at the clock would delay it. */
  #noteReceived(): void {
    if (!this.#hasReceived) return;
    this.#counters[PATH.receivedAt] = this.#context.now;
    if (this.#hasAdmitted) notePackets(this.#counters, this.#context.now);
    this.#hasReceived = false;
    this.#hasAdmitted = false;
  }

  /** Nothing waits: each datagram has left, or was dropped. */
  proceed(): void {}

  close(): void {
    this.#traffic?.close();
    this.#traffic = undefined;
    this.#socket.close();
  }

  /** The descriptor is no more: told at once, however often. */
  fail(errno: number): void {
    this.#isGone = true;
    this.#socket.fail(errno);
  }

  /** @param made see {@link CarriedTraffic.open} */
  #handleDatagram(datagram: number, length: number, device: WorkerDevice | undefined, made: number = NOT_MADE): void {
    const traffic = this.#traffic;
    if (traffic === undefined) {
      this.#hasReceived = true;
      this.#deliver(ENTRY.datagram, datagram, datagram + length);
      return;
    }
    const end = datagram + length;
    for (let record = datagram; record < end; ) {
      const opened = traffic.open(record, end - record, made);
      if (opened >= 0) this.#handleOpened(traffic, record, opened, device);
      else this.#countNotOpened(traffic, opened);
      if (traffic.recordLength === 0) break;
      record += traffic.recordLength;
    }
  }

  #handleOpened(traffic: CarriedTraffic, record: number, length: number, device: WorkerDevice | undefined): void {
    const plaintext = record + traffic.payloadOffset;
    const { bytes } = this.#context.arena;
    this.#hasReceived = true;
    const offset = device === undefined ? NO_PACKET : traffic.packetOffset(record, length);
    if (device !== undefined && offset !== NO_PACKET) {
      const packet = plaintext + offset;
      const packetLength = length - offset;
      if (!admitPacket(this.#counters, traffic.sources, bytes, packet, packetLength)) return;
      this.#hasAdmitted = true;
      device.add(packet, packetLength);
      return;
    }
    if (traffic.typeLength > 0) bytes[plaintext - 1] = bytes[record] ?? 0; // in front of the plaintext: header and IV have been used
    this.#deliver(ENTRY.record, plaintext - traffic.typeLength, plaintext + length);
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

  /** Tells main when a key grows old; each step once. */
  #tellKeyUse(direction: 'seal' | 'open', use: KeyUse): void {
    if (this.#toldKeyUse[direction] === use) return;
    this.#toldKeyUse[direction] = use;
    this.#socket.tell({ type: 'key-used-up', direction, isOver: use === 'over' });
  }
}

/** The DSCP of an IP packet, in the place it has in the type-of-service byte (RFC 2474 §3): IPv4's second byte, IPv6's traffic class. */
function innerDscp(bytes: Uint8Array, packet: number): number {
  const first = bytes[packet] ?? 0;
  const second = bytes[packet + 1] ?? 0;
  const tos = first >>> 4 === 6 ? ((first & 0x0f) << 4) | (second >>> 4) : second;
  return tos & DSCP_MASK;
}
