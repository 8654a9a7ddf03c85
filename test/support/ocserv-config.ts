/**
 * ocserv's configuration file from typed settings. The names are ocserv's own, so that its manual is the manual of this file too.
 *
 * Read first: spec "Gateway contract", sections 1 (syntax) and 2 (keys).
 */

type NumberKey =
  | 'auth-timeout'
  | 'ban-points-connection'
  | 'ban-points-wrong-password'
  | 'ban-reset-time'
  | 'cookie-timeout'
  | 'dpd'
  | 'idle-timeout'
  | 'ipv6-subnet-prefix'
  | 'keepalive'
  | 'max-ban-score'
  | 'max-clients'
  | 'max-same-clients'
  | 'min-reauth-time'
  | 'mobile-dpd'
  | 'mobile-idle-timeout'
  | 'mtu'
  | 'no-compress-limit'
  | 'output-buffer'
  | 'rate-limit-ms'
  | 'rekey-time'
  | 'rx-data-per-sec'
  | 'sec-mod-scale'
  | 'server-drain-ms'
  | 'session-timeout'
  | 'switch-to-tcp-timeout'
  | 'tcp-port'
  | 'tx-data-per-sec'
  | 'udp-port';

type BooleanKey =
  | 'append-routes'
  | 'auto-select-group'
  /** Of releases after 1.1.6, as its secret. */
  | 'camouflage'
  | 'cisco-client-compat'
  | 'client-bypass-protocol'
  | 'compression'
  | 'deny-roaming'
  | 'dtls-legacy'
  | 'dtls-psk'
  | 'expose-iroutes'
  | 'isolate-workers'
  | 'listen-host-is-dyndns'
  | 'listen-proxy-proto'
  | 'match-tls-dtls-ciphers'
  | 'persistent-cookies'
  | 'ping-leases'
  | 'predictable-ips'
  | 'restrict-user-to-routes'
  | 'try-mtu-discovery'
  | 'tunnel-all-dns'
  | 'use-occtl'
  | 'use-utmp'
  | 'host-reports'
  | 'portal';

type TextKey =
  | 'banner'
  | 'ca-cert'
  | 'camouflage_secret'
  | 'vpn-protocols'
  | 'cert-group-oid'
  | 'cert-user-oid'
  | 'compression-algo-priority'
  | 'config-per-group'
  | 'config-per-user'
  | 'connect-script'
  | 'crl'
  | 'default-domain'
  | 'default-group-config'
  | 'default-select-group'
  | 'default-user-config'
  | 'device'
  | 'disconnect-script'
  | 'explicit-ipv4'
  | 'explicit-ipv6'
  | 'host-update-script'
  | 'hostname'
  | 'ipv4-network'
  | 'ipv6-network'
  | 'listen-host'
  | 'occtl-socket-file'
  | 'ocsp-response'
  | 'pid-file'
  | 'pre-login-banner'
  | 'proxy-url'
  | 'restrict-user-to-ports'
  | 'route-add-cmd'
  | 'route-del-cmd'
  | 'run-as-group'
  | 'run-as-user'
  | 'server-cert'
  | 'server-key'
  | 'socket-file'
  | 'tls-priorities'
  | 'udp-listen-host'
  | 'user-profile';

type ListKey =
  | 'auth'
  | 'custom-header'
  | 'dns'
  | 'enable-auth'
  | 'included-http-headers'
  | 'iroute'
  | 'portal-gateway'
  | 'nbns'
  | 'no-route'
  | 'route'
  | 'select-group'
  | 'split-dns';

type Values = Record<NumberKey, number> &
  Record<BooleanKey, boolean> &
  Record<TextKey, string> &
  Record<ListKey, readonly string[]> & {
    'rekey-method': 'ssl' | 'new-tunnel';
    /** Only in per-user and per-group files. */
    'no-udp': boolean;
  };

/** Each key is optional, and undefined means that it is not there; a list key is written once an entry. */
export type OcservSettings = { readonly [Key in keyof Values]?: Values[Key] | undefined };

/** A gateway for tests: a few clients of each user, no bans, nothing that needs the machine. The listening ports are the standard ones. */
export const DEFAULT_SETTINGS: OcservSettings = {
  'tcp-port': 443,
  'udp-port': 443,
  device: 'vpns',
  'run-as-user': 'root',
  'run-as-group': 'root',
  'use-occtl': true,
  'use-utmp': false,
  'sec-mod-scale': 1,
  'isolate-workers': false,
  'max-same-clients': 16,
  'max-ban-score': 0,
  'rate-limit-ms': 0,
  'auth-timeout': 240,
  'cookie-timeout': 300,
  keepalive: 32_400,
  dpd: 90,
  'mobile-dpd': 1_800,
  'rekey-time': 172_800,
  'rekey-method': 'ssl',
  'cisco-client-compat': false,
  'dtls-legacy': false,
  'predictable-ips': true,
  'ipv4-network': '10.77.0.0/24',
  'ipv6-network': 'fd77::/64',
  'ipv6-subnet-prefix': 128,
  'default-domain': 'inside.test',
};

/** The text of a configuration file. Throws for a value that would end its line or its quotes. */
export function renderOcservConfig(settings: OcservSettings): string {
  const lines = Object.entries(settings).flatMap(([key, value]) => {
    if (value === undefined) return [];
    return (Array.isArray(value) ? value : [value]).map((one) => `${key} = ${literal(key, one)}`);
  });
  return `${lines.join('\n')}\n`;
}

function literal(key: string, value: unknown): string {
  if (typeof value !== 'string') return String(value);
  if (/["\r\n]/.test(value)) throw new Error(`ocserv's ${key} cannot hold quotes or line ends: ${JSON.stringify(value)}`);
  return `"${value}"`;
}
