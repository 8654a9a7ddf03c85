/**
 * What the administrator's scripts are told of a session, in ocserv's words.
 *
 * Read first: spec "Gateway contract", section 6. A script gets the gateway's own environment without the names in `unset`, and with `set` on top.
 *
 * Observed (ocserv 1.1.6): lists end in a blank, and are not there when empty; GROUPNAME, DEVICE_TYPE and DEVICE_PLATFORM are there even so; both
 * HOSTNAME and REMOTE_HOSTNAME are the name that the client says, whatever `hostname` says; a route `default` makes OCSERV_ROUTES go.
 */

import type { Cidr, IpAddress } from '../../core/wire/ip-address.ts';
import { formatCidr, formatIp, netmaskOf } from '../../core/wire/ip-address.ts';
import { printable } from '../../core/wire/text.ts';
import type { ScriptEnvironment } from '../../node/network/script-runner.ts';
import type { PortRestriction } from '../config/gateway-config.ts';
import type { SessionUsage } from '../processes/auth-service.ts';
import type { Restriction } from './firewall-rules.ts';
import type { Lease } from './lease-pool.ts';

export type ScriptReason = 'connect' | 'disconnect' | 'host-update';

export interface SessionScriptFacts {
  /** Names the tunnel, as `occtl` does: another one for each connection. */
  readonly id: number;
  readonly user: string;
  readonly group?: string;
  /** The virtual host; undefined: the default host. */
  readonly host?: string;
  readonly device: string;
  /** Of the connection: the client's address, and ours. */
  readonly remote: IpAddress;
  readonly local: IpAddress;
  readonly lease: Lease;
  /** What the client says of itself. */
  readonly client: {
    readonly hostname?: string;
    readonly userAgent: string;
    readonly deviceType?: string;
    readonly devicePlatform?: string;
  };
  readonly policy: Restriction;
  /** For `disconnect`. */
  readonly usage?: SessionUsage;
}

/** Names that a script must not inherit from us: a gateway may itself run in a script of another. */
const VARIABLES: readonly string[] = [
  'REASON',
  'VHOST',
  'USERNAME',
  'GROUPNAME',
  'DEVICE',
  'IP_REAL',
  'IP_REAL_LOCAL',
  'IP_LOCAL',
  'IP_REMOTE',
  'IPV6_LOCAL',
  'IPV6_REMOTE',
  'IPV6_PREFIX',
  'ID',
  'HOSTNAME',
  'REMOTE_HOSTNAME',
  'USER_AGENT',
  'DEVICE_TYPE',
  'DEVICE_PLATFORM',
  ...['OCSERV_ROUTES', 'OCSERV_NO_ROUTES', 'OCSERV_DNS'].flatMap((name) => [name, `${name}4`, `${name}6`]),
  'OCSERV_RESTRICT_TO_ROUTES',
  'OCSERV_ALLOW_PORTS',
  'OCSERV_DENY_PORTS',
  'OCSERV_NEXT_SCRIPT',
  'STATS_BYTES_IN',
  'STATS_BYTES_OUT',
  'STATS_DURATION',
];

/** Longest text of a client's that a script is told. */
const MAX_CLIENT_TEXT = 256;

export function sessionEnvironment(reason: ScriptReason, facts: SessionScriptFacts): ScriptEnvironment {
  const { lease, client, policy } = facts;
  const set: Record<string, string> = {
    REASON: reason,
    VHOST: facts.host ?? 'default',
    USERNAME: clientText(facts.user),
    GROUPNAME: clientText(facts.group),
    DEVICE: facts.device,
    IP_REAL: formatIp(facts.remote),
    IP_REAL_LOCAL: formatIp(facts.local),
    ID: String(facts.id),
    USER_AGENT: clientText(client.userAgent),
    DEVICE_TYPE: clientText(client.deviceType),
    DEVICE_PLATFORM: clientText(client.devicePlatform),
    ...leaseVariables(lease),
    ...networkVariables('OCSERV_ROUTES', policy.routes.some(isDefault) ? [] : policy.routes, routeText),
    ...networkVariables('OCSERV_NO_ROUTES', policy.noRoutes, routeText),
    ...networkVariables('OCSERV_DNS', policy.dns.map(host), ({ address }) => formatIp(address)),
    ...portVariables(policy.restrictsToPorts),
  };
  if (client.hostname !== undefined) for (const name of ['HOSTNAME', 'REMOTE_HOSTNAME']) set[name] = clientText(client.hostname);
  if (policy.restrictsToRoutes) set.OCSERV_RESTRICT_TO_ROUTES = '1';
  if (facts.usage !== undefined && reason === 'disconnect') {
    set.STATS_BYTES_IN = String(facts.usage.received);
    set.STATS_BYTES_OUT = String(facts.usage.sent);
    set.STATS_DURATION = String(Math.floor(facts.usage.duration / 1000));
  }
  return { set, unset: VARIABLES };
}

function leaseVariables({ ipv4, ipv6 }: Lease): Record<string, string> {
  return {
    ...(ipv4 && { IP_REMOTE: formatIp(ipv4.address) }),
    ...(ipv4?.local && { IP_LOCAL: formatIp(ipv4.local) }),
    ...(ipv6 && { IPV6_REMOTE: formatIp(ipv6.address), IPV6_PREFIX: String(ipv6.prefix) }),
    // Observed: ocserv writes a scope behind this one that is not a scope: `fd77::1%2937514752`.
    ...(ipv6?.local && { IPV6_LOCAL: formatIp(ipv6.local) }),
  };
}

/** All, those of IPv4, those of IPv6: a variable for each that has any. */
function networkVariables(name: string, networks: readonly Cidr[], text: (network: Cidr) => string): Record<string, string> {
  const list = (members: readonly Cidr[]) => members.map((network) => `${text(network)} `).join('');
  const lists = { [name]: networks, [`${name}4`]: networks.filter(isIpv4), [`${name}6`]: networks.filter((network) => !isIpv4(network)) };
  return Object.fromEntries(Object.entries(lists).flatMap(([key, members]) => (members.length === 0 ? [] : [[key, list(members)]])));
}

function portVariables(restriction: PortRestriction | undefined): Record<string, string> {
  if (restriction === undefined) return {};
  const list = restriction.ports.map(({ protocol, port }) => `${protocol} ${port ?? 'all'} `).join('');
  return { [restriction.isNegated ? 'OCSERV_DENY_PORTS' : 'OCSERV_ALLOW_PORTS']: list };
}

function routeText(network: Cidr): string {
  return isIpv4(network) ? `${formatIp(network.address)}/${formatIp(netmaskOf(4, network.prefix))}` : formatCidr(network);
}

function host(address: IpAddress): Cidr {
  return { address, prefix: address.bytes.length * 8 };
}

function isIpv4({ address }: Cidr): boolean {
  return address.family === 4;
}

function isDefault({ address, prefix }: Cidr): boolean {
  return address.family === 4 && prefix === 0;
}

/** One line, no control characters, not too long; empty for none. */
function clientText(text: string | undefined): string {
  return printable(text ?? '')
    .replace(/\s+/g, ' ')
    .slice(0, MAX_CLIENT_TEXT);
}
