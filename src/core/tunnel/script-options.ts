/**
 * CISCO_CSTP_OPTIONS of vendors that are not Cisco: what the gateway has said, by the names and in the order that openconnect gives it.
 *
 * Observed of openconnect 9.01, with each protocol at a gateway that says all of it. The last that came stands first.
 */
import { formatCidr, formatIp, netmaskOf } from '../wire/ip-address.ts';
import type { TunnelConfig } from './config.ts';

/** A name, and what stands behind it: once for each of several. */
export type ScriptOption = readonly [name: string, source: OptionSource];

export type OptionSource =
  | 'ipv4'
  | 'ipv4Netmask'
  | 'gatewayIpv4'
  | 'ipv6'
  | 'ipv6Network'
  | 'dns'
  | 'dnsIpv4'
  | 'dnsIpv6'
  | 'nbns'
  | 'domains'
  | 'domainsByCommas'
  | 'include'
  | 'includeIpv4'
  | 'includeIpv4ByNetmask'
  | 'includeIpv6'
  | 'exclude'
  | 'excludeIpv4'
  | 'excludeIpv4ByNetmask';

const SOURCES: Readonly<Record<OptionSource, (config: TunnelConfig) => readonly string[]>> = {
  ipv4: ({ ipv4 }) => (ipv4 === undefined ? [] : [formatIp(ipv4.address)]),
  ipv4Netmask: ({ ipv4 }) => (ipv4?.prefix === undefined ? [] : [formatIp(netmaskOf(4, ipv4.prefix))]),
  gatewayIpv4: ({ gatewayIpv4 }) => (gatewayIpv4 === undefined ? [] : [formatIp(gatewayIpv4)]),
  ipv6: ({ ipv6 }) => (ipv6 === undefined ? [] : [formatIp(ipv6.address)]),
  ipv6Network: ({ ipv6 }) => {
    if (ipv6 === undefined) return [];
    return [ipv6.prefix === undefined ? formatIp(ipv6.address) : formatCidr({ address: ipv6.address, prefix: ipv6.prefix })];
  },
  dns: ({ dns }) => dns.map(formatIp),
  dnsIpv4: ({ dns }) => dns.filter(({ family }) => family === 4).map(formatIp),
  dnsIpv6: ({ dns }) => dns.filter(({ family }) => family === 6).map(formatIp),
  nbns: ({ nbns }) => nbns.map(formatIp),
  domains: ({ searchDomains }) => (searchDomains.length === 0 ? [] : [searchDomains.join(' ')]),
  domainsByCommas: ({ searchDomains }) => (searchDomains.length === 0 ? [] : [searchDomains.join(',')]),
  include: ({ include }) => include.map(formatCidr),
  includeIpv4: ({ include }) => ofFamily(include, 4).map(formatCidr),
  includeIpv4ByNetmask: ({ include }) => ofFamily(include, 4).map(byNetmask),
  includeIpv6: ({ include }) => ofFamily(include, 6).map(formatCidr),
  exclude: ({ exclude }) => exclude.map(formatCidr),
  excludeIpv4: ({ exclude }) => ofFamily(exclude, 4).map(formatCidr),
  excludeIpv4ByNetmask: ({ exclude }) => ofFamily(exclude, 4).map(byNetmask),
};

export function scriptOptions(config: TunnelConfig, options: readonly ScriptOption[]): TunnelConfig['vendorOptions'] {
  return options.flatMap(([name, source]) =>
    SOURCES[source](config)
      .map((value) => [name, value] as const)
      .toReversed(),
  );
}

type Networks = TunnelConfig['include'];

function ofFamily(networks: Networks, family: 4 | 6): Networks {
  return networks.filter(({ address }) => address.family === family);
}

function byNetmask({ address, prefix }: Networks[number]): string {
  return `${formatIp(address)}/${formatIp(netmaskOf(4, prefix))}`;
}
