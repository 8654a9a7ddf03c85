/**
 * {@link ConnectOptions} as the client takes them, and how strict it is unless told otherwise.
 *
 * Read first: spec "AnyConnect", sections 11.2 (client families) and the end of 12.3 (legacy crypto).
 */
import { hostname } from 'node:os';
import type { SecureContextOptions } from 'node:tls';
import { MisuseError } from '../core/errors.ts';
import { DEFAULT_AUTH_SCHEMES } from '../core/http/auth/authenticator.ts';
import type { AuthSchemeName } from '../core/http/auth/scheme.ts';
import { parseServer } from '../core/http/url.ts';
import { Secret } from '../core/secret.ts';
import { formatIp, parseIp } from '../core/wire/ip-address.ts';
import { type ClientIdentity, loadClientIdentity } from '../node/credentials/client-identity.ts';
import { WrongPasswordError } from '../node/credentials/credential-error.ts';
import type { ProxySettings } from '../node/proxy-dial.ts';
import type { CertificateOptions, ConnectOptions, LoginOptions } from './connect-options.ts';
import type { ClientSettings } from './vpn-client.ts';

/** The version of openconnect that gateways take us for: ocserv gives IPv6 only to clients of a family that it knows by the beginning. */
const COMPATIBLE_VERSION = 'v9.01';

/** Authenticated encryption and forward secrecy only. */
const STRICT_TLS: SecureContextOptions = {
  minVersion: 'TLSv1.2',
  maxVersion: 'TLSv1.3',
  ciphers:
    'TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256:ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20:!aNULL:!PSK',
};

/** All that OpenSSL still has, but for suites without encryption or without a certificate. */
const LEGACY_TLS: SecureContextOptions = {
  minVersion: 'TLSv1',
  maxVersion: 'TLSv1.3',
  ciphers: 'TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256:ALL:!aNULL:!eNULL:!PSK:!EXPORT:!DES:@SECLEVEL=0',
};

/** A proxy of one's own network that is given a password may ask for it in any way. */
const PROXY_AUTH: readonly AuthSchemeName[] = [...DEFAULT_AUTH_SCHEMES, 'basic'];

const DEFAULT_PROXY_PORTS = { http: 80, socks5: 1080 } as const;
/** RFC 791 §3.2; IPv6 needs more, and the gateway says so. */
const MIN_MTU = 576;
const MAX_MTU = 65_535;
/** Times that a certificate's password is asked for. */
const MAX_PASSWORD_TRIES = 3;

/** Throws {@link MisuseError} for options that cannot be; rejects as {@link loadClientIdentity} does. */
export async function clientSettings(url: string, options: ConnectOptions): Promise<ClientSettings> {
  const { protocol = 'auto', credential, pins = [], caFile, systemTrust, allowLegacy = [], proxy, userAgent } = options;
  const { mtu, dpd, udp = true, ipv6 = true, compression = 'none', reconnectTimeout } = options;
  for (const pin of pins) checkPin(pin);
  if (mtu !== undefined && !(Number.isInteger(mtu) && mtu >= MIN_MTU && mtu <= MAX_MTU)) {
    throw new MisuseError(`The MTU is a number of bytes from ${MIN_MTU} to ${MAX_MTU}.`);
  }
  const gateway = credential?.gateway ?? parseServer(url);
  const identity = options.certificate && (await loadIdentity(options.certificate));
  return {
    protocol,
    gateway,
    wishes: {
      client: {
        userAgent: userAgent ?? `Open AnyConnect VPN Agent ${COMPATIBLE_VERSION} (Sallyport)`,
        version: COMPATIBLE_VERSION,
        os: operatingSystem(process.platform, process.arch),
        localHostname: hostname(),
        ...(userAgent !== undefined && { chosenUserAgent: userAgent }),
      },
      ...(options.user !== undefined && { user: options.user }),
      usesXml: true,
      httpAuth: DEFAULT_AUTH_SCHEMES,
      compression,
      wantsIpv6: ipv6,
      ...(mtu !== undefined && { mtu }),
      ...(dpd !== undefined && { dpd }),
      usesDatagrams: udp && proxy === undefined, // spec "AnyConnect", section 7.9
      datagramCiphers: { allowsLegacy: allowLegacy.includes('dtls') },
      ...(options.hostCheckWords !== undefined && { hostCheckWords: options.hostCheckWords }),
      ...(options.resource !== undefined && { resource: options.resource }),
    },
    tls: allowLegacy.includes('tls') ? LEGACY_TLS : STRICT_TLS,
    trust: { systemTrust: systemTrust ?? pins.length === 0, fingerprints: pins, ...(caFile !== undefined && { caFile }) },
    ...(identity !== undefined && { identity }),
    ...(proxy !== undefined && { proxy: proxySettings(proxy, options.proxyLogin) }),
    resolve: addressesOf(options.addresses ?? {}),
    keepsConnections: true,
    udp: { copiesDscp: false },
    ...(reconnectTimeout !== undefined && { reconnectBudget: reconnectTimeout }),
  };
}

