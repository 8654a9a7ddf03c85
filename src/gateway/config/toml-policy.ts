/** The `policy` table of `gateway.toml`: what sessions get. Of the default host and of each virtual one; what a virtual host does not say is as the default host has it. */
import { z } from 'zod';
import type { CompressionName } from '../../core/compress/compressor.ts';
import type { SessionPolicy } from './gateway-config.ts';
import { MAX_BANNER_BYTES } from './ocserv-policy.ts';
import { parsePortRestriction } from './port-restriction.ts';
import { given } from './toml-server.ts';
import { count, duration, headerTable, ipAddress, network, table, text } from './toml-values.ts';

const SECOND = 1000;
const HOUR = 3600 * SECOND;

/** IPv6 allows no less, and no link carries more (in bytes). */
const MIN_LINK_MTU = 1280;
const MAX_LINK_MTU = 65_535;

const MAX_NETWORKS = 1000;
const MAX_SERVERS = 16;
const MAX_DOMAINS = 256;

const ALGORITHMS: Readonly<Record<'lz4' | 'lzs', CompressionName>> = { lz4: 'oc-lz4', lzs: 'lzs' };

export const bannerText: z.ZodType<string> = text.refine(
  (banner) => Buffer.byteLength(banner) <= MAX_BANNER_BYTES,
  `${MAX_BANNER_BYTES} bytes at most were expected`,
);

const domain = z.string().regex(/^[A-Za-z0-9_.-]{1,253}$/, 'a domain name was expected');

/** Empty is everything, as the table says nothing then: `0.0.0.0/0` and `::/0` mean the same. */
const routeList = z
  .array(network)
  .max(MAX_NETWORKS)
  .transform((networks) => (networks.some(({ prefix }) => prefix === 0) ? [] : networks));

const ports = z.string().transform((written, context) => {
  const restriction = parsePortRestriction(written);
  if (restriction !== undefined) return restriction;
  context.addIssue('ports like "tcp(443), udp(53), icmp()" or "!(tcp(25))" were expected');
  return z.NEVER;
});

/** What sessions get where a file says nothing. */
export const DEFAULT_POLICY: SessionPolicy = {
  dns: [],
  nbns: [],
  splitDns: [],
  searchDomains: [],
  routes: [],
  noRoutes: [],
  iroutes: [],
  exposesIroutes: false,
  appendsRoutes: false,
  bypassesProtocols: false,
  restrictsToRoutes: false,
  headers: [],
  keepalive: 9 * HOUR,
  dpd: 90 * SECOND,
  mobileDpd: 1800 * SECOND,
  rekeyTime: 48 * HOUR,
  rekeyMethod: 'ssl',
  switchToStreamAfter: 25 * SECOND,
  compression: [],
  minLengthToCompress: 256,
  allowsUdp: true,
  allowsPsk: true,
  allowsLegacyDtls: false,
  matchesTlsCipher: false,
  denyRoaming: false,
  maxSameClients: 0,
  gatewayMoves: false,
};

/** Only what the table says. */
export type WrittenPolicy = { readonly [Key in keyof SessionPolicy]?: SessionPolicy[Key] | undefined };

