/**
 * A connection to a VPN as a local proxy: for programs that know nothing of it.
 *
 * Read first: proxy-server.ts, route-rules.ts; docs/proxy.md.
 *
 *   programs ─► proxy port, forwarded ports, name server ─► rules ─► VPN (userspace sockets) | this machine's network
 */

import { NetworkError } from '../../core/errors.ts';
import { type Logger, silentLogger } from '../../core/log.ts';
import type { TunnelConfig } from '../../core/tunnel/config.ts';
import { formatIp } from '../../core/wire/ip-address.ts';
import type { IpNetwork } from '../../node/ip/ip-network.ts';
import type { Vpn } from '../vpn.ts';
import { VpnResolver } from '../vpn-resolver.ts';
import type { VpnState } from '../vpn-status.ts';
import { DnsForwarder } from './dns-forwarder.ts';
import { Outward } from './outward.ts';
import { type OutwardNetwork, systemNetwork } from './outward-network.ts';
import { type ForwardParts, LocalForward, type PortForward, RemoteForward } from './port-forward.ts';
import { ProxyCounters } from './proxy-counters.ts';
import { proxyPages } from './proxy-pages.ts';
import { ProxyServer, type ProxyServerOptions } from './proxy-server.ts';
import { RouteRules, type UserRule } from './route-rules.ts';

/** What a proxy has of a connection. */
export interface ProxiedVpn extends Pick<Vpn, 'state' | 'config' | 'device' | 'status'>, IpNetwork {
  on(event: 'state', listener: (state: VpnState) => void): unknown;
  off(event: 'state', listener: (state: VpnState) => void): unknown;
}

export interface VpnProxyOptions extends Pick<ProxyServerOptions, 'address' | 'login' | 'isOpen' | 'maxConnections'> {
  /** Of the proxy. Default: 1080; 0: a free one. */
  readonly port?: number;
  /** What goes through the VPN and what direct, before what the gateway says. */
  readonly rules?: readonly UserRule[];
  /** Ports of this machine that lead inside. */
  readonly localForwards?: readonly PortForward[];
  /** Ports inside that lead to this machine: open when the connection is up. */
  readonly remoteForwards?: readonly PortForward[];
  /** A name server for this machine's programs. Default address: 127.0.0.1. */
  readonly dns?: { readonly address?: string; readonly port: number };
  readonly log?: Logger;
}

/** Where it can be reached. */
export interface VpnProxyPlaces {
  readonly proxy: Place;
  readonly dns?: Place;
  readonly localForwards: readonly (Place & { readonly to: Place })[];
}

export interface Place {
  readonly host: string;
  readonly port: number;
}

export const DEFAULT_PROXY_PORT = 1080;

const NO_NETWORKS = { include: [], exclude: [], dns: [], splitDns: [] } as const;

export class VpnProxy implements AsyncDisposable {
  readonly counters: ProxyCounters;
  readonly #vpn: ProxiedVpn;
  readonly #options: VpnProxyOptions;
  readonly #parts: ForwardParts;
  readonly #log: Logger;
  #server: ProxyServer | undefined;
  #dns: DnsForwarder | undefined;
  readonly #forwards: LocalForward[] = [];
  /** Those that are open. */
  readonly #inside = new Map<PortForward, RemoteForward>();
  /** Settles when those of the last `up` have been tried: two at a time would take each other's ports. */
  #opening: Promise<void> = Promise.resolve();
  #rules: RouteRules;
  #config: TunnelConfig | undefined;
  #isClosed = false;

  /**
   * Listens for a connection with device `userspace`, which need not be up yet: until it is, clients are told that the network cannot be reached.
   * Rejects as {@link ProxyServer.listen} and {@link LocalForward.listen} do.
   */
  static async open(vpn: ProxiedVpn, options: VpnProxyOptions = {}): Promise<VpnProxy> {
    const proxy = new VpnProxy(vpn, options);
    try {
      await proxy.#listen();
    } catch (error) {
      await proxy.close();
      throw error;
    }
    return proxy;
  }

