/**
 * What a restricted session may reach, as lines for nft(8). Text in, text out: `session-firewall.ts` applies it.
 *
 * Read first: nft(8); spec "Gateway contract", sections 2.4 and 6. Every word of a rule is a number, an address that was parsed, or a name of ours.
 *
 *   forward ── from the device ─► clients ── by source ─► s7      name servers: accept
 *                                                          │      listed ports: on to s7_to, anything else: reject   (`tcp(443), …`)
 *                                                          ▼
 *                                                          s7_to  ports of `!( … )`: reject; no-routes: reject; routes: accept; anything else: reject
 *
 * Observed: as ocserv-fw does it, rule for rule. Names are answered whatever the ports say; the routes count only with restrict-user-to-routes, which
 * restrict-user-to-ports does not imply; without any route all but the no-routes may be reached; nothing is said of packets to the gateway itself.
 */
import type { AccessRules } from '../../core/nat/access-rules.ts';
import { type Cidr, formatCidr, formatIp, type IpAddress, netmaskOf, networkOf } from '../../core/wire/ip-address.ts';
import type { PortRestriction, SessionPolicy } from '../config/gateway-config.ts';

/** The part of a policy that makes rules. */
export type Restriction = Pick<SessionPolicy, 'dns' | 'routes' | 'noRoutes' | 'restrictsToRoutes' | 'restrictsToPorts'>;

export function isRestricted({ restrictsToRoutes, restrictsToPorts }: Restriction): boolean {
  return restrictsToRoutes || restrictsToPorts !== undefined;
}

/** The same for workers that hold sessions to it themselves. */
export function accessRules({ dns, routes, noRoutes, restrictsToRoutes, restrictsToPorts }: Restriction): AccessRules {
  return { dns, routes, noRoutes, restrictsToRoutes, ...(restrictsToPorts !== undefined && { restrictsToPorts }) };
}

/** The table of a device: one gateway may run beside another. */
export function tableOf(device: string): string {
  return TABLE_PREFIX + device.replace(/[^A-Za-z0-9]/g, (character) => `_${character.charCodeAt(0).toString(16)}`);
}

export const TABLE_PREFIX = 'sallyport_gateway_';

/** Makes the table anew, whatever was there. */
export function tableLines(device: string): string[] {
  const table = tableOf(device);
  return [
    ...dropTableLines(table),
    `add table inet ${table}`,
    // Single addresses. Observed: nft 1.0.6 takes no network into a map together with the chain that it leads to; networks have rules.
    `add map inet ${table} sources4 { type ipv4_addr : verdict; }`,
    `add map inet ${table} sources6 { type ipv6_addr : verdict; }`,
    `add chain inet ${table} networks`,
    `add chain inet ${table} clients`,
    `add rule inet ${table} clients ip saddr vmap @sources4`,
    `add rule inet ${table} clients ip6 saddr vmap @sources6`,
    `add rule inet ${table} clients jump networks`,
    `add chain inet ${table} forward { type filter hook forward priority filter; policy accept; }`,
    // As ocserv-fw: answers to a client pass, also those of another client. That it looks at connections also has fragments put together before they
    // come here, so that those without a port find their way.
    `add rule inet ${table} forward oifname "${device}" ct state established,related accept`,
    `add rule inet ${table} forward iifname "${device}" jump clients`,
  ];
}

/** Removes a table, also one that is not there: nft 1.0.6 has no word for that. */
export function dropTableLines(table: string): string[] {
  return [`add table inet ${table}`, `delete table inet ${table}`];
}

/** A session's chains, and what leads to them. */
export interface SessionChain {
  readonly table: string;
  /** Ours, never used twice: names the chains. */
  readonly number: number;
  readonly sources: readonly Cidr[];
}

export function addSessionLines({ table, number, sources }: SessionChain, restriction: Restriction): string[] {
  const [from, to] = [`s${number}`, `s${number}_to`];
  const rule = (chain: string, words: string) => `add rule inet ${table} ${chain} ${words}`;
  return [
    `add chain inet ${table} ${to}`,
    ...destinationRules(restriction).map((words) => rule(to, words)),
    `add chain inet ${table} ${from}`,
    ...portRules(restriction, to).map((words) => rule(from, words)),
    ...sources.filter(isAddress).map((source) => `add element inet ${table} ${mapOf(source)} { ${matchOf(source)} : goto ${from} }`),
  ];
}

