/**
 * Turns what the options said into {@link Settings}: the checks that openconnect makes after it has read all of them, in its order: token, proxy,
 * profile, TLS, server.
 */
import { SallyportError } from '../../core/errors.ts';
import type { Secret } from '../../core/secret.ts';
import { systemErrorText } from '../../node/system-error.ts';
import { missingInsecureCiphers, tlsPolicy } from '../../node/tls-policy/tls-policy.ts';
import { type Ending, failure } from './apply-option.ts';
import { browserNotBuilt, hostCheckNotBuilt } from './not-built.ts';
import type { ProfileHost } from './profile-host.ts';
import { parseProxy } from './proxy-address.ts';
import { parseServer, type ServerAddress, withUsergroup } from './server-address.ts';
import type { CertificateSettings, IdentitySettings, LoginSettings, OperatingSystem, Settings } from './settings.ts';
import { OPENCONNECT_VERSION } from './version.ts';
import type { Wishes } from './wishes.ts';

/** What the checks need to know of this computer. */
export interface SettingsContext {
  readonly platform: NodeJS.Platform;
  /** As Node names it: `x64`, `arm`. */
  readonly architecture: string;
  readonly hostname: string;
  /** What `--script` is unless it is given. */
  readonly defaultScript: string;
  /** Rejects as Node's file system does; never reads more than `maxBytes`. */
  readFile(file: string, maxBytes: number): Promise<Uint8Array>;
  /** A line that is shown at once, whatever the level. */
  say(stream: 'stdout' | 'stderr', line: string): void;
}

/** Whose gateways may have people log in with a browser, in a way that is known. */
const BROWSED: readonly string[] = ['fortinet', 'gp'];
/** Protocols with a host check that a program of the user's can do. */
const HOST_CHECKED: readonly string[] = ['anyconnect', 'gp', 'nc'];

/** `server`: what `--server` said, or the operand, which may be a name in the profile. `stamped` puts the time in front of a line, where wanted. */
export async function settingsOf(
  server: ServerAddress | string,
  wishes: Wishes,
  context: SettingsContext,
  stamped: (line: string) => string,
): Promise<Settings | Ending> {
  const token = tokenOf(wishes);
  if (token === 'invalid') return failure('Soft token string is invalid');
  if (wishes.externalBrowser !== undefined && !BROWSED.includes(wishes.protocol)) return failure(browserNotBuilt(wishes.protocol));
  if (wishes.hostCheckWrapper !== undefined && !HOST_CHECKED.includes(wishes.protocol))
    context.say('stderr', stamped(hostCheckNotBuilt(wishes.protocol)));
  const proxy = wishes.proxy === undefined ? undefined : parseProxy(wishes.proxy);
  if (proxy !== undefined && 'error' in proxy) return failure(stamped(proxy.error));

  // Observed: only the operand is looked up.
  const { profile } = wishes;
  const entry =
    typeof server === 'string' && profile !== undefined ? await lookUp(server, profile, wishes.mode, context, stamped) : undefined;
  let tls: Settings['trust']['tls'];
  try {
    tls = tlsPolicy(wishes);
  } catch (error) {
    if (!(error instanceof SallyportError)) throw error;
    return failure(stamped(error.message));
  }
  const missing = wishes.allowInsecureCrypto ? missingInsecureCiphers() : [];
  if (missing.length > 0) {
    context.say(
      'stderr',
      `WARNING: this OpenSSL (${process.versions.openssl}) has no ${missing.join(' and ')}: servers that need it stay out of reach.`,
    );
  }
  const address = typeof server === 'string' ? parseServer(entry?.address ?? server) : server;
  if ('error' in address) return failure(stamped(address.error));

  return {
    server: withUsergroup(address, entry?.userGroup ?? wishes.usergroup),
    protocol: wishes.protocol,
    mode: wishes.mode,
    login: { ...loginOf(wishes), ...given({ token }) },
    ...given({
      certificate: certificateOf(wishes.certificate, wishes.key, wishes.keyPassword, wishes.keyPasswordFromFsid),
      userCertificate: certificateOf(wishes.userCertificate, wishes.userKey, wishes.userKeyPassword, false),
    }),
    trust: {
      systemTrust: wishes.systemTrust,
      serverCerts: wishes.serverCerts,
      certExpireWarning: wishes.certExpireWarning,
      tls,
      ...given({ caFile: wishes.caFile }),
    },
    connection: {
      proxyAuth: wishes.proxyAuth,
      resolve: wishes.resolve,
      keepAlive: wishes.keepAlive,
      reconnectTimeout: wishes.reconnectTimeout,
      ...given({ proxy, sni: wishes.sni }),
    },
    tunnel: {
      compression: wishes.compression,
      udp: wishes.udp,
      ipv6: wishes.ipv6,
      passTos: wishes.passTos,
      ...given({
        mtu: wishes.mtu,
        baseMtu: wishes.baseMtu,
        forceDpd: wishes.forceDpd,
        udpLocalPort: wishes.udpLocalPort,
        dtlsCiphers: wishes.dtlsCiphers,
        dtls12Ciphers: wishes.dtls12Ciphers,
      }),
    },
    network: {
      script: wishes.script ?? context.defaultScript,
      scriptTun: wishes.scriptTun,
      ...given({ interface: wishes.interface }),
    },
    identity: identityOf(wishes, context),
    hostCheck: given({ user: wishes.hostCheckUser, wrapper: wishes.hostCheckWrapper, interval: wishes.hostCheckInterval }),
    process: { background: wishes.background, ...given({ pidFile: wishes.pidFile, setuid: wishes.setuid }) },
    messages: {
      level: wishes.dumpHttpTraffic && wishes.level < 2 ? 2 : wishes.level,
      timestamp: wishes.timestamp,
      syslog: wishes.syslog,
      dumpHttpTraffic: wishes.dumpHttpTraffic,
    },
  };
}

