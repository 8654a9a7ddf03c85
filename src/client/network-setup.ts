/** What happens to the machine's network around a session: a script is run, or the configurator works, or nothing. */
import type { TunnelConfig } from '../core/tunnel/config.ts';
import type { IpAddress } from '../core/wire/ip-address.ts';

export interface NetworkFacts {
  /** The peer that the connection really goes to: of a proxy, the proxy. */
  readonly gateway: IpAddress;
  /** The address that the connection has at this end. */
  readonly local: IpAddress;
  /** The interface, once the device is open. */
  readonly deviceName?: string;
}

/** The stages of a session, each called when the one before is done; {@link NetworkSetup.preInit} while the tunnel's paths still shake hands. None of them rejects for what the tunnel can live without. */
export interface NetworkSetup {
  /** The configuration is known, the device not open yet. What is done here is not undone. */
  preInit(config: TunnelConfig, facts: NetworkFacts): Promise<void>;
  /** The device is open; packets flow when this is done. */
  connect(config: TunnelConfig, facts: NetworkFacts): Promise<void>;
  /** Before each try to reconnect: the way to the gateway may have changed. */
  attemptReconnect(config: TunnelConfig, facts: NetworkFacts): Promise<void>;
  /** The session is back. */
  reconnect(config: TunnelConfig, facts: NetworkFacts): Promise<void>;
  /** Everything is undone. Called once, if {@link connect} was, whatever became of it. */
  disconnect(config: TunnelConfig, facts: NetworkFacts): Promise<void>;
}

const nothing = (): Promise<void> => Promise.resolve();

/** Leaves the network alone. */
export const noNetworkSetup: NetworkSetup = {
  preInit: nothing,
  connect: nothing,
  attemptReconnect: nothing,
  reconnect: nothing,
  disconnect: nothing,
};
