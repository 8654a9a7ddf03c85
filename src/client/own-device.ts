/** Who made the device of a connection. In a file of its own, as the engine's start asks for it and needs nothing of the network. */
import type { PacketDevice } from '../node/devices/packet-device.ts';
import type { ConnectOptions } from './connect-options.ts';

/** Whether the device is the caller's own, and not an interface that is made. */
export function isOwnDevice(device: NonNullable<ConnectOptions['device']>): device is PacketDevice {
  return typeof device === 'object' && 'start' in device;
}
