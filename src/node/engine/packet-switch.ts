/**
 * Moves packets between the device, the UDP paths and main: the part of the engine that runs for every packet.
 *
 * The story of a pass, {@link PacketSwitch.serve}:
 *   1. sleep in poll on the eventfd, the device and the paths, unless main has news; after a busy pass, first a fixed moment (moderation.ts)
 *   2. device → the path that carries its packets, or main          up to 64 reads or 128 KiB, then what was sealed leaves as one burst
 *   3. paths → device, or main                                      a burst of each, then what was opened is joined and written
 *
 * A packet that comes alone goes alone: nothing waits to fill a burst. Read first: shared-memory.ts for how both threads sleep without losing a
 * wake-up; worker-device.ts and worker-end.ts for the two ends.
 */
import type { Millis } from '../../core/tunnel/packet.ts';
import { KeptAddress } from '../ffi/arena.ts';
import { EBADFD, ERRNO, systemError } from '../ffi/errno.ts';
import { LINUX } from '../ffi/libc.ts';
import { Allowance } from './allowance.ts';
import { ENTRY, entryTag } from './messages.ts';
import { Moderation } from './moderation.ts';
import { count, DATAGRAM_RESERVE, DEVICE, MAX_PACKET_LENGTH, MAX_PATHS, WORD } from './shared-memory.ts';
import type { WorkerContext } from './worker-context.ts';
import type { WorkerDevice } from './worker-device.ts';
import type { WorkerEnd } from './worker-end.ts';

/** Reads of the device that one pass makes at most, and bytes that it takes, so that the paths have their turn. */
const MAX_DEVICE_READS = 64;
const MAX_DEVICE_BYTES = 128 * 1024;

/**
 * The longest that packets wait for main after a path was given to this thread. Main needs a millisecond of it, on a busy machine a hundred. Order
 * comes first: what does not fit into the kernel's queues meanwhile is lost, as packets may be.
 */
const MAX_HOLD: Millis = 1000;

/** How often a held thread looks whether main is done. */
const HOLD_STEP: Millis = 1;

/** struct pollfd: descriptor (4), wanted events (2), events (2). */
const POLLFD_LENGTH = 8;
const GONE = LINUX.POLLERR | LINUX.POLLHUP | LINUX.POLLNVAL;

/** Places in the poll table: the eventfd, the device, then the paths by number. */
const EVENT_SLOT = 0;
const DEVICE_SLOT = 1;
const FIRST_PATH_SLOT = 2;
const SLOTS = FIRST_PATH_SLOT + MAX_PATHS;
/** The eventfd alone. */
const EVENT_SLOT_ONLY = 1;

/** poll() skips negative descriptors. */
const NO_DESCRIPTOR = -1;

export class PacketSwitch {
  readonly #context: WorkerContext;
  readonly #eventfd: number;
  readonly #pollTable: number;
  readonly #pollAddress: KeptAddress;
  readonly #paths: (WorkerEnd | undefined)[] = new Array(MAX_PATHS).fill(undefined);
  readonly #moderation: Moderation;
  readonly #allowance = new Allowance(MAX_DEVICE_READS);
  #device: WorkerDevice | undefined;
  /** The path that the device's packets leave by while it carries traffic. */
  route: WorkerEnd | undefined;
  /** Until when packets wait at most; undefined: they do not. On the clock of `performance.now()`. */
  #holdEnd: Millis | undefined;

