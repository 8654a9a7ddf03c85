/**
 * A userspace stack's way to the engine: packets of carried paths go between its rings and the worker, which cuts super-packets, finishes checksums, seals,
 * opens and joins as it does for a TUN. What no path carries comes to `onBurst`, packet by packet, as from any device of the engine.
 *
 *   stack ──► StackPort (a sink) ──► ring ──► worker ──► path
 *   stack ◄── StackPort.take     ◄── ring ◄── worker ◄── path
 *
 * Read first: stack-rings.ts; core/ip/packet-sink.ts.
 */
import type { PacketSink } from '../../core/ip/packet-sink.ts';
import type { Packet } from '../../core/tunnel/packet.ts';
import { VIRTIO_HEADER_LENGTH } from '../ffi/tun.ts';
import { EngineDevice } from './engine-device.ts';
import type { PacketEngine } from './packet-engine.ts';
import { ROOM_WANTED, StackRings } from './stack-rings.ts';

/** What is written before the worker is shown it: it works on that while the stack goes on. */
const SHOWN_AT = 64 * 1024;

// The virtio specification, "Device Operation" of the network device: flags, types, places of the fields.
const NEEDS_CHECKSUM = 1;
const GSO_TCPV4 = 1;
const GSO_TCPV6 = 4;
const AT = { flags: 0, type: 1, headerLength: 2, segment: 4, checksumStart: 6, checksumOffset: 8 } as const;

const IPV6_HEADER = 40;
/** Of the checksum in a TCP header (RFC 9293 §3.1). */
const TCP_CHECKSUM = 16;

export class StackPort extends EngineDevice implements PacketSink {
  readonly #rings: StackRings;
  readonly #room: Packet;
  /** Written, and not shown to the worker yet. */
  #hidden = 0;
  #onNews: (() => void) | undefined;

  /** Takes the engine's device place. Rejects as {@link TunDevice.open}. */
  static async open(engine: PacketEngine): Promise<StackPort> {
    const port = new StackPort(engine);
    try {
      await port.link.call('open-stack', { rings: port.#rings.buffer });
      return port;
    } catch (error) {
      await port.close();
      throw error;
    }
  }

  private constructor(engine: PacketEngine) {
    super(engine);
    this.#rings = new StackRings();
    this.#room = { buffer: this.#rings.toWorker.data, start: 0, end: 0 };
  }

  /** Called when there are packets to {@link take}, or room again after {@link reserve} found none. */
  listen(onNews: () => void): void {
    this.#onNews = onNews;
  }

  /** The stack knows by itself. */
  setMtu(): Promise<void> {
    return Promise.resolve();
  }

  // To the worker.

  reserve(length: number): Packet | undefined {
    const { toWorker, words } = this.#rings;
    const room = this.#room;
    let at = toWorker.reserve(VIRTIO_HEADER_LENGTH + length);
    if (at < 0) {
      this.show();
      Atomics.store(words, ROOM_WANTED, 1);
      at = toWorker.reserve(VIRTIO_HEADER_LENGTH + length); // it may have made some before it could see that
      if (at < 0) return undefined;
      Atomics.store(words, ROOM_WANTED, 0);
    }
    room.start = at + VIRTIO_HEADER_LENGTH;
    room.end = room.start + length;
    return room;
  }

  commit(length: number, segment: number, isUnfinished: boolean): void {
    const { buffer, start } = this.#room;
    const header = start - VIRTIO_HEADER_LENGTH;
    for (let i = 0; i < VIRTIO_HEADER_LENGTH; i++) buffer[header + i] = 0;
    if (isUnfinished) {
      const first = buffer[start] as number;
      const isIpv4 = first >>> 4 === 4;
      const ipHeader = isIpv4 ? (first & 15) * 4 : IPV6_HEADER;
      buffer[header + AT.flags] = NEEDS_CHECKSUM;
      buffer[header + AT.checksumStart] = ipHeader;
      buffer[header + AT.checksumOffset] = TCP_CHECKSUM;
      if (segment > 0) {
        buffer[header + AT.type] = isIpv4 ? GSO_TCPV4 : GSO_TCPV6;
        buffer[header + AT.headerLength] = ipHeader + ((buffer[start + ipHeader + 12] as number) >>> 4) * 4;
        buffer[header + AT.segment] = segment & 0xff;
        buffer[header + AT.segment + 1] = segment >>> 8;
      }
    }
    this.#rings.toWorker.commit(0, VIRTIO_HEADER_LENGTH + length);
    this.#hidden += length;
    if (this.#hidden >= SHOWN_AT) this.show();
  }

  /** Shows the worker what was written. */
  show(): void {
    if (this.#hidden === 0) return;
    this.#hidden = 0;
    this.#rings.toWorker.publish();
    this.link.wake();
  }

  // From the worker.

  override receiveEnd(): void {
    super.receiveEnd();
    this.#onNews?.();
  }

  /**
   * Hands over what has come. The bytes are lent for the call.
   *
   * @param receive what to do with each. `isVerified`: the TCP checksum of the packet, whose field does not hold it, has been verified; `segment`: bytes
   * of payload that each of the packets had which were joined, 0 where there was one
   */
  take(receive: (buffer: Uint8Array, start: number, end: number, isVerified: boolean, segment: number) => void): void {
    const { toStack } = this.#rings;
    // No more than was there at the start: the rest is announced, and others have their turn.
    const end = toStack.published;
    if (toStack.hasReached(end)) return;
    while (!toStack.hasReached(end) && toStack.next()) {
      const isVerified = toStack.data[toStack.start + AT.flags] === NEEDS_CHECKSUM;
      const { data, start } = toStack;
      const isJoined = data[start + AT.type] !== 0;
      const segment = isJoined ? (data[start + AT.segment] as number) + (data[start + AT.segment + 1] as number) * 0x100 : 0;
      receive(data, start + VIRTIO_HEADER_LENGTH, toStack.end, isVerified, segment);
    }
    toStack.release(true);
  }
}
