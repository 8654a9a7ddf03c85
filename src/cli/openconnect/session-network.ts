/** The device and the network set-up of a session, as the options say (spec "CLI", section 3.4). */
import { type NetworkSetup, noNetworkSetup } from '../../client/network-setup.ts';
import { ScriptNetwork } from '../../client/script-network.ts';
import type { SessionOptions } from '../../client/vpn-client.ts';
import type { Logger } from '../../core/log.ts';
import { scriptEnvironment } from '../../core/tunnel/script-environment.ts';
import { ScriptTunDevice } from '../../node/devices/script-tun-device.ts';
import { TunDevice } from '../../node/devices/tun-device.ts';
import type { PacketEngine } from '../../node/engine/packet-engine.ts';
import { mergedEnvironment } from '../../node/network/script-runner.ts';
import type { MessageLevel, NetworkSettings } from './settings.ts';

/** IFNAMSIZ without its final NUL. Observed: openconnect cuts a longer name of `--interface` off and goes on. */
const NAME_LENGTH = 15;

/** What `--setuid` needs besides. */
export interface DropInNetwork extends NetworkSetup {
  /** This process is about to become another user. */
  handOver?(): void;
}

/** With `--script-tun` the program gets the packets and no script is run. */
export function networkFor(settings: NetworkSettings, logLevel: MessageLevel, log: Logger): DropInNetwork {
  const { script, scriptTun, interface: wantedDevice } = settings;
  if (scriptTun) return noNetworkSetup;
  return new ScriptNetwork({ command: script, logLevel, log, ...(wantedDevice !== undefined && { wantedDevice }) });
}

export function openDeviceFor(
  settings: NetworkSettings,
  logLevel: MessageLevel,
  engine: Promise<PacketEngine>,
): SessionOptions['openDevice'] {
  const { script, scriptTun } = settings;
  const name = settings.interface?.slice(0, NAME_LENGTH);
  return async (config, { gateway }) => {
    if (!scriptTun) return TunDevice.open(await engine, name === undefined ? {} : { name });
    const facts = { reason: 'script-tun', gateway, pid: process.pid, logLevel } as const;
    const environment = mergedEnvironment(process.env, scriptEnvironment(config, facts, Object.keys(process.env)));
    return ScriptTunDevice.open(await engine, { command: script, environment });
  };
}
