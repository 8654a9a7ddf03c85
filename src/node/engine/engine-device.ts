/** Main's end of the engine's device. What kind it is, the subclasses know: a TUN, or the socket of a script. */
import { MisuseError, type SallyportError } from '../../core/errors.ts';
import { PACKET_HEADROOM, PACKET_TAILROOM, type Packet } from '../../core/tunnel/packet.ts';
import type { DeviceTraffic, PacketDevice } from '../devices/packet-device.ts';
import type { EngineLink } from './engine-link.ts';
import { ENTRY } from './messages.ts';
import type { DeviceEnd, PacketEngine } from './packet-engine.ts';
import { count, DATAGRAM_RESERVE, DEVICE, type DeviceCounter, WORD } from './shared-memory.ts';

/** Packets handed on at once. */
const MAX_BURST = 64;

/** What a pooled packet holds: an Ethernet-sized one with room to spare. Larger ones get a buffer of their own. */
const POOLED_LENGTH = 2048;

export abstract class EngineDevice implements PacketDevice, DeviceEnd {
  readonly failed: Promise<Error>;
  protected readonly link: EngineLink;
  readonly #engine: PacketEngine;
  readonly #fail: (error: Error) => void;
  readonly #pool: Packet[] = [];
  readonly #burst: Packet[] = [];
  #onBurst: ((packets: readonly Packet[]) => void) | undefined;
  #closed: Promise<void> | undefined;

  /** Takes the engine's device place. Throws {@link MisuseError} if it is taken. */
  protected constructor(engine: PacketEngine) {
    this.#engine = engine;
    const { promise, resolve } = Promise.withResolvers<Error>();
    this.failed = promise;
    this.#fail = resolve;
    this.link = engine.attach(this);
    // Nobody listens yet: packets wait in the kernel.
    this.pause();
  }

  start(onBurst: (packets: readonly Packet[]) => void): void {
    if (this.#onBurst !== undefined) throw new MisuseError('this device was started before');
    this.#onBurst = onBurst;
    this.resume();
  }

  write(packets: readonly Packet[]): void {
    const { deviceCounters } = this.link.memory;
    for (const { buffer, start, end } of packets) {
      if (!this.link.push(ENTRY.devicePacket, 0, buffer, start, end, DATAGRAM_RESERVE)) count(deviceCounters, DEVICE.writeDropped);
    }
    this.link.flush();
  }

  abstract setMtu(mtu: number): Promise<void>;

  traffic(): DeviceTraffic {
    const { deviceCounters } = this.link.memory;
    const of = (packets: DeviceCounter, bytes: DeviceCounter) => ({
      packets: deviceCounters[DEVICE[packets]] ?? 0,
      bytes: deviceCounters[DEVICE[bytes]] ?? 0,
    });
    return { received: of('written', 'writtenBytes'), sent: of('read', 'readBytes') };
  }

  pause(): void {
    Atomics.store(this.link.memory.words, WORD.devicePaused, 1);
  }

  resume(): void {
    Atomics.store(this.link.memory.words, WORD.devicePaused, 0);
    this.link.wake();
  }

  close(): Promise<void> {
    this.#closed ??= this.closeDevice();
    return this.#closed;
  }

  /** Ends the device in the worker and gives the engine's device place back. */
  protected async closeDevice(): Promise<void> {
    try {
      await this.link.call('close-device', {});
    } catch {
      // The engine has ended, and the device with it.
    }
    this.#engine.detach(this);
  }

  receive(data: Buffer, start: number, end: number): void {
    const packet = this.#packetFor(end - start);
    data.copy(packet.buffer, PACKET_HEADROOM, start, end);
    packet.start = PACKET_HEADROOM;
    packet.end = PACKET_HEADROOM + end - start;
    this.#burst.push(packet);
    if (this.#burst.length === MAX_BURST) this.receiveEnd();
  }

  receiveEnd(): void {
    if (this.#burst.length === 0) return;
    if (this.#closed === undefined) this.#onBurst?.(this.#burst);
    this.#burst.length = 0;
  }

  /** The device ended by itself. Also for subclasses, which may know before the worker does. */
  fail(error: SallyportError): void {
    if (this.#closed === undefined) this.#fail(error);
  }

  #packetFor(length: number): Packet {
    if (length > POOLED_LENGTH) return newPacket(length);
    const place = this.#burst.length;
    let packet = this.#pool[place];
    if (packet === undefined) {
      packet = newPacket(POOLED_LENGTH);
      this.#pool[place] = packet;
    }
    return packet;
  }
}

function newPacket(length: number): Packet {
  return { buffer: new Uint8Array(PACKET_HEADROOM + length + PACKET_TAILROOM), start: 0, end: 0 };
}
