/**
 * The engine's loop: one thread that owns the device, the UDP sockets and an eventfd.
 *
 *   pass:   what main committed and commanded, in the order in which it did
 *           packets: see {@link PacketSwitch}
 *           show main what came
 *
 * Read first: messages.ts for the order of commands and packets.
 */
import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import { MisuseError } from '../../core/errors.ts';
import type { Millis } from '../../core/tunnel/packet.ts';
import type { StreamTraffic, TrafficDescription } from '../../core/tunnel/traffic.ts';
import { systemError } from '../ffi/errno.ts';
import { LINUX } from '../ffi/libc.ts';
import { openSocketPair } from '../ffi/sockets.ts';
import { NO_OFFLOADS, openTun, setInterfaceMtu, type TunOffloads } from '../ffi/tun.ts';
import { plainError } from '../plain-error.ts';
import { DatagramCommands } from './datagram-commands.ts';
import { type DeviceDescriptors, oneDescriptor } from './device-descriptors.ts';
import { type Command, ENTRY, type EngineCommands, entryKind, entryPath, type WorkerOptions } from './messages.ts';
import { noteOffloads, noteQueues, wantedQueues } from './offloads.ts';
import { PacketSwitch } from './packet-switch.ts';
import { DEVICE_DESCRIPTORS, EPOLL_DESCRIPTOR, FIRST_PATH_DESCRIPTOR, MAX_DEVICE_QUEUES, WORD } from './shared-memory.ts';
import { StackRings } from './stack-rings.ts';
import { StreamCommands } from './stream-commands.ts';
import { WarmUp } from './warm-up.ts';
import { WorkerContext } from './worker-context.ts';
import { WorkerDevice } from './worker-device.ts';
import type { WorkerEnd } from './worker-end.ts';
import { WorkerPath } from './worker-path.ts';
import { WorkerStackDevice } from './worker-stack-device.ts';

/** A thread inside a system call cannot be ended: this bounds how long it takes to, if all else fails. */
const SLEEP_TIMEOUT = 1000;

/**
 * Nothing to do for so long: then there is time for a step of the warm-up. While a tunnel comes up there is none ({@link WarmUp.quiet}): beside main and its
 * scripts it kept a session waiting 30 ms longer, on two cores. Nor beside a transfer, from which it took more than 100 ms, and whose own packets have the
 * code compiled.
 */
const IDLE_TIME = 2;

/** Commands and entries of main that one pass takes, so that device and paths have their turn. */
const MAIN_BUDGET = 256;

export class EngineLoop {
  readonly #context: WorkerContext;
  readonly #port: MessagePort;
  readonly #switch: PacketSwitch;
  readonly #datagrams: DatagramCommands;
  readonly #streams: StreamCommands;
  readonly #warmUp: WarmUp;
  readonly #onWarm: () => void;
  readonly #hasNews = () => this.#lookForNews();
  #takenCommands = 0;
  /** The next command, when it waits for entries that main committed before it. */
  #command: Command | undefined;
  /** A path whose records wait for the end of their burst, maybe with those of others. */
  #gathering: WorkerEnd | undefined;
  #isStopped = false;
  /** When somebody started or commanded this thread, or a burst passed: on the clock of `performance.now()`. */
  #usedAt: Millis = performance.now();

  /** @param onWarm called when all of the code has run */
  constructor(port: MessagePort, options: WorkerOptions, onWarm: () => void) {
    this.#port = port;
    this.#onWarm = onWarm;
    this.#context = new WorkerContext(port, options);
    const { libc } = this.#context;
    const eventfd = libc.eventfd(0, LINUX.EFD_NONBLOCK | LINUX.EFD_CLOEXEC);
    if (eventfd < 0) throw systemError('eventfd', libc.errno());
    this.#switch = new PacketSwitch(this.#context, eventfd);
    this.#context.memory.descriptors[EPOLL_DESCRIPTOR] = this.#switch.fd + 1;
    this.#datagrams = new DatagramCommands(this.#context, this.#switch);
    this.#streams = new StreamCommands(this.#context, this.#switch);
    this.#warmUp = new WarmUp(
      this.#context,
      () => this.#streams.room,
      (packets) => this.#pass(packets),
    );
    Atomics.store(this.#context.memory.words, WORD.eventfd, eventfd + 1);
    this.#context.report({ type: 'ready', crypto: this.#context.crypto });
  }

