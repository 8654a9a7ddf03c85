/** Where a request to a proxy is to go: `host:port` of CONNECT, or the whole URL of other requests. */
import { isHostName } from '../../core/socks/host-name.ts';
import type { SocksDestination } from '../../core/socks/socks5.ts';

export interface HttpTarget {
  readonly destination: SocksDestination;
  /** As the field Host has it. */
  readonly host: string;
  /** With the query. */
  readonly path: string;
}

const HTTP_PORT = 80;

/** `host:port`, the host of IPv6 in brackets (RFC 9112 §3.2.3); undefined: it is something else. */
export function parseAuthority(text: string): SocksDestination | undefined {
  const [, bracketed, plain, digits = ''] = /^(?:\[([0-9a-f:.]{2,45})\]|([^:[\]/@]{1,254})):(\d{1,5})$/i.exec(text) ?? [];
  const host = bracketed ?? plain;
  const port = Number(digits);
  if (host === undefined || port < 1 || port > 65_535 || !isHostName(host)) return undefined;
  if (bracketed !== undefined && !bracketed.includes(':')) return undefined;
  return { host, port };
}

/** The URL of a request (RFC 9112 §3.2.2): http only, as a proxy is asked for https by CONNECT. Undefined: it is something else. */
export function destinationOf(target: string): HttpTarget | undefined {
  const [, authority = '', rest = ''] = /^http:\/\/([^/?#]*)([^#]*)$/i.exec(target) ?? [];
  const withoutUser = authority.replace(/^[^@]*@/, '');
  const hasPort = /:\d+$/.test(withoutUser);
  const destination = parseAuthority(hasPort ? withoutUser : `${withoutUser.replace(/:$/, '')}:${HTTP_PORT}`);
  if (destination === undefined) return undefined;
  return { destination, host: withoutUser, path: rest.startsWith('/') ? rest : `/${rest}` };
}
