/**
 * Moves packets between the device, the UDP paths and main: the part of the engine that runs for every packet.
 *
 * The story of a pass, {@link PacketSwitch.serve}:
 *   1. sleep in epoll_wait, unless main has news; after a busy pass, first a moment (moderation.ts); after a client's lone packet, a look-out (answer-wait.ts)
 *   2. device → the path that carries its packets, or main          up to 64 reads or 128 KiB, then what was sealed leaves in bursts of whole runs
 *   3. paths → device, or main                                      a burst of each, then what was opened is joined and written
 *
 * A packet that comes alone goes alone: nothing waits to fill a burst. Read first: shared-memory.ts for how both threads sleep without losing a
 * wake-up; worker-device.ts and worker-end.ts for the two ends.
 */
import { AddressTable } from '../../core/tunnel/address-table.ts';
import { isIpPacket } from '../../core/tunnel/inner-packet.ts';
import type { Millis } from '../../core/tunnel/packet.ts';
import type { Cidr } from '../../core/wire/ip-address.ts';
import { EBADFD } from '../ffi/errno.ts';
import { EventPoll } from '../ffi/event-poll.ts';
import { LINUX } from '../ffi/libc.ts';
import { Allowance } from './allowance.ts';
import { AnswerWait, LOOK_OUT, YIELDED } from './answer-wait.ts';
import { DeviceWatch } from './device-watch.ts';
import { Hold } from './hold.ts';
import { ENTRY, entryTag } from './messages.ts';
import { gatheredFor, Moderation } from './moderation.ts';
import { type PathSlot, PathTable } from './path-table.ts';
import { count, DATAGRAM_RESERVE, DEVICE, MAX_DEVICE_QUEUES, MAX_PACKET_LENGTH, WORD } from './shared-memory.ts';
import type { WorkerContext } from './worker-context.ts';
import type { WorkerDevice } from './worker-device.ts';
import type { WorkerEnd } from './worker-end.ts';

/** Reads of the device that one pass makes at most, and bytes that it takes but for the end of the last packet, so that the paths have their turn. */
export const MAX_DEVICE_READS = 64;
export const MAX_DEVICE_BYTES: number = 128 * 1024;

/** Bytes that it takes of one queue while others have something too, but for the end of the last packet again. */
export const MAX_SHARED_BYTES: number = 32 * 1024;

/** How often a held thread looks whether main is done. */
const HOLD_STEP: Millis = 1;

/** struct pollfd: descriptor (4), wanted events (2), events (2). */
const POLLFD_LENGTH = 8;

/** Descriptors that one pass serves at most; those behind them are first in the next one. */
const MAX_READY = 128;

/** Who has something: the eventfd, the device's queues, then the paths by number. */
const EVENT_TOKEN = 0;
const FIRST_DEVICE_TOKEN = 1;
const FIRST_PATH_TOKEN: number = FIRST_DEVICE_TOKEN + MAX_DEVICE_QUEUES;

export class PacketSwitch {
  readonly #context: WorkerContext;
  readonly #eventfd: number | undefined;
  /** For the eventfd alone: see {@link #doze}. */
  readonly #eventPoll: number;
  readonly #events: EventPoll;
  readonly #paths: PathTable;
  readonly #moderation: Moderation;
  readonly #answerWait: AnswerWait;
  readonly #now = () => this.#context.now;
  readonly #allowance = new Allowance(MAX_DEVICE_READS);
  readonly #deviceWatch: DeviceWatch;
  #device: WorkerDevice | undefined;
  /** The device had no more than one packet when it was served last. */
  #isQuiet = true;
  /** More than one packet passed in the last pass. */
  wasBusy = false;
  #route: PathSlot | undefined;
  /** Whose packets they are by their destination. Undefined: the device is not shared by many, and {@link #route} has all. */
  #destinations: AddressTable<PathSlot> | undefined;
  readonly #hold = new Hold();

