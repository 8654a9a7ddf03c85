/** The sessions that a NAT serves, by their networks. */
import { AddressTable } from '../tunnel/address-table.ts';
import { type Cidr, formatCidr } from '../wire/ip-address.ts';
import type { NatLimits } from './limits.ts';
import { type NatOwner, NatSession } from './session.ts';

export class NatSessions {
  readonly #table = new AddressTable<NatSession>();
  readonly #byNetworks = new Map<string, NatSession>();
  readonly #limits: NatLimits;

  constructor(limits: NatLimits) {
    this.#limits = limits;
  }

  of(networks: readonly Cidr[]): NatSession | undefined {
    return this.#byNetworks.get(keyOf(networks));
  }

  /** A session of these networks begins, or has them again. Those that had some of its addresses so far. */
  enter(networks: readonly Cidr[], owner: NatOwner): ReadonlySet<NatSession> {
    const session = this.of(networks) ?? new NatSession(networks, owner, this.#limits);
    this.#byNetworks.set(keyOf(networks), session);
    const before = new Set<NatSession>();
    for (const network of networks) {
      const other = this.#table.of(network.address);
      if (other !== undefined && other !== session) before.add(other);
      this.#table.set(network, session);
    }
    return before;
  }

  /** Takes a session away; undefined: there is none of these networks. */
  leave(networks: readonly Cidr[]): NatSession | undefined {
    const session = this.#byNetworks.get(keyOf(networks));
    if (session === undefined) return undefined;
    this.#byNetworks.delete(keyOf(networks));
    for (const network of networks) this.#table.delete(network, session);
    return session;
  }

  get table(): AddressTable<NatSession> {
    return this.#table;
  }

  *[Symbol.iterator](): Generator<NatSession> {
    yield* this.#byNetworks.values();
  }
}

function keyOf(networks: readonly Cidr[]): string {
  return networks.map(formatCidr).join(' ');
}