export function removeSessionLines({ table, number, sources }: SessionChain): string[] {
  const chains = [`s${number}`, `s${number}_to`]; // the first refers to the second
  return [
    ...sources.filter(isAddress).map((source) => `delete element inet ${table} ${mapOf(source)} { ${matchOf(source)} }`),
    ...chains.flatMap((chain) => [`flush chain inet ${table} ${chain}`, `delete chain inet ${table} ${chain}`]),
  ];
}

/** The networks of all sessions. They may lie within each other, and two may be the same: rules, the longest prefix first. */
export function networkLines(table: string, chains: readonly SessionChain[]): string[] {
  const networks = chains.flatMap(({ sources, number }) =>
    sources.filter((source) => !isAddress(source)).map((network) => ({ network, number })),
  );
  const sorted = networks.toSorted((a, b) => b.network.prefix - a.network.prefix);
  return [
    `flush chain inet ${table} networks`,
    ...sorted.map(
      ({ network, number }) => `add rule inet ${table} networks ${protocolOf(network)} saddr ${matchOf(network)} goto s${number}`,
    ),
  ];
}

function portRules({ dns, restrictsToPorts }: Restriction, to: string): string[] {
  const names = dns.map((address): Cidr => ({ address, prefix: address.bytes.length * 8 }));
  const servers = byFamily(names).map(([protocol, set]) => `${protocol} daddr { ${set} } meta l4proto { tcp, udp } th dport 53 accept`);
  if (restrictsToPorts === undefined || restrictsToPorts.isNegated) return [...servers, `goto ${to}`];
  return [...servers, ...restrictsToPorts.ports.map((port) => `${portMatch(port)} goto ${to}`), 'reject'];
}

function destinationRules({ routes, noRoutes, restrictsToRoutes, restrictsToPorts }: Restriction): string[] {
  const denied = restrictsToPorts?.isNegated === true ? restrictsToPorts.ports.map((port) => `${portMatch(port)} reject`) : [];
  if (!restrictsToRoutes) return [...denied, 'accept'];
  const to = (networks: readonly Cidr[], verdict: 'accept' | 'reject') =>
    byFamily(networks).map(([protocol, set]) => `${protocol} daddr { ${set} } ${verdict}`);
  return [...denied, ...to(noRoutes, 'reject'), ...(routes.length === 0 ? ['accept'] : [...to(routes, 'accept'), 'reject'])];
}

/** Without a port all of the protocol. The ICMP of a family is of that family's packets only. */
function portMatch({ protocol, port }: PortRestriction['ports'][number]): string {
  switch (protocol) {
    case 'icmp':
      return 'meta nfproto ipv4 meta l4proto icmp';
    case 'icmpv6':
      return 'meta nfproto ipv6 meta l4proto ipv6-icmp';
    case 'esp':
      return 'meta l4proto esp';
    case 'tcp':
    case 'udp':
    case 'sctp':
      return port === undefined ? `meta l4proto ${protocol}` : `${protocol} dport ${Math.trunc(port)}`;
  }
}

/** The members of a set for each family that has any. A network within another one of the set is left out: a set refuses it. */
function byFamily(networks: readonly Cidr[]): (readonly [protocol: 'ip' | 'ip6', set: string])[] {
  return ([4, 6] as const).flatMap((family) => {
    const sorted = networks.filter(({ address }) => address.family === family).toSorted((a, b) => a.prefix - b.prefix);
    const kept: Cidr[] = [];
    for (const network of sorted) if (!kept.some((wider) => isWithin(network.address, wider))) kept.push(network);
    return kept.length === 0 ? [] : [[family === 4 ? 'ip' : 'ip6', kept.map(matchOf).join(', ')] as const];
  });
}

function isWithin({ bytes, family }: IpAddress, { address, prefix }: Cidr): boolean {
  const mask = netmaskOf(family, prefix).bytes;
  return bytes.every((byte, i) => ((byte ^ (address.bytes[i] ?? 0)) & (mask[i] ?? 0)) >>> 0 === 0);
}

function matchOf(network: Cidr): string {
  return isAddress(network) ? formatIp(network.address) : formatCidr(networkOf(network));
}

function protocolOf({ address }: Cidr): 'ip' | 'ip6' {
  return address.family === 4 ? 'ip' : 'ip6';
}

function isAddress({ address, prefix }: Cidr): boolean {
  return prefix === address.bytes.length * 8;
}

function mapOf({ address }: Cidr): 'sources4' | 'sources6' {
  return address.family === 4 ? 'sources4' : 'sources6';
}