  /** @param eventfd what main wakes this thread by */
  constructor(context: WorkerContext, eventfd?: number, answerWait: AnswerWait = new AnswerWait()) {
    this.#context = context;
    this.#answerWait = answerWait;
    this.#eventfd = eventfd;
    const { libc, arena, features } = context;
    this.#moderation = new Moderation(libc, arena, features.allows('moderation'));
    if (this.#moderation.isOn) features.turnOn('moderation');
    else features.turnOff('moderation', 'this thread may not set its timer slack');
    this.#eventPoll = arena.allocate(POLLFD_LENGTH);
    arena.view.setInt32(this.#eventPoll, eventfd ?? -1, true); // poll() skips negative descriptors
    arena.view.setInt16(this.#eventPoll + 4, LINUX.POLLIN, true);
    this.#events = new EventPoll(libc, arena, MAX_READY);
    this.#deviceWatch = new DeviceWatch(this.#events, FIRST_DEVICE_TOKEN);
    this.#paths = new PathTable(this.#events, FIRST_PATH_TOKEN);
    if (eventfd !== undefined) this.#events.add(eventfd, EVENT_TOKEN, LINUX.POLLIN);
  }

  /** epoll's descriptor. */
  get fd(): number {
    return this.#events.fd;
  }

  /** Closes the device, the paths and epoll; not the eventfd. */
  close(): void {
    this.setDevice(undefined);
    this.#paths.close();
    this.#events.close();
  }

  /** The device, also one that has failed. */
  get device(): WorkerDevice | undefined {
    return this.#device;
  }

  /** The device, if packets can be written to it. */
  get liveDevice(): WorkerDevice | undefined {
    return this.#device?.hasFailed === false ? this.#device : undefined;
  }

  /** For use: the path has a look taken at it afterwards. */
  path(id: number): WorkerEnd | undefined {
    const slot = this.#paths.get(id);
    if (slot !== undefined) this.#paths.attend(slot);
    return slot?.end;
  }

  /** Not beside a handshake, whose datagrams would wait. Thoroughly (half a second) for who waits for lone packets alone: a client, while its tunnel is up. */
  mayWarmUp(isThorough: boolean): boolean {
    const isClient = this.#destinations === undefined && this.#route?.carrier !== undefined;
    return !this.#paths.hasIdlePath && (isClient || !isThorough);
  }

  /** Puts a device in its place, or takes it away and closes it. */
  setDevice(device: WorkerDevice | undefined): void {
    this.#deviceWatch.end();
    this.#device?.close();
    this.#device = device;
    if (device !== undefined) this.#deviceWatch.begin(device);
  }

  /** Puts a path in its place, or takes it away and closes it. */
  setPath(id: number, path: WorkerEnd | undefined): void {
    this.setNetworks(id, []);
    this.#paths.set(id, path);
  }

  /** Which path the device's packets leave by while it carries traffic. False if they did already. */
  setRoute(id: number | undefined): boolean {
    const before = this.#route;
    this.#route = id === undefined ? undefined : this.#paths.get(id);
    return this.#route !== before;
  }

  /**
   * Packets of the device to these networks leave by the path while it carries traffic; others that were said before do not any more. A network that
   * another path had is taken from it. From the first one on the device is shared by many: packets of nobody here go to main, and where one path, or
   * main, has no room, its packets are dropped, so that nobody waits for it.
   */
  setNetworks(id: number, networks: readonly Cidr[]): void {
    const slot = this.#paths.get(id);
    if (slot === undefined) return;
    for (const network of slot.networks) this.#destinations?.delete(network, slot);
    slot.networks = networks;
    if (networks.length > 0) this.#destinations ??= new AddressTable();
    for (const network of networks) this.#destinations?.set(network, slot);
  }

  /** The networks of one path are another's from now on. */
  moveNetworks(from: number, to: number): void {
    const networks = this.#paths.get(from)?.networks ?? [];
    this.setNetworks(from, []);
    this.setNetworks(to, networks);
  }

  /** Packets wait where they are until {@link release}. Not where many share the device: they shall not wait for one. */
  hold(): void {
    if (this.#destinations === undefined) this.#hold.begin();
  }

  get isHolding(): boolean {
    return this.#hold.isOn;
  }

  release(): void {
    this.#hold.release();
  }

  /**
   * One pass. False if nothing came in time.
   *
   * @param hasNews looks, once the worker has said that it sleeps, whether main has something for it
   * @param timeout in milliseconds
   */
  serve(hasNews: () => boolean, timeout: number): boolean {
    const isHolding = this.isHolding;
    const ready = isHolding ? this.#doze(hasNews) : this.#wait(hasNews, timeout);
    // A lone packet does not wait for a look at the clock; so how long the first of many passes takes is not known.
    const start = this.wasBusy ? performance.now() : undefined;
    this.#context.beginPass();
    if (isHolding) {
      if (ready > 0) this.#clearEvent();
      return ready > 0;
    }
    this.#deviceWatch.beginPass();
    for (let i = 0; i < ready; i++) {
      const token = this.#events.token(i);
      if (token === EVENT_TOKEN) this.#clearEvent();
      else if (token < FIRST_PATH_TOKEN) this.#deviceWatch.heard(token, this.#events.events(i));
    }
    let back = 0;
    let out = this.#device === undefined ? 0 : this.#serveDevice(this.#device);
    for (let i = 0; i < ready; i++) {
      const token = this.#events.token(i);
      if (token >= FIRST_PATH_TOKEN) back += this.#servePath(token - FIRST_PATH_TOKEN);
    }
    if (back === 1 && out === 0) out = this.#serveAnswer();
    const isShared = this.#destinations !== undefined;
    const isBrief = this.#context.slots.wantsBriefRest(isShared);
    const took = start === undefined || isBrief ? 0 : performance.now() - start;
    const gathered = gatheredFor(this.#device?.wakesMain, isShared, isBrief, this.#paths.areSeveral);
    this.#moderation.moved(out, back, took, gathered, this.#context.now);
    this.wasBusy = out + back > 1;
    this.#answerWait.passed(out, back, this.#now);
    return ready > 0 || out > 0;
  }

  // Sleeping.

  /** The same as {@link #sleep}, but after a busy pass not at once. */
  #wait(hasNews: () => boolean, timeout: number): number {
    if (this.#moderation.comesFirst) {
      this.#moderation.sleep();
    } else if (this.#moderation.isDue) {
      const ready = this.#sleep(hasNews, 0);
      if (ready > 0 || this.#isNeeded(hasNews)) return ready;
      this.#moderation.sleep();
    } else if (this.#answerWait.isDue && timeout > 0 && this.#destinations === undefined) {
      const ready = this.#lookOut(hasNews);
      this.#answerWait.ended(ready > 0);
      if (ready > 0 || this.#isNeeded(hasNews)) return ready;
    }
    return this.#sleep(hasNews, timeout);
  }

  /**
   * Asks again and again, for {@link LOOK_OUT} at most, and lets others have the processor in between: perhaps it is the answerer who waits for it. Where
   * one of them takes it, the look-out is over. How many descriptors have something.
   */
  #lookOut(hasNews: () => boolean): number {
    this.#deviceWatch.watch(this.#mayRead());
    if (this.#paths.settle()) return 0;
    const { libc } = this.#context;
    let now = performance.now();
    const end = now + LOOK_OUT;
    for (;;) {
      const ready = this.#events.wait(0);
      if (ready > 0 || this.#isNeeded(hasNews)) return ready;
      libc.schedYield();
      const before = now;
      now = performance.now();
      if (now >= end || now - before > YIELDED) return this.#events.wait(0);
    }
  }

  /** How many descriptors have something. */
  #sleep(hasNews: () => boolean, timeout: number): number {
    const { words } = this.#context.memory;
    Atomics.store(words, WORD.workerSleeps, 1);
    // After it said that it sleeps: a resume, or room in the ring, that this look misses wakes it.
    this.#deviceWatch.watch(this.#mayRead());
    const mayProceed = this.#paths.settle();
    const ready = this.#events.wait(mayProceed || this.#isNeeded(hasNews) ? 0 : timeout);
    Atomics.store(words, WORD.workerSleeps, 0);
    if (ready === 0) this.#deviceWatch.slept();
    return ready;
  }

  /** Something waits that no descriptor tells of. */
  #isNeeded(hasNews: () => boolean): boolean {
    return hasNews() || (this.#device?.hasPending === true && this.#mayRead());
  }

  /** While packets are held: a short sleep that only main ends. 1 if it did. */
  #doze(hasNews: () => boolean): number {
    const { libc, memory, arena } = this.#context;
    Atomics.store(memory.words, WORD.workerSleeps, 1);
    const ready = libc.poll(arena.address(this.#eventPoll), 1, hasNews() ? 0 : HOLD_STEP);
    Atomics.store(memory.words, WORD.workerSleeps, 0);
    return Math.max(ready, 0);
  }

  #clearEvent(): void {
    const { libc, arena, outgoing } = this.#context;
    if (this.#eventfd === undefined) return;
    libc.read(this.#eventfd, arena.address(outgoing), 8); // 8 bytes of counter; EAGAIN: cleared already
  }

  // The device and the paths.

  /** Packets for which there is no way on wait in the kernel. */
  #mayRead(): boolean {
    if (this.#destinations !== undefined) return Atomics.load(this.#context.memory.words, WORD.devicePaused) === 0;
    const carrier = this.#route?.carrier;
    if (carrier !== undefined) return !carrier.isFull;
    return Atomics.load(this.#context.memory.words, WORD.devicePaused) === 0 && this.#context.hasRoomForDevice();
  }

  /** After a burst of main's: paths send what they gathered, and go on where they waited for main. */
  proceed(): void {
    this.#paths.proceed(this.liveDevice);
  }

  /** How many packets passed. */
  #serveDevice(device: WorkerDevice): number {
    const watch = this.#deviceWatch;
    if (!watch.hasReady) return 0;
    const share = watch.areSeveralReady ? MAX_SHARED_BYTES : MAX_DEVICE_BYTES;
    const most = this.#allowance.packets;
    let reads = 0;
    let bytes = 0;
    let packets = 0;
    let isBusy = false;
    // Who is not taken now is the first in the next pass.
    while (reads < most && bytes < MAX_DEVICE_BYTES && this.#mayRead()) {
      const queue = watch.takeReady();
      if (queue < 0) break;
      const end = Math.min(bytes + share, MAX_DEVICE_BYTES);
      while (reads < most && bytes < end && this.#mayRead()) {
        const length = device.read(queue);
        if (length === 0) break;
        packets += this.#passOnAll(device, length);
        reads++;
        bytes += length;
        if (reads === 1 && this.#isQuiet) this.#paths.flush(); // who is alone does not wait for a look whether there is more
      }
      isBusy ||= bytes >= end; // that is as busy as all reads
    }
    this.#paths.flush();
    this.#isQuiet = packets <= 1;
    this.#allowance.used(isBusy ? most : reads);
    // A device that is gone says so when it is read. If it was not read, or had nothing to say, no sleep would last, for ever.
    if (watch.isGone && reads === 0) device.fail(EBADFD);
    if (device.hasFailed) watch.end();
    return packets;
  }

  /** This host answers a lone packet, a ping for one, before the write of it is over: that need not wait for another pass. How many, if they are a stream's. */
  #serveAnswer(): number {
    const device = this.#destinations === undefined ? undefined : this.liveDevice;
    if (device === undefined || device.answerQueue < 0 || !this.#mayRead()) return 0;
    const length = device.read(device.answerQueue);
    const packets = length === 0 ? 0 : this.#passOnAll(device, length);
    this.#paths.flush();
    return packets > 1 ? packets : 0;
  }

  /** What was read, a packet or a super-packet, to the path or to main. How many packets that is. */
  #passOnAll(device: WorkerDevice, length: number): number {
    // All packets of a super-packet have the same destination.
    const slot = this.#slotOf(length);
    const carrier = slot?.carrier;
    if (slot !== undefined) this.#paths.attend(slot);
    const place = this.#placeFor(carrier);
    const segments = device.split(length, carrier?.tunnelMtu ?? MAX_PACKET_LENGTH, place);
    if (this.#destinations !== undefined && carrier?.isFull === true)
      count(this.#context.memory.deviceCounters, DEVICE.readDropped, segments);
    else if (segments === 1) this.#passOn(place, length, carrier);
    else {
      for (let i = 0; i < segments; i++) {
        const next = this.#placeFor(carrier);
        this.#passOn(next, device.segment(i, next), carrier);
      }
    }
    return segments;
  }

  /** Whose packet it is that was read from the device. */
  #slotOf(length: number): PathSlot | undefined {
    if (this.#destinations === undefined) return this.#route;
    const { arena, outgoing } = this.#context;
    return isIpPacket(arena.bytes, outgoing, outgoing + length) ? this.#destinations.ofPacket(arena.bytes, outgoing) : undefined;
  }

  /** Where the next packet is to lie on its way to the path or to main. */
  #placeFor(carrier: WorkerEnd | undefined): number {
    return carrier?.packetPlace ?? this.#context.slots.offset(0);
  }

  /** One packet of what was read, to the path or to main. */
  #passOn(place: number, length: number, carrier: WorkerEnd | undefined): void {
    const { memory } = this.#context;
    if (carrier !== undefined && length <= carrier.tunnelMtu && carrier.addPacket(length)) return;
    // Larger than the path carries, or not of what it carries: main's machine has another way for it, or none.
    const tag = entryTag(ENTRY.devicePacket, 0);
    if (!this.#context.deliver(tag, place, place + length, DATAGRAM_RESERVE)) count(memory.deviceCounters, DEVICE.readDropped);
  }

  #servePath(id: number): number {
    const slot = this.#paths.get(id);
    if (slot === undefined) return 0;
    this.#paths.attend(slot);
    return slot.end.receive(this.liveDevice);
  }
}
