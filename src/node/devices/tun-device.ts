/** A kernel TUN interface, run by the packet engine's worker. Linux so far. */

import type { DeviceDescriptors } from '../engine/device-descriptors.ts';
import { EngineDevice } from '../engine/engine-device.ts';
import type { PacketEngine } from '../engine/packet-engine.ts';
import { NO_OFFLOADS, type TunOffloads } from '../ffi/tun.ts';

export interface TunOptions {
  /** The interface's name; absent: `tunN` with the system's choice of N. */
  readonly name?: string;
}

export class TunDevice extends EngineDevice {
  #name = '';
  readonly #setMtu: ((mtu: number) => Promise<void>) | undefined;

  /**
   * Opens the interface. It is down and has no addresses: that is for the network configuration. A persistent interface that was made for this user
   * opens without root.
   *
   * Rejects in plain words when there is no TUN on this machine, the user may not, or the name is taken; with {@link MisuseError} for a name
   * that no interface can have.
   */
  static async open(engine: PacketEngine, options: TunOptions = {}): Promise<TunDevice> {
    const device = new TunDevice(engine);
    try {
      device.#name = (await device.link.call('open-tun', { name: options.name })).name;
      return device;
    } catch (error) {
      await device.close();
      throw error;
    }
  }

  /**
   * Queues of an interface that another process has opened; the descriptors are inherited, do not block, and are the device's when it is there.
   *
   * @param descriptors up to {@link MAX_DEVICE_QUEUES} queues
   * @param offloads what the interface was told to do, all its queues alike
   * @param setMtu sets the interface's MTU where this process does not see it; default: the engine does
   */
  static async adopt(
    engine: PacketEngine,
    { writers, queues }: DeviceDescriptors,
    name: string,
    offloads: TunOffloads = NO_OFFLOADS,
    setMtu?: (mtu: number) => Promise<void>,
  ): Promise<TunDevice> {
    const device = new TunDevice(engine, setMtu);
    try {
      await device.link.call('adopt-tun', { writers, queues, name, offloads });
      device.#name = name;
      return device;
    } catch (error) {
      await device.close();
      throw error;
    }
  }

  private constructor(engine: PacketEngine, setMtu?: (mtu: number) => Promise<void>) {
    super(engine);
    this.#setMtu = setMtu;
  }

  get name(): string {
    return this.#name;
  }

  setMtu(mtu: number): Promise<void> {
    return this.#setMtu?.(mtu) ?? this.link.call('set-mtu', { name: this.#name, mtu });
  }
}
