/**
 * The gateway's configuration as values: what `ocserv.conf` and `gateway.toml` both become. Every file has been read, every default filled in.
 *
 * Read first: spec "Gateway contract", section 2 (keys). Names here are plain words; the key of ocserv's file stands beside those that differ.
 *
 *   GatewayConfig ── hosts[0]   the default host
 *                 └─ hosts[1…]  virtual hosts, chosen by SNI
 *   HostConfig ── policy        what its sessions get; files of groups and users override it, see `session-policy.ts`
 */
import type { CompressionName } from '../../core/compress/compressor.ts';
import type { NatService } from '../../core/nat/destination.ts';
import type { NatLimits } from '../../core/nat/limits.ts';
import type { PortalPage } from '../../core/protocols/gateway-protocol.ts';
import type { Secret } from '../../core/secret.ts';
import type { Millis } from '../../core/tunnel/packet.ts';
import type { Cidr, IpAddress } from '../../core/wire/ip-address.ts';
import type { HostProtocols } from './host-protocols.ts';

export interface GatewayConfig {
  readonly listen: ListenConfig;
  readonly processes: ProcessConfig;
  readonly limits: LimitConfig;
  readonly bans: BanConfig;
  readonly network: NetworkConfig;
  readonly scripts: ScriptConfig;
  readonly control: ControlConfig;
  /** 0 to 9, ocserv's: 0 and 1 basic, 2 info, 3 debug, 4 HTTP, 8 sensitive, 9 TLS. */
  readonly logLevel: number;
  /** The first is the default host. */
  readonly hosts: readonly HostConfig[];
}

export interface ListenConfig {
  /** `listen-host`; undefined: all addresses. */
  readonly host?: string;
  /** `udp-listen-host`. Default: as {@link host}. */
  readonly udpHost?: string;
  readonly tcpPort: number;
  /** Undefined: no UDP. */
  readonly udpPort?: number;
  /** A unix socket for connections that a proxy hands on; they begin with a PROXY header where {@link proxyProtocol} says so. */
  readonly unixSocket?: string;
  /** `listen-netns`. */
  readonly networkNamespace?: string;
  /** `listen-proxy-proto`: every connection begins with a PROXY header, version 1 or 2. */
  readonly proxyProtocol: boolean;
}

export interface ProcessConfig {
  /** Names or numbers; workers alone change to them. */
  readonly user: string;
  readonly group: string;
  readonly chroot?: string;
  readonly pidFile?: string;
  /** Beside it lives what must outlast a restart: sessions and leases (`socket-file`). */
  readonly socketFile: string;
  /** Worker processes; 0: as many as the machine has processors. */
  readonly workers: number;
}

export interface LimitConfig {
  /** Sessions at once; 0: unlimited (`max-clients`). */
  readonly maxClients: number;
  /** Pause between accepted connections while the back ends lag behind (`rate-limit-ms`). */
  readonly acceptInterval: Millis;
  /** How long a log-in may take (`auth-timeout`). */
  readonly loginTime: Millis;
  /** At the end: listeners are closed, and sessions have so long to go elsewhere (`server-drain-ms`). */
  readonly drain: Millis;
}

export interface BanConfig {
  /** 0: nobody is banned (`max-ban-score`). */
  readonly maxScore: number;
  /** How long a ban lasts (`min-reauth-time`). */
  readonly banTime: Millis;
  /** How long a score is remembered (`ban-reset-time`). */
  readonly resetTime: Millis;
  readonly pointsWrongPassword: number;
  readonly pointsConnection: number;
}

export interface NetworkConfig {
  /** No interface, and no root for it: clients' flows end in the workers, which go on by sockets of their own. See `gateway/nat`. */
  readonly isUserspace: boolean;
  readonly nat: NatConfig;
  /** The name's prefix of the interface: `vpns` makes `vpns0`. */
  readonly device: string;
  /** `ping-leases`: an address is pinged before it is given out. */
  readonly pingLeases: boolean;
  /** `route-add-cmd`, `route-del-cmd`: with `%{R}`, `%{RI}`, `%{D}`. */
  readonly routeAddCommand?: string;
  readonly routeDeleteCommand?: string;
}

/** What counts without an interface only. */
export interface NatConfig {
  /** Ports of the gateway's inner addresses that lead to places of their own, this host included. */
  readonly services: readonly NatService[];
  readonly limits: NatLimits;
}

