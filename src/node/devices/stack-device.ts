/**
 * The link end of a userspace stack: a device whose host is not the system but sockets of this process. No root, no interface.
 *
 *   tunnel ──► write ──► stack ──► sockets of this process        with an engine:   paths ──► StackPort ──► stack
 *   tunnel ◄── onBurst ◄── stack ◄──                                                paths ◄── StackPort ◄── stack
 *
 * Work is done in turns: whatever comes, from the tunnel, from a socket or from the clock, asks for one, and it runs when everything else has come that
 * this turn of the event loop brings. So a burst of packets is answered once, what is written in pieces leaves in few segments, and nobody is called back
 * while calling.
 */
import { randomBytes, randomInt } from 'node:crypto';
import { MisuseError } from '../../core/errors.ts';
import { IpStack, type IpStackOptions, SECRET_LENGTH } from '../../core/ip/ip-stack.ts';
import type { Memory } from '../../core/ip/memory.ts';
import type { PacketSink } from '../../core/ip/packet-sink.ts';
import { type Millis, PACKET_HEADROOM, PACKET_TAILROOM, type Packet } from '../../core/tunnel/packet.ts';
import type { StackPort } from '../engine/stack-port.ts';
import { timerWait } from '../timer-wait.ts';
import type { DeviceTraffic, PacketDevice } from './packet-device.ts';

export interface StackDeviceOptions extends Pick<IpStackOptions, 'addresses' | 'mtu' | 'limits' | 'tcp' | 'intercepts'> {
  /** Sees each packet before the stack does. False: it is not for the stack, and was dealt with. Default: all are. */
  readonly isForStack?: IsForStack;
}

/**
 * @param isVerified the field of the TCP checksum does not hold it, see {@link IpStack.receive}
 * @param segment bytes of payload that each of the packets had which were joined; 0: there was one
 */
export type IsForStack = (buffer: Uint8Array, start: number, end: number, isVerified: boolean, segment: number) => boolean;

/** Packets handed to the tunnel at once. */
const MAX_BURST = 128;

/** What one turn sends before others of this process have theirs. */
const TURN_BYTES = 1024 * 1024;

/** Not zeroed, and by memmove: `set` copies into and out of shared memory, as the engine's rings are, word by word, which was a quarter of this thread's time. */
const SYSTEM_MEMORY: Memory = {
  allocate: (length) => Buffer.allocUnsafeSlow(length),
  copy: (source, start, end, target, at) => {
    Buffer.prototype.copy.call(source, target, at, start, end);
  },
};

/** Times that one turn tells sockets of something, if what they do makes more of it. */
const MAX_ROUNDS = 4;

export class StackDevice implements PacketDevice {
  readonly stack: IpStack;
  /** With the engine; else it never does. */
  readonly failed: Promise<Error>;
  readonly #port: StackPort | undefined;
  readonly #sink = new BurstSink();
  readonly #received = { packets: 0, bytes: 0 };
  #onBurst: ((packets: readonly Packet[]) => void) | undefined;
  readonly #isForStack: IsForStack | undefined;
  #isPaused = false;
  /** The engine has no room. */
  #isBlocked = false;
  #isClosed = false;
  #isTurnAsked = false;
  #immediate: NodeJS.Immediate | undefined;
  #timer: NodeJS.Timeout | undefined;
  #timerDue: Millis = Number.POSITIVE_INFINITY;

