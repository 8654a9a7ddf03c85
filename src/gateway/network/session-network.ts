/**
 * All that a session has of the machine, taken together and given back together: addresses, routes, rules, the administrator's word.
 *
 *   open   lease ─► pool on the device ─► routes ─► rules ─► connect script ─► the client may have its tunnel
 *          a step that fails takes back those before it
 *   close  disconnect script · rules · routes; the lease stays with the session, until `end`
 */
import type { Cidr } from '../../core/wire/ip-address.ts';
import type { SessionPolicy } from '../config/gateway-config.ts';
import type { SessionUsage } from '../processes/auth-service.ts';
import type { ClientRoutes } from './client-routes.ts';
import type { InnerDevice } from './inner-device.ts';
import type { LeaseGrant, LeasePool, LeaseRequest } from './lease-pool.ts';
import type { SessionScriptFacts } from './session-environment.ts';
import type { SessionFirewall } from './session-firewall.ts';
import type { SessionScripts } from './session-scripts.ts';

export interface SessionNetworkOptions {
  readonly device: Pick<InnerDevice, 'name' | 'addPools' | 'covers'>;
  readonly leases: LeasePool;
  readonly routes: ClientRoutes;
  readonly firewall: Pick<SessionFirewall, 'restrict' | 'release'>;
  readonly scripts: SessionScripts;
}

export interface SessionOpening {
  readonly request: LeaseRequest;
  readonly policy: SessionPolicy;
  /** What scripts are told besides. */
  readonly facts: Omit<SessionScriptFacts, 'device' | 'lease' | 'policy' | 'usage'>;
}

export class SessionNetwork {
  readonly #options: SessionNetworkOptions;
  /** What `disconnect` is told: the same as `connect` was. */
  readonly #open = new Map<string, SessionScriptFacts>();

  constructor(options: SessionNetworkOptions) {
    this.#options = options;
  }

  /**
   * Opens a session's network for one tunnel; {@link close} goes before the next one. Throws {@link PeerRefusedError} where the client is not to be let
   * in, and {@link SallyportError} where the machine does not do as it should. A session that is new has no lease then.
   */
  async open({ request, policy, facts }: SessionOpening): Promise<LeaseGrant> {
    const { device, leases, routes, firewall, scripts } = this.#options;
    const { session, pools } = request;
    const isNew = leases.leaseOf(session) === undefined;
    const grant = await leases.acquire(request);
    const { lease } = grant;
    try {
      await device.addPools([pools.ipv4, pools.ipv6].filter((pool) => pool !== undefined));
      const units = [lease.ipv4, lease.ipv6].flatMap((leased): Cidr[] => (leased === undefined ? [] : [leased.unit]));
      await routes.add(
        session,
        policy.iroutes,
        units.filter((unit) => !device.covers(unit)),
      );
      await firewall.restrict(session, [...units, ...policy.iroutes], policy);
      const told: SessionScriptFacts = { ...facts, device: device.name, lease, policy };
      await scripts.run('connect', told);
      this.#open.set(session, told);
      return grant;
    } catch (error) {
      await Promise.allSettled([firewall.release(session), routes.remove(session)]); // why it failed says more
      if (isNew) leases.release(session);
      throw error;
    }
  }

  /** The addresses that {@link open} will give: from now on they are the session's. Throws {@link PeerRefusedError} where there is none. */
  reserve(request: LeaseRequest): Promise<LeaseGrant> {
    return this.#options.leases.acquire(request);
  }

  /** The client has told its name, or another one, after `connect`. */
  async updateHost(session: string, hostname: string): Promise<void> {
    const told = this.#open.get(session);
    if (told === undefined) return;
    const updated = { ...told, client: { ...told.client, hostname } };
    this.#open.set(session, updated);
    await this.#options.scripts.run('host-update', updated);
  }

  /** The session's tunnel is gone, for good or for now. Safe to call twice. */
  async close(session: string, usage: SessionUsage): Promise<void> {
    const told = this.#open.get(session);
    if (told === undefined) return;
    this.#open.delete(session);
    const { routes, firewall, scripts } = this.#options;
    const steps = [() => scripts.run('disconnect', { ...told, usage }), () => routes.remove(session), () => firewall.release(session)];
    const failures: unknown[] = [];
    for (const step of steps) {
      try {
        await step();
      } catch (error) {
        failures.push(error); // what comes after it is taken back all the same
      }
    }
    if (failures.length > 0) throw failures[0];
  }

  /** The session is over: others may have its addresses. Safe to call twice. */
  end(session: string): void {
    this.#options.leases.release(session);
  }
}