type Given<Values> = { [Key in keyof Values]?: Exclude<Values[Key], undefined> };

/** Leaves out what is undefined. */
function given<Values extends object>(values: Values): Given<Values> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Given<Values>;
}

function loginOf(wishes: Wishes): LoginSettings {
  return {
    passwordsAllowed: wishes.passwordsAllowed,
    nonInteractive: wishes.nonInteractive,
    formEntries: wishes.formEntries,
    httpAuth: wishes.httpAuth,
    xmlPost: wishes.xmlPost,
    ...given({
      user: wishes.user,
      authgroup: wishes.authgroup,
      password: wishes.password,
      cookie: wishes.cookie,
      profile: wishes.profile,
      externalBrowser: wishes.externalBrowser,
    }),
  };
}

function tokenOf(wishes: Wishes): Settings['login']['token'] | 'invalid' {
  const { tokenMode: mode, tokenSecret: secret } = wishes;
  if (mode === undefined) return undefined;
  return secret === undefined || secret.isEmpty ? 'invalid' : { mode, secret };
}

function certificateOf(
  certificate: string | undefined,
  key: string | undefined,
  password: Secret | undefined,
  passwordFromFsid: boolean,
): CertificateSettings | undefined {
  return certificate === undefined ? undefined : { certificate, key: key ?? certificate, passwordFromFsid, ...given({ password }) };
}

function identityOf(wishes: Wishes, context: SettingsContext): IdentitySettings {
  const os = wishes.os ?? ownOperatingSystem(context);
  const isMobile = os === 'android' || os === 'apple-ios';
  return {
    userAgent: wishes.userAgent ?? `Open AnyConnect VPN Agent ${OPENCONNECT_VERSION}`,
    ...given({ chosenUserAgent: wishes.userAgent, chosenVersion: wishes.versionString }),
    versionString: wishes.versionString ?? OPENCONNECT_VERSION,
    localHostname: wishes.localHostname ?? context.hostname,
    os,
    ...(isMobile && { mobile: { platformVersion: '1.0', deviceType: os, uniqueId: GENERIC_DEVICE } }),
  };
}

/** Observed: what openconnect sends for every device. */
const GENERIC_DEVICE = 'A'.repeat(40);

function ownOperatingSystem({ platform, architecture }: SettingsContext): OperatingSystem {
  if (platform === 'darwin') return 'mac-intel';
  if (platform === 'win32') return 'win';
  return ['arm', 'ia32', 'mips', 'mipsel'].includes(architecture) ? 'linux' : 'linux-64';
}

/** Where standard output is for the result only, the answers of the profile go to standard error. */
async function lookUp(
  server: string,
  profile: string,
  mode: Wishes['mode'],
  context: SettingsContext,
  stamped: (line: string) => string,
): Promise<ProfileHost | undefined> {
  const unusable = (line: string) => {
    context.say('stderr', stamped(line));
    context.say('stderr', `Treating host "${server}" as a raw hostname`);
    return undefined;
  };
  const { findProfileHost, isXml, MAX_PROFILE_BYTES } = await import('./profile-host.ts'); // few have one
  let text: string;
  try {
    text = Buffer.from(await context.readFile(profile, MAX_PROFILE_BYTES)).toString('utf8');
  } catch (error) {
    return unusable(`Failed to open ${profile}: ${systemErrorText(error)}`);
  }
  if (!isXml(text)) return unusable(`Failed to parse XML config file ${profile}`);

  const host = findProfileHost(text, server);
  const found = (line: string) => context.say(mode === 'connect' ? 'stdout' : 'stderr', line);
  if (host === undefined) context.say('stderr', `Host "${server}" not listed in config; treating as raw hostname`);
  else found(`Host "${server}" has address "${host.address}"`);
  if (host?.userGroup !== undefined) found(`Host "${server}" has UserGroup "${host.userGroup}"`);
  return host;
}
