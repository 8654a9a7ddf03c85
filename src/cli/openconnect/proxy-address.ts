/** The proxy of `--proxy` and `https_proxy` (spec "CLI", section 3.1). */
import { Secret } from '../../core/secret.ts';
import { KNOWN_SCHEMES, splitUrl } from './server-address.ts';

export interface ProxyAddress {
  readonly kind: 'http' | 'socks5';
  readonly host: string;
  readonly port: number;
  readonly credentials?: { readonly user: string; readonly password: Secret };
}

const DEFAULT_PORTS = { http: 80, socks5: 1080 } as const;
const KINDS: Readonly<Record<string, ProxyAddress['kind']>> = { http: 'http', socks: 'socks5', socks5: 'socks5' };

/** `[scheme://][user:password@]host[:port]`; no scheme means http. Returns the message for the user if the text is no proxy that we can use. */
export function parseProxy(text: string): ProxyAddress | { readonly error: string } {
  const url = splitUrl(text);
  // The text may hold a password: the message does not repeat it.
  const unreadable = { error: `Failed to parse proxy '${text.replace(/[^/]*@/, '...@')}'` };
  if (url === undefined || (url.scheme !== undefined && !KNOWN_SCHEMES.test(url.scheme))) return unreadable;
  const kind = KINDS[url.scheme ?? 'http'];
  if (kind === undefined) return { error: 'Only http or socks(5) proxies supported' };

  const at = url.host.lastIndexOf('@');
  const host = url.host.slice(at + 1).replace(/^\[(.*)\]$/, '$1');
  if (host === '') return unreadable;
  const proxy = { kind, host, port: url.port ?? DEFAULT_PORTS[kind] };
  const colon = url.host.indexOf(':');
  if (at < 0 || colon < 0 || colon > at) return proxy; // Observed: a user without a colon is not used
  const user = percentDecoded(url.host.slice(0, colon));
  return { ...proxy, credentials: { user, password: new Secret(percentDecoded(url.host.slice(colon + 1, at))) } };
}

const FATAL_UTF8 = new TextDecoder('utf-8', { fatal: true });

/** Observed: `%` without two hexadecimal digits stays as it is. Bytes that are not UTF-8 are taken as Latin-1. */
function percentDecoded(text: string): string {
  return text.replace(/(?:%[0-9a-f]{2})+/gi, (escapes) => {
    const bytes = Buffer.from(escapes.replaceAll('%', ''), 'hex');
    try {
      return FATAL_UTF8.decode(bytes);
    } catch {
      return bytes.toString('latin1'); // not UTF-8
    }
  });
}
