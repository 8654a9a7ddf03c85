/**
 * From policy to what a client gets: the one place. Pure; time and chance are arguments.
 *
 * Read first: spec "AnyConnect", sections 4.4, 11.5 to 11.7; core/tunnel/session-terms.ts. Each field is compared with what the real ocserv sends for
 * the same configuration in `test/gateway/network/policy-terms-interop.test.ts`.
 *
 *   host, group, user ─► SessionPolicy ─┐
 *   pool ─► Lease ──────────────────────┼─► SessionTerms ─► a vendor's headers
 *   client ─► LeaseWishes ──────────────┘
 */
import type { LeaseWishes } from '../../core/protocols/gateway-protocol.ts';
import type { SuiteProtection } from '../../core/tls-messages/cipher-suites.ts';
import type { InterfaceAddress } from '../../core/tunnel/config.ts';
import type { KeepaliveTimes } from '../../core/tunnel/keepalive.ts';
import type { Millis } from '../../core/tunnel/packet.ts';
import type { DatagramPolicy, SessionTerms } from '../../core/tunnel/session-terms.ts';
import { type Cidr, formatCidr, type IpAddress } from '../../core/wire/ip-address.ts';
import type { SessionPolicy } from '../config/gateway-config.ts';
import type { KnownSession } from '../processes/auth-service.ts';
import type { Lease, LeasedAddress } from './lease-pool.ts';

export interface TermsFacts {
  readonly policy: SessionPolicy;
  readonly session: Pick<KnownSession, 'user' | 'group' | 'createdAt'>;
  readonly lease: Lease;
  readonly wishes: LeaseWishes;
  readonly host: {
    /** Where UDP is open; undefined: nowhere. */
    readonly udpPort?: number;
    /** What its `tls-priorities` leave of DTLS, best first; undefined: everything. */
    readonly dtlsCiphers?: readonly SuiteProtection['cipher'][];
    /** Of the device, in bytes: what a packet is at most where the policy has no `mtu`. */
    readonly mtu: number;
  };
  /** Networks behind other clients, for `expose-iroutes`. */
  readonly clientNetworks: readonly Cidr[];
}

export interface TermsMoment {
  /** In the machine's time. */
  readonly now: Millis;
  /** The same moment in milliseconds since 1970. */
  readonly date: number;
  /** At least 0 and below 1. */
  readonly random: number;
}

/** Observed: ocserv announces 172,770 to 172,830 seconds for 172,800, so that clients do not all come at once. */
const REKEY_JITTER: Millis = 30_000;
/** Ours: a short time between rekeys keeps its order of magnitude. */
const MAX_JITTER_SHARE = 0.1;

export function sessionTerms(facts: TermsFacts, moment: TermsMoment): SessionTerms {
  const { policy, wishes, host } = facts;
  const datagram = datagramPolicy(facts);
  return {
    config: networkConfig(facts, moment),
    ...(facts.lease.ipv4?.local !== undefined && { gatewayIpv4: facts.lease.ipv4.local }),
    ...(facts.lease.ipv6?.local !== undefined && { gatewayIpv6: facts.lease.ipv6.local }),
    linkMtu: policy.mtu ?? host.mtu,
    times: keepaliveTimes(policy, wishes, moment.random),
    rekeyMethod: policy.rekeyMethod,
    ...(policy.sessionTimeout !== undefined && { sessionTimeout: policy.sessionTimeout }),
    compression: policy.compression,
    minLengthToCompress: policy.minLengthToCompress,
    ...(datagram && { datagram }),
    ...(policy.switchToStreamAfter !== undefined && { switchToStreamAfter: policy.switchToStreamAfter }),
    clientNetworks: policy.iroutes,
    tunnelsAllDns: policy.tunnelAllDns ?? false, // Observed: also where everything goes through the tunnel
    bypassesProtocols: policy.bypassesProtocols,
    headers: policy.headers.flatMap(([name, value]) => {
      const filled = filledTemplate(value, facts.session, (text) => text);
      return filled === undefined ? [] : [[name, filled] as const];
    }),
    ...(policy.hostname !== undefined && { hostname: policy.hostname }),
    rates: {
      ...(policy.receiveRate !== undefined && { receive: policy.receiveRate }),
      ...(policy.sendRate !== undefined && { send: policy.sendRate }),
    },
  };
}

