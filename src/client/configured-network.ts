/** The network set up by Sallyport itself: a transaction with a journal, kept right while the network underneath changes. */

import { SallyportError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import type { TunnelConfig } from '../core/tunnel/config.ts';
import { NetworkConfigurator, type NetworkUpdate } from '../node/network/configurator.ts';
import { type UnderlayState, type UnderlayWatch, watchUnderlay } from '../node/network/underlay-watch.ts';
import type { NetworkFacts, NetworkSetup } from './network-setup.ts';

export interface ConfiguredNetworkOptions {
  readonly log: Logger;
  /** The network underneath has changed; what the configurator set up has been adapted. */
  readonly onUnderlay: (state: UnderlayState) => void;
}

export class ConfiguredNetwork implements NetworkSetup {
  readonly #options: ConfiguredNetworkOptions;
  #configurator: NetworkConfigurator | undefined;
  #watch: UnderlayWatch | undefined;

  constructor(options: ConfiguredNetworkOptions) {
    this.#options = options;
  }

  preInit(): Promise<void> {
    return Promise.resolve();
  }

  /** Rejects if a step fails: what was done is undone then. */
  async connect(config: TunnelConfig, { gateway, deviceName }: NetworkFacts): Promise<void> {
    const { log, onUnderlay } = this.#options;
    if (deviceName === undefined) throw new SallyportError('ERR_NETWORK_SETUP', 'The device has no name that routes could lead to.');
    const configurator = new NetworkConfigurator({ device: deviceName, gateway, log });
    this.#configurator = configurator;
    const { notes } = await configurator.apply(config);
    for (const note of notes) log.log('warn', 'network note', { note });
    this.#watch = await watchUnderlay({ gateway, device: deviceName, log }, (state) => {
      void this.#update({}).finally(() => onUnderlay(state));
    });
  }

  attemptReconnect(_config: TunnelConfig, { gateway }: NetworkFacts): Promise<void> {
    return this.#update({ gateway });
  }

  reconnect(config: TunnelConfig, { gateway }: NetworkFacts): Promise<void> {
    return this.#update({ config, gateway });
  }

  async disconnect(): Promise<void> {
    await this.#watch?.close();
    await this.#configurator?.undo();
  }

  /** What cannot be brought up to date stays as it is: the tunnel may work all the same, and all of it is undone at the end. */
  async #update(update: NetworkUpdate): Promise<void> {
    try {
      await this.#configurator?.update(update);
    } catch (error) {
      if (!(error instanceof SallyportError)) throw error;
      this.#options.log.log('error', 'network not updated', { reason: error.message });
    }
  }
}
