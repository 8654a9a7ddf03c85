/**
 * Who has which address. A session keeps its addresses over reconnects, take-overs and restarts, until it is released.
 *
 * Read first: spec "AnyConnect", section 11.5. Pools come with each request, as users may have their own; nothing is kept of a pool but what was given
 * out of it. Clock and files are others': {@link LeasePool.entries} and {@link LeasePool.restore} are for `lease-file.ts`.
 *
 *   acquire ── has one already ─────────────────────────────► the same
 *           ├─ explicit address ────────────────────────────► that one, from another session of the same user if need be
 *           └─ candidates (lease-candidates.ts), then a search in order from a random place ► the first that is free and, if pinged, silent
 */
import type { CryptoProvider } from '../../core/crypto/provider.ts';
import { PeerRefusedError } from '../../core/errors.ts';
import { type Cidr, formatCidr, formatIp, type IpAddress, networkOf } from '../../core/wire/ip-address.ts';
import type { PoolConfig } from '../config/gateway-config.ts';
import { AddressPool } from './address-pool.ts';
import { leaseCandidates } from './lease-candidates.ts';

export interface LeasedAddress {
  readonly address: IpAddress;
  /** What the client is told: the pool's of IPv4, the subnet's of IPv6. */
  readonly prefix: number;
  /** All that is sent there is this client's: the address alone, or its IPv6 subnet. */
  readonly unit: Cidr;
  /** Our end of the link, as scripts see it; undefined for an explicit address where there is no pool. */
  readonly local?: IpAddress;
}

export interface Lease {
  readonly ipv4?: LeasedAddress;
  readonly ipv6?: LeasedAddress;
}

export interface LeaseRequest {
  /** The session's public id. */
  readonly session: string;
  readonly user: string;
  /** The host's, with those of the user over them. */
  readonly pools: PoolConfig;
  readonly explicitIpv4?: IpAddress;
  readonly explicitIpv6?: IpAddress;
  readonly wantsIpv4: boolean;
  readonly wantsIpv6: boolean;
}

export interface LeaseGrant {
  readonly lease: Lease;
  /** Sessions of the same user that had to give an explicit address away, and have no lease any more: they are to be ended as `replaced`. */
  readonly displaced: readonly string[];
}

/** A lease as it is kept. */
export interface LeaseEntry {
  readonly session: string;
  readonly user: string;
  readonly lease: Lease;
}

export interface LeasePoolOptions {
  readonly crypto: Pick<CryptoProvider, 'hash' | 'randomBytes'>;
  /** Whether a machine answers at this address (`ping-leases`). Default: nobody is asked. */
  readonly isAnswering?: (address: IpAddress) => Promise<boolean>;
  /** Called after each change, for who keeps the leases. */
  readonly onChange?: () => void;
}

/** Sessions with a lease at once, over all pools: several times what one machine carries. */
export const MAX_LEASES = 65_536;

/** Addresses that are pinged for one lease. A pool in which so many machines answer is not one. */
export const MAX_PINGS = 32;

export class LeasePool {
  readonly #options: LeasePoolOptions;
  readonly #entries = new Map<string, LeaseEntry>();
  /** By unit, as text. */
  readonly #holders = new Map<string, { readonly session: string; readonly user: string }>();
  /** Requests of one session are answered one after the other, so that they agree. */
  readonly #pending = new Map<string, Promise<unknown>>();

  constructor(options: LeasePoolOptions) {
    this.#options = options;
  }

