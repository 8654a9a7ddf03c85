/** A device in memory, for tests and for programs that have packets of their own: what the host would send goes in, what it would get comes out. */
import { MisuseError } from '../../core/errors.ts';
import { type Packet, packetBytes, packetOf } from '../../core/tunnel/packet.ts';
import type { DeviceTraffic, PacketDevice } from './packet-device.ts';

/** Packets that wait in each direction. Beyond it they are dropped and counted, as an interface's queue does. */
const MAX_QUEUED = 1024;

export class MemoryDevice implements PacketDevice {
  readonly failed: Promise<Error>;
  /** Largest packet that {@link send} takes. */
  mtu = 1500;
  /** Packets lost because nobody took them in time, or because they were too large. */
  dropped = 0;
  readonly #fail: (error: Error) => void;
  readonly #received = { packets: 0, bytes: 0 };
  readonly #sent = { packets: 0, bytes: 0 };
  /** From the host, while the device is paused or not started. */
  readonly #waiting: Uint8Array[] = [];
  /** To the host. */
  readonly #arrived: Uint8Array[] = [];
  readonly #receivers: ((packet: Uint8Array | undefined) => void)[] = [];
  #onBurst: ((packets: readonly Packet[]) => void) | undefined;
  #isPaused = false;
  #isClosed = false;

  constructor() {
    const { promise, resolve } = Promise.withResolvers<Error>();
    this.failed = promise;
    this.#fail = resolve;
  }

  // The host's side.

  /** The host sends a packet into the tunnel. */
  send(packet: Uint8Array): void {
    if (this.#isClosed || packet.length > this.mtu || this.#waiting.length >= MAX_QUEUED) {
      this.dropped++;
      return;
    }
    this.#waiting.push(Uint8Array.from(packet));
    this.#sent.packets++;
    this.#sent.bytes += packet.length;
    this.#deliver();
  }

  /** The next packet that the tunnel has for the host; undefined when the device is closed. */
  receive(): Promise<Uint8Array | undefined> {
    const packet = this.#arrived.shift();
    if (packet !== undefined || this.#isClosed) return Promise.resolve(packet);
    return new Promise((resolve) => this.#receivers.push(resolve));
  }

  /** All packets for the host until the device is closed. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    for (let packet = await this.receive(); packet !== undefined; packet = await this.receive()) yield packet;
  }

  traffic(): DeviceTraffic {
    return { received: { ...this.#received }, sent: { ...this.#sent } };
  }

  /** Lets the device fail, as a deleted interface would. */
  fail(error: Error): void {
    this.#fail(error);
  }

  // The tunnel's side.

  start(onBurst: (packets: readonly Packet[]) => void): void {
    if (this.#onBurst !== undefined) throw new MisuseError('this device was started before');
    this.#onBurst = onBurst;
    this.#deliver();
  }

  write(packets: readonly Packet[]): void {
    for (const packet of packets) {
      const bytes = Uint8Array.from(packetBytes(packet));
      this.#received.packets++;
      this.#received.bytes += bytes.length;
      const receiver = this.#receivers.shift();
      if (receiver !== undefined) receiver(bytes);
      else if (!this.#isClosed && this.#arrived.length < MAX_QUEUED) this.#arrived.push(bytes);
      else this.dropped++;
    }
  }

  setMtu(mtu: number): Promise<void> {
    this.mtu = mtu;
    return Promise.resolve();
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.#deliver();
  }

  close(): Promise<void> {
    this.#isClosed = true;
    this.#waiting.length = 0;
    for (const receiver of this.#receivers.splice(0)) receiver(undefined);
    return Promise.resolve();
  }

  #deliver(): void {
    if (this.#onBurst === undefined || this.#isPaused || this.#waiting.length === 0) return;
    this.#onBurst(this.#waiting.splice(0).map(packetOf));
  }
}
