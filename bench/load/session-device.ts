/**
 * The device of one session of the load: sends numbered packets, and counts which come back. No interface, no root.
 *
 * Either whoever owns it says when ({@link SessionDevice.sendNext}), or it keeps so many on their way ({@link SessionDevice.keep}).
 */
import type { Packet } from '../../src/core/tunnel/packet.ts';
import { packetBytes, packetOf } from '../../src/core/tunnel/packet.ts';
import type { IpAddress } from '../../src/core/wire/ip-address.ts';
import type { DeviceTraffic, PacketDevice } from '../../src/node/devices/packet-device.ts';
import { marksOf, numberedPacket } from './numbered-packet.ts';

export interface SessionTraffic {
  sent: number;
  /** Came back. */
  returned: number;
  /** Came back again, or with the number of a packet that has not been sent. */
  wrong: number;
  /** Were another session's. */
  misdelivered: number;
}

export interface SessionDeviceOptions {
  /** Told apart from others by this. */
  readonly session: number;
  readonly address: IpAddress;
  readonly target: { readonly address: IpAddress; readonly port: number };
  /** Bytes of each packet. */
  readonly length: number;
}

export class SessionDevice implements PacketDevice {
  readonly failed: Promise<Error> = new Promise(() => undefined); // there is nothing that could
  readonly counts: SessionTraffic = { sent: 0, returned: 0, wrong: 0, misdelivered: 0 };
  readonly #options: SessionDeviceOptions;
  /** Numbers that are out: few, as answers take milliseconds; those of lost packets stay. */
  readonly #out = new Set<number>();
  #onBurst: ((packets: readonly Packet[]) => void) | undefined;
  #isPaused = false;
  /** Packets that are kept on their way; 0: none are. */
  #window = 0;
  /** Of each packet. */
  #length: number;
  #returnedBefore = 0;

  constructor(options: SessionDeviceOptions) {
    this.#options = options;
    this.#length = options.length;
  }

  /** From now on so many packets of this length are on their way: what comes back is followed by as many. 0 ends it. */
  keep(window: number, length: number): void {
    this.#window = window;
    this.#length = length;
    this.#refill();
  }

  /** What has not come back since the last time that nothing did is lost, and does not count as on its way any more. */
  forgetLost(): void {
    if (this.#window === 0) return;
    if (this.counts.returned === this.#returnedBefore) this.#out.clear();
    this.#returnedBefore = this.counts.returned;
    this.#refill();
  }

  /** Nothing while the tunnel is not there: what is sent has a way to go. */
  sendNext(): void {
    if (this.#onBurst === undefined || this.#isPaused) return;
    this.#onBurst([this.#nextPacket()]);
  }

  start(onBurst: (packets: readonly Packet[]) => void): void {
    this.#onBurst = onBurst;
  }

  write(packets: readonly Packet[]): void {
    for (const packet of packets) {
      const marks = marksOf(packetBytes(packet));
      if (marks === undefined) continue;
      if (marks.session !== this.#options.session) this.counts.misdelivered++;
      else if (this.#out.delete(marks.number)) this.counts.returned++;
      else this.counts.wrong++;
    }
    this.#refill();
  }

  setMtu(): Promise<void> {
    return Promise.resolve();
  }

  traffic(): DeviceTraffic {
    const { sent, returned } = this.counts;
    const length = this.#length;
    return { sent: { packets: sent, bytes: sent * length }, received: { packets: returned, bytes: returned * length } };
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.#refill();
  }

  close(): Promise<void> {
    this.#onBurst = undefined;
    return Promise.resolve();
  }

  /** As one burst. */
  #refill(): void {
    const room = this.#window - this.#out.size;
    if (room <= 0 || this.#onBurst === undefined || this.#isPaused) return;
    this.#onBurst(Array.from({ length: room }, () => this.#nextPacket()));
  }

  #nextPacket(): Packet {
    const { session, address, target } = this.#options;
    const number = ++this.counts.sent;
    this.#out.add(number);
    const route = { from: address, to: target.address, port: target.port };
    return packetOf(numberedPacket(route, { session, number }, this.#length));
  }
}
