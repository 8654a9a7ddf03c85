/** The addresses of the machine that the gateway runs on, as they are now: whatever listens there trusts that strangers do not come from inside. */
import { type NetworkInterfaceInfo, networkInterfaces } from 'node:os';
import type { Millis } from '../../core/tunnel/packet.ts';
import { formatIp, type IpAddress, networkOf, parseCidr } from '../../core/wire/ip-address.ts';

/** Interfaces come and go; asking for each flow would cost more than the flow. What slips through is seen when its socket is connected. */
const BELIEVED: Millis = 2_000;

export class OwnHost {
  #addresses: ReadonlySet<string> = new Set();
  #readAt: Millis = Number.NEGATIVE_INFINITY;
  readonly #now: () => Millis;

  constructor(now: () => Millis) {
    this.#now = now;
  }

  has(address: IpAddress): boolean {
    const now = this.#now();
    if (now > this.#readAt + BELIEVED) {
      this.#readAt = now;
      this.#addresses = addressesOf(networkInterfaces());
    }
    return this.#addresses.has(formatIp(address));
  }
}

/**
 * All addresses under which a host hears. Of IPv6 also the first one of each subnet (RFC 4291 §2.6.1, the anycast address of its routers): a host that
 * forwards packets hears datagrams for it, and a socket that is connected to it does not look as if it led back. A link of two has none (RFC 6164).
 */
export function addressesOf(interfaces: NodeJS.Dict<NetworkInterfaceInfo[]>): ReadonlySet<string> {
  const addresses = new Set<string>();
  for (const { address, cidr } of Object.values(interfaces).flatMap((all) => all ?? [])) {
    addresses.add(bare(address));
    const network = cidr === null ? undefined : parseCidr(bare(cidr));
    if (network?.address.family === 6 && network.prefix < 127) addresses.add(formatIp(networkOf(network).address));
  }
  return addresses;
}

/** Whether a connected socket leads to this machine: it has the address at both ends. */
export function isSameHost(local: string | undefined, remote: string | undefined): boolean {
  return local !== undefined && remote !== undefined && bare(local) === bare(remote);
}

/** A zone is not part of an address. */
function bare(address: string): string {
  return address.replace(/%[^/]*/, '');
}
