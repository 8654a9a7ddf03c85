/**
 * What each option does, in the order in which they are given: later ones win, some add up, some read standard input at once.
 *
 * Read first: spec "CLI", section 3. Messages are openconnect's, word for word, because scripts look for them.
 */
import { PROTOCOL_IDS } from '../../core/auth/protocol-id.ts';
import { SallyportError } from '../../core/errors.ts';
import { Secret } from '../../core/secret.ts';
import { END_OF_INPUT } from './line-reader.ts';
import {
  isNotBuilt,
  type NotBuiltOption,
  OPTIONS_NOT_BUILT,
  PROTOCOLS,
  protocolNotBuilt,
  TOKEN_MODES_NOT_BUILT,
  tokenModeNotBuilt,
} from './not-built.ts';
import type { OptionName } from './options.ts';
import { parseServer } from './server-address.ts';
import { type HttpAuthMethod, type MessageLevel, OPERATING_SYSTEMS, type SystemUser } from './settings.ts';
import type { Wishes } from './wishes.ts';

/** Why reading the command line is over. */
export type Ending =
  | { readonly type: 'help' | 'version' }
  /** Exit status 1; `lines` go to standard error, then, where `showUsage` says so, the help to standard output. */
  | { readonly type: 'usage-error'; readonly lines: readonly string[]; readonly showUsage: boolean };

/** What an option may need beyond its value. */
export interface ApplyContext {
  /** The next line of standard input, without its end; undefined at the end. */
  readLine(): Promise<string | undefined>;
  /** A user by name, or by number where the text is one; undefined if there is none. */
  lookupUser(nameOrNumber: string): SystemUser | undefined;
  readConfigFile(file: string): Promise<Ending | undefined>;
  /** A line on standard error; reading goes on. */
  warn(line: string): void;
  /** Puts the time in front of a line, if `--timestamp` was given. */
  stamped(line: string): string;
}

type Action = (wishes: Wishes, value: string, context: ApplyContext) => Ending | undefined | Promise<Ending | undefined>;

/** Lets one option act. `value` is empty for an option that takes none. */
export async function applyOption(name: OptionName, value: string, wishes: Wishes, context: ApplyContext): Promise<Ending | undefined> {
  return isNotBuilt(name) ? failure(OPTIONS_NOT_BUILT[name]) : ACTIONS[name](wishes, value, context);
}

export function failure(...lines: readonly string[]): Ending {
  return { type: 'usage-error', lines, showUsage: false };
}

/** The wishes of one type. */
type KeysOf<Value> = { [Key in keyof Wishes]-?: Value extends Wishes[Key] ? Key : never }[keyof Wishes];

function act(apply: (wishes: Wishes, value: string, context: ApplyContext) => void): Action {
  return (wishes, value, context) => {
    apply(wishes, value, context);
    return undefined;
  };
}

const text = (key: KeysOf<string>) =>
  act((wishes, value) => {
    wishes[key] = value;
  });

const secret = (key: KeysOf<Secret>) =>
  act((wishes, value) => {
    wishes[key] = new Secret(value);
  });

const flag = (key: KeysOf<boolean>, value: boolean) =>
  act((wishes) => {
    wishes[key] = value;
  });

const mode = (value: Wishes['mode']) =>
  act((wishes) => {
    wishes.mode = value;
  });

const compress = (value: Wishes['compression']) =>
  act((wishes) => {
    wishes.compression = value;
  });

const MIN_MTU = 576;

const mtu = (key: 'mtu' | 'baseMtu') =>
  act((wishes, value, context) => {
    const bytes = numberOf(value);
    if (bytes < MIN_MTU) context.warn(`MTU ${bytes} too small`);
    wishes[key] = Math.max(bytes, MIN_MTU);
  });

/** Seconds; nothing useful means that the gateway decides. */
const forceDpd = act((wishes, value) => {
  const seconds = numberOf(value);
  if (seconds > 0) wishes.forceDpd = seconds * 1000;
  else delete wishes.forceDpd;
});

const hostCheckInterval = act((wishes, value) => {
  const seconds = numberOf(value);
  if (seconds > 0) wishes.hostCheckInterval = seconds * 1000;
  else delete wishes.hostCheckInterval;
});

const authMethods = (key: 'httpAuth' | 'proxyAuth', known: readonly HttpAuthMethod[]) =>
  act((wishes, value) => {
    const named = value.toLowerCase().split(',');
    wishes[key] = known.filter((method) => named.includes(method.toLowerCase()));
  });

