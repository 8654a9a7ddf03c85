/**
 * What the gateway has of this machine: the device, the addresses to give out, routes, rules and scripts. Sessions take their parts by
 * {@link GatewayNetwork.sessions}; here is what all of them share, from the start to the end.
 */
import { SallyportError } from '../../core/errors.ts';
import type { Logger } from '../../core/log.ts';
import type { NatService } from '../../core/nat/destination.ts';
import type { Cidr, Endpoint } from '../../core/wire/ip-address.ts';
import { NodeCrypto } from '../../node/crypto/node-crypto.ts';
import { wantedOffloads, wantedQueues } from '../../node/engine/offloads.ts';
import { hostResolvers } from '../../node/network/host-resolvers.ts';
import type { GatewayConfig } from '../config/gateway-config.ts';
import type { InnerNetwork } from '../nat/inner-network.ts';
import { ClientRoutes } from '../network/client-routes.ts';
import { GatewayDevice, MAX_QUEUES } from '../network/gateway-device.ts';
import type { InnerDevice } from '../network/inner-device.ts';
import { LeaseWriter, readLeases } from '../network/lease-file.ts';
import { LeasePool } from '../network/lease-pool.ts';
import { isAnswering } from '../network/ping-address.ts';
import { parseRouteCommand, type RouteCommand } from '../network/route-command.ts';
import { NO_FIREWALL, SessionFirewall } from '../network/session-firewall.ts';
import { SessionNetwork } from '../network/session-network.ts';
import { SessionScripts } from '../network/session-scripts.ts';
import { UserspaceDevice } from '../network/userspace-device.ts';
import type { WorkerDevice } from '../processes/worker-contract.ts';

/** Without a wish of the administrator's: what the link of an ordinary machine carries, in bytes. */
export const DEFAULT_LINK_MTU = 1500;

/** What the tunnel takes of it at least: IPv4, UDP, a DTLS record with AES-GCM, the type byte. No client has a larger MTU inside. */
const LEAST_OVERHEAD = 66;

const INNER_MTU: number = DEFAULT_LINK_MTU - LEAST_OVERHEAD;

export interface GatewayNetworkOptions {
  /** How many: each has queues of the device. */
  readonly workers: number;
  /** Where leases are kept over a restart. */
  readonly leaseFile: string;
  /** Sessions that outlived the last run: their leases come back. */
  readonly isKnown: (session: string) => boolean;
  readonly log: Logger;
}

export class GatewayNetwork {
  readonly sessions: SessionNetwork;
  readonly leases: LeasePool;
  readonly routes: ClientRoutes;
  /** Without an interface: the workers are to know of another network inside. Set when there are workers. */
  onInnerChange: ((network: InnerNetwork) => void) | undefined;
  readonly #device: InnerDevice;
  readonly #workers: number;
  readonly #firewall: Pick<SessionFirewall, 'restrict' | 'release' | 'removeLeftovers' | 'close'>;
  readonly #scripts: SessionScripts;
  readonly #writer: LeaseWriter;
  #services: readonly NatService[];
  #resolvers: readonly Endpoint[] = [];

  /** Rejects in plain words, and leaves nothing, where the machine does not do as it should. */
  static async open(config: GatewayConfig, options: GatewayNetworkOptions): Promise<GatewayNetwork> {
    const { workers, leaseFile, isKnown, log } = options;
    const kept = await readLeases(leaseFile);
    const device = config.network.isUserspace ? new UserspaceDevice() : await openDevice(config, workers, log);
    try {
      for (const notice of await device.notices()) log.log('warn', notice);
      const network = new GatewayNetwork(config, device, options);
      await network.#configure(config);
      await network.#firewall.removeLeftovers();
      network.leases.restore(kept, isKnown);
      return network;
    } catch (error) {
      device.close();
      throw error;
    }
  }

