/** Who sets up the network for a connection, and for which device, as {@link ConnectOptions} say. */
import { MisuseError, SallyportError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import { mayConfigureNetwork } from '../node/network/privileges.ts';
import type { ConnectOptions, OpenedInterface } from './connect-options.ts';
import { type NetworkSetup, noNetworkSetup } from './network-setup.ts';
import { isOwnDevice } from './own-device.ts';
import { ScriptNetwork } from './script-network.ts';

export type NetworkChoice = NonNullable<ConnectOptions['network']>;

/** Who sets up the network. Throws {@link MisuseError} where it cannot be done as wanted, and SallyportError (`ERR_PERMISSION`) where this process may not. */
export function networkChoice({ device = 'tun', network }: ConnectOptions): NetworkChoice {
  if (device === 'userspace') {
    if (network === undefined || network === 'none') return 'none';
    throw new MisuseError('With device "userspace" there is no network to set up: leave the option "network" out.');
  }
  const isOwn = isOwnDevice(device);
  if (isOwn && network === 'configure' && device.name === undefined) {
    throw new MisuseError('The network cannot be configured for a device that the system does not know by name.');
  }
  const choice = network ?? (isOwn || isOpened(device) ? 'none' : 'configure');
  if (choice === 'configure') checkPermission();
  return choice;
}

/** A set-up that is not ours. */
export function otherNetwork(choice: NetworkChoice, device: NonNullable<ConnectOptions['device']>, log: Logger): NetworkSetup {
  if (typeof choice === 'string') return noNetworkSetup;
  const wantedDevice = typeof device === 'string' ? undefined : device.name;
  return new ScriptNetwork({ command: choice.script, logLevel: 1, log, ...(wantedDevice !== undefined && { wantedDevice }) });
}

/** Whether the device is an interface that another process has opened. */
export function isOpened(device: NonNullable<ConnectOptions['device']>): device is OpenedInterface {
  return typeof device === 'object' && 'descriptor' in device;
}

function checkPermission(): void {
  if (mayConfigureNetwork()) return;
  throw new SallyportError('ERR_PERMISSION', 'This process may not change the network: that needs root, or the capability CAP_NET_ADMIN.');
}
