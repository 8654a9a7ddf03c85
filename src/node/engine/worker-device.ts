/**
 * The worker's end of a device: a TUN, or the socket of a script; {@link WorkerStackDevice} makes it a stack of this process.
 *
 * The story of packets from the host: {@link WorkerDevice.read} takes what one call gives, a packet or a super-packet → {@link WorkerDevice.split} says
 * how many packets that is, and writes the one, if it is one → {@link WorkerDevice.segment} writes each of several to where it is wanted, with its checksums.
 *
 * To the host: {@link WorkerDevice.add} lists packets where they lie → {@link WorkerDevice.flush} joins what belongs together and writes each group by
 * one call. Until then nobody may touch their bytes.
 */
import { KeptAddress, type KeptAddresses } from '../ffi/arena.ts';
import { ERRNO, errnoName, systemError } from '../ffi/errno.ts';
import { clearOffloads, type TunOffloads, VIRTIO_HEADER_LENGTH } from '../ffi/tun.ts';
import { plainError } from '../plain-error.ts';
import type { DeviceDescriptors } from './device-descriptors.ts';
import { flowHash } from './flow-hash.ts';
import { JOIN, JOIN_ENTRY, type PacketKernels } from './packet-kernels.ts';
import { count, DEVICE, MAX_PACKET_LENGTH } from './shared-memory.ts';
import { MAX_DEVICE_BURST, type WorkerContext } from './worker-context.ts';

export class WorkerDevice {
  readonly #writers: readonly number[];
  /** What a packet was written to last. */
  #lastWriter = -1;
  readonly queues: readonly number[];
  protected readonly context: WorkerContext;
  protected readonly counters: Float64Array;
  readonly #kernels: PacketKernels;
  /** For people: `tun0`. */
  readonly #name: string;
  /** A virtio header stands in front of each packet, both ways. */
  readonly #hasHeader: boolean;
  /** The interface may outlive this process, and be another's who asks for nothing. */
  readonly #takesBack: boolean;
  readonly #readAddress: KeptAddress;
  readonly #writeAddresses: KeptAddresses;
  /** What {@link PacketKernels.join} shall do. */
  #wishes: number;
  #listed = 0;
  #hasFailed = false;
  /** Where the next packet of {@link addCopy} goes. */
  #copyAt: number;
  /** With room for a header in front. */
  readonly #firstCopyAt: number;

