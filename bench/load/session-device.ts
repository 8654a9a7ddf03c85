/** The device of one session of the load: sends numbered packets, and counts which come back. No interface, no root. */
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

  constructor(options: SessionDeviceOptions) {
    this.#options = options;
  }

  /** Nothing while the tunnel is not there: what is sent has a way to go. */
  sendNext(): void {
    if (this.#onBurst === undefined || this.#isPaused) return;
    const { session, address, target, length } = this.#options;
    const number = ++this.counts.sent;
    this.#out.add(number);
    const route = { from: address, to: target.address, port: target.port };
    this.#onBurst([packetOf(numberedPacket(route, { session, number }, length))]);
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
  }

  setMtu(): Promise<void> {
    return Promise.resolve();
  }

  traffic(): DeviceTraffic {
    const { sent, returned } = this.counts;
    const { length } = this.#options;
    return { sent: { packets: sent, bytes: sent * length }, received: { packets: returned, bytes: returned * length } };
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
  }

  close(): Promise<void> {
    this.#onBurst = undefined;
    return Promise.resolve();
  }
}
