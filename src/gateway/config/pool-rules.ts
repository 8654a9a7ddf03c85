/** What pools of addresses must be like, in ocserv's words. */
import type { Cidr } from '../../core/wire/ip-address.ts';
import type { PoolConfig } from './gateway-config.ts';
import type { OcservSection } from './ocserv-section.ts';
import { ipv4Pool, ipv6Pool } from './ocserv-values.ts';

export function poolsOf(section: OcservSection, prefix: string): PoolConfig {
  const ipv4 = ipv4Pool(section);
  const ipv6 = ipv6Pool(section);
  if (!section.has('ipv4-network') && !section.has('ipv6-network')) {
    section.report.error(section.place, `${prefix}no ipv4-network or ipv6-network options set.`);
  }
  return {
    ...(ipv4 !== undefined && { ipv4 }),
    ...(ipv6 !== undefined && { ipv6 }),
    ipv6SubnetPrefix: subnetPrefix(section, ipv6),
    isPredictable: section.flag('predictable-ips'),
  };
}

/** Bits of what one client gets of the network. */
export function subnetPrefix(section: OcservSection, network: Cidr | undefined): number {
  const length = section.count('ipv6-subnet-prefix');
  const place = section.placeOf('ipv6-subnet-prefix');
  if (length < 1 || length > 128) section.report.error(place, `invalid IPv6 subnet prefix: ${length}`);
  else if (network !== undefined && length <= network.prefix) {
    section.report.error(place, `the subnet prefix (${length}) cannot be smaller or equal to network's (${network.prefix})`);
  }
  return length;
}