const user =
  (key: 'setuid' | 'hostCheckUser'): Action =>
  (wishes, value, context) => {
    const found = context.lookupUser(value);
    // openconnect ends the line with what errno happens to say; scripts know it that way.
    if (found === undefined) return failure(`Invalid user${/^\s*[+-]?\d+$/.test(value) ? ' ID' : ''} "${value}": Success`);
    wishes[key] = found;
    return undefined;
  };

/** A line of standard input, read where the option stands. */
function lineOfInput(take: (wishes: Wishes, line: string) => void): Action {
  return async (wishes, _value, context) => {
    try {
      const line = await context.readLine();
      if (line === undefined) return failure(END_OF_INPUT);
      take(wishes, line);
      return undefined;
    } catch (error) {
      if (!(error instanceof SallyportError)) throw error;
      return failure(error.message);
    }
  };
}

/** A number as C's atoi reads it: what follows the digits is ignored, no digits are zero. */
function numberOf(value: string): number {
  const number = Number.parseInt(/^\s*[+-]?\d+/.exec(value)?.[0] ?? '0', 10);
  return Math.max(-MAX_INT, Math.min(number, MAX_INT));
}

const MAX_INT = 0x7fff_ffff;
const MAX_PORT = 0xffff;
const MS_PER_DAY = 24 * 3_600_000;

/** The strongest first: the order in which they are tried. */
const PROXY_AUTH: readonly HttpAuthMethod[] = ['Negotiate', 'NTLM', 'Digest', 'Basic'];
const HTTP_AUTH: readonly HttpAuthMethod[] = [...PROXY_AUTH, 'Bearer'];

const COMPRESSION: ReadonlyMap<string, Wishes['compression']> = new Map([
  ['none', 'none'],
  ['off', 'none'],
  ['stateless', 'stateless'],
  ['all', 'all'],
]);