  /**
   * @param descriptors from here on this object's
   * @param offloads what the TUN was told to do
   * @param owner `adopted`: other processes have queues of it too, and its settings are not ours to take back; `stack`: takes no joined datagrams
   */
  constructor(
    context: WorkerContext,
    { writers, queues }: DeviceDescriptors,
    name: string,
    counters: Float64Array,
    offloads: TunOffloads,
    owner: 'ours' | 'adopted' | 'stack' = 'ours',
  ) {
    const { features } = context;
    this.context = context;
    this.#kernels = context.kernels;
    this.#writers = writers;
    this.queues = queues;
    this.#name = name;
    this.counters = counters;
    this.#hasHeader = offloads.hasHeader;
    this.#takesBack = offloads.hasHeader && owner === 'ours';
    this.#readAddress = new KeptAddress(context.arena);
    this.#writeAddresses = context.pieceAddresses;
    this.#firstCopyAt = context.slots.room.start + VIRTIO_HEADER_LENGTH;
    this.#copyAt = this.#firstCopyAt;
    this.#wishes =
      (this.#hasHeader ? JOIN.virtio : 0) |
      (this.#hasHeader && features.allows('tcp-join') ? JOIN.tcp : 0) |
      (this.#hasHeader && owner !== 'stack' && features.allows('udp-join') ? JOIN.udp : 0) |
      (features.allows('ack-thinning') ? JOIN.thin : 0);
  }

  /** Without a descriptor: something waits to be read. */
  get hasPending(): boolean {
    return false;
  }

  /** Packets that are written to it wake main: see {@link gatheredFor}. */
  get wakesMain(): boolean {
    return false;
  }

  /** The device ended by itself; main knows, and nothing is read or written any more. */
  get hasFailed(): boolean {
    return this.#hasFailed;
  }

  // From the host.

  /** Reads once, to the context's `outgoing`. Its bytes; 0 if there is nothing now. @param queue its index */
  read(queue: number): number {
    const { libc, outgoing } = this.context;
    const header = this.#hasHeader ? VIRTIO_HEADER_LENGTH : 0;
    const fd = this.queues[queue] ?? -1;
    for (;;) {
      const length = libc.read(fd, this.#readAddress.of(outgoing - header), header + MAX_PACKET_LENGTH) - header;
      if (length > 0) return length;
      if (length === 0) continue; // an empty datagram of a script's program: no packet
      const errno = libc.errno();
      if (errno === ERRNO.EINTR) continue;
      if (errno !== ERRNO.EAGAIN) this.fail(errno);
      return 0;
    }
  }

  /**
   * How many packets the `length` bytes are that were read.
   *
   * @param mtu none shall be longer, as far as that is ours to say
   * @param target where the packet goes if it is one, `length` bytes long
   */
  split(length: number, mtu: number, target: number): number {
    const { zeroHeader, outgoing } = this.context;
    const header = this.#hasHeader ? outgoing - VIRTIO_HEADER_LENGTH : zeroHeader;
    const segments = this.#kernels.inspect(header, outgoing, length, mtu, target);
    if (segments === 0) count(this.counters, DEVICE.readMalformed);
    else if (segments === 1) this.#countRead(length);
    return segments;
  }

  /** Writes packet `index` of several that were read to `target`; its length. */
  segment(index: number, target: number): number {
    const length = this.#kernels.segment(index, target);
    this.#countRead(length);
    return length;
  }

  #countRead(length: number): void {
    count(this.counters, DEVICE.read);
    count(this.counters, DEVICE.readBytes, length);
  }

  // To the host.

  /** Lists a packet of the arena to be written. The {@link VIRTIO_HEADER_LENGTH} bytes in front of it are free, too. */
  add(packet: number, length: number): void {
    if (this.#listed === MAX_DEVICE_BURST) this.flush();
    const { view } = this.context.arena;
    const entry = this.#kernels.tables.list + this.#listed * JOIN_ENTRY.list;
    view.setInt32(entry, packet, true);
    view.setInt32(entry + 4, length, true);
    this.#listed++;
  }

  /** The same for a packet that lies elsewhere. */
  addCopy(source: Buffer, start: number, end: number): void {
    const { arena, slots } = this.context;
    // Before it is copied: writing what is listed gives its room back.
    if (this.#listed === MAX_DEVICE_BURST || this.#copyAt + end - start > slots.room.end) this.flush();
    source.copy(arena.bytes, this.#copyAt, start, end);
    this.add(this.#copyAt, end - start);
    this.#copyAt += end - start;
  }

  /** Writes what is listed. */
  flush(): void {
    if (this.#listed === 1) this.#flushOne();
    else if (this.#listed > 1) this.#flushMany();
  }

  /** A packet that is alone has nothing to be joined to, and somebody may be waiting for it: no tables, one plain write. */
  #flushOne(): void {
    const { arena } = this.context;
    const { list } = this.#kernels.tables;
    const packet = arena.view.getInt32(list, true);
    const length = arena.view.getInt32(list + 4, true);
    this.#startAgain();
    const header = this.#hasHeader ? VIRTIO_HEADER_LENGTH : 0;
    if (header > 0) this.#clearHeader(packet);
    const errno = this.writeOne(packet - header, header + length, this.#writerFor(packet, length));
    if (errno === 0) this.#written(1, length);
    else this.#refused(1, errno);
  }

  /** What stood in front of the packet has been used. */
  #clearHeader(packet: number): void {
    const { view } = this.context.arena;
    // Not fill(): that leads through Node's own code, which a lone packet would find in no cache.
    view.setUint32(packet - VIRTIO_HEADER_LENGTH, 0);
    view.setUint32(packet - VIRTIO_HEADER_LENGTH + 4, 0);
    view.setUint16(packet - VIRTIO_HEADER_LENGTH + 8, 0);
  }

  #flushMany(): void {
    const { view } = this.context.arena;
    const { writes, pieces } = this.#kernels.tables;
    const made = this.#kernels.join(this.#listed, this.#wishes);
    const { thinned } = this.#kernels;
    if (thinned > 0) count(this.counters, DEVICE.thinned, thinned);
    this.#startAgain();
    for (let i = 0; i < made && !this.#hasFailed; i++) {
      const write = writes + i * JOIN_ENTRY.writes;
      const piece = pieces + view.getInt32(write, true) * JOIN_ENTRY.pieces;
      this.#write(write, piece, view.getInt32(write + 4, true));
    }
  }

  /** Writes the bytes at an offset of the arena. 0, or the error number of a refusal. @param writer the descriptor for it */
  protected writeOne(start: number, length: number, writer: number): number {
    const { libc } = this.context;
    return libc.write(writer, this.#writeAddresses.of(start), length) > 0 ? 0 : libc.errno();
  }

  /** Writes what the pieces of a table are together. 0, or the error number of a refusal. @param writer the descriptor for it */
  protected writePieces(first: number, count: number, writer: number): number {
    const { libc } = this.context;
    return libc.writev(writer, this.#writeAddresses.of(first), count) > 0 ? 0 : libc.errno();
  }

  #writerFor(packet: number, length: number): number {
    const writers = this.#writers;
    const index = writers.length > 1 ? flowHash(this.context.arena.view, packet, packet + length) % writers.length : 0;
    this.#lastWriter = writers[index] ?? -1;
    return this.#lastWriter;
  }

  /** The queue that the kernel gives answers to the last packet, by its index; -1 where packets are written by what is no queue. */
  get answerQueue(): number {
    return this.queues.indexOf(this.#lastWriter);
  }

  /** The list is empty. */
  #startAgain(): void {
    this.#listed = 0;
    this.#copyAt = this.#firstCopyAt;
  }

  #written(packets: number, bytes: number): void {
    count(this.counters, DEVICE.written, packets);
    count(this.counters, DEVICE.writtenBytes, bytes);
  }

  /** One write of the table. */
  #write(write: number, firstPiece: number, pieces: number): void {
    const { arena } = this.context;
    const packets = arena.view.getInt32(write + 8, true);
    const first = arena.view.getInt32(write + 16, true);
    const listed = this.#kernels.tables.list + first * JOIN_ENTRY.list;
    const writer = this.#writerFor(arena.view.getInt32(listed, true), arena.view.getInt32(listed + 4, true));
    const errno = this.writePieces(firstPiece, pieces, writer);
    if (errno === 0) this.#written(packets, arena.view.getInt32(write + 12, true));
    else if (packets > 1 && errno === ERRNO.EINVAL) this.#writeEach(first, errno);
    else this.#refused(packets, errno);
  }

  /** The host takes no such super-packet: its packets one by one. If it takes those, no more are joined. */
  #writeEach(first: number, errno: number): void {
    const { libc, arena, zeroHeader } = this.context;
    const { list } = this.#kernels.tables;
    const isTcp = Number(this.#kernels.undo(first)) !== 0;
    let allWritten = true;
    for (let i = first; i >= 0; i = this.#kernels.nextOf(i)) {
      const packet = arena.view.getInt32(list + i * JOIN_ENTRY.list, true);
      const length = arena.view.getInt32(list + i * JOIN_ENTRY.list + 4, true);
      const pieces = this.context.singlePieces;
      arena.writeAddress(pieces, zeroHeader);
      arena.view.setUint32(pieces + 8, VIRTIO_HEADER_LENGTH, true);
      arena.writeAddress(pieces + 16, packet);
      arena.view.setUint32(pieces + 24, length, true);
      if (libc.writev(this.#writerFor(packet, length), arena.address(pieces), 2) > 0) {
        this.#written(1, length);
      } else {
        allWritten = false;
        this.#refused(1, libc.errno());
      }
    }
    if (!allWritten) return;
    this.#wishes &= ~(isTcp ? JOIN.tcp : JOIN.udp);
    this.context.features.turnOff(isTcp ? 'tcp-join' : 'udp-join', `${this.#name} refused it (${errnoName(errno)})`);
  }

  #refused(packets: number, errno: number): void {
    count(this.counters, DEVICE.writeRefused, packets);
    // EINVAL: no IP packet. EIO: the interface is down. EAGAIN, ENOBUFS, ENOMEM: full. All of that passes; these do not:
    if (errno === ERRNO.ECONNREFUSED || errno === ERRNO.ECONNRESET || errno === ERRNO.ENOTCONN || errno === ERRNO.EBADF) this.fail(errno);
  }

  /** Tells main that the device is gone, once. */
  fail(errno: number): void {
    if (this.#hasFailed) return;
    this.#hasFailed = true;
    this.context.report({ type: 'device-failed', error: plainError(systemError(`The device ${this.#name} is gone`, errno)) });
  }

  close(): void {
    const { libc } = this.context;
    if (this.#takesBack) clearOffloads(libc, this.#writers[0] ?? -1);
    for (const fd of new Set([...this.#writers, ...this.queues])) libc.close(fd);
  }
}
