/** Requests for leases as tests make them. */
import type { IpAddress } from '../../../src/core/wire/ip-address.ts';
import { type Cidr, formatIp, parseCidr, parseIp } from '../../../src/core/wire/ip-address.ts';
import type { Lease, LeaseRequest } from '../../../src/gateway/network/lease-pool.ts';

export function ip(text: string): IpAddress {
  const address = parseIp(text);
  if (address === undefined) throw new Error(`${text} is not an address`);
  return address;
}

export function cidr(text: string): Cidr {
  const network = parseCidr(text);
  if (network === undefined) throw new Error(`${text} is not a network`);
  return network;
}

export interface PoolWords {
  readonly ipv4?: string;
  readonly ipv6?: string;
  readonly ipv6SubnetPrefix?: number;
  readonly isPredictable?: boolean;
}

/** A request for all families of the pool. */
export function request(session: string, user: string, pools: PoolWords, more: Partial<LeaseRequest> = {}): LeaseRequest {
  const { ipv4, ipv6, ipv6SubnetPrefix = 128, isPredictable = true } = pools;
  return {
    session,
    user,
    pools: { ...(ipv4 && { ipv4: cidr(ipv4) }), ...(ipv6 && { ipv6: cidr(ipv6) }), ipv6SubnetPrefix, isPredictable },
    wantsIpv4: ipv4 !== undefined,
    wantsIpv6: ipv6 !== undefined,
    ...more,
  };
}

export function words({ ipv4, ipv6 }: Lease): string {
  return [ipv4, ipv6].flatMap((one) => (one === undefined ? [] : [`${formatIp(one.address)}/${one.prefix}`])).join(' ');
}