/** Paths of programs, run without a shell and without arguments. */
export interface ScriptConfig {
  readonly connect?: string;
  readonly disconnect?: string;
  readonly hostUpdate?: string;
}

export interface ControlConfig {
  /** `use-occtl`. */
  readonly isEnabled: boolean;
  readonly socket: string;
  /** Where metrics are served for Prometheus (our own file only): a loopback port or a unix socket. */
  readonly metrics?: { readonly host: string; readonly port: number } | { readonly unixSocket: string };
  /** How often the figures of the current period begin anew (`server-stats-reset-time`). */
  readonly statisticsPeriod: Millis;
}

export interface HostConfig {
  /** Undefined: the default host. Else lower case, in the form of SNI (punycode). */
  readonly name?: string;
  readonly tls: HostTls;
  readonly auth: AuthConfig;
  readonly login: LoginPageConfig;
  /** Undefined: there is none. */
  readonly portal?: PortalConfig;
  readonly sessions: SessionLifeConfig;
  readonly supplements: SupplementConfig;
  readonly pools: PoolConfig;
  readonly policy: SessionPolicy;
}

export interface HostTls {
  /** Pairs, PEM paths: an RSA and an EC one may stand side by side. */
  readonly certificates: readonly CertificatePair[];
  readonly clientAuthority?: string;
  readonly revocationList?: string;
  readonly ocspResponse?: string;
  /** What `tls-priorities` was translated to: never weaker than it says. */
  readonly policy: TlsPolicyConfig;
  /** How client certificates are asked for: never, if they wish, or else no log-in. */
  readonly clientCertificates: 'no' | 'optional' | 'required';
}

export interface CertificatePair {
  /** The chain. */
  readonly certificate: string;
  readonly key: string;
  /** Of an encrypted key: a file with the password, or the password. */
  readonly pinFile?: string;
  readonly pin?: Secret;
}

/** In OpenSSL's words, for node:tls. Suites with DHE need its `dhparam: 'auto'` as well. */
export interface TlsPolicyConfig {
  readonly minVersion: 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3';
  readonly maxVersion: 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3';
  readonly ciphers?: string;
  readonly groups?: string;
  readonly signatures?: string;
  /** What DTLS may use, best first; undefined: all that it has. */
  readonly dtlsCiphers?: readonly ('aes-256-gcm' | 'chacha20-poly1305' | 'aes-128-gcm' | 'aes-256-cbc' | 'aes-128-cbc')[];
  readonly prefersServerOrder: boolean;
}

/** All of `required`, or one of `alternatives`, admits (`auth`, `enable-auth`). At most one of them all asks for a password. */
export interface AuthConfig {
  readonly required: readonly AuthMethod[];
  readonly alternatives: readonly AuthMethod[];
  readonly accounting?: { readonly method: 'radius'; readonly radius: RadiusConfig } | { readonly method: 'pam' };
  readonly certificateUser?: CertificateField;
  readonly certificateGroup?: CertificateField;
}

export type AuthMethod =
  | { readonly method: 'plain'; readonly passwordFile?: string; readonly otpFile?: string }
  | { readonly method: 'pam'; readonly minGid?: number }
  | { readonly method: 'radius'; readonly radius: RadiusConfig; readonly takesGroups: boolean }
  | { readonly method: 'certificate' }
  | { readonly method: 'oidc'; readonly file: string };

export interface RadiusConfig {
  /** The file of radcli: `authserver`, `acctserver`, `servers`, `radius_timeout`, `radius_retries`. */
  readonly file: string;
  readonly nasIdentifier?: string;
}

/** Where in a certificate a name stands: an object identifier of the subject, or the mail address of the alternative names. */
export type CertificateField = { readonly oid: string } | { readonly alternativeName: 'rfc822name' };

export interface LoginPageConfig {
  /** Whose clients are served; the first decides where nobody can tell. */
  readonly protocols: HostProtocols;
  readonly preLoginBanner?: string;
  /** `host-reports`: clients whose protocol has reports on their machines are asked for them. */
  readonly wantsHostReports: boolean;
  /** `select-group`: the names, with the friendly text where there is one. */
  readonly groups: readonly { readonly name: string; readonly label: string }[];
  /** `default-select-group`: the label of the entry that means "my own first group". */
  readonly defaultGroupLabel?: string;
  /** `auto-select-group`. */
  readonly listsOwnGroups: boolean;
  /** `user-profile`: the path of an XML file. */
  readonly profile?: string;
  /** `included-http-headers`. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly camouflage?: { readonly secret: Secret; readonly realm?: string };
  /** `cisco-client-compat`: the certificate is not wanted again on each connection. */
  readonly isCiscoCompatible: boolean;
}

