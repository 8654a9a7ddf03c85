/** What a connection means for this machine, in a few lines. */
import { gatewayName, type VpnStatus } from '../../client/vpn-status.ts';
import type { TunnelConfig } from '../../core/tunnel/config.ts';
import { type Cidr, formatCidr, formatIp } from '../../core/wire/ip-address.ts';
import { dateText, listText, transportText } from './human-text.ts';

/** Networks that are named; the others are counted. */
const MAX_NETWORKS = 6;

export function connectionLines(status: VpnStatus, config: TunnelConfig, configuresNetwork: boolean): string[] {
  const { gateway, device, transport, cipherSuite, expiresAt } = status;
  const where = gateway.address === undefined || gateway.address === gateway.host ? '' : ` (${gateway.address})`;
  const how = transport === undefined ? '' : ` by ${transportText(transport, cipherSuite)}`;
  const outside = config.exclude.length === 0 ? [] : [row('Not through it', networksText(config.exclude))];
  const network = configuresNetwork
    ? [row('Through it', throughText(config)), ...outside, ...dnsRows(config)]
    : [row('Network', 'left alone: no addresses, routes and DNS were set up')];
  return [
    `Connected to ${gatewayName(gateway)}${where}${how}.`,
    row(
      'This machine',
      `${listText(status.addresses.map(withoutPrefix))}${device === undefined ? '' : ` on ${device}`}, MTU ${config.mtu}`,
    ),
    ...network,
    ...(expiresAt === undefined ? [] : [row('Until', dateText(new Date(expiresAt)))]),
  ];
}

const COLUMN = 16;

/** A line of a list: what it is about, and what it is. */
export function row(name: string, text: string): string {
  return `  ${name.padEnd(COLUMN)}${text}`;
}

export function withoutPrefix(address: string): string {
  return address.replace(/\/.*/, '');
}

function throughText({ ipv4, ipv6, include }: TunnelConfig): string {
  const families = ([4, 6] as const).filter((family) => (family === 4 ? ipv4 : ipv6) !== undefined);
  const whole = families.filter((family) => isWhole(include.filter(({ address }) => address.family === family)));
  if (whole.length === 2) return 'everything';
  const networks = include.filter(({ address }) => families.some((family) => family === address.family && !whole.includes(family)));
  return [...whole.map((family) => `all of IPv${family}`), ...(networks.length === 0 ? [] : [networksText(networks)])].join(', ');
}

/** None of a family that has an address is all of that family; so is its default route, and are its halves, as F5 has them. */
function isWhole(networks: readonly Cidr[]): boolean {
  const halves = new Set(networks.flatMap(({ address, prefix }) => (prefix === 1 ? [formatIp(address)] : [])));
  return networks.length === 0 || halves.size === 2 || networks.some(({ prefix }) => prefix === 0);
}

function networksText(networks: readonly Cidr[]): string {
  const named = networks.slice(0, MAX_NETWORKS).map(formatCidr).join(', ');
  return networks.length > MAX_NETWORKS ? `${named} and ${networks.length - MAX_NETWORKS} more` : named;
}

function dnsRows({ dns, splitDns, searchDomains }: TunnelConfig): string[] {
  if (dns.length === 0) return [];
  const domains = splitDns.length > 0 ? splitDns : searchDomains;
  const what = domains.length === 0 ? '' : ` ${splitDns.length > 0 ? 'for' : 'with'} ${listText(domains.slice(0, MAX_NETWORKS))}`;
  return [row('DNS', `${dns.map(formatIp).join(', ')}${what}`)];
}
