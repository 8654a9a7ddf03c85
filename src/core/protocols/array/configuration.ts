/**
 * What the two answers say, both ways: the tunnel's options, and the network's settings.
 *
 * Read first: spec "Array", sections 4.2, 4.3 and 10.
 */
import { PeerMisbehavedError } from '../../errors.ts';
import type { TunnelConfig } from '../../tunnel/config.ts';
import { ConfigReader, type ConfigWarning, MAX_DNS_SERVERS, MAX_SEARCH_DOMAINS } from '../../tunnel/config-values.ts';
import type { Millis } from '../../tunnel/packet.ts';
import { type Cidr, netmaskOf } from '../../wire/ip-address.ts';
import { addressOfInteger, integerOfAddress } from './address-integer.ts';
import { isObject } from './exchange-message.ts';

type JsonObject = Readonly<Record<string, unknown>>;

/** Observed: openconnect sets this whatever it is told, and nothing else is known to be right (spec 4.3). */
export const TUNNEL_MTU = 1400;

/** Seconds of an interval. */
const MAX_INTERVAL = 86_400;

/** Spec 10: of each list of routes. More would not fit an answer either. */
const MAX_ROUTES = 1000;

export interface TunnelOptions {
  /** The gateway has the tunnel by UDP too. */
  readonly hasDatagrams: boolean;
  /** Undefined: it wants none. */
  readonly keepalive?: Millis;
}

export function parseOptions(answer: JsonObject): TunnelOptions {
  const interval = answer.keepalive_interval;
  const isInterval = typeof interval === 'number' && interval >= 1 && interval <= MAX_INTERVAL;
  return {
    hasDatagrams: typeof answer.allow_speed_tunnel === 'number' && answer.allow_speed_tunnel !== 0,
    ...(isInterval && { keepalive: Math.floor(interval) * 1000 }),
  };
}

export function renderOptions({ hasDatagrams, keepalive = 0 }: TunnelOptions): JsonObject {
  return {
    allow_speed_tunnel: hasDatagrams ? 1 : 0,
    speed_tunnel_encryption: 0,
    keepalive_interval: keepalive === 0 ? 0 : Math.min(Math.max(1, Math.round(keepalive / 1000)), MAX_INTERVAL),
  };
}

export interface NetworkSettings {
  /** The MTU is nobody's word. */
  readonly config: Omit<TunnelConfig, 'mtu'>;
  readonly warnings: readonly ConfigWarning[];
}

/** Throws {@link PeerMisbehavedError} if no address is given. */
export function parseSettings(answer: JsonObject): NetworkSettings {
  const reader = new ConfigReader();
  const mask = answer.client_ipv4_mask;
  const ipv4 = reader.interfaceAddress('address', textOf(answer.client_ipv4), mask === undefined ? undefined : textOf(mask));
  if (ipv4 === undefined) throw new PeerMisbehavedError('The gateway assigns no address.');
  const servers = listOf(answer.dns_servers).filter(isObject);
  const dns = [
    ...servers.flatMap((server) => listOf(server.ipv4).map(textOf)),
    ...servers.flatMap((server) => listOf(server.ipv6).map((text) => (typeof text === 'string' ? text : shown(text)))),
  ];
  const domains = listOf(answer.search_domains).map((domain) => (typeof domain === 'string' ? domain : shown(domain)));
  return {
    config: {
      ipv4,
      dns: reader.addresses('DNS server', dns, MAX_DNS_SERVERS),
      nbns: [],
      searchDomains: reader.domains('domain', domains, MAX_SEARCH_DOMAINS),
      splitDns: [],
      include: reader.routes('split include', routesOf(answer.include_network_resource)),
      exclude: reader.routes('split exclude', routesOf(answer.exclude_network_resource)),
      vendorOptions: [],
    },
    warnings: reader.warnings,
  };
}

/** IPv4 alone, as nobody knows how the rest is said (spec 13). */
export function renderSettings({ ipv4, dns, searchDomains, include, exclude }: Omit<TunnelConfig, 'mtu'>): JsonObject {
  const isIpv4 = ({ family }: { readonly family: 4 | 6 }) => family === 4;
  const routes = (networks: readonly Cidr[]) => {
    const own = networks.filter(({ address }) => isIpv4(address)).map(routeObject);
    return own.length > 0 && { ipv4: own };
  };
  const [included, excluded] = [routes(include), routes(exclude)];
  const servers = dns.filter(isIpv4).map(integerOfAddress);
  return {
    ...(ipv4 !== undefined && {
      client_ipv4: integerOfAddress(ipv4.address),
      client_ipv4_mask: integerOfAddress(netmaskOf(4, ipv4.prefix ?? 32)),
    }),
    ...(included !== false && { include_network_resource: included }),
    ...(excluded !== false && { exclude_network_resource: excluded }),
    ...(servers.length > 0 && { dns_servers: [{ ipv4: servers }] }),
    ...(searchDomains.length > 0 && { search_domains: searchDomains }),
  };
}

function routeObject({ address, prefix }: Cidr): JsonObject {
  return { ip: integerOfAddress(address), mask: integerOfAddress(netmaskOf(4, prefix)) };
}

/** Routes as texts; those of IPv6 have no form that is known. */
function routesOf(resource: unknown): readonly string[] {
  if (!isObject(resource)) return [];
  return listOf(resource.ipv4)
    .slice(0, MAX_ROUTES)
    .map((route) => (isObject(route) ? `${textOf(route.ip)}/${textOf(route.mask)}` : shown(route)));
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** An address, or what stands there instead of one, which nobody can take for one. */
function textOf(value: unknown): string {
  return addressOfInteger(value) ?? shown(value);
}

function shown(value: unknown): string {
  return `(${typeof value === 'number' ? value : typeof value})`;
}