  private constructor(vpn: ProxiedVpn, options: VpnProxyOptions) {
    const { rules = [], log = silentLogger } = options;
    this.#vpn = vpn;
    this.#options = options;
    this.#log = log;
    this.counters = new ProxyCounters();
    this.#rules = new RouteRules(rules, NO_NETWORKS);
    const outward = new Outward({ networks: { vpn: insideOf(vpn), direct: systemNetwork }, rules: () => this.#currentRules() });
    this.#parts = { outward, counters: this.counters, log };
    vpn.on('state', this.#followState);
  }

  get places(): VpnProxyPlaces {
    const { localForwards = [] } = this.#options;
    return {
      proxy: placeOf(this.#server?.address),
      ...(this.#dns !== undefined && { dns: placeOf(this.#dns.address) }),
      localForwards: this.#forwards.map(({ address }, i) => ({ ...placeOf(address), to: localForwards[i]?.to ?? NOWHERE })),
    };
  }

  readonly #followState = (state: VpnState): void => {
    if (state === 'up') this.#opening = this.#opening.then(() => this.#isUp());
  };

  /** Ends all that runs through it; the connection to the VPN stays. Safe to call twice. */
  async close(): Promise<void> {
    this.#vpn.off('state', this.#followState);
    this.#isClosed = true;
    for (const forward of this.#inside.values()) forward.close();
    this.#inside.clear();
    await Promise.all([this.#server?.close(), this.#dns?.close(), ...this.#forwards.map((forward) => forward.close())]);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #listen(): Promise<void> {
    const { port = DEFAULT_PROXY_PORT, localForwards = [], dns, address, login, isOpen, maxConnections } = this.#options;
    this.#server = await ProxyServer.listen({
      ...this.#parts,
      port,
      ...(address !== undefined && { address }),
      ...(login !== undefined && { login }),
      ...(isOpen !== undefined && { isOpen }),
      ...(maxConnections !== undefined && { maxConnections }),
      pages: proxyPages({ status: () => this.#vpn.status(), rules: () => this.#currentRules(), counters: this.counters }),
    });
    if (dns !== undefined) {
      const servers = () => (this.#vpn.config?.dns ?? []).map(formatIp);
      this.#dns = await DnsForwarder.listen({ ...this.#parts, ...dns, ...(isOpen !== undefined && { isOpen }), servers });
    }
    for (const forward of localForwards) this.#forwards.push(await LocalForward.listen(forward, this.#parts));
  }

  /** Each time: one that was refused may be possible now. Those that are open outlive a reconnect, as the sockets inside do. */
  async #isUp(): Promise<void> {
    for (const forward of this.#options.remoteForwards ?? []) {
      if (this.#isClosed) return;
      if (this.#inside.get(forward)?.isOpen === true) continue;
      try {
        const made = await RemoteForward.listen(forward, this.#vpn, this.#parts);
        if (this.#isClosed) made.close();
        else this.#inside.set(forward, made);
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        this.#log.log('warn', 'remote forward refused', { port: forward.port, reason });
      }
    }
  }

  #currentRules(): RouteRules {
    const { config } = this.#vpn;
    if (config !== this.#config) {
      this.#config = config;
      this.#rules = new RouteRules(this.#options.rules ?? [], config ?? NO_NETWORKS);
    }
    return this.#rules;
  }
}

const NOWHERE: Place = { host: '0.0.0.0', port: 0 };

function placeOf(address: { readonly address: string; readonly port: number } | undefined): Place {
  return address === undefined ? NOWHERE : { host: address.address, port: address.port };
}

/** The VPN as a network. Which names are looked up in it is said by our own rules, so that the gateway's are not asked again. */
function insideOf(vpn: ProxiedVpn): OutwardNetwork {
  const resolver = new VpnResolver({
    network: vpn,
    config: () => vpn.config && { ...vpn.config, splitDns: [] },
    families: () => [...new Set(vpn.addresses.map((address) => (address.includes(':') ? 6 : 4)))],
  });
  const whenUp = <T>(use: () => T): T => {
    if (vpn.device !== undefined && vpn.state !== 'closed') return use();
    throw new NetworkError('The VPN is not connected.', { code: 'ENETUNREACH' });
  };
  return {
    createConnection: (options) => whenUp(() => vpn.createConnection(options)),
    createDatagram: (options) => whenUp(() => vpn.createDatagram(options)),
    lookup: async (name, options) => whenUp(() => resolver.lookup(name, options)),
  };
}
