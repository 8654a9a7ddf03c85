/**
 * Whether options are what {@link ConnectOptions} says they are, for programs that no compiler has looked at: a misspelt word would otherwise be taken for the
 * default, or fail somewhere inside. Values are not repeated: there are secrets among them.
 */
import { PROTOCOL_IDS } from '../core/auth/protocol-id.ts';
import { MisuseError } from '../core/errors.ts';
import { Secret } from '../core/secret.ts';
import { checkInterfaceName } from '../node/interface-name.ts';
import type { ConnectOptions } from './connect-options.ts';

interface Rule {
  /** What it has to be, as the end of a sentence. */
  readonly what: string;
  readonly fits: (value: unknown) => boolean;
}

/** Throws {@link MisuseError} for an option that is something else, and for a name that no interface can have. Those that we do not know mean nothing, as everywhere in Node. */
export function checkOptions(url: unknown, options: unknown): asserts options is ConnectOptions {
  if (typeof url !== 'string') throw new MisuseError('The gateway is text: "https://vpn.example.com".');
  if (!isObject(options)) throw new MisuseError('The options are an object.');
  for (const [name, { what, fits }] of Object.entries(RULES)) {
    const value = options[name];
    if (value !== undefined && !fits(value)) throw new MisuseError(`The option "${name}" is ${what}.`);
  }
  const { device } = options;
  if (isObject(device) && isText(device.name) && device.start === undefined) checkInterfaceName(device.name);
}

const TEXT: Rule = { what: 'text', fits: isText };
const SECRET: Rule = { what: 'text or a Secret', fits: isSecret };
const FLAG: Rule = { what: 'true or false', fits: (value) => typeof value === 'boolean' };
const FUNCTION: Rule = { what: 'a function', fits: isFunction };
const DURATION: Rule = {
  what: 'a number of milliseconds',
  fits: (value) => typeof value === 'number' && Number.isFinite(value) && value >= 0,
};

/** Every option has one. What has limits of its own (a pin's form, an MTU's size) is looked at where it is used. */
const RULES: Readonly<Record<keyof ConnectOptions, Rule>> = {
  protocol: oneOf('auto', ...PROTOCOL_IDS),
  user: TEXT,
  group: TEXT,
  password: SECRET,
  token: {
    what: '{ mode: "totp" or "hotp", secret }',
    fits: (value) => isObject(value) && (value.mode === 'totp' || value.mode === 'hotp') && isSecret(value.secret),
  },
  formEntries: {
    what: 'a list of { form, field, value }',
    fits: listOf((entry) => isObject(entry) && isText(entry.form) && isText(entry.field) && isSecret(entry.value)),
  },
  onForm: FUNCTION,
  certificate: {
    what: '{ certificate: FILE, key: FILE }, of which the key may be left out',
    fits: (value) => isObject(value) && isText(value.certificate) && (value.key === undefined || isText(value.key)),
  },
  browser: { what: 'a program or a function', fits: (value) => isText(value) || isFunction(value) },
  hostCheckWords: {
    what: '{ hostCheck, virtualDesktop }',
    fits: (value) => isObject(value) && isText(value.hostCheck) && isText(value.virtualDesktop),
  },
  resource: TEXT,
  pins: { what: 'a list of pins', fits: listOf(isText) },
  caFile: TEXT,
  systemTrust: FLAG,
  onCertificate: FUNCTION,
  allowLegacy: { what: 'a list of "tls" and "dtls"', fits: listOf((value) => value === 'tls' || value === 'dtls') },
  proxy: TEXT,
  proxyLogin: {
    what: '{ username, password }',
    fits: (value) => isObject(value) && isText(value.username) && isSecret(value.password),
  },
  addresses: { what: 'an object of addresses by host', fits: (value) => isObject(value) && Object.values(value).every(isText) },
  userAgent: TEXT,
  signal: {
    what: 'an AbortSignal',
    fits: (value) => isObject(value) && isFunction(value.addEventListener) && isFunction(value.removeEventListener),
  },
  log: { what: 'an object with a function log', fits: (value) => isObject(value) && isFunction(value.log) },
  // JSON keeps no Secret: who stores one makes it anew.
  credential: {
    what: 'what a log-in yielded, of which "cookie" is a Secret',
    fits: (value) => isObject(value) && isTarget(value.gateway) && isText(value.pin) && value.cookie instanceof Secret,
  },
  device: {
    what: '"tun", "userspace", { name }, or a device',
    fits: (value) => value === 'tun' || value === 'userspace' || (isObject(value) && (isText(value.name) || isFunction(value.start))),
  },
  network: {
    what: '"configure", "none" or { script }',
    fits: (value) => value === 'configure' || value === 'none' || (isObject(value) && isText(value.script)),
  },
  mtu: { what: 'a number of bytes', fits: (value) => typeof value === 'number' },
  udp: FLAG,
  ipv6: FLAG,
  compression: oneOf('none', 'stateless', 'all'),
  reconnectTimeout: DURATION,
  dpd: DURATION,
};

function oneOf(...words: readonly string[]): Rule {
  return { what: `one of ${words.map((word) => `"${word}"`).join(', ')}`, fits: (value) => isText(value) && words.includes(value) };
}

function listOf(fits: (value: unknown) => boolean): (value: unknown) => boolean {
  return (value) => Array.isArray(value) && value.every(fits);
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

function isTarget(value: unknown): boolean {
  return isObject(value) && isText(value.host) && typeof value.port === 'number' && isText(value.path);
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}

function isSecret(value: unknown): boolean {
  return isText(value) || value instanceof Secret;
}

function isFunction(value: unknown): boolean {
  return typeof value === 'function';
}
