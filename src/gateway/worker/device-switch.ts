/**
 * One device, many tunnels: packets from the device go to the tunnel that has their destination, packets of the tunnels go to the device.
 *
 * A gateway's workers share an interface of several queues, and the kernel now and then puts a packet into a queue of another worker than the one of its
 * tunnel: those are handed to {@link DeviceSwitchOptions.forward}.
 */
import { AddressTable } from '../../core/tunnel/address-table.ts';
import { isIpPacket } from '../../core/tunnel/inner-packet.ts';
import { type Packet, packetBytes } from '../../core/tunnel/packet.ts';
import type { Cidr } from '../../core/wire/ip-address.ts';
import type { PacketDevice } from '../../node/devices/packet-device.ts';

/** Where a tunnel takes packets from the device. */
export type PacketTaker = (packets: readonly Packet[]) => void;

export interface DeviceSwitchOptions {
  /** Packets for tunnels that are not here, copied. Undefined: there are no others. */
  readonly forward?: (packets: readonly Uint8Array[]) => void;
}

/** What is wanted of the device. */
export interface SharedDevice extends Pick<PacketDevice, 'start' | 'write'> {
  /** Packets from clients elsewhere go past it to clients here. */
  passing?(packets: readonly Packet[]): void;
}

export class DeviceSwitch {
  readonly #device: SharedDevice;
  readonly #forward: ((packets: readonly Uint8Array[]) => void) | undefined;
  readonly #tunnels = new AddressTable<PacketTaker>();

  constructor(device: SharedDevice, { forward }: DeviceSwitchOptions = {}) {
    this.#device = device;
    this.#forward = forward;
  }

  start(): void {
    this.#device.start((packets) => this.#distribute(packets, this.#forward));
  }

  /** Packets to these networks are the tunnel's from now on; it replaces one that had them before. */
  attach(networks: readonly Cidr[], take: PacketTaker): void {
    for (const network of networks) this.#tunnels.set(network, take);
  }

  detach(networks: readonly Cidr[], take: PacketTaker): void {
    for (const network of networks) this.#tunnels.delete(network, take);
  }

  /** Packets of a tunnel, for the device. */
  write(packets: readonly Packet[]): void {
    this.#device.write(packets);
  }

  /** Packets that another worker has read for tunnels here. */
  deliver(packets: readonly Packet[]): void {
    this.#device.passing?.(packets);
    this.#distribute(packets, undefined);
  }

  /** Runs of packets for one tunnel go to it in one call. */
  #distribute(packets: readonly Packet[], forward: ((packets: readonly Uint8Array[]) => void) | undefined): void {
    const foreign: Uint8Array[] = [];
    let from = 0;
    let taker: PacketTaker | undefined;
    for (const [i, packet] of packets.entries()) {
      const own = isIpPacket(packet.buffer, packet.start, packet.end) ? this.#tunnels.ofPacket(packet.buffer, packet.start) : undefined;
      if (own !== taker || own === undefined) {
        taker?.(packets.slice(from, i));
        [from, taker] = [i, own];
      }
      if (own === undefined && forward !== undefined) foreign.push(packetBytes(packet).slice());
    }
    taker?.(from === 0 ? packets : packets.slice(from));
    if (foreign.length > 0) forward?.(foreign);
  }
}
