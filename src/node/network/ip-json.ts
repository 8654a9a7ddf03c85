/**
 * Reads what `ip -json` prints: links with their addresses, and the routes of a table.
 *
 * Read first: ip-address(8), ip-route(8); the JSON has no specification, its fields are the words of the text output.
 */
import { SallyportError } from '../../core/errors.ts';
import { type Cidr, formatCidr, type IpAddress, parseCidr, parseIp } from '../../core/wire/ip-address.ts';
import type { MachineRoute, RouteHop } from './routes.ts';

export interface MachineLink {
  readonly name: string;
  /** The kernel's number of the device. Never used again before the next boot, unlike its name. */
  readonly index: number;
  readonly mtu: number;
  readonly isUp: boolean;
  readonly addresses: readonly Cidr[];
}

type JsonObject = Readonly<Record<string, unknown>>;

/** Reads `ip -json address show`. Throws {@link SallyportError} if it is not that. */
export function parseLinks(json: string): readonly MachineLink[] {
  return objectsOf(json, 'ip address').map((link) => {
    const { ifname, ifindex, mtu } = link;
    if (typeof ifname !== 'string' || typeof ifindex !== 'number' || typeof mtu !== 'number') throw unexpected('ip address', link);
    const addresses = listOf(link.addr_info).flatMap(({ local, prefixlen }) => {
      const address = typeof local === 'string' ? parseIp(local) : undefined;
      return address === undefined || typeof prefixlen !== 'number' ? [] : [{ address, prefix: prefixlen }];
    });
    return { name: ifname, index: ifindex, mtu, isUp: Array.isArray(link.flags) && link.flags.includes('UP'), addresses };
  });
}

/** Reads `ip -json -4 route show` (or `-6`). Throws {@link SallyportError} if it is not that. */
export function parseRoutes(json: string, family: 4 | 6): readonly MachineRoute[] {
  return objectsOf(json, 'ip route').map((route) => {
    const destination = parseDestination(route.dst, family);
    if (destination === undefined) throw unexpected('ip route', route);
    const isUnicast = route.type === undefined || route.type === 'unicast';
    const source = typeof route.prefsrc === 'string' ? parseIp(route.prefsrc) : undefined;
    const mtu = metricsOf(route).mtu;
    const words = wordsOf(route);
    return {
      destination,
      name: formatCidr(destination),
      metric: typeof route.metric === 'number' ? route.metric : 0,
      hops: isUnicast ? hopsOf(route) : [],
      isSelective: route.tos !== undefined || route.from !== undefined,
      ...(source === undefined ? {} : { source }),
      ...(typeof mtu === 'number' ? { mtu } : {}),
      ...(words === undefined ? {} : { words }),
    };
  });
}

function parseDestination(dst: unknown, family: 4 | 6): Cidr | undefined {
  if (dst === 'default') return { address: { family, bytes: new Uint8Array(family === 4 ? 4 : 16) }, prefix: 0 };
  return typeof dst === 'string' ? parseCidr(dst) : undefined;
}

function hopsOf(route: JsonObject): RouteHop[] {
  const hops = route.nexthops === undefined ? [route] : listOf(route.nexthops);
  return hops.flatMap((hop) => {
    if (typeof hop.dev !== 'string') return [];
    const via = viaOf(hop);
    const flags: readonly unknown[] = Array.isArray(hop.flags) ? hop.flags : [];
    return [{ device: hop.dev, ...(via === undefined ? {} : { via }), isOnlink: flags.includes('onlink'), isDead: flags.includes('dead') }];
  });
}

/** `"gateway": "192.0.2.1"`, or `"via": {"family": "inet6", "host": "fe80::1"}` for a router of the other family. */
function viaOf(hop: JsonObject): IpAddress | undefined {
  const host = isObject(hop.via) ? hop.via.host : hop.gateway;
  return typeof host === 'string' ? parseIp(host) : undefined;
}

function metricsOf(route: JsonObject): JsonObject {
  return Object.assign({}, ...listOf(route.metrics));
}

/** Flags that say how the route does, not how it was made. */
const STATUS_FLAGS = ['linkdown', 'dead', 'pervasive', 'offload', 'trap', 'rt_offload', 'rt_trap', 'offload_failed'];
/** Attributes that {@link wordsOf} knows, apart from those that are written as they are read. */
const KNOWN = ['type', 'dst', 'dev', 'gateway', 'via', 'flags', 'metrics'];
/** Attributes that are written as they are read: JSON name, then the word of the command line. */
const PLAIN = { protocol: 'proto', scope: 'scope', prefsrc: 'src', metric: 'metric', pref: 'pref' } as const;
const PLAIN_METRICS = ['mtu', 'advmss'];

/** The words that create the route again; undefined if not all of it is understood, or if it has several hops. */
function wordsOf(route: JsonObject): readonly string[] | undefined {
  const metrics = metricsOf(route);
  const flags: readonly unknown[] = Array.isArray(route.flags) ? route.flags : [];
  const extra = flags.filter((flag) => flag !== 'onlink' && !STATUS_FLAGS.includes(String(flag)));
  const unknown = Object.keys(route).some((key) => !KNOWN.includes(key) && !(key in PLAIN));
  if (unknown || extra.length > 0 || Object.keys(metrics).some((key) => !PLAIN_METRICS.includes(key))) return undefined;
  if (typeof route.dst !== 'string') return undefined;
  const words = [...(typeof route.type === 'string' ? [route.type] : []), route.dst];
  if (isObject(route.via)) words.push('via', String(route.via.family), String(route.via.host));
  else if (typeof route.gateway === 'string') words.push('via', route.gateway);
  if (typeof route.dev === 'string') words.push('dev', route.dev);
  for (const [key, word] of Object.entries(PLAIN)) if (route[key] !== undefined) words.push(word, String(route[key]));
  for (const [key, value] of Object.entries(metrics)) words.push(key, String(value));
  if (flags.includes('onlink')) words.push('onlink');
  return words;
}

function objectsOf(json: string, what: string): readonly JsonObject[] {
  if (json.trim() === '') return []; // what older versions print for an empty list
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (cause) {
    throw new SallyportError('ERR_PROGRAM', `"${what}" did not answer in JSON. iproute2 4.13 or newer is needed.`, { cause });
  }
  return listOf(value);
}

/** The objects of a list. Empty ones are left out: `ip` prints them in place of what a filter removed. */
function listOf(value: unknown): readonly JsonObject[] {
  return Array.isArray(value) ? value.filter((item): item is JsonObject => isObject(item) && Object.keys(item).length > 0) : [];
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null;
}

function unexpected(what: string, value: JsonObject): SallyportError {
  return new SallyportError('ERR_PROGRAM', `"${what}" answered something unexpected: ${JSON.stringify(value).slice(0, 200)}`);
}
