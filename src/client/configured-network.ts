/**
 * The network set up by Sallyport itself: a transaction with a journal, kept right while the network underneath changes.
 *
 * Read first: docs/network-setup.md; node/network/configurator.ts and underlay-watch.ts.
 *
 *   connect ─► apply ─► watch ──── change ──► update ──► onUnderlay
 *   reconnect ─► update ─► watch anew, from the connection's new address
 *   disconnect ─► stop watching ─► undo
 */
import { SallyportError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import type { TunnelConfig } from '../core/tunnel/config.ts';
import { type ConfiguratorOptions, NetworkConfigurator, type NetworkUpdate } from '../node/network/configurator.ts';
import { type UnderlayState, type UnderlayWatch, type UnderlayWatchOptions, watchUnderlay } from '../node/network/underlay-watch.ts';
import type { NetworkFacts, NetworkSetup } from './network-setup.ts';

/** How the gateway was reached, and how it is now. */
export interface UnderlayChange {
  readonly before: UnderlayState;
  readonly now: UnderlayState;
}

export interface ConfiguredNetworkOptions {
  readonly log: Logger;
  /** The network underneath has changed; what the configurator set up has been adapted. */
  readonly onUnderlay: (change: UnderlayChange) => void;
  /** Cuts a set-up short that is under way: what was done is undone. */
  readonly signal?: AbortSignal;
  /** For tests: another machine, another folder for the journal. */
  readonly machine?: Pick<ConfiguratorOptions, 'machine' | 'directory'> & Pick<UnderlayWatchOptions, 'monitor'>;
}

export class ConfiguredNetwork implements NetworkSetup {
  readonly #options: ConfiguredNetworkOptions;
  #configurator: NetworkConfigurator | undefined;
  #device = '';
  #watch: UnderlayWatch | undefined;
  /** What was seen of the underlay last. */
  #seen: UnderlayState | undefined;
  #isOver = false;

  constructor(options: ConfiguredNetworkOptions) {
    this.#options = options;
  }

  preInit(): Promise<void> {
    return Promise.resolve();
  }

  /** Rejects if a step fails: what was done is undone then. */
  async connect(config: TunnelConfig, facts: NetworkFacts): Promise<void> {
    const { log, signal, machine: { machine, directory } = {} } = this.#options;
    const { deviceName, gateway } = facts;
    if (deviceName === undefined) throw new SallyportError('ERR_NETWORK_SETUP', 'The device has no name that routes could lead to.');
    this.#device = deviceName;
    const configurator = new NetworkConfigurator({
      device: deviceName,
      gateway,
      log,
      ...(machine !== undefined && { machine }),
      ...(directory !== undefined && { directory }),
    });
    this.#configurator = configurator;
    await configurator.apply(config, signal === undefined ? {} : { signal });
    await this.#watchFrom(facts);
  }

  attemptReconnect(_config: TunnelConfig, { gateway }: NetworkFacts): Promise<void> {
    return this.#update({ gateway });
  }

  async reconnect(config: TunnelConfig, facts: NetworkFacts): Promise<void> {
    await this.#update({ config, gateway: facts.gateway });
    await this.#watchFrom(facts);
  }

  /** Safe to call twice, also at the same time. Rejects with what could not be undone. */
  async disconnect(): Promise<void> {
    this.#isOver = true;
    await this.#watch?.close();
    await this.#configurator?.undo();
  }

  /** Watches the way of a connection. Without a watch the tunnel works all the same: a dead peer is noticed later. */
  async #watchFrom({ gateway, local }: NetworkFacts): Promise<void> {
    const { log, machine: { machine, monitor } = {} } = this.#options;
    await this.#watch?.close();
    this.#watch = undefined;
    if (this.#isOver) return;
    const options: UnderlayWatchOptions = {
      gateway,
      device: this.#device,
      log,
      localAddress: local,
      ...(machine !== undefined && { machine }),
      ...(monitor !== undefined && { monitor }),
    };
    try {
      const watch = await watchUnderlay(options, (state) => {
        void this.#changed(state);
      });
      this.#watch = watch;
      this.#seen = watch.state;
      if (this.#isOver) await watch.close(); // meanwhile
    } catch (error) {
      if (!(error instanceof SallyportError)) throw error;
      log.log('warn', 'underlay unknown', { reason: error.message });
    }
  }

  async #changed(now: UnderlayState): Promise<void> {
    const before = this.#seen ?? now;
    this.#seen = now;
    await this.#update({});
    if (!this.#isOver) this.#options.onUnderlay({ before, now });
  }

  /** What cannot be brought up to date stays as it is: the tunnel may work all the same, and all of it is undone at the end. Never rejects. */
  async #update(update: NetworkUpdate): Promise<void> {
    if (this.#isOver) return;
    try {
      await this.#configurator?.update(update);
    } catch (error) {
      this.#options.log.log('error', 'network not updated', { reason: error instanceof Error ? error.message : String(error) });
    }
  }
}