  /** Runs until main says stop. Closes every descriptor, however it ends. */
  run(): void {
    try {
      while (!this.#isStopped && Atomics.load(this.#context.memory.words, WORD.abandoned) === 0) this.#pass(this.#switch);
    } finally {
      this.#warmUp.close();
      // Before they are closed: main must not close a number that somebody else has by then.
      this.#context.memory.descriptors.fill(0);
      this.#switch.close();
    }
  }

  /** @param packets the switch, or that of the warm-up, which main has no part in */
  #pass(packets: PacketSwitch): void {
    const isReal = packets === this.#switch;
    const { toMain, toWorker } = this.#context.memory;
    // Before its entries are taken: what main made of the last packets is among them.
    const isMainDone = packets.isHolding && toMain.isTaken;
    if (this.#lookForNews() && isReal) this.#takeFromMain();
    packets.proceed();
    packets.liveDevice?.flush();
    this.#context.flush();
    if (this.#isStopped) return;
    if (isMainDone && toWorker.isRead) packets.release();
    const wait = this.#patience();
    const moved = packets.serve(this.#hasNews, wait);
    if (isReal && packets.wasBusy && !this.#warmUp.isOver) this.#usedAt = performance.now();
    if (!moved && wait === IDLE_TIME && isReal && !this.#lookForNews()) this.#warm();
    this.#context.flush();
  }

  /** How long to be idle, in whole milliseconds; {@link IDLE_TIME}: then the warm-up goes on. */
  #patience(): Millis {
    if (this.#warmUp.isOver || !this.#switch.mayWarmUp(this.#warmUp.hasRunAll)) return SLEEP_TIMEOUT;
    return Math.max(IDLE_TIME, Math.ceil(this.#usedAt + this.#warmUp.quiet - performance.now()));
  }

  #warm(): void {
    const hadRunAll = this.#warmUp.hasRunAll;
    this.#warmUp.step();
    if (!hadRunAll && this.#warmUp.hasRunAll) this.#onWarm();
  }

  #lookForNews(): boolean {
    const { toWorker, words } = this.#context.memory;
    return !toWorker.isRead || Atomics.load(words, WORD.commands) !== this.#takenCommands || Atomics.load(words, WORD.abandoned) !== 0;
  }

  /** Takes commands and entries in the order in which main gave them. */
  #takeFromMain(): void {
    const { toWorker } = this.#context.memory;
    for (let i = 0; i < MAIN_BUDGET && !this.#isStopped; i++) {
      const hasEntry = !toWorker.isRead; // before the look at the commands: one that was given before this entry is seen then
      this.#command ??= this.#nextCommand();
      if (this.#command !== undefined && toWorker.hasReached(this.#command.after)) {
        const command = this.#command;
        this.#command = undefined;
        this.#takenCommands = (this.#takenCommands + 1) | 0;
        this.#obey(command);
      } else if (hasEntry && toWorker.next()) {
        this.#takeEntry(toWorker.tag, toWorker.data, toWorker.start, toWorker.end);
      } else {
        break;
      }
    }
    this.#endBurst();
    toWorker.release();
  }

  #nextCommand(): Command | undefined {
    if (Atomics.load(this.#context.memory.words, WORD.commands) === this.#takenCommands) return undefined;
    return receiveMessageOnPort(this.#port)?.message as Command | undefined;
  }

  #takeEntry(tag: number, data: Buffer, start: number, end: number): void {
    const kind = entryKind(tag);
    if (kind === ENTRY.devicePacket) {
      this.#switch.liveDevice?.addCopy(data, start, end);
      return;
    }
    const path = this.#switch.path(entryPath(tag));
    if (path === undefined) return; // closed since; its machine is gone
    if (kind === ENTRY.record) {
      path.sendRecord(data, start, end);
      this.#gathering = path;
      return;
    }
    this.#endBurst();
    if (kind === ENTRY.received) path.receiveAgain(data, start, end, this.#switch.liveDevice);
    else path.sendDatagram(data, start, end);
  }

  /** Records of main that follow each other leave together. */
  #endBurst(): void {
    this.#gathering?.flush();
    this.#gathering = undefined;
  }

  #obey(command: Command): void {
    this.#usedAt = performance.now();
    this.#endBurst();
    this.#switch.liveDevice?.flush(); // what main gave before
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
      case 'adopt-tun':
        return this.#adoptTun(command.takes);
      case 'open-script':
        return this.#openScript();
      case 'open-stack':
        return this.#openStack(command.takes.rings);
      case 'set-mtu':
        return setInterfaceMtu(this.#context.libc, command.takes.name, command.takes.mtu);
      case 'close-device':
        return this.#closeDevice();
      case 'open-path':
      case 'adopt-path':
      case 'move-traffic':
      case 'set-tunnel-mtu':
        return this.#datagrams.execute(command);
      case 'close-path':
        return this.#closePath(command.takes.path);
      case 'open-stream':
      case 'shake-hands':
      case 'export-keys':
      case 'update-keys':
      case 'settle-stream':
      case 'end-stream':
      case 'unacknowledged':
        return this.#streams.execute(command);
      case 'carry':
        return this.#carry(command.takes.path, command.takes.traffic);
      case 'route':
        return this.#route(command.takes.path);
      case 'set-networks':
        return this.#switch.setNetworks(command.takes.path, command.takes.networks);
      case 'features':
        return this.#streams.features;
      case 'stop':
        this.#isStopped = true;
        return undefined;
    }
    command satisfies never;
  }

  #openTun(name: string | undefined): { readonly name: string } {
    this.#mustHaveNoDevice();
    const { libc, features } = this.#context;
    const wanted = { hasHeader: features.allows('tun-offload'), hasUdp: features.allows('udp-tun-offload') };
    const tun = openTun(libc, name, wanted, wantedQueues(features));
    noteOffloads(features, tun);
    noteQueues(features, tun);
    this.#setDevice({ ...tun, writers: [tun.fd] });
    return { name: tun.name };
  }

  #adoptTun({ writers, queues, name, offloads }: EngineCommands['adopt-tun']['takes']): undefined {
    this.#mustHaveNoDevice();
    if (queues.length > MAX_DEVICE_QUEUES) throw new MisuseError(`a device has up to ${MAX_DEVICE_QUEUES} queues, not ${queues.length}`);
    noteOffloads(this.#context.features, { name, offloads, refusal: 0 });
    noteQueues(this.#context.features, { name, queues });
    this.#setDevice({ writers, queues, name, offloads }, 'adopted');
  }

  #openScript(): { readonly theirs: number } {
    this.#mustHaveNoDevice();
    const { ours, theirs } = openSocketPair(this.#context.libc);
    this.#setDevice({ ...oneDescriptor(ours), name: 'of the script', offloads: NO_OFFLOADS });
    return { theirs };
  }

  #openStack(rings: SharedArrayBuffer): undefined {
    this.#mustHaveNoDevice();
    const { deviceCounters } = this.#context.memory;
    deviceCounters.fill(0);
    this.#switch.setDevice(new WorkerStackDevice(this.#context, new StackRings(rings), deviceCounters));
  }

  #mustHaveNoDevice(): void {
    if (this.#switch.device !== undefined) throw new MisuseError('the packet engine has a device already');
  }

  #setDevice(
    opened: DeviceDescriptors & { readonly name: string; readonly offloads: TunOffloads },
    owner: 'ours' | 'adopted' = 'ours',
  ): void {
    const { descriptors, deviceCounters } = this.#context.memory;
    const held = [...new Set([...opened.writers, ...opened.queues])];
    const { first, count } = DEVICE_DESCRIPTORS;
    if (held.length > count) throw new MisuseError(`a device has up to ${count} descriptors, not ${held.length}`);
    for (const [i, each] of held.entries()) descriptors[first + i] = each + 1;
    deviceCounters.fill(0);
    this.#switch.setDevice(new WorkerDevice(this.#context, opened, opened.name, deviceCounters, opened.offloads, owner));
  }

  #closeDevice(): undefined {
    // Before it is closed: main must not close a number that somebody else has by then.
    const { first, count } = DEVICE_DESCRIPTORS;
    this.#context.memory.descriptors.fill(0, first, first + count);
    this.#switch.setDevice(undefined);
  }

  #closePath(id: number): undefined {
    this.#context.memory.descriptors[FIRST_PATH_DESCRIPTOR + id] = 0;
    this.#switch.setPath(id, undefined);
  }

  #route(id: number | undefined): undefined {
    if (id !== undefined) this.#warmUp.used = this.#pathAt(id) instanceof WorkerPath ? 'datagrams' : 'streams';
    const isNew = this.#switch.setRoute(id);
    if (id !== undefined && isNew) this.#switch.hold();
    return undefined;
  }

  #carry(id: number, traffic: TrafficDescription | StreamTraffic | undefined): unknown {
    try {
      const path = this.#pathAt(id);
      if (traffic !== undefined && !path.isCarried) this.#switch.hold();
      return path.carry(traffic);
    } finally {
      // The copy of the keys that came with the message; the ciphers have their own now.
      for (const key of traffic !== undefined && 'seal' in traffic ? [traffic.seal, ...traffic.open] : []) key.key.fill(0);
    }
  }

  #pathAt(id: number): WorkerEnd {
    const path = this.#switch.path(id);
    if (path === undefined) throw new MisuseError('this path is closed');
    return path;
  }
}