export const policyTable: z.ZodType<WrittenPolicy> = table({
  dns: z.array(ipAddress).max(MAX_SERVERS).optional(),
  nbns: z.array(ipAddress).max(MAX_SERVERS).optional(),
  'split-dns': z.array(domain).max(MAX_DOMAINS).optional(),
  'search-domains': z.array(domain).max(MAX_SERVERS).optional(),
  'tunnel-all-dns': z.boolean().optional(),
  routes: routeList.optional(),
  'no-routes': z.array(network).max(MAX_NETWORKS).optional(),
  'append-routes': z.boolean().optional(),
  'expose-client-networks': z.boolean().optional(),
  'bypass-other-protocols': z.boolean().optional(),
  'restrict-to-routes': z.boolean().optional(),
  'restrict-to-ports': ports.optional(),
  banner: bannerText.optional(),
  'proxy-pac': text.optional(),
  headers: headerTable.optional(),
  keepalive: duration.optional(),
  dpd: duration.optional(),
  'mobile-dpd': duration.optional(),
  'idle-timeout': duration.optional(),
  'mobile-idle-timeout': duration.optional(),
  'session-timeout': duration.optional(),
  'rekey-time': duration.optional(),
  'rekey-method': z.enum(['ssl', 'new-tunnel']).optional(),
  'switch-to-tls-after': duration.optional(),
  mtu: z.int().min(MIN_LINK_MTU).max(MAX_LINK_MTU).optional(),
  compression: z
    .array(z.enum(['lz4', 'lzs']))
    .max(2)
    .optional(),
  'min-length-to-compress': z.int().min(64).max(MAX_LINK_MTU).optional(),
  udp: z.boolean().optional(),
  'dtls-psk': z.boolean().optional(),
  'dtls-legacy': z.boolean().optional(),
  'match-tls-cipher': z.boolean().optional(),
  'deny-roaming': z.boolean().optional(),
  'max-same-clients': count.optional(),
  'receive-rate': count.optional(),
  'send-rate': count.optional(),
  'statistics-interval': duration.optional(),
  'gateway-moves': z.boolean().optional(),
})
  .refine((policy) => !(policy['match-tls-cipher'] === true && policy['dtls-legacy'] === true), {
    error: 'it cannot be true together with dtls-legacy, which has ciphers of its own',
    path: ['match-tls-cipher'],
  })
  .transform((policy) => ({
    ...given({
      dns: policy.dns,
      nbns: policy.nbns,
      splitDns: policy['split-dns'],
      searchDomains: policy['search-domains'],
      tunnelAllDns: policy['tunnel-all-dns'],
      routes: policy.routes,
      noRoutes: policy['no-routes'],
      appendsRoutes: policy['append-routes'],
      exposesIroutes: policy['expose-client-networks'],
      bypassesProtocols: policy['bypass-other-protocols'],
      restrictsToRoutes: policy['restrict-to-ports'] === undefined ? policy['restrict-to-routes'] : true,
      restrictsToPorts: policy['restrict-to-ports'],
      banner: policy.banner,
      proxyPac: policy['proxy-pac'],
      headers: policy.headers,
      keepalive: policy.keepalive,
      dpd: policy.dpd,
      mobileDpd: policy['mobile-dpd'] ?? policy.dpd,
      rekeyMethod: policy['rekey-method'],
      mtu: policy.mtu,
      compression: policy.compression?.map((name) => ALGORITHMS[name]),
      minLengthToCompress: policy['min-length-to-compress'],
      allowsUdp: policy.udp,
      allowsPsk: policy['dtls-psk'],
      allowsLegacyDtls: policy['dtls-legacy'],
      matchesTlsCipher: policy['match-tls-cipher'],
      denyRoaming: policy['deny-roaming'],
      maxSameClients: policy['max-same-clients'],
      receiveRate: policy['receive-rate'] || undefined,
      sendRate: policy['send-rate'] || undefined,
      gatewayMoves: policy['gateway-moves'],
    }),
    ...offByZero('idleTimeout', policy['idle-timeout']),
    ...offByZero('mobileIdleTimeout', policy['mobile-idle-timeout'] ?? policy['idle-timeout']),
    ...offByZero('sessionTimeout', policy['session-timeout']),
    ...offByZero('rekeyTime', policy['rekey-time']),
    ...offByZero('switchToStreamAfter', policy['switch-to-tls-after']),
    ...offByZero('statisticsInterval', policy['statistics-interval']),
  }));

/** "0s" takes back what the default host says. */
function offByZero<Key extends string>(key: Key, time: number | undefined): { [K in Key]?: number | undefined } {
  return time === undefined ? {} : ({ [key]: time === 0 ? undefined : time } as { [K in Key]?: number | undefined });
}

/** One over the other; what is undefined in the upper one is nothing in the result. */
export function policyOf(...written: readonly WrittenPolicy[]): SessionPolicy {
  const together: WrittenPolicy = Object.assign({}, DEFAULT_POLICY, ...written);
  return given(together) as SessionPolicy;
}