function networkConfig(facts: TermsFacts, { now, date }: TermsMoment): SessionTerms['config'] {
  const { policy, session, lease, wishes } = facts;
  const { idleTimeout, sessionTimeout, banner } = policy;
  const ipv4 = wishes.wantsIpv4 ? interfaceAddress(lease.ipv4) : undefined;
  const ipv6 = wishes.wantsIpv6 ? interfaceAddress(lease.ipv6) : undefined;
  // Observed: what decides is the family that the client asks for, not whether it gets an address of it.
  const isWanted = ({ family }: IpAddress) => (family === 4 ? wishes.wantsIpv4 : wishes.wantsIpv6);
  const idle = wishes.isMobile ? (policy.mobileIdleTimeout ?? idleTimeout) : idleTimeout;
  const proxyPac = policy.proxyPac === undefined ? undefined : filledTemplate(policy.proxyPac, session, encodeURIComponent);
  return {
    ...(ipv4 && { ipv4 }),
    ...(ipv6 && { ipv6 }),
    dns: policy.dns.filter(isWanted),
    nbns: policy.nbns.filter(isWanted),
    searchDomains: policy.searchDomains,
    splitDns: policy.splitDns,
    include: includedNetworks(facts).filter(({ address }) => isWanted(address)),
    exclude: policy.noRoutes.filter(({ address }) => isWanted(address)),
    ...(banner !== undefined && { banner }),
    ...(proxyPac !== undefined && { proxyPac }),
    ...(idle !== undefined && { idleTimeout: idle }),
    // From the log-in, whenever the client connects: else it would begin anew with each connection (spec 12.3).
    ...(sessionTimeout !== undefined && { expiresAt: now + (session.createdAt + sessionTimeout - date) }),
    ...(policy.gatewayMoves && { gatewayMoves: true }),
    vendorOptions: [],
  };
}

function interfaceAddress(leased: LeasedAddress | undefined): InterfaceAddress | undefined {
  return leased && { address: leased.address, prefix: leased.prefix };
}

/**
 * None: everything. Observed: ocserv tells a client the networks behind itself too, which cuts it off from them, none of IPv6, and makes a full tunnel
 * a split one. All three are left out here.
 */
function includedNetworks({ policy, clientNetworks }: TermsFacts): readonly Cidr[] {
  const { routes, iroutes, exposesIroutes } = policy;
  if (routes.length === 0 || routes.some(({ address, prefix }) => address.family === 4 && prefix === 0)) return [];
  if (!exposesIroutes) return routes;
  const known = new Set([...routes, ...iroutes].map(formatCidr));
  return [...routes, ...clientNetworks.filter((network) => !known.has(formatCidr(network)))];
}

function keepaliveTimes(policy: SessionPolicy, { isMobile }: LeaseWishes, random: number): KeepaliveTimes {
  const { keepalive, dpd, mobileDpd, rekeyTime } = policy;
  return {
    dpd: isMobile ? mobileDpd : dpd,
    keepalive,
    ...(rekeyTime !== undefined && rekeyTime > 0 && { rekey: withJitter(rekeyTime, random) }),
  };
}

/** In whole seconds, which is what clients are told. */
function withJitter(time: Millis, random: number): Millis {
  const jitter = Math.min(REKEY_JITTER, time * MAX_JITTER_SHARE);
  return Math.max(Math.round((time + (2 * random - 1) * jitter) / 1000), 1) * 1000;
}

function datagramPolicy({ policy, host }: TermsFacts): DatagramPolicy | undefined {
  const { allowsUdp, allowsPsk, allowsLegacyDtls, matchesTlsCipher } = policy;
  if (host.udpPort === undefined || !allowsUdp) return undefined;
  const ciphers = host.dtlsCiphers && { ciphers: host.dtlsCiphers };
  return { port: host.udpPort, certificate: true, allowsPsk, allowsLegacy: allowsLegacyDtls, matchesTlsCipher, ...ciphers };
}

/**
 * `%{U}` and `%{G}` filled in. Undefined: the text is left out. Observed: ocserv leaves out what has any other `%`. Ours: also what a name would make
 * another line of.
 */
function filledTemplate(
  template: string,
  { user, group = '' }: TermsFacts['session'],
  encode: (name: string) => string,
): string | undefined {
  if (/%(?!\{[UG]\})/.test(template)) return undefined;
  const filled = template.replace(/%\{([UG])\}/g, (_, name: string) => encode(name === 'U' ? user : group));
  return /[\u0000-\u001f\u007f]/.test(filled) ? undefined : filled;
}