/** What clients are told of gateways before they come to one, and how a log-in at one counts at the others. */
export interface PortalConfig extends PortalPage {
  /** How long a pass is good for. */
  readonly passTime: Millis;
  /** The path of a file: gateways with the same take each other's passes. Undefined: this gateway takes its own, until it stops. */
  readonly passKey?: string;
}

export interface SessionLifeConfig {
  /** How long a cookie is good for after the tunnel has gone. */
  readonly cookieTimeout: Millis;
  /** A cookie outlives an explicit log-out. */
  readonly persistentCookies: boolean;
}

export interface SupplementConfig {
  /** Folders with a file for each user or group, and the file for those that have none. */
  readonly userFolder?: string;
  readonly groupFolder?: string;
  readonly defaultUserFile?: string;
  readonly defaultGroupFile?: string;
}

export interface PoolConfig {
  readonly ipv4?: Cidr;
  readonly ipv6?: Cidr;
  /** Bits of what one client gets of {@link ipv6}. */
  readonly ipv6SubnetPrefix: number;
  /** The user's name decides the address (`predictable-ips`). */
  readonly isPredictable: boolean;
}

/** What a session may do and is told. Keys of ocserv's scope U: files of groups and users override single ones. */
export interface SessionPolicy {
  readonly dns: readonly IpAddress[];
  readonly nbns: readonly IpAddress[];
  readonly splitDns: readonly string[];
  readonly searchDomains: readonly string[];
  /** Undefined: on where everything goes through the tunnel. */
  readonly tunnelAllDns?: boolean;
  /** Empty, as with `default` in the file: everything. */
  readonly routes: readonly Cidr[];
  readonly noRoutes: readonly Cidr[];
  /** Networks behind the client. */
  readonly iroutes: readonly Cidr[];
  readonly exposesIroutes: boolean;
  readonly appendsRoutes: boolean;
  readonly bypassesProtocols: boolean;
  readonly restrictsToRoutes: boolean;
  readonly restrictsToPorts?: PortRestriction;
  readonly banner?: string;
  readonly proxyPac?: string;
  /** `custom-header`, with `%{U}` and `%{G}` as they stand in the file. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly keepalive: Millis;
  readonly dpd: Millis;
  readonly mobileDpd: Millis;
  readonly idleTimeout?: Millis;
  readonly mobileIdleTimeout?: Millis;
  readonly sessionTimeout?: Millis;
  readonly rekeyTime?: Millis;
  readonly rekeyMethod: 'ssl' | 'new-tunnel';
  readonly switchToStreamAfter?: Millis;
  /** Largest outer packet in bytes; undefined: the machine's. */
  readonly mtu?: number;
  readonly compression: readonly CompressionName[];
  readonly minLengthToCompress: number;
  readonly allowsUdp: boolean;
  readonly allowsPsk: boolean;
  readonly allowsLegacyDtls: boolean;
  readonly matchesTlsCipher: boolean;
  readonly denyRoaming: boolean;
  /** 0: unlimited. */
  readonly maxSameClients: number;
  /** Bytes a second. */
  readonly receiveRate?: number;
  readonly sendRate?: number;
  /** Interval of interim reports to the accounting back end. */
  readonly statisticsInterval?: Millis;
  readonly gatewayMoves: boolean;
  /** `hostname`, `explicit-ipv4`, `explicit-ipv6`, `ipv4-network` …: of user files only. */
  readonly hostname?: string;
  readonly explicitIpv4?: IpAddress;
  readonly explicitIpv6?: IpAddress;
  readonly pools?: Partial<PoolConfig>;
}

export interface PortRestriction {
  /** Everything but these (`!( … )`). */
  readonly isNegated: boolean;
  readonly ports: readonly { readonly protocol: 'tcp' | 'udp' | 'sctp' | 'icmp' | 'icmpv6' | 'esp'; readonly port?: number }[];
}

/** What a file says that is worth a word at start, with its line: keys that do not work here, and why. */
export interface ConfigNotice {
  readonly file: string;
  /** 1 for the first; 0: the file as a whole, for what is missing. */
  readonly line: number;
  /** 1 for the first, where it is known. */
  readonly column?: number;
  readonly level: 'error' | 'warning' | 'note';
  readonly message: string;
}
