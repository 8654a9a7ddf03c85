/**
 * The engine's loop: one thread that owns the device, the UDP sockets and an eventfd, and blocks in poll.
 *
 *   pass:   what main committed and commanded, in order
 *           sleep in poll, unless main has more
 *           device → carried path, or main           one packet at a time, up to a budget
 *           paths → device, or main
 *           show main what came
 *
 * One packet a system call is the first form of it. Bursts and offloads grow behind {@link WorkerDevice} and {@link WorkerPath}; nothing outside
 * changes. Read first: shared-memory.ts for how both threads sleep without losing a wake-up, messages.ts for the order of commands and packets.
 */
import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import { MisuseError } from '../../core/errors.ts';
import { EBADFD, ERRNO, systemError } from '../ffi/errno.ts';
import { LINUX } from '../ffi/libc.ts';
import { openSocketPair } from '../ffi/sockets.ts';
import { openTun, setInterfaceMtu } from '../ffi/tun.ts';
import { type Command, ENTRY, entryKind, entryPath, entryTag, plainError, type WorkerOptions } from './messages.ts';
import { count, DATAGRAM_RESERVE, DEVICE, MAX_PATHS, WORD } from './shared-memory.ts';
import { WorkerContext } from './worker-context.ts';
import { WorkerDevice } from './worker-device.ts';
import { WorkerPath } from './worker-path.ts';

/** A thread inside a system call cannot be ended: this bounds how long it takes to, if all else fails. */
const POLL_TIMEOUT = 1000;

/** Packets of the device, and entries from main, that one pass takes, so that the others have their turn. */
const DEVICE_BUDGET = 64;
const MAIN_BUDGET = 256;

/** struct pollfd: descriptor (4), wanted events (2), events (2). */
const POLLFD_LENGTH = 8;
const GONE = LINUX.POLLERR | LINUX.POLLHUP | LINUX.POLLNVAL;

/** Places in the poll table: the eventfd, the device, then the paths by number. */
const EVENT_SLOT = 0;
const DEVICE_SLOT = 1;
const FIRST_PATH_SLOT = 2;
const SLOTS = FIRST_PATH_SLOT + MAX_PATHS;

/** poll() skips negative descriptors. */
const NO_DESCRIPTOR = -1;

export class EngineLoop {
  readonly #context: WorkerContext;
  readonly #port: MessagePort;
  readonly #eventfd: number;
  readonly #pollTable: number;
  readonly #paths: (WorkerPath | undefined)[] = new Array(MAX_PATHS).fill(undefined);
  #device: WorkerDevice | undefined;
  /** The path that the device's packets leave by while it carries traffic. */
  #route: WorkerPath | undefined;
  #takenCommands = 0;
  /** The next command, when it waits for entries that main committed before it. */
  #command: Command | undefined;
  #isStopped = false;

