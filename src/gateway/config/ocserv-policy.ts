/**
 * What sessions get, from `ocserv.conf` and from files of users and groups.
 *
 * Two functions, as the keys that files may have are fewer: {@link hostPolicy} fills every field, {@link supplementOf} only what a file says.
 */
import type { SessionPolicy } from './gateway-config.ts';
import type { OcservSection } from './ocserv-section.ts';
import { address, addresses, compressionOrder, headers, ipv4Pool, ipv6Pool, portRestriction, routes } from './ocserv-values.ts';
import { subnetPrefix } from './pool-rules.ts';

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

/** Spec "Gateway contract", section 2.3. Observed: a longer one is refused. */
export const MAX_BANNER_BYTES = 256;

/** Smaller packets are not worth it; ocserv's limit. */
const MIN_LENGTH_TO_COMPRESS = 64;

/** `global` is the default host's section: keys that virtual hosts cannot have are taken from there. */
export function hostPolicy(section: OcservSection, global: OcservSection): SessionPolicy {
  const route = routes(section, 'route');
  const isCiscoCompatible = section.flag('cisco-client-compat');
  const allowsLegacyDtls = section.flag('dtls-legacy') || isCiscoCompatible;
  const matchesTlsCipher = section.flag('match-tls-dtls-ciphers');
  if (matchesTlsCipher && allowsLegacyDtls) {
    section.report.error(
      section.placeOf('match-tls-dtls-ciphers'),
      "'match-tls-dtls-ciphers' cannot be applied when 'dtls-legacy' or 'cisco-client-compat' is on",
    );
  }
  const banner = bannerOf(section, 'banner');
  const proxyPac = section.text('proxy-url');
  const dpd = section.seconds('dpd');
  const idleTimeout = section.optionalSeconds('idle-timeout');
  const mobileIdleTimeout = section.optionalSeconds('mobile-idle-timeout') ?? idleTimeout;
  const rekeyTime = section.optionalSeconds('rekey-time');
  const switchToStreamAfter = section.optionalSeconds('switch-to-tcp-timeout');
  const own = supplementOf(section);
  return {
    ...own,
    dns: own.dns ?? [],
    nbns: own.nbns ?? [],
    splitDns: own.splitDns ?? [],
    searchDomains: (section.text('default-domain') ?? '').split(/\s+/).filter((domain) => domain !== ''),
    routes: route.isEverything ? [] : route.networks,
    noRoutes: own.noRoutes ?? [],
    iroutes: [],
    exposesIroutes: section.flag('expose-iroutes'),
    appendsRoutes: section.flag('append-routes'),
    bypassesProtocols: section.flag('client-bypass-protocol'),
    restrictsToRoutes: own.restrictsToRoutes ?? false,
    ...(banner !== undefined && { banner }),
    ...(proxyPac !== undefined && { proxyPac }),
    headers: headers(section, 'custom-header'),
    keepalive: section.seconds('keepalive'),
    dpd,
    mobileDpd: section.has('mobile-dpd') ? section.seconds('mobile-dpd') : dpd,
    ...(idleTimeout !== undefined && { idleTimeout }),
    ...(mobileIdleTimeout !== undefined && { mobileIdleTimeout }),
    ...(rekeyTime !== undefined && { rekeyTime }),
    rekeyMethod: rekeyMethod(section),
    ...(switchToStreamAfter !== undefined && { switchToStreamAfter }),
    compression: section.flag('compression') ? compressionOrder(global) : [],
    minLengthToCompress: Math.max(MIN_LENGTH_TO_COMPRESS, section.count('no-compress-limit')),
    allowsUdp: true,
    allowsPsk: global.flag('dtls-psk'),
    allowsLegacyDtls,
    matchesTlsCipher,
    denyRoaming: own.denyRoaming ?? false,
    maxSameClients: own.maxSameClients ?? 0,
    gatewayMoves: section.flag('listen-host-is-dyndns'),
  };
}

