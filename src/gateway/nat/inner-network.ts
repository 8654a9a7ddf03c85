/** What a worker without an interface knows of the network inside. Main tells it, and tells it again when something changes. */
import type { NatService } from '../../core/nat/destination.ts';
import type { Cidr, Endpoint, IpAddress } from '../../core/wire/ip-address.ts';

export interface InnerNetwork {
  /** The gateway's addresses, one for each pool. */
  readonly own: readonly IpAddress[];
  /** Where clients are: pools, networks behind clients, addresses outside the pools. */
  readonly clients: readonly Cidr[];
  /** Name servers of this host. */
  readonly resolvers: readonly Endpoint[];
  readonly services: readonly NatService[];
}