  constructor(port: MessagePort, options: WorkerOptions) {
    this.#port = port;
    this.#context = new WorkerContext(port, options);
    const { libc, arena } = this.#context;
    this.#eventfd = libc.eventfd(0, LINUX.EFD_NONBLOCK | LINUX.EFD_CLOEXEC);
    if (this.#eventfd < 0) throw systemError('eventfd', libc.errno());
    this.#pollTable = arena.allocate(SLOTS * POLLFD_LENGTH);
    for (let slot = 0; slot < SLOTS; slot++) this.#watch(slot, NO_DESCRIPTOR);
    this.#watch(EVENT_SLOT, this.#eventfd);
    // From here on main owns the eventfd: it closes it when this thread has ended, and not before.
    this.#context.report({ type: 'ready', eventfd: this.#eventfd, crypto: this.#context.crypto });
  }

  /** Runs until main says stop. Closes every descriptor, however it ends. */
  run(): void {
    try {
      while (!this.#isStopped && Atomics.load(this.#context.memory.words, WORD.abandoned) === 0) this.#pass();
    } finally {
      this.#device?.close();
      for (const path of this.#paths) path?.close();
    }
  }

  #pass(): void {
    this.#takeFromMain();
    if (this.#isStopped) return;
    this.#setDeviceEvents();
    this.#context.flush();
    if (this.#sleep() > 0) {
      this.#context.tick();
      if (this.#events(EVENT_SLOT) !== 0) this.#clearEvent();
      if (this.#device !== undefined && this.#events(DEVICE_SLOT) !== 0) this.#serveDevice(this.#device);
      for (let id = 0; id < MAX_PATHS; id++) {
        const path = this.#paths[id];
        if (path !== undefined && this.#events(FIRST_PATH_SLOT + id) !== 0) this.#servePath(path, FIRST_PATH_SLOT + id);
      }
    }
    this.#context.flush();
  }

  // Sleeping.

  #sleep(): number {
    const { libc, arena, memory } = this.#context;
    const { words } = memory;
    Atomics.store(words, WORD.workerSleeps, 1);
    const timeout = this.#hasNews() ? 0 : POLL_TIMEOUT;
    const ready = libc.poll(arena.address(this.#pollTable), SLOTS, timeout);
    Atomics.store(words, WORD.workerSleeps, 0);
    if (ready >= 0) return ready;
    const errno = libc.errno();
    if (errno !== ERRNO.EINTR && errno !== ERRNO.EAGAIN) throw systemError('poll', errno);
    return 0;
  }

  #hasNews(): boolean {
    const { toWorker, words } = this.#context.memory;
    return !toWorker.isRead || Atomics.load(words, WORD.commands) !== this.#takenCommands || Atomics.load(words, WORD.abandoned) !== 0;
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
    const { libc, arena, incoming } = this.#context;
    libc.read(this.#eventfd, arena.address(incoming), 8); // 8 bytes of counter; EAGAIN: cleared already
  }

  // From main.

  /** Takes commands and entries in the order in which main gave them. */
  #takeFromMain(): void {
    const { toWorker } = this.#context.memory;
    if (toWorker.isRead && Atomics.load(this.#context.memory.words, WORD.commands) === this.#takenCommands) return;
    this.#context.tick();
    for (let i = 0; i < MAIN_BUDGET && !this.#isStopped; i++) {
      this.#command ??= this.#nextCommand();
      if (this.#command !== undefined && toWorker.hasReached(this.#command.after)) {
        const command = this.#command;
        this.#command = undefined;
        this.#takenCommands = (this.#takenCommands + 1) | 0;
        this.#obey(command);
      } else if (toWorker.next()) {
        this.#takeEntry(toWorker.tag, toWorker.data, toWorker.start, toWorker.end);
      } else {
        break;
      }
    }
    toWorker.release();
  }

  #nextCommand(): Command | undefined {
    if (Atomics.load(this.#context.memory.words, WORD.commands) === this.#takenCommands) return undefined;
    return receiveMessageOnPort(this.#port)?.message as Command | undefined;
  }

  #takeEntry(tag: number, data: Buffer, start: number, end: number): void {
    const kind = entryKind(tag);
    if (kind === ENTRY.devicePacket) {
      const { arena, outgoing } = this.#context;
      data.copy(arena.bytes, outgoing, start, end);
      if (this.#device !== undefined && !this.#device.hasFailed) this.#device.write(outgoing, end - start);
      return;
    }
    const path = this.#paths[entryPath(tag)];
    if (path === undefined) return; // closed since; its machine is gone
    if (kind === ENTRY.record) path.sendRecord(data, start, end);
    else if (kind === ENTRY.received) path.receiveAgain(data, start, end, this.#liveDevice);
    else path.sendDatagram(data, start, end);
  }

  #obey(command: Command): void {
    try {
      this.#context.report({ type: 'answer', call: command.call, value: this.#execute(command) });
    } catch (error) {
      this.#context.report({ type: 'refusal', call: command.call, error: plainError(error) });
    }
  }

  #execute(command: Command): unknown {
    switch (command.name) {
      case 'open-tun':
        return this.#openTun(command.takes.name);
      case 'open-script':
        return this.#openScript();
      case 'set-mtu':
        return setInterfaceMtu(this.#context.libc, command.takes.name, command.takes.mtu);
      case 'close-device':
        return this.#closeDevice();
      case 'open-path': {
        const path = new WorkerPath(this.#context, command.takes.path, command.takes.options);
        this.#paths[command.takes.path] = path;
        this.#watch(FIRST_PATH_SLOT + command.takes.path, path.fd);
        return { local: path.local, pathMtu: path.pathMtu };
      }
      case 'close-path':
        return this.#closePath(command.takes.path);
      case 'carry': {
        const { path, traffic } = command.takes;
        try {
          return this.#pathAt(path).carry(traffic);
        } finally {
          // The copy of the keys that came with the message; the ciphers have their own now.
          for (const key of traffic === undefined ? [] : [traffic.seal, ...traffic.open]) key.key.fill(0);
        }
      }
      case 'route':
        this.#route = command.takes.path === undefined ? undefined : this.#pathAt(command.takes.path);
        return undefined;
      case 'stop':
        this.#isStopped = true;
        return undefined;
    }
    command satisfies never;
  }

  #openTun(name: string | undefined): { readonly name: string } {
    this.#mustHaveNoDevice();
    const tun = openTun(this.#context.libc, name);
    this.#setDevice(new WorkerDevice(this.#context, tun.fd, tun.name));
    return { name: tun.name };
  }

  #openScript(): { readonly theirs: number } {
    this.#mustHaveNoDevice();
    const { ours, theirs } = openSocketPair(this.#context.libc);
    this.#setDevice(new WorkerDevice(this.#context, ours, 'of the script'));
    return { theirs };
  }

  #mustHaveNoDevice(): void {
    if (this.#device !== undefined) throw new MisuseError('the packet engine has a device already');
  }

  #setDevice(device: WorkerDevice): void {
    this.#device = device;
    this.#watch(DEVICE_SLOT, device.fd);
  }

  #closeDevice(): undefined {
    this.#watch(DEVICE_SLOT, NO_DESCRIPTOR);
    this.#device?.close();
    this.#device = undefined;
  }

  #closePath(id: number): undefined {
    const path = this.#paths[id];
    this.#watch(FIRST_PATH_SLOT + id, NO_DESCRIPTOR);
    if (this.#route === path) this.#route = undefined;
    path?.close();
    this.#paths[id] = undefined;
  }

  #pathAt(id: number): WorkerPath {
    const path = this.#paths[id];
    if (path === undefined) throw new MisuseError('this UDP path is closed');
    return path;
  }

  // From the device and the paths.

  get #liveDevice(): WorkerDevice | undefined {
    return this.#device?.hasFailed === false ? this.#device : undefined;
  }

  /** The device's packets leave by this path, without main. */
  get #carrier(): WorkerPath | undefined {
    return this.#route !== undefined && this.#route.tunnelMtu > 0 ? this.#route : undefined;
  }

  /** Packets for which there is no way on wait in the kernel. */
  #mayRead(): boolean {
    if (this.#carrier !== undefined) return true;
    return Atomics.load(this.#context.memory.words, WORD.devicePaused) === 0 && this.#context.hasRoomForDevice();
  }

  #setDeviceEvents(): void {
    if (this.#device === undefined) return;
    this.#context.arena.view.setInt16(this.#pollTable + DEVICE_SLOT * POLLFD_LENGTH + 4, this.#mayRead() ? LINUX.POLLIN : 0, true);
  }

  #serveDevice(device: WorkerDevice): void {
    const isGone = (this.#events(DEVICE_SLOT) & GONE) !== 0;
    let packets = 0;
    for (; packets < DEVICE_BUDGET && this.#mayRead(); packets++) {
      const length = device.read();
      if (length === 0) break;
      this.#passOn(length);
    }
    // A device that is gone says so when it is read. If it was not read, or had nothing to say, poll would return at once, for ever.
    if (isGone && packets === 0) device.fail(EBADFD);
    if (device.hasFailed) this.#watch(DEVICE_SLOT, NO_DESCRIPTOR);
  }

  #passOn(length: number): void {
    const carrier = this.#carrier;
    if (carrier !== undefined && length <= carrier.tunnelMtu) {
      carrier.sendPacket(length);
      return;
    }
    // Larger than the path carries: main's machine has another way for it, or none.
    const { outgoing, memory } = this.#context;
    const tag = entryTag(ENTRY.devicePacket, 0);
    if (!this.#context.deliver(tag, outgoing, outgoing + length, DATAGRAM_RESERVE)) count(memory.deviceCounters, DEVICE.readDropped);
  }

  #servePath(path: WorkerPath, slot: number): void {
    if ((this.#events(slot) & LINUX.POLLNVAL) !== 0) {
      this.#watch(slot, NO_DESCRIPTOR);
      path.fail(ERRNO.EBADF);
      return;
    }
    path.receive(this.#liveDevice);
  }
}
