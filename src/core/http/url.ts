/**
 * Where a request goes: the server a person names, the `Location` a gateway sends, and how both are written again.
 *
 * Read first: spec "Command line", section 1 (server string); spec "AnyConnect", sections 2.1 (`Host`) and 3.9 (redirects).
 */
import type { Target } from '../auth/login-io.ts';
import { MisuseError, PeerMisbehavedError } from '../errors.ts';
import { parseIp } from '../wire/ip-address.ts';
import { percentEncode } from './form-urlencoded.ts';

const HTTPS_PORT = 443;

/**
 * Reads `[https://]HOST[:PORT][/PATH]` as people type it. The path with its query is kept as written. Throws {@link MisuseError}, whose
 * message is fit for the person.
 */
export function parseServer(text: string): Target {
  const match = /^(?:([a-z][a-z0-9+.-]*):\/\/)?([^/?#]*)(.*)$/is.exec(text.trim());
  const [, scheme = 'https', authority = '', path = ''] = match ?? [];
  if (scheme.toLowerCase() !== 'https') throw new MisuseError('Only https:// permitted for server URL');
  const place = parseAuthority(authority);
  if (place === undefined) throw new MisuseError(`"${authority}" does not name a server: expected [https://]HOST[:PORT][/PATH]`);
  return { ...place, path: requestPath(path) };
}

/** Reads `host` or `host:port` and nothing else, as other servers name one; an IPv6 address has brackets. Undefined: it is none. */
export function plainServer(text: string): Target | undefined {
  if (!/^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:\d{1,5})?$/.test(text)) return undefined;
  const place = parseAuthority(text);
  return place && { ...place, path: '/' };
}

/**
 * Where a `Location` header (or a form's action) leads from the target it came from: `https://host[:port]/path`, an absolute path, or a
 * path relative to the directory of the current one (RFC 3986 §5.2). Never to plain HTTP. Throws {@link PeerMisbehavedError}.
 */
export function resolveLocation(current: Target, location: string): Target {
  const reference = location.replace(/#.*$/s, ''); // a fragment is for browsers and never sent
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(reference)?.[1]?.toLowerCase() ?? 'https';
  if (scheme !== 'https') throw new PeerMisbehavedError(`the gateway sends us on to ${scheme}:, but only https: is followed`);
  const absolute = /^(?:https:)?\/\/([^/?]*)(.*)$/is.exec(reference);
  if (absolute === null) {
    if (/^https:/i.test(reference)) throw new PeerMisbehavedError('the gateway sends us on to a URL without a host');
    return { ...current, path: requestPath(mergedPath(current.path, reference)) };
  }
  const place = parseAuthority(absolute[1] ?? '');
  if (place === undefined) throw new PeerMisbehavedError('the gateway sends us on to a URL whose host or port is not valid');
  return { ...place, path: requestPath(absolute[2] ?? '') };
}

/** True if two targets share host and port: a redirect between them keeps cookies and may keep the connection. */
export function isSameServer(a: Target, b: Target): boolean {
  return a.port === b.port && a.host.toLowerCase() === b.host.toLowerCase();
}

/** The value of the `Host` header: the port only where it is not 443, an IPv6 address in brackets. */
export function hostHeader(target: Target): string {
  return target.port === HTTPS_PORT ? hostInUrl(target.host) : authority(target);
}

/** `host:port`, as the target of a CONNECT to a proxy. */
export function authority(target: Pick<Target, 'host' | 'port'>): string {
  return `${hostInUrl(target.host)}:${target.port}`;
}

/** `https://host[:port]/path`. */
export function formatUrl(target: Target): string {
  return `https://${hostHeader(target)}${target.path}`;
}

/** A host as a URL has it: IPv6 addresses in brackets. */
export function hostInUrl(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}

/** Reads `host[:port]`; undefined if it is none. IPv6 addresses may stand without brackets where no port follows. */
function parseAuthority(text: string): { host: string; port: number } | undefined {
  if (parseIp(text)?.family === 6) return { host: text, port: HTTPS_PORT };
  const match = /^(\[[^\]]*\]|[^:]*)(?::(\d{1,5}))?$/.exec(text);
  const [, name = '', digits = String(HTTPS_PORT)] = match ?? [];
  const host = name.startsWith('[') ? ipv6Literal(name) : hostName(name);
  const port = Number(digits);
  return match === null || host === undefined || port < 1 || port > 0xffff ? undefined : { host, port };
}

function ipv6Literal(text: string): string | undefined {
  const address = text.slice(1, -1);
  return parseIp(address)?.family === 6 ? address : undefined;
}

/** A name as DNS and certificates know it: ASCII as it is, other scripts as Punycode. */
function hostName(text: string): string | undefined {
  // Not only letters, digits and hyphens: an underscore is no host name, but resolvers know such names.
  if (/^[a-z0-9._-]+$/i.test(text)) return text;
  return /^[a-z0-9._\u0080-\u{10ffff}-]+$/iu.test(text) ? punycode(text) : undefined;
}

function punycode(name: string): string | undefined {
  try {
    return new URL(`https://${name}/`).hostname;
  } catch {
    return undefined; // not a name in any script
  }
}

/** A path fit for a request line: as written, but beginning with a slash, and with what may not stand there as percent escapes. */
function requestPath(text: string): string {
  const path = text.startsWith('/') ? text : `/${text}`;
  return percentEncode(path, /[^\u0021-\u007e]+/g);
}

/** RFC 3986 §5.2.3 and §5.2.4, for a reference without scheme and authority. */
function mergedPath(currentPath: string, reference: string): string {
  const current = currentPath.replace(/\?.*$/s, '');
  if (reference === '') return currentPath;
  if (reference.startsWith('/')) return reference;
  if (reference.startsWith('?')) return current + reference;
  const query = /\?.*$/s.exec(reference)?.[0] ?? '';
  const relative = reference.slice(0, reference.length - query.length);
  return withoutDots(current.slice(0, current.lastIndexOf('/') + 1) + relative) + query;
}

function withoutDots(path: string): string {
  const kept: string[] = [];
  const segments = path.slice(1).split('/');
  for (const segment of segments) {
    if (segment === '..') kept.pop();
    else if (segment !== '.') kept.push(segment);
  }
  const last = segments.at(-1);
  if (last === '.' || last === '..') kept.push('');
  return `/${kept.join('/')}`;
}