  private constructor({ network, scripts }: GatewayConfig, device: InnerDevice, options: GatewayNetworkOptions) {
    const { leaseFile, log, workers } = options;
    this.#device = device;
    this.#workers = workers;
    if (device instanceof UserspaceDevice) device.onChange = () => this.#innerChanged();
    this.#services = network.nat.services;
    this.#writer = new LeaseWriter(leaseFile, {
      entries: () => this.leases.entries,
      onError: (error) => log.log('warn', error.message),
    });
    this.leases = new LeasePool({
      crypto: new NodeCrypto(),
      onChange: () => this.#writer.changed(),
      ...(network.pingLeases && { isAnswering: (address) => isAnswering(address) }),
    });
    this.routes = new ClientRoutes({
      ...{ device: device.name, log, hasInterface: !network.isUserspace, onChange: () => this.#innerChanged() },
      ...commandOf('addCommand', network.routeAddCommand),
      ...commandOf('deleteCommand', network.routeDeleteCommand),
    });
    this.#firewall = network.isUserspace ? NO_FIREWALL : new SessionFirewall({ device: device.name });
    this.#scripts = new SessionScripts({ scripts, log });
    const { leases, routes } = this;
    this.sessions = new SessionNetwork({ device, leases, routes, firewall: this.#firewall, scripts: this.#scripts });
  }

  /** The device's name. */
  get device(): string {
    return this.#device.name;
  }

  /** What workers have to know of it, now. */
  get forWorkers(): WorkerDevice {
    const { name, hasWriter, offloads } = this.#device;
    const network = this.#inner;
    return network === undefined
      ? { kind: 'interface', name, descriptors: this.#descriptorsOfEach, hasWriter, offloads }
      : { kind: 'userspace', mtu: INNER_MTU, network };
  }

  get #descriptorsOfEach(): number {
    return this.#device.descriptors.length / this.#workers;
  }

  /** The descriptors of the device that a worker inherits, by its number; none where there is no interface. */
  descriptorsOf(worker: number): readonly number[] {
    const each = this.#descriptorsOfEach;
    return this.#device.descriptors.slice(worker * each, (worker + 1) * each);
  }

  /** After a reload. */
  async configure(config: GatewayConfig): Promise<void> {
    await this.#configure(config);
    this.#innerChanged();
  }

  /** Pools, scripts, services, the host's name servers. */
  async #configure(config: GatewayConfig): Promise<void> {
    if (config.network.isUserspace) this.#resolvers = await hostResolvers();
    this.#services = config.network.nat.services;
    await this.#device.addPools(poolsOf(config));
    this.#scripts.reload(config.scripts);
  }

  #innerChanged(): void {
    const inner = this.#inner;
    if (inner !== undefined) this.onInnerChange?.(inner);
  }

  /** Undefined: there is an interface, and the kernel knows. */
  get #inner(): InnerNetwork | undefined {
    if (!(this.#device instanceof UserspaceDevice)) return undefined;
    const { own, pools } = this.#device;
    return { own, clients: [...pools, ...this.routes.networks], resolvers: this.#resolvers, services: this.#services };
  }

  /** All sessions have been closed before. */
  async close(): Promise<void> {
    await this.#scripts.settled();
    await this.#firewall.close();
    await this.#writer.flush();
    this.#device.close();
  }
}

function poolsOf({ hosts }: GatewayConfig): Cidr[] {
  return hosts.flatMap(({ pools }) => [pools.ipv4, pools.ipv6].filter((pool) => pool !== undefined));
}

function commandOf<Name extends string>(name: Name, text: string | undefined): Partial<Record<Name, RouteCommand>> {
  return text === undefined ? {} : ({ [name]: parseRouteCommand(text) } as Record<Name, RouteCommand>);
}

/** What the system says where it has no descriptors, or Linux no queues, for as many as were asked for. */
const TOO_MANY: readonly string[] = ['EMFILE', 'ENFILE', 'E2BIG'];

/**
 * With as many queues for each worker as its engine takes; with one for each, where there cannot be so many. Flows go to the worker that writes to them;
 * where there is but one, what it writes moves none.
 */
async function openDevice(config: GatewayConfig, workers: number, log: Logger): Promise<GatewayDevice> {
  const each = Math.max(1, Math.min(wantedQueues(), Math.floor(MAX_QUEUES / workers)));
  const options = {
    ...{ device: config.network.device, queues: workers, mtu: INNER_MTU },
    ...{ pools: poolsOf(config), offloads: wantedOffloads() },
  };
  if (each === 1) return await GatewayDevice.open(options);
  try {
    return await GatewayDevice.open({ ...options, queues: workers * each, wantsWriter: workers === 1 });
  } catch (error) {
    if (!(error instanceof SallyportError && TOO_MANY.includes(error.code))) throw error;
    const device = await GatewayDevice.open(options);
    log.log('warn', 'the device has one queue for each worker', { reason: error.message });
    return device;
  }
}