const ACTIONS: Readonly<Record<Exclude<OptionName, NotBuiltOption>, Action>> = {
  config: (_wishes, file, context) => context.readConfigFile(file),
  version: () => ({ type: 'version' }),
  help: () => ({ type: 'help' }),
  protocol: (wishes, value) => {
    const name = value.toLowerCase();
    if (!PROTOCOLS.some((known) => known.name === name)) return failure(`Unknown VPN protocol '${value}'`);
    const built = PROTOCOL_IDS.find((id) => id === name);
    if (built === undefined) return failure(protocolNotBuilt(name));
    wishes.protocol = built;
    return undefined;
  },
  juniper: act((wishes) => {
    wishes.protocol = 'nc';
  }),

  user: text('user'),
  'passwd-on-stdin': lineOfInput((wishes, line) => {
    wishes.password = new Secret(line);
  }),
  'no-passwd': flag('passwordsAllowed', false),
  'non-inter': flag('nonInteractive', true),
  authgroup: text('authgroup'),
  usergroup: text('usergroup'),
  'form-entry': (wishes, value) => {
    const [, form, field, entry] = /^([^:=]+):([^=]*)=(.*)$/s.exec(value) ?? [];
    if (form === undefined || field === undefined || entry === undefined) {
      return failure('Form field invalid. Use --form-entry=FORM_ID:OPT_NAME=VALUE');
    }
    wishes.formEntries = [{ form, field, value: new Secret(entry) }, ...wishes.formEntries];
    return undefined;
  },
  'token-mode': (wishes, value) => {
    const wanted = value.toLowerCase();
    if (TOKEN_MODES_NOT_BUILT.includes(wanted)) return failure(tokenModeNotBuilt(wanted));
    if (wanted !== 'totp' && wanted !== 'hotp' && wanted !== 'oidc') return failure(`Invalid software token mode "${value}"`);
    wishes.tokenMode = wanted;
    return undefined;
  },
  'token-secret': secret('tokenSecret'),
  'external-browser': text('externalBrowser'),
  'no-external-auth': act((wishes) => {
    delete wishes.externalBrowser;
  }),
  'http-auth': authMethods('httpAuth', HTTP_AUTH),

  certificate: text('certificate'),
  sslkey: text('key'),
  'key-password': secret('keyPassword'),
  'key-password-from-fsid': flag('keyPasswordFromFsid', true),
  'cert-expire-warning': act((wishes, value) => {
    wishes.certExpireWarning = numberOf(value) * MS_PER_DAY;
  }),
  'mca-certificate': text('userCertificate'),
  'mca-key': text('userKey'),
  'mca-key-password': secret('userKeyPassword'),

  servercert: act((wishes, value) => {
    wishes.serverCerts = [...wishes.serverCerts, value];
    wishes.systemTrust = false;
  }),
  'no-system-trust': flag('systemTrust', false),
  cafile: text('caFile'),
  'no-cert-check': () =>
    failure(
      'The --no-cert-check option was insecure and has been removed.',
      "Fix your server's certificate or use --servercert to trust it.",
    ),

  server: (wishes, value, context) => {
    const server = parseServer(value);
    if ('error' in server) return failure(context.stamped(server.error));
    wishes.server = server;
    return undefined;
  },
  proxy: text('proxy'),
  'proxy-auth': authMethods('proxyAuth', PROXY_AUTH),
  'no-proxy': act((wishes) => {
    delete wishes.proxy;
  }),
  resolve: (wishes, value) => {
    const colon = value.indexOf(':');
    if (colon < 0) return failure('Missing colon in resolve option');
    wishes.resolve = new Map([...wishes.resolve, [value.slice(0, colon), value.slice(colon + 1)]]);
    return undefined;
  },
  sni: text('sni'),
  'reconnect-timeout': act((wishes, value) => {
    wishes.reconnectTimeout = Math.max(0, numberOf(value)) * 1000;
  }),
  xmlconfig: text('profile'),

  authenticate: mode('authenticate'),
  cookieonly: mode('cookieonly'),
  printcookie: mode('printcookie'),
  cookie: secret('cookie'),
  'cookie-on-stdin': lineOfInput((wishes, line) => {
    if (line === '') delete wishes.cookie;
    else wishes.cookie = new Secret(line);
  }),

  script: text('script'),
  'script-tun': flag('scriptTun', true),
  interface: text('interface'),

  mtu: mtu('mtu'),
  'base-mtu': mtu('baseMtu'),
  compression: (wishes, value) => {
    const compression = COMPRESSION.get(value);
    if (compression === undefined) return failure(`Invalid compression mode '${value}'`);
    wishes.compression = compression;
    return undefined;
  },
  deflate: compress('all'),
  'no-deflate': compress('none'),
  'no-dtls': flag('udp', false),
  'dtls-ciphers': text('dtlsCiphers'),
  'dtls12-ciphers': text('dtls12Ciphers'),
  'dtls-local-port': (wishes, value) => {
    const port = numberOf(value);
    if (port < 0 || port > MAX_PORT) return failure(`Invalid local port '${value}'`);
    if (port === 0) delete wishes.udpLocalPort;
    else wishes.udpLocalPort = port;
    return undefined;
  },
  passtos: flag('passTos', true),
  'force-dpd': forceDpd,
  'queue-len': act((_wishes, value, context) => {
    if (numberOf(value) === 0) context.warn('Queue length zero not permitted; using 1');
  }),
  pfs: flag('pfs', true),
  'disable-ipv6': flag('ipv6', false),

  background: flag('background', true),
  'pid-file': text('pidFile'),
  setuid: user('setuid'),

  verbose: act((wishes) => {
    wishes.level = louder(wishes.level);
  }),
  quiet: act((wishes) => {
    wishes.level = 0;
  }),
  timestamp: flag('timestamp', true),
  syslog: flag('syslog', true),
  'dump-http-traffic': flag('dumpHttpTraffic', true),

  'local-hostname': text('localHostname'),
  os: (wishes, value) => {
    const os = OPERATING_SYSTEMS.find((known) => known === value);
    if (os === undefined) return failure(`Invalid OS identity "${value}"`, `Allowed values: ${OPERATING_SYSTEMS.join(', ')}`);
    wishes.os = os;
    return undefined;
  },
  useragent: text('userAgent'),
  'version-string': text('versionString'),

  'csd-user': user('hostCheckUser'),
  'csd-wrapper': text('hostCheckWrapper'),
  'force-trojan': hostCheckInterval,

  'no-xmlpost': flag('xmlPost', false),
  'no-http-keepalive': act((wishes, _value, context) => {
    context.warn('Disabling all HTTP connection re-use due to --no-http-keepalive option.');
    context.warn('If this helps, please report it: it should not be needed.');
    wishes.keepAlive = false;
  }),
  'allow-insecure-crypto': flag('allowInsecureCrypto', true),
  'gnutls-priority': act((wishes, value, context) => {
    context.warn('WARNING: You specified --gnutls-priority. This should not be');
    context.warn('         necessary; please report cases where a priority string');
    context.warn('         override is necessary to connect to a server.');
    context.warn('         It is translated for OpenSSL.');
    wishes.gnutlsPriority = value;
  }),
  'openssl-ciphers': act((wishes, value, context) => {
    context.warn('WARNING: You specified --openssl-ciphers. This should not be');
    context.warn('         necessary; please report cases where it is needed');
    context.warn('         to connect to a server.');
    wishes.opensslCiphers = value;
  }),
  'gnutls-debug': () => undefined,
};

function louder(level: MessageLevel): MessageLevel {
  switch (level) {
    case 0:
      return 1;
    case 1:
      return 2;
    case 2:
    case 3:
      return 3;
  }
}
