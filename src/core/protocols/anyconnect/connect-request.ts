/**
 * The CONNECT request that turns a TLS connection into a tunnel.
 *
 * Read first: spec "AnyConnect", section 4.1 "Request". The target is a path, not `host:port`.
 */
import type { Target } from '../../auth/login-io.ts';
import type { HttpHeaders, HttpRequest } from '../../http/message.ts';
import { hostHeader } from '../../http/url.ts';
import type { Secret } from '../../secret.ts';
import { formatIp, type IpAddress } from '../../wire/ip-address.ts';
import { toHex } from '../../wire/text.ts';
import type { ClientIdentification } from '../client-protocol.ts';
import { mobileHeaders } from './request-headers.ts';

export const TUNNEL_PATH = '/CSCOSSLC/tunnel';

export interface ConnectRequest {
  readonly target: Target;
  readonly client: ClientIdentification;
  /** Value of the cookie `webvpn`. */
  readonly cookie: Secret;
  readonly strap?: { readonly verify: string; readonly publicKey: string };
  /** Preference order; empty: no compression. */
  readonly streamEncodings: readonly string[];
  readonly baseMtu: number;
  readonly mtu: number;
  readonly wantsIpv6: boolean;
  /** On a reconnect: the addresses of before. */
  readonly previous: readonly IpAddress[];
  readonly datagram?: DatagramOffer;
}

export interface DatagramOffer {
  /** 48 bytes; fresh for each request (spec 4.1: never reused, never zero). */
  readonly masterSecret: Uint8Array;
  readonly suites: readonly string[];
  readonly suites12: readonly string[];
  readonly encodings: readonly string[];
}

/** The request as an HTTP message, its headers in the order of the reference client. */
export function connectRequest(request: ConnectRequest): HttpRequest {
  const { client, datagram } = request;
  const headers: (readonly [string, string])[] = [
    ['Host', hostHeader(request.target)],
    ['User-Agent', client.userAgent],
    ['Cookie', `webvpn=${request.cookie.reveal()}`],
    ['X-CSTP-Version', '1'],
    ['X-CSTP-Hostname', client.localHostname],
  ];
  if (request.strap !== undefined) {
    headers.push(['X-AnyConnect-STRAP-Verify', request.strap.verify], ['X-AnyConnect-STRAP-Pubkey', request.strap.publicKey]);
  }
  headers.push(...mobileHeaders(client));
  // ocserv splits the list at commas and compares exactly: no blanks.
  if (request.streamEncodings.length > 0) headers.push(['X-CSTP-Accept-Encoding', request.streamEncodings.join(',')]);
  headers.push(['X-CSTP-Base-MTU', String(request.baseMtu)], ['X-CSTP-MTU', String(request.mtu)]);
  headers.push(['X-CSTP-Address-Type', request.wantsIpv6 ? 'IPv6,IPv4' : 'IPv4']);
  headers.push(...request.previous.filter((ip) => ip.family === 4).map((ip) => ['X-CSTP-Address', formatIp(ip)] as const));
  if (request.wantsIpv6) headers.push(['X-CSTP-Full-IPv6-Capability', 'true']);
  headers.push(...request.previous.filter((ip) => ip.family === 6).map((ip) => ['X-CSTP-Address', formatIp(ip)] as const));
  if (datagram !== undefined) headers.push(...datagramHeaders(datagram));
  return { method: 'CONNECT', target: TUNNEL_PATH, version: '1.1', headers, body: new Uint8Array(0) };
}

function datagramHeaders(offer: DatagramOffer): HttpHeaders {
  const headers: (readonly [string, string])[] = [['X-DTLS-Master-Secret', toHex(offer.masterSecret).toUpperCase()]];
  if (offer.suites.length > 0) headers.push(['X-DTLS-CipherSuite', offer.suites.join(':')]);
  if (offer.suites12.length > 0) headers.push(['X-DTLS12-CipherSuite', offer.suites12.join(':')]);
  if (offer.encodings.length > 0) headers.push(['X-DTLS-Accept-Encoding', offer.encodings.join(',')]);
  return headers;
}
