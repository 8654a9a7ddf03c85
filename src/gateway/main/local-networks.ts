/** The networks that this machine is on directly: peers there are never kept out for their score (spec "Gateway contract", section 7). */
import { networkInterfaces } from 'node:os';
import { type Cidr, networkOf, parseCidr } from '../../core/wire/ip-address.ts';

export function localNetworks(): Cidr[] {
  return Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .flatMap(({ cidr }) => (cidr === null ? [] : (parseCidr(cidr) ?? [])))
    .map(networkOf);
}
