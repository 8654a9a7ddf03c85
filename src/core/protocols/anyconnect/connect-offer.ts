/**
 * What a client asks for in its CONNECT request, as the gateway reads it: the mirror image of `connect-request.ts`. Who the client is (cookie, STRAP)
 * was settled before.
 *
 * Read first: spec "AnyConnect", sections 4.1, 6.1, 7.2 and 11.2. What cannot be understood is taken for not offered: nothing throws.
 */
import type { CompressionName, StatelessCompressionName } from '../../compress/compressor.ts';
import type { HttpHeaders, HttpRequest } from '../../http/message.ts';
import { headerValue, headerValues } from '../../http/message.ts';
import { type IpAddress, parseIp } from '../../wire/ip-address.ts';
import { fromHex } from '../../wire/text.ts';
import { type ClientFamily, clientFamily } from './client-family.ts';
import { statelessEncodings } from './tunnel-options.ts';

export interface ConnectOffer {
  /** Which headers it understands beyond the common ones. */
  readonly family: ClientFamily;
  /** The client's own name, if it can be one. */
  readonly hostname?: string;
  /** Encodings of the stream channel, preferred first. */
  readonly encodings: readonly CompressionName[];
  /** The link MTU that the client reckons with, and the tunnel MTU that it wants; 0: not said. */
  readonly baseMtu: number;
  readonly mtu: number;
  readonly wantsIpv4: boolean;
  readonly wantsIpv6: boolean;
  /** Understands headers that end in `-IP6`. */
  readonly hasFullIpv6: boolean;
  /** Addresses of before, on a reconnect. */
  readonly previous: readonly IpAddress[];
  /** Undefined: no datagram channel is wanted. */
  readonly datagram?: DatagramRequest;
}

export interface DatagramRequest {
  /** 48 bytes. */
  readonly masterSecret: Uint8Array;
  /** Names of `X-DTLS-CipherSuite` and `X-DTLS12-CipherSuite`, known to us or not. */
  readonly suites: readonly string[];
  readonly suites12: readonly string[];
  readonly encodings: readonly StatelessCompressionName[];
}

const MASTER_SECRET_HEX = /^[0-9a-f]{96}$/i;

/** A host name of one label or more (RFC 1123 §2.1), as long as ocserv takes (spec 4.1). */
const HOSTNAME = /^(?=.{1,63}$)(?!-)[a-z0-9-]{1,63}(?<!-)(?:\.(?!-)[a-z0-9-]{1,63}(?<!-))*$/i;

/** Members of one list, and addresses: more than any client names. */
const MAX_MEMBERS = 64;
const MAX_ADDRESSES = 4;

/** Largest number that means anything here. */
const MAX_MTU = 65_535;

export function parseConnectOffer(request: HttpRequest): ConnectOffer {
  const { headers } = request;
  const types = headerValue(headers, 'X-CSTP-Address-Type') ?? 'IPv6,IPv4'; // Observed: ocserv 1.1.6 gives both to who does not say
  const hostname = headerValue(headers, 'X-CSTP-Hostname') ?? '';
  const datagram = datagramRequest(headers);
  return {
    family: clientFamily(headerValue(headers, 'User-Agent') ?? ''),
    ...(HOSTNAME.test(hostname) && { hostname }),
    encodings: encodings(headers, 'X-CSTP-Accept-Encoding'),
    baseMtu: mtu(headers, 'X-CSTP-Base-MTU'),
    mtu: mtu(headers, 'X-CSTP-MTU'),
    wantsIpv4: types.includes('IPv4'),
    wantsIpv6: types.includes('IPv6'),
    hasFullIpv6: headerValue(headers, 'X-CSTP-Full-IPv6-Capability')?.toLowerCase() === 'true',
    previous: headerValues(headers, 'X-CSTP-Address')
      .slice(0, MAX_ADDRESSES)
      .flatMap((text) => parseIp(text) ?? []),
    ...(datagram !== undefined && { datagram }),
  };
}

/** Its presence is what turns the datagram channel on (spec 4.1). A secret of zeros is one that anyone knows. */
function datagramRequest(headers: HttpHeaders): DatagramRequest | undefined {
  const hex = headerValue(headers, 'X-DTLS-Master-Secret') ?? '';
  if (!MASTER_SECRET_HEX.test(hex) || /^0+$/.test(hex)) return undefined;
  return {
    masterSecret: fromHex(hex),
    suites: members(headers, 'X-DTLS-CipherSuite', ':'),
    suites12: members(headers, 'X-DTLS12-CipherSuite', ':'),
    encodings: statelessEncodings(encodings(headers, 'X-DTLS-Accept-Encoding')),
  };
}

function encodings(headers: HttpHeaders, name: string): CompressionName[] {
  return members(headers, name, ',').filter((member) => member === 'oc-lz4' || member === 'lzs' || member === 'deflate');
}

function members(headers: HttpHeaders, name: string, separator: ',' | ':'): string[] {
  return (headerValue(headers, name) ?? '')
    .split(separator, MAX_MEMBERS)
    .map((member) => member.trim())
    .filter((member) => member !== '');
}

function mtu(headers: HttpHeaders, name: string): number {
  const text = headerValue(headers, name) ?? '';
  return /^\d{1,5}$/.test(text) ? Math.min(Number(text), MAX_MTU) : 0;
}
