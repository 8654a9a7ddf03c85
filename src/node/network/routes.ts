/** Routes as the machine has them, and what follows from them: which one a packet takes, and which network lies within which. */
import { type Cidr, type IpAddress, isInNetwork, networkOf } from '../../core/wire/ip-address.ts';

export interface RouteHop {
  readonly device: string;
  /** The next router; absent: the destination is on the link itself. May be of the other family (RFC 8950). */
  readonly via?: IpAddress;
  /** The router need not be within a network of the device. */
  readonly isOnlink: boolean;
  /** The link is gone: the kernel passes over this hop. */
  readonly isDead: boolean;
}

/** One route of the main table. */
export interface MachineRoute {
  readonly destination: Cidr;
  /** The destination as `address/prefix`, to find it by. */
  readonly name: string;
  /** Of two routes to the same destination the lower one wins. */
  readonly metric: number;
  /** None: the route says that there is no way (unreachable, blackhole, prohibit). */
  readonly hops: readonly RouteHop[];
  readonly source?: IpAddress;
  readonly mtu?: number;
  /** Chosen by more than the destination (type of service, source network): not for our packets. */
  readonly isSelective: boolean;
  /** The words with which `ip route` creates it again; absent if it has an attribute that we do not know. */
  readonly words?: readonly string[];
}

/** A route with the hop that a packet would take. */
export interface Way {
  readonly route: MachineRoute;
  readonly hop: RouteHop;
}

/** Whether all of `inner` lies within `outer`. */
export function covers(outer: Cidr, inner: Cidr): boolean {
  return outer.prefix <= inner.prefix && isInNetwork(inner.address, outer);
}

export function sameNetwork(a: Cidr, b: Cidr): boolean {
  return a.prefix === b.prefix && covers(a, b);
}

/** Just this one address, as a network. */
export function hostNetwork(address: IpAddress): Cidr {
  return { address, prefix: address.bytes.length * 8 };
}

/** A network cut into its two halves; of a single address there are none. */
export function halvesOf(network: Cidr): readonly Cidr[] {
  const { address, prefix } = networkOf(network);
  if (prefix === address.bytes.length * 8) return [];
  const upper = address.bytes.map((byte, i) => (i === prefix >>> 3 ? byte | (0x80 >>> (prefix & 7)) : byte));
  return [
    { address, prefix: prefix + 1 },
    { address: { family: address.family, bytes: upper }, prefix: prefix + 1 },
  ];
}

/**
 * The way that a packet to any address of `target` takes by these routes: the longest prefix wins, then the lowest metric. Undefined if there
 * is none, or if the route that wins says so. Routes through `without` are passed over: they are the tunnel's.
 */
export function wayTo(target: Cidr, routes: readonly MachineRoute[], without?: string): Way | undefined {
  let best: Way | { readonly route: MachineRoute; readonly hop: undefined } | undefined;
  for (const route of routes) {
    if (route.isSelective || !covers(route.destination, target)) continue;
    const hop = route.hops.find(({ device, isDead }) => device !== without && !isDead);
    if (hop === undefined && route.hops.length > 0) continue;
    if (best === undefined || isPreferred(route, best.route)) best = { route, hop };
  }
  return best?.hop === undefined ? undefined : best;
}

function isPreferred(route: MachineRoute, over: MachineRoute): boolean {
  const longer = route.destination.prefix - over.destination.prefix;
  return longer > 0 || (longer === 0 && route.metric < over.metric);
}
