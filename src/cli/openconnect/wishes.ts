/** What the options have said so far, while they are read from left to right. `apply-option.ts` writes it, `settings-of.ts` makes {@link Settings} of it. */
import type { ProtocolId } from '../../core/auth/protocol-id.ts';
import type { Secret } from '../../core/secret.ts';
import type { Millis } from '../../core/tunnel/packet.ts';
import type { ServerAddress } from './server-address.ts';
import type {
  FormEntry,
  HttpAuthMethod,
  MessageLevel,
  Mode,
  OperatingSystem,
  SystemUser,
  TokenSettings,
  TunnelSettings,
} from './settings.ts';

export interface Wishes {
  /** Of the option; the operand comes later. */
  server?: ServerAddress;
  mode: Mode;
  protocol: ProtocolId;

  user?: string;
  usergroup?: string;
  authgroup?: string;
  password?: Secret;
  passwordsAllowed: boolean;
  nonInteractive: boolean;
  formEntries: readonly FormEntry[];
  externalBrowser?: string;
  tokenMode?: TokenSettings['mode'];
  tokenSecret?: Secret;
  cookie?: Secret;
  httpAuth: readonly HttpAuthMethod[];
  xmlPost: boolean;
  profile?: string;

  certificate?: string;
  key?: string;
  keyPassword?: Secret;
  keyPasswordFromFsid: boolean;
  userCertificate?: string;
  userKey?: string;
  userKeyPassword?: Secret;

  caFile?: string;
  systemTrust: boolean;
  serverCerts: readonly string[];
  certExpireWarning: Millis;
  pfs: boolean;
  allowInsecureCrypto: boolean;
  gnutlsPriority?: string;
  opensslCiphers?: string;

  /** A URL: of the option, or of the environment. */
  proxy?: string;
  proxyAuth: readonly HttpAuthMethod[];
  resolve: ReadonlyMap<string, string>;
  sni?: string;
  keepAlive: boolean;
  reconnectTimeout: Millis;

  mtu?: number;
  baseMtu?: number;
  compression: TunnelSettings['compression'];
  udp: boolean;
  ipv6: boolean;
  dtlsCiphers?: string;
  dtls12Ciphers?: string;
  udpLocalPort?: number;
  passTos: boolean;
  forceDpd?: Millis;

  script?: string;
  scriptTun: boolean;
  interface?: string;

  userAgent?: string;
  versionString?: string;
  localHostname?: string;
  os?: OperatingSystem;

  hostCheckUser?: SystemUser;
  hostCheckWrapper?: string;
  hostCheckInterval?: Millis;

  background: boolean;
  pidFile?: string;
  setuid?: SystemUser;

  level: MessageLevel;
  timestamp: boolean;
  syslog: boolean;
  dumpHttpTraffic: boolean;
}

export function defaultWishes(): Wishes {
  return {
    mode: 'connect',
    protocol: 'anyconnect',
    passwordsAllowed: true,
    nonInteractive: false,
    formEntries: [],
    httpAuth: DEFAULT_HTTP_AUTH,
    xmlPost: true,
    keyPasswordFromFsid: false,
    systemTrust: true,
    serverCerts: [],
    certExpireWarning: 60 * 24 * 3_600_000,
    pfs: false,
    allowInsecureCrypto: false,
    proxyAuth: DEFAULT_HTTP_AUTH,
    resolve: new Map(),
    keepAlive: true,
    reconnectTimeout: 300_000,
    compression: 'stateless',
    udp: true,
    ipv6: true,
    passTos: false,
    scriptTun: false,
    background: false,
    level: 1,
    timestamp: false,
    syslog: false,
    dumpHttpTraffic: false,
  };
}

/** Basic sends the password as it is: it must be named. */
const DEFAULT_HTTP_AUTH: readonly HttpAuthMethod[] = ['Negotiate', 'NTLM', 'Digest'];