  /** Throws {@link PeerRefusedError} where there is no address to give. */
  async acquire(request: LeaseRequest): Promise<LeaseGrant> {
    const before = this.#pending.get(request.session);
    const answer = (before ?? Promise.resolve()).catch(() => undefined).then(() => this.#acquire(request));
    this.#pending.set(request.session, answer);
    try {
      return await answer;
    } finally {
      if (this.#pending.get(request.session) === answer) this.#pending.delete(request.session);
    }
  }

  /** The session is over: its addresses are free. Safe to call twice. */
  release(session: string): void {
    const entry = this.#entries.get(session);
    if (entry === undefined) return;
    this.#entries.delete(session);
    for (const { unit } of addressesOf(entry.lease)) this.#free(unit, session);
    this.#options.onChange?.();
  }

  leaseOf(session: string): Lease | undefined {
    return this.#entries.get(session)?.lease;
  }

  get entries(): readonly LeaseEntry[] {
    return [...this.#entries.values()];
  }

  /** Puts back what was kept, for sessions that are still known. Of two that claim the same address the first has it. */
  restore(entries: readonly LeaseEntry[], isKnown: (session: string) => boolean): void {
    for (const entry of entries) {
      const units = addressesOf(entry.lease).map(({ unit }) => unit);
      const isFree = units.every((unit) => this.#holderOf(unit) === undefined);
      if (!isKnown(entry.session) || this.#entries.has(entry.session) || !isFree || this.#entries.size >= MAX_LEASES) continue;
      this.#entries.set(entry.session, entry);
      for (const unit of units) this.#hold(unit, entry);
    }
    this.#options.onChange?.();
  }

  async #acquire(request: LeaseRequest): Promise<LeaseGrant> {
    const { session, user, wantsIpv4, wantsIpv6 } = request;
    const had = this.#entries.get(session)?.lease;
    if (had === undefined && this.#entries.size >= MAX_LEASES) throw new PeerRefusedError(`There are ${MAX_LEASES} leases already.`);
    const displaced = new Set<string>();
    const taken: Cidr[] = [];
    try {
      const ipv4 = had?.ipv4 ?? (wantsIpv4 ? await this.#give(4, request, displaced, taken) : undefined);
      const ipv6 = had?.ipv6 ?? (wantsIpv6 ? await this.#give(6, request, displaced, taken) : undefined);
      if ((ipv4 === undefined || !wantsIpv4) && (ipv6 === undefined || !wantsIpv6)) {
        throw new PeerRefusedError(`There is no address pool for what the client of ${user} asks for (${familiesOf(request)}).`);
      }
      const lease: Lease = { ...(ipv4 !== undefined && { ipv4 }), ...(ipv6 !== undefined && { ipv6 }) };
      this.#entries.set(session, { session, user, lease });
      if (taken.length > 0) this.#options.onChange?.();
      return { lease, displaced: [...displaced] };
    } catch (error) {
      for (const unit of taken) this.#free(unit, session);
      throw error;
    }
  }

  /** An address of one family; undefined where the family has none to give. What is taken is added to `taken`. */
  async #give(family: 4 | 6, request: LeaseRequest, displaced: Set<string>, taken: Cidr[]): Promise<LeasedAddress | undefined> {
    const { ipv4, ipv6, ipv6SubnetPrefix } = request.pools;
    const network = family === 4 ? ipv4 : ipv6;
    const pool = network === undefined ? undefined : new AddressPool(network, ipv6SubnetPrefix);
    const explicit = family === 4 ? request.explicitIpv4 : request.explicitIpv6;
    if (explicit !== undefined) return this.#giveExplicit(explicit, pool, request, displaced, taken);
    if (pool === undefined) return undefined;
    const address = await this.#find(pool, request, taken);
    if (address === undefined) throw new PeerRefusedError(`The address pool ${formatCidr(pool.network)} has no free address.`);
    const prefix = family === 4 ? pool.network.prefix : pool.unitPrefix;
    return { address, prefix, unit: pool.unitOf(address), local: pool.local };
  }

  #giveExplicit(
    address: IpAddress,
    pool: AddressPool | undefined,
    { session, user }: LeaseRequest,
    displaced: Set<string>,
    taken: Cidr[],
  ): LeasedAddress {
    const isIpv4 = address.family === 4;
    const unit = pool?.contains(address) ? pool.unitOf(address) : { address, prefix: isIpv4 ? 32 : (pool?.unitPrefix ?? 128) };
    const holder = this.#holderOf(networkOf(unit));
    if (holder !== undefined && holder.session !== session) {
      if (holder.user !== user) throw new PeerRefusedError(`The address ${formatIp(address)} of ${user} is in use by ${holder.user}.`);
      // Observed: ocserv gives the same address to both sessions, and packets reach whichever came last.
      displaced.add(holder.session);
      this.release(holder.session);
    }
    this.#hold(networkOf(unit), { session, user });
    taken.push(networkOf(unit));
    return {
      address,
      prefix: isIpv4 ? (pool?.network.prefix ?? 32) : unit.prefix,
      unit: networkOf(unit),
      ...(pool !== undefined && { local: pool.local }),
    };
  }

  async #find(pool: AddressPool, request: LeaseRequest, taken: Cidr[]): Promise<IpAddress | undefined> {
    let pings = 0;
    for (const address of this.#candidates(pool, request)) {
      const unit = pool.unitOf(address);
      if (!pool.mayGive(unit) || this.#holderOf(unit) !== undefined) continue;
      this.#hold(unit, request); // before we wait: another session may look meanwhile
      if (this.#options.isAnswering === undefined) {
        taken.push(unit);
        return address;
      }
      if (++pings > MAX_PINGS) {
        this.#free(unit, request.session);
        return undefined;
      }
      const isAnswering = await this.#options.isAnswering(address).catch(() => false); // nobody could be asked: as without `ping-leases`
      if (!isAnswering) {
        taken.push(unit);
        return address;
      }
      this.#free(unit, request.session);
    }
    return undefined;
  }

  /** A pool of which less is taken than it holds is not full: among as many neighbours as there are holders, and those nobody gets, one is free. */
  *#candidates(pool: AddressPool, { user, pools }: LeaseRequest): Generator<IpAddress, void> {
    yield* leaseCandidates(pool, user, pools.isPredictable, this.#options.crypto);
    const start = pool.masked(this.#options.crypto.randomBytes(pool.network.address.bytes.length));
    const neighbours = BigInt(this.#holders.size + RESERVED_UNITS + MAX_PINGS);
    const steps = Number(neighbours < pool.size ? neighbours : pool.size);
    for (let i = 0; i < steps; i++) yield pool.unitBehind(start, i);
  }

  #holderOf(unit: Cidr): { readonly session: string; readonly user: string } | undefined {
    return this.#holders.get(formatCidr(unit));
  }

  #hold(unit: Cidr, { session, user }: { readonly session: string; readonly user: string }): void {
    this.#holders.set(formatCidr(unit), { session, user });
  }

  #free(unit: Cidr, session: string): void {
    if (this.#holderOf(unit)?.session === session) this.#holders.delete(formatCidr(unit));
  }
}

/** Of a pool, at most: the network, our end, broadcast. */
const RESERVED_UNITS = 3;

function addressesOf({ ipv4, ipv6 }: Lease): LeasedAddress[] {
  return [ipv4, ipv6].filter((address) => address !== undefined);
}

function familiesOf({ wantsIpv4, wantsIpv6 }: LeaseRequest): string {
  return [...(wantsIpv4 ? ['IPv4'] : []), ...(wantsIpv6 ? ['IPv6'] : [])].join(' and ') || 'nothing';
}