/** Only what the section says. */
export function supplementOf(section: OcservSection): Partial<SessionPolicy> {
  const policy: Partial<Mutable<SessionPolicy>> = {};
  if (section.has('dns')) policy.dns = addresses(section, 'dns');
  if (section.has('nbns')) policy.nbns = addresses(section, 'nbns');
  if (section.has('split-dns')) policy.splitDns = section.list('split-dns').map(({ value }) => value);
  // Observed: a file's false does not take back what the host says.
  if (section.flag('tunnel-all-dns')) policy.tunnelAllDns = true;
  if (section.has('no-route')) policy.noRoutes = routes(section, 'no-route').networks;
  if (section.has('iroute')) policy.iroutes = routes(section, 'iroute').networks;
  const ports = portRestriction(section);
  if (ports !== undefined) policy.restrictsToPorts = ports;
  if (section.has('restrict-user-to-routes') || ports !== undefined) {
    policy.restrictsToRoutes = section.flag('restrict-user-to-routes') || ports !== undefined;
  }
  if (section.has('keepalive')) policy.keepalive = section.seconds('keepalive');
  if (section.has('dpd')) policy.dpd = section.seconds('dpd');
  if (section.has('mobile-dpd')) policy.mobileDpd = section.seconds('mobile-dpd');
  // Observed: of a file, 0 is "as the host says" for these, where 0 for dpd and keepalive turns them off.
  const idleTimeout = section.optionalSeconds('idle-timeout');
  if (idleTimeout !== undefined) policy.idleTimeout = idleTimeout;
  const mobileIdleTimeout = section.optionalSeconds('mobile-idle-timeout');
  if (mobileIdleTimeout !== undefined) policy.mobileIdleTimeout = mobileIdleTimeout;
  const sessionTimeout = section.optionalSeconds('session-timeout');
  if (sessionTimeout !== undefined) policy.sessionTimeout = sessionTimeout;
  const statisticsInterval = section.optionalSeconds('stats-report-time');
  if (statisticsInterval !== undefined) policy.statisticsInterval = statisticsInterval;
  const mtu = section.count('mtu');
  if (mtu > 0) policy.mtu = mtu;
  if (section.flag('no-udp')) policy.allowsUdp = false;
  if (section.has('deny-roaming')) policy.denyRoaming = section.flag('deny-roaming');
  if (section.has('max-same-clients')) policy.maxSameClients = section.count('max-same-clients');
  const receiveRate = section.count('rx-data-per-sec');
  if (receiveRate > 0) policy.receiveRate = receiveRate;
  const sendRate = section.count('tx-data-per-sec');
  if (sendRate > 0) policy.sendRate = sendRate;
  return policy;
}

/** Of a user or group alone: the name, the addresses, a pool. */
export function ownAddresses(section: OcservSection): Pick<SessionPolicy, 'hostname' | 'explicitIpv4' | 'explicitIpv6' | 'pools'> {
  const hostname = section.text('hostname');
  const explicitIpv4 = address(section, 'explicit-ipv4', 4);
  const explicitIpv6 = address(section, 'explicit-ipv6', 6);
  const ipv4 = ipv4Pool(section);
  const ipv6 = ipv6Pool(section);
  const hasSubnetPrefix = section.has('ipv6-subnet-prefix');
  const pools = {
    ...(ipv4 !== undefined && { ipv4 }),
    ...(ipv6 !== undefined && { ipv6 }),
    ...(hasSubnetPrefix && { ipv6SubnetPrefix: subnetPrefix(section, ipv6) }),
  };
  return {
    ...(hostname !== undefined && { hostname }),
    ...(explicitIpv4 !== undefined && { explicitIpv4 }),
    ...(explicitIpv6 !== undefined && { explicitIpv6 }),
    ...(Object.keys(pools).length > 0 && { pools }),
  };
}

export function bannerOf(section: OcservSection, key: 'banner' | 'pre-login-banner'): string | undefined {
  const text = section.text(key);
  if (text !== undefined && Buffer.byteLength(text) > MAX_BANNER_BYTES) {
    section.report.error(section.placeOf(key), `banner size is too long: '${key}' has ${MAX_BANNER_BYTES} bytes at most`);
  }
  return text;
}

function rekeyMethod(section: OcservSection): SessionPolicy['rekeyMethod'] {
  const method = section.text('rekey-method');
  if (method === 'ssl' || method === 'new-tunnel') return method;
  section.report.error(section.placeOf('rekey-method'), `unknown rekey method '${method}'`);
  return 'new-tunnel';
}