/** A value that may be secret, as one that is. */
export function secretOf(value: string | Secret): Secret {
  return typeof value === 'string' ? new Secret(value) : value;
}

/** A beginning of a pin, which the drop-in takes, would match more than one key. */
function checkPin(pin: string): void {
  if (/^pin-sha256:[A-Za-z0-9+/]{43}=$/.test(pin)) return;
  throw new MisuseError(`"${pin}" is no pin: expected pin-sha256: and 44 characters of base64.`);
}

async function loadIdentity({ certificate, key, password, onPassword }: CertificateOptions): Promise<ClientIdentity> {
  const files = { certificate, key };
  if (password !== undefined) return loadClientIdentity({ ...files, password: secretOf(password) });
  if (onPassword === undefined) return loadClientIdentity(files);
  for (let tries = 1; ; tries++) {
    try {
      return await loadClientIdentity({ ...files, askPassword: async (file) => secretOf(await onPassword(file, tries > 1)) });
    } catch (error) {
      if (!(error instanceof WrongPasswordError) || tries === MAX_PASSWORD_TRIES) throw error;
    }
  }
}

function proxySettings(url: string, login: LoginOptions['proxyLogin']): ProxySettings {
  const match = /^(?:(http|socks5):\/\/)?(\[[0-9a-f:.]+\]|[^/:@\s[\]]+)(?::(\d{1,5}))?\/?$/i.exec(url);
  const kind = match?.[1]?.toLowerCase() === 'socks5' ? 'socks5' : 'http';
  const host = match?.[2]?.replace(/^\[(.*)\]$/, '$1');
  const port = Number(match?.[3] ?? DEFAULT_PROXY_PORTS[kind]);
  // The text is not repeated: there may be a password in it.
  if (host === undefined || port < 1 || port > 0xffff) {
    throw new MisuseError('The proxy is written http://HOST:PORT or socks5://HOST:PORT, without user and password.');
  }
  const credentials = login && { username: login.username, password: secretOf(login.password) };
  return { kind, host, port, schemes: PROXY_AUTH, ...(credentials !== undefined && { credentials }) };
}

function addressesOf(addresses: Readonly<Record<string, string>>): ReadonlyMap<string, string> {
  return new Map(
    Object.entries(addresses).map(([host, text]) => {
      const address = parseIp(text.replace(/^\[(.*)\]$/, '$1'));
      if (address === undefined) throw new MisuseError(`"${text}", given for ${host}, is not an IP address.`);
      return [host, formatIp(address)];
    }),
  );
}

/** Spec "AnyConnect", section 2.4. */
function operatingSystem(platform: NodeJS.Platform, architecture: string): string {
  if (platform === 'darwin') return 'mac-intel';
  if (platform === 'win32') return 'win';
  return ['arm', 'ia32'].includes(architecture) ? 'linux' : 'linux-64';
}
