/**
 * What a command line asks for, checked and typed. Nothing here has touched the network.
 *
 * Read first: spec "CLI", section 3; the names follow its options.
 */
import type { ProtocolId } from '../../core/auth/protocol-id.ts';
import type { Secret } from '../../core/secret.ts';
import type { Millis } from '../../core/tunnel/packet.ts';
import type { TlsPolicy } from '../../node/tls-policy/tls-policy.ts';
import type { ProxyAddress } from './proxy-address.ts';
import type { ServerAddress } from './server-address.ts';

export interface Settings {
  /** After the profile of `--xmlconfig` and `--usergroup` were consulted. */
  readonly server: ServerAddress;
  readonly protocol: BuiltProtocol;
  /** `connect`: do all; `authenticate`, `cookieonly`: log in, print and leave; `printcookie`: log in, print and go on. */
  readonly mode: Mode;
  readonly login: LoginSettings;
  readonly certificate?: CertificateSettings;
  /** The second certificate of a multiple-certificate log-in. */
  readonly userCertificate?: CertificateSettings;
  readonly trust: TrustSettings;
  readonly connection: ConnectionSettings;
  readonly tunnel: TunnelSettings;
  readonly network: NetworkSettings;
  readonly identity: IdentitySettings;
  readonly hostCheck: HostCheckSettings;
  readonly process: ProcessSettings;
  readonly messages: MessageSettings;
}

export type BuiltProtocol = ProtocolId;
export type Mode = 'connect' | 'authenticate' | 'cookieonly' | 'printcookie';

export interface LoginSettings {
  readonly user?: string;
  readonly authgroup?: string;
  /** The line that `--passwd-on-stdin` read: for the first password field, once. */
  readonly password?: Secret;
  /** False: give up where a password is wanted. */
  readonly passwordsAllowed: boolean;
  /** Never wait for a person. With {@link password} given, questions may still be answered by further lines of standard input. */
  readonly nonInteractive: boolean;
  /** In the order of search: what was given last comes first. */
  readonly formEntries: readonly FormEntry[];
  readonly token?: TokenSettings;
  /** Skips the log-in. */
  readonly cookie?: Secret;
  /** The program that shows the pages of a log-in by browser. */
  readonly externalBrowser?: string;
  readonly httpAuth: readonly HttpAuthMethod[];
  readonly xmlPost: boolean;
  /** The profile of `--xmlconfig`: replaced when the gateway offers a newer one. */
  readonly profile?: string;
}

export interface FormEntry {
  readonly form: string;
  readonly field: string;
  readonly value: Secret;
}

export interface TokenSettings {
  readonly mode: 'totp' | 'hotp' | 'oidc';
  /** As written: text, `0x…`, `base32:…`, or `@file` and `/file`, which hold any of these. */
  readonly secret: Secret;
}

export type HttpAuthMethod = 'Negotiate' | 'NTLM' | 'Digest' | 'Basic' | 'Bearer';

export interface CertificateSettings {
  /** A file or a `pkcs11:` URI. */
  readonly certificate: string;
  /** A file or URI; the same as {@link certificate} unless it was given. */
  readonly key: string;
  readonly password?: Secret;
  /** The password is the id of the key's file system. */
  readonly passwordFromFsid: boolean;
}

export interface TrustSettings {
  readonly caFile?: string;
  /** False also where fingerprints were given. */
  readonly systemTrust: boolean;
  /** Fingerprints as written; if there are any, one of them must match. */
  readonly serverCerts: readonly string[];
  readonly certExpireWarning: Millis;
  readonly tls: TlsPolicy;
}

export interface ConnectionSettings {
  readonly proxy?: ProxyAddress;
  readonly proxyAuth: readonly HttpAuthMethod[];
  /** By host name, case-sensitive. */
  readonly resolve: ReadonlyMap<string, string>;
  /** Instead of the host, in the TLS hello. */
  readonly sni?: string;
  /** False: a new connection for every request. */
  readonly keepAlive: boolean;
  readonly reconnectTimeout: Millis;
}

export interface TunnelSettings {
  /** Bytes; at least 576. */
  readonly mtu?: number;
  readonly baseMtu?: number;
  readonly compression: 'none' | 'stateless' | 'all';
  /** False: neither DTLS nor ESP. */
  readonly udp: boolean;
  readonly ipv6: boolean;
  /** Suites by the gateway's names, colons between them. */
  readonly dtlsCiphers?: string;
  readonly dtls12Ciphers?: string;
  readonly udpLocalPort?: number;
  readonly passTos: boolean;
  readonly forceDpd?: Millis;
}

export interface NetworkSettings {
  /** A shell command; empty: nothing is configured. */
  readonly script: string;
  readonly scriptTun: boolean;
  readonly interface?: string;
}

export interface IdentitySettings {
  readonly userAgent: string;
  /** What `--useragent` says. */
  readonly chosenUserAgent?: string;
  readonly versionString: string;
  /** What `--version-string` says. */
  readonly chosenVersion?: string;
  readonly localHostname: string;
  readonly os: OperatingSystem;
  readonly mobile?: { readonly platformVersion: string; readonly deviceType: string; readonly uniqueId: string };
}

export const OPERATING_SYSTEMS = ['linux', 'linux-64', 'win', 'mac-intel', 'android', 'apple-ios'] as const;
export type OperatingSystem = (typeof OPERATING_SYSTEMS)[number];

export interface HostCheckSettings {
  readonly user?: SystemUser;
  readonly wrapper?: string;
  /** Between reports on this machine, where the gateway wants them. */
  readonly interval?: Millis;
}

export interface ProcessSettings {
  readonly background: boolean;
  /** Counts only together with {@link background}. */
  readonly pidFile?: string;
  /** Who we become once the tunnel is up. */
  readonly setuid?: SystemUser;
}

/** A user of this computer. */
export interface SystemUser {
  readonly uid: number;
  readonly gid: number;
  readonly name: string;
  readonly home: string;
}

export interface MessageSettings {
  /** 0: errors only … 3: everything. */
  readonly level: MessageLevel;
  readonly timestamp: boolean;
  /** To syslog once the tunnel is up. */
  readonly syslog: boolean;
  readonly dumpHttpTraffic: boolean;
}

/** openconnect's levels: error, info, debug, trace. */
export type MessageLevel = 0 | 1 | 2 | 3;
