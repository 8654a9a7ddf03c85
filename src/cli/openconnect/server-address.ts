/**
 * Host, port and path as openconnect reads them from a server argument and from a proxy.
 *
 * Read first: spec "CLI", section 1 ("Server string") and `--proxy` in section 3.1. Where those are silent: as the 9.01 binary behaves.
 *
 *   [scheme://] host [:port] [/path]     the last colon begins a port only if nothing but digits follows; brackets are for IPv6
 */

import { percentEncode } from '../../core/http/form-urlencoded.ts';

export interface SplitUrl {
  /** As written; undefined if there is none. */
  readonly scheme: string | undefined;
  /** Before the first slash, without scheme and port; IPv6 without its brackets. */
  readonly host: string;
  readonly port: number | undefined;
  /** After the first slash, verbatim. */
  readonly path: string;
}

const MAX_PORT = 65535;

/** undefined if the port is none: out of range, or a colon with nothing behind it. */
export function splitUrl(text: string): SplitUrl | undefined {
  const schemeEnd = text.indexOf('://');
  const scheme = schemeEnd < 0 ? undefined : text.slice(0, schemeEnd);
  const rest = schemeEnd < 0 ? text : text.slice(schemeEnd + 3);
  const slash = rest.indexOf('/');
  const authority = slash < 0 ? rest : rest.slice(0, slash);
  const path = slash < 0 ? '' : rest.slice(slash + 1);

  const colon = authority.lastIndexOf(':');
  const digits = /^\s*[+-]?(\d*)$/.exec(authority.slice(colon + 1)); // as strtol reads a number
  if (colon < 0 || digits === null) return { scheme, host: unbracketed(authority), port: undefined, path };
  const port = Number(authority.slice(colon + 1));
  if (!(port >= 1 && port <= MAX_PORT)) return undefined;
  return { scheme, host: unbracketed(authority.slice(0, colon)), port, path };
}

function unbracketed(host: string): string {
  return host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host;
}

/** Where the gateway is. */
export interface ServerAddress {
  /** A name or an address; IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
  /** Begins with `/`; may hold a query. */
  readonly path: string;
}

const HTTPS_PORT = 443;

/** Returns the message for the user if the text is no server. */
export function parseServer(text: string): ServerAddress | { readonly error: string } {
  const url = splitUrl(text);
  if (url === undefined || (url.scheme !== undefined && !KNOWN_SCHEMES.test(url.scheme)) || url.host === '' || /[[\]]/.test(url.host)) {
    return { error: `Failed to parse server URL '${text}'` };
  }
  if (url.scheme !== undefined && url.scheme !== 'https') return { error: 'Only https:// permitted for server URL' };
  return { host: url.host, port: url.port ?? HTTPS_PORT, path: pathOf(url.path) };
}

/** As written, but for what cannot stand in a request line: openconnect writes that too, and few servers would take it. */
function pathOf(text: string): string {
  return percentEncode(`/${text}`, /[\u0000-\u0020\u007f]+/g);
}

/** The path of `--usergroup`, where the URL has none. */
export function withUsergroup(server: ServerAddress, usergroup: string | undefined): ServerAddress {
  return usergroup === undefined || server.path !== '/' ? server : { ...server, path: pathOf(usergroup) };
}

/** Observed: a scheme that is known but not allowed has one message, an unknown one another. Case does not matter for being known, only for being allowed. */
export const KNOWN_SCHEMES: RegExp = /^(https?|socks[45]?)$/i;