  /** @param port where packets of paths that the engine carries go, from here on this object's; absent: all go to the tunnel one by one */
  constructor({ isForStack, ...options }: StackDeviceOptions, port?: StackPort) {
    this.#isForStack = isForStack;
    this.#port = port;
    this.failed = port?.failed ?? new Promise(() => undefined);
    this.stack = new IpStack({
      ...options,
      hasOffload: port !== undefined,
      secret: randomBytes(SECRET_LENGTH),
      random: () => randomInt(2 ** 32),
      memory: SYSTEM_MEMORY,
    });
    port?.listen(() => this.#hearOf(port));
  }

  /** The clock of the stack. */
  now(): Millis {
    return performance.now();
  }

  /** A turn is to be made: something was done to a socket. */
  wake(): void {
    if (this.#isTurnAsked || this.#isClosed) return;
    this.#isTurnAsked = true;
    this.#immediate = setImmediate(() => this.#turn());
  }

  start(onBurst: (packets: readonly Packet[]) => void): void {
    if (this.#onBurst !== undefined) throw new MisuseError('this device was started before');
    this.#onBurst = onBurst;
    this.#port?.start(onBurst);
    this.wake();
  }

  write(packets: readonly Packet[]): void {
    if (this.#isClosed) return;
    const now = this.now();
    for (const { buffer, start, end } of packets) {
      this.#received.packets++;
      this.#received.bytes += end - start;
      if (this.#isForStack?.(buffer, start, end, false, 0) !== false) this.stack.receive(buffer, start, end, now);
    }
    this.wake();
  }

  setMtu(mtu: number): Promise<void> {
    this.stack.setMtu(mtu);
    this.wake();
    return Promise.resolve();
  }

  traffic(): DeviceTraffic {
    const { packets, bytes } = this.#sink;
    const engine = this.#port?.traffic();
    if (engine === undefined) return { received: { ...this.#received }, sent: { packets, bytes } };
    const received = { packets: engine.received.packets + this.#received.packets, bytes: engine.received.bytes + this.#received.bytes };
    return { received, sent: engine.sent };
  }

  pause(): void {
    this.#isPaused = true;
    this.#port?.pause();
  }

  resume(): void {
    this.#isPaused = false;
    this.#port?.resume();
    this.wake();
  }

  /** Connections end where they are: who wants them to end in order closes them before. */
  close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    clearImmediate(this.#immediate);
    this.stack.setAddresses([]);
    this.stack.dispatch();
    return this.#port?.close() ?? Promise.resolve();
  }

  /** The engine has packets, or room. */
  #hearOf(port: StackPort): void {
    if (this.#isClosed) return;
    this.#isBlocked = false;
    const now = this.now();
    port.take((buffer, start, end, isVerified, segment) => {
      if (this.#isForStack?.(buffer, start, end, isVerified, segment) !== false) this.stack.receive(buffer, start, end, now, isVerified);
    });
    this.wake();
  }

  #turn(): void {
    if (this.#isClosed) return;
    const now = this.now();
    let left = TURN_BYTES;
    let rounds = 0;
    try {
      const due = this.stack.nextTimeout();
      if (due !== undefined && due <= now) this.stack.handleTimeout(now);
      do {
        this.stack.dispatch();
        left -= this.#transmit(now, left);
      } while (this.stack.wantsDispatch && ++rounds < MAX_ROUNDS && left > 0);
    } finally {
      // Also when a listener has thrown: that is its user's to hear of, and not the end of all other sockets.
      // What listeners have asked for meanwhile this turn has done, or the next one does.
      this.#isTurnAsked = false;
      if (this.stack.wantsDispatch || (this.stack.wantsTransmit && this.#mayTransmit)) this.wake();
      this.#arm(now);
    }
  }

  get #mayTransmit(): boolean {
    return !this.#isPaused && !this.#isBlocked && this.#onBurst !== undefined;
  }

  /** Hands bursts over until there is no more, the tunnel is full or the turn is long enough. Bytes handed over. */
  #transmit(now: Millis, most: number): number {
    const port = this.#port;
    if (port !== undefined) return this.#transmitTo(port, now);
    const before = this.#sink.bytes;
    while (this.#mayTransmit && this.stack.wantsTransmit && this.#sink.bytes - before < most) {
      this.stack.transmit(this.#sink, now);
      const burst = this.#sink.take();
      if (burst.length === 0) break;
      this.#onBurst?.(burst);
    }
    return this.#sink.bytes - before;
  }

  /** Hands over all that there is, or that the engine has room for: that is no more than a turn's. */
  #transmitTo(port: StackPort, now: Millis): number {
    const before = this.stack.counters.bytesOut;
    if (this.#mayTransmit && this.stack.wantsTransmit) this.#isBlocked = !this.stack.transmit(port, now);
    port.show(); // also what others have put there
    return this.stack.counters.bytesOut - before;
  }

  /** One that fires too early costs a turn; one that is set anew for each packet costs more. */
  #arm(now: Millis): void {
    const due = this.stack.nextTimeout();
    if (due === undefined || due >= this.#timerDue) return;
    clearTimeout(this.#timer);
    this.#timerDue = due;
    this.#timer = setTimeout(
      () => {
        this.#timerDue = Number.POSITIVE_INFINITY;
        this.wake();
      },
      timerWait(Math.ceil(due - now)),
    );
    // Who wants the process to live has something else that keeps it alive: the tunnel.
    this.#timer.unref();
  }
}

/** One burst in pooled packets, which are lent to the tunnel for its call. */
class BurstSink implements PacketSink {
  packets = 0;
  bytes = 0;
  readonly #pool: Packet[] = [];
  readonly #burst: Packet[] = [];

  reserve(length: number): Packet | undefined {
    const place = this.#burst.length;
    if (place === MAX_BURST) return undefined;
    let packet = this.#pool[place];
    if (packet === undefined || packet.buffer.length < PACKET_HEADROOM + length + PACKET_TAILROOM) {
      packet = { buffer: new Uint8Array(PACKET_HEADROOM + length + PACKET_TAILROOM), start: 0, end: 0 };
      this.#pool[place] = packet;
    }
    packet.start = PACKET_HEADROOM;
    packet.end = PACKET_HEADROOM + length;
    return packet;
  }

  commit(length: number): void {
    const packet = this.#pool[this.#burst.length] as Packet; // just reserved
    packet.end = packet.start + length;
    this.#burst.push(packet);
    this.packets++;
    this.bytes += length;
  }

  /** The burst so far; it is the caller's until the next {@link reserve}. */
  take(): readonly Packet[] {
    return this.#burst.splice(0);
  }
}