  /** @param eventfd what main wakes this thread by */
  constructor(context: WorkerContext, eventfd: number = NO_DESCRIPTOR) {
    this.#context = context;
    this.#eventfd = eventfd;
    const { libc, arena, features } = context;
    this.#moderation = new Moderation(libc, arena, features.allows('moderation'));
    if (this.#moderation.isOn) features.turnOn('moderation');
    else features.turnOff('moderation', 'this thread may not set its timer slack');
    this.#pollTable = context.arena.allocate(SLOTS * POLLFD_LENGTH);
    this.#pollAddress = new KeptAddress(context.arena);
    for (let slot = 0; slot < SLOTS; slot++) this.#watch(slot, NO_DESCRIPTOR);
    this.#watch(EVENT_SLOT, eventfd);
  }

  /** The device, also one that has failed. */
  get device(): WorkerDevice | undefined {
    return this.#device;
  }

  /** The device, if packets can be written to it. */
  get liveDevice(): WorkerDevice | undefined {
    return this.#device?.hasFailed === false ? this.#device : undefined;
  }

  path(id: number): WorkerEnd | undefined {
    return this.#paths[id];
  }

  /** A path is open that carries nothing yet. */
  get hasIdlePath(): boolean {
    return this.#paths.some((path) => path?.isCarried === false);
  }

  /** Puts a device in its place, or takes it away and closes it. */
  setDevice(device: WorkerDevice | undefined): void {
    this.#watch(DEVICE_SLOT, device?.fd ?? NO_DESCRIPTOR);
    this.#device?.close();
    this.#device = device;
  }

  /** Puts a path in its place, or takes it away and closes it. */
  setPath(id: number, path: WorkerEnd | undefined): void {
    this.#watch(FIRST_PATH_SLOT + id, path?.fd ?? NO_DESCRIPTOR);
    const before = this.#paths[id];
    if (before !== undefined && this.route === before) this.route = undefined;
    before?.close();
    this.#paths[id] = path;
  }

  /**
   * Packets wait where they are until {@link release}. Called when this thread takes over what main did so far: main may still have packets
   * under way that came earlier, and those must leave first.
   */
  hold(): void {
    this.#holdEnd = performance.now() + MAX_HOLD;
  }

  get isHolding(): boolean {
    return this.#holdEnd !== undefined && performance.now() < this.#holdEnd;
  }

  /** Main has no packets under way any more. */
  release(): void {
    this.#holdEnd = undefined;
  }

  /**
   * One pass. False if nothing came in time.
   *
   * @param hasNews looks, once the worker has said that it sleeps, whether main has something for it
   * @param timeout in milliseconds
   */
  serve(hasNews: () => boolean, timeout: number): boolean {
    const isHolding = this.isHolding;
    const ready = isHolding ? this.#sleep(hasNews, HOLD_STEP, EVENT_SLOT_ONLY) : this.#wait(hasNews, timeout);
    this.#context.beginPass();
    if (ready === 0) return false;
    if (this.#events(EVENT_SLOT) !== 0) this.#clearEvent();
    if (isHolding) return true;
    let packets = 0;
    if (this.#device !== undefined && this.#events(DEVICE_SLOT) !== 0) packets += this.#serveDevice(this.#device);
    for (let id = 0; id < MAX_PATHS; id++) {
      const path = this.#paths[id];
      if (path !== undefined && this.#events(FIRST_PATH_SLOT + id) !== 0) packets += this.#servePath(path, FIRST_PATH_SLOT + id);
    }
    this.#moderation.moved(packets);
    return true;
  }

  // Sleeping.

  /** The same as {@link #sleep}, but after a busy pass not at once. */
  #wait(hasNews: () => boolean, timeout: number): number {
    if (this.#moderation.isDue) {
      const ready = this.#sleep(hasNews, 0, SLOTS);
      if (ready > 0 || hasNews()) return ready;
      this.#moderation.sleep();
    }
    return this.#sleep(hasNews, timeout, SLOTS);
  }

  /** How many descriptors have something. */
  #sleep(hasNews: () => boolean, timeout: number, slots: number): number {
    const { libc, memory } = this.#context;
    Atomics.store(memory.words, WORD.workerSleeps, 1);
    // After it said that it sleeps: a resume, or room in the ring, that this look misses wakes it.
    this.#setDeviceEvents();
    const mayProceed = this.#setPathEvents();
    const ready = libc.poll(this.#pollAddress.of(this.#pollTable), slots, mayProceed || hasNews() ? 0 : timeout);
    Atomics.store(memory.words, WORD.workerSleeps, 0);
    if (ready >= 0) return ready;
    const errno = libc.errno();
    if (errno !== ERRNO.EINTR && errno !== ERRNO.EAGAIN) throw systemError('poll', errno);
    return 0;
  }

  #watch(slot: number, fd: number): void {
    const { view } = this.#context.arena;
    view.setInt32(this.#pollTable + slot * POLLFD_LENGTH, fd, true);
    view.setInt16(this.#pollTable + slot * POLLFD_LENGTH + 4, LINUX.POLLIN, true);
    view.setInt16(this.#pollTable + slot * POLLFD_LENGTH + 6, 0, true);
  }

  #events(slot: number): number {
    return this.#context.arena.view.getInt16(this.#pollTable + slot * POLLFD_LENGTH + 6, true);
  }

  #clearEvent(): void {
    const { libc, arena, outgoing } = this.#context;
    libc.read(this.#eventfd, arena.address(outgoing), 8); // 8 bytes of counter; EAGAIN: cleared already
  }

  // The device and the paths.

  /** The device's packets leave by this path, without main. */
  get #carrier(): WorkerEnd | undefined {
    return this.route?.isCarried === true ? this.route : undefined;
  }

  /** Packets for which there is no way on wait in the kernel. */
  #mayRead(): boolean {
    const carrier = this.#carrier;
    if (carrier !== undefined) return !carrier.isFull;
    return Atomics.load(this.#context.memory.words, WORD.devicePaused) === 0 && this.#context.hasRoomForDevice();
  }

  #setDeviceEvents(): void {
    if (this.#device === undefined) return;
    this.#context.arena.view.setInt16(this.#pollTable + DEVICE_SLOT * POLLFD_LENGTH + 4, this.#mayRead() ? LINUX.POLLIN : 0, true);
  }

  /** Whether a path need not wait for main any more: see {@link WorkerEnd.mayProceed}. */
  #setPathEvents(): boolean {
    const { view } = this.#context.arena;
    let mayProceed = false;
    for (let id = 0; id < MAX_PATHS; id++) {
      const path = this.#paths[id];
      if (path === undefined) continue;
      const at = this.#pollTable + (FIRST_PATH_SLOT + id) * POLLFD_LENGTH;
      const events = path.pollEvents;
      // A peer that has left would end each sleep, though nobody wants to hear of it.
      view.setInt32(at, events === 0 ? NO_DESCRIPTOR : path.fd, true);
      view.setInt16(at + 4, events, true);
      mayProceed ||= path.mayProceed;
    }
    return mayProceed;
  }

  /** After a burst: paths send what they gathered, and go on where they waited for main. */
  proceed(): void {
    for (let id = 0; id < MAX_PATHS; id++) this.#paths[id]?.proceed(this.liveDevice);
  }

  /** How many packets passed. */
  #serveDevice(device: WorkerDevice): number {
    const isGone = (this.#events(DEVICE_SLOT) & GONE) !== 0;
    const carrier = this.#carrier;
    let reads = 0;
    let bytes = 0;
    let packets = 0;
    while (reads < this.#allowance.packets && bytes < MAX_DEVICE_BYTES && this.#mayRead()) {
      const length = device.read(carrier?.tunnelMtu ?? MAX_PACKET_LENGTH);
      if (length === 0) break;
      for (let i = 0; i < device.segments; i++) this.#passOn(device, i, carrier);
      packets += device.segments;
      reads++;
      bytes += length;
    }
    carrier?.flush();
    // The budget of bytes is full: that is as busy as all reads.
    this.#allowance.used(bytes < MAX_DEVICE_BYTES ? reads : this.#allowance.packets);
    // A device that is gone says so when it is read. If it was not read, or had nothing to say, poll would return at once, for ever.
    if (isGone && reads === 0) device.fail(EBADFD);
    if (device.hasFailed) this.#watch(DEVICE_SLOT, NO_DESCRIPTOR);
    return packets;
  }

  /** One packet of what was read, to the path or to main. */
  #passOn(device: WorkerDevice, index: number, carrier: WorkerEnd | undefined): void {
    const { memory, slots } = this.#context;
    const place = carrier?.packetPlace ?? slots.offset(0);
    const length = device.segment(index, place);
    if (carrier !== undefined && length <= carrier.tunnelMtu) {
      carrier.addPacket(length);
      return;
    }
    // Larger than the path carries: main's machine has another way for it, or none.
    const tag = entryTag(ENTRY.devicePacket, 0);
    if (!this.#context.deliver(tag, place, place + length, DATAGRAM_RESERVE)) count(memory.deviceCounters, DEVICE.readDropped);
  }

  #servePath(path: WorkerEnd, slot: number): number {
    if ((this.#events(slot) & LINUX.POLLNVAL) !== 0) {
      path.fail(ERRNO.EBADF);
      return 0;
    }
    return path.receive(this.liveDevice);
  }
}
