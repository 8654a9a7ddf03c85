/**
 * What the gateway answers to CONNECT: the tunnel's configuration and the parameters of its channels.
 *
 * Read first: spec "AnyConnect", sections 4.3 to 4.6. Names are compared without case: ocserv and Cisco's gateways differ.
 */
import type { CompressionName } from '../../compress/compressor.ts';
import { PeerMisbehavedError, UnsupportedError } from '../../errors.ts';
import type { HttpHeaders } from '../../http/message.ts';
import { headerValue, headerValues } from '../../http/message.ts';
import type { InterfaceAddress, TunnelConfig } from '../../tunnel/config.ts';
import {
  ConfigReader,
  type ConfigWarning,
  MAX_DNS_SERVERS,
  MAX_NBNS_SERVERS,
  MAX_SEARCH_DOMAINS,
  MAX_SPLIT_DNS_DOMAINS,
} from '../../tunnel/config-values.ts';
import type { KeepaliveTimes } from '../../tunnel/keepalive.ts';
import { MAX_RESERVE } from '../../tunnel/layer.ts';
import type { Millis } from '../../tunnel/packet.ts';
import { fromHex, printable } from '../../wire/text.ts';
import { CSTP_HEADER_LENGTH } from './cstp-frame.ts';
import { PSK_NEGOTIATE, type ResumptionSuite, resumptionSuite } from './dtls-suites.ts';

export interface ConnectResponse {
  readonly config: TunnelConfig;
  /** Largest outer IP packet that the gateway reckons with; 0: not said. */
  readonly baseMtu: number;
  readonly stream: ChannelParameters;
  readonly datagram: DatagramParameters | undefined;
  /** The stream's keys are to change inside its TLS connection (spec 9.4, `ssl`), not by a new tunnel. */
  readonly renewsKeysInPlace?: true;
  /** Why there is no datagram channel although one was asked for. */
  readonly datagramProblem?: string;
  /** What of the answer was left out, and why. */
  readonly warnings: readonly ConfigWarning[];
}

export interface ChannelParameters {
  readonly times: KeepaliveTimes;
  readonly compression: CompressionName | undefined;
}

export interface DatagramParameters extends ChannelParameters {
  readonly port: number;
  readonly association: AssociationParameters;
}

export type AssociationParameters =
  /** A PSK handshake; the id goes into the ClientHello's session_id. */
  | { readonly mode: 'psk'; readonly appId: Uint8Array }
  | { readonly mode: 'resumption'; readonly sessionId: Uint8Array; readonly suite: ResumptionSuite };

/** Beyond this no frame fits a TLS record (spec 5.1), whatever a gateway on a jumbo link says. */
const MAX_TUNNEL_MTU = MAX_RESERVE - CSTP_HEADER_LENGTH;

/** RFC 791: what every link must carry. A system refuses to configure less. */
const MIN_TUNNEL_MTU = 68;

const SESSION_ID_BYTES = 32;
const MAX_APP_ID_BYTES = 32;

/**
 * Reads the headers of a 200 answer; `now` is when it came. Throws {@link PeerMisbehavedError} where a tunnel cannot be made of them:
 * no address, no MTU, a session id of the wrong length, an unknown encoding.
 */
export function parseConnectResponse(headers: HttpHeaders, now: Millis): ConnectResponse {
  const reader = new ConfigReader();
  const value = (name: string) => headerValue(headers, name);
  const values = (name: string) => headerValues(headers, name);
  const mtu = Math.max(reader.number(value('X-CSTP-MTU')), reader.number(value('X-DTLS-MTU')));
  if (mtu === 0) throw new PeerMisbehavedError('The gateway names no MTU: neither X-CSTP-MTU nor X-DTLS-MTU is in its answer.');
  if (mtu < MIN_TUNNEL_MTU) throw new PeerMisbehavedError(`The gateway's MTU is at least ${MIN_TUNNEL_MTU}, but it says ${mtu}.`);
  const { ipv4, ipv6 } = interfaceAddresses(reader, headers);
  if (ipv4 === undefined && ipv6 === undefined)
    throw new PeerMisbehavedError('The gateway gives no address: no X-CSTP-Address can be used.');
  const banner = reader.banner(value('X-CSTP-Banner') ?? '');
  const pac = value('X-CSTP-MSIE-Proxy-PAC-URL');
  const proxyPac = pac === undefined || pac === '' ? undefined : reader.proxyPac(pac);
  const isDynamic = value('X-CSTP-DynDNS')?.toLowerCase() === 'true';
  const idleTimeout = reader.seconds(value('X-CSTP-Idle-Timeout'));
  const expiresAt = expiry(reader, headers, now);
  const config: TunnelConfig = {
    mtu: Math.min(mtu, MAX_TUNNEL_MTU),
    ...(ipv4 !== undefined && { ipv4 }),
    ...(ipv6 !== undefined && { ipv6 }),
    dns: reader.addresses('name server', inOrder(headers, ['X-CSTP-DNS', 'X-CSTP-DNS-IP6']), MAX_DNS_SERVERS),
    nbns: reader.addresses('NBNS server', values('X-CSTP-NBNS'), MAX_NBNS_SERVERS),
    searchDomains: reader.domains('default domain', values('X-CSTP-Default-Domain'), MAX_SEARCH_DOMAINS),
    splitDns: reader.domains('split DNS', values('X-CSTP-Split-DNS'), MAX_SPLIT_DNS_DOMAINS),
    include: reader.routes('split include', inOrder(headers, ['X-CSTP-Split-Include', 'X-CSTP-Split-Include-IP6'])),
    exclude: reader.routes('split exclude', inOrder(headers, ['X-CSTP-Split-Exclude', 'X-CSTP-Split-Exclude-IP6'])),
    ...(banner !== undefined && { banner }),
    ...(proxyPac !== undefined && { proxyPac }),
    ...(idleTimeout !== undefined && { idleTimeout }),
    ...(expiresAt !== undefined && { expiresAt }),
    ...(isDynamic && { gatewayMoves: true }),
    vendorOptions: reader.options(headers.filter(([name]) => /^X-CSTP-/i.test(name))),
  };
  const datagram = datagramParameters(reader, headers);
  return {
    config,
    baseMtu: reader.number(value('X-CSTP-Base-MTU')),
    stream: { times: times(reader, headers, 'CSTP'), compression: compressionOf(value('X-CSTP-Content-Encoding'), true) },
    datagram: typeof datagram === 'string' ? undefined : datagram,
    ...(value('X-CSTP-Rekey-Method') === 'ssl' && { renewsKeysInPlace: true as const }),
    ...(typeof datagram === 'string' && { datagramProblem: datagram }),
    warnings: reader.warnings,
  };
}

/** Values of several headers, in the order of their lines. */
function inOrder(headers: HttpHeaders, names: readonly string[]): string[] {
  const wanted = names.map((name) => name.toLowerCase());
  return headers.filter(([name]) => wanted.includes(name.toLowerCase())).map(([, value]) => value);
}

/**
 * Spec 4.4 and 4.6: an address and a netmask each, an IPv6 value in either; `-Address-IP6` comes instead of those for IPv6. An IPv6 netmask is
 * an address with its prefix, and enough alone (observed with openconnect 9.01).
 */
function interfaceAddresses(reader: ConfigReader, headers: HttpHeaders): { ipv4?: InterfaceAddress; ipv6?: InterfaceAddress } {
  const addresses = headerValues(headers, 'X-CSTP-Address');
  const netmasks = headerValues(headers, 'X-CSTP-Netmask');
  const isIpv6 = (text: string) => text.includes(':');
  const address4 = addresses.find((text) => !isIpv6(text));
  const ipv4 =
    address4 === undefined
      ? undefined
      : reader.interfaceAddress(
          'address',
          address4,
          netmasks.find((text) => !isIpv6(text)),
        );
  const full6 = headerValue(headers, 'X-CSTP-Address-IP6');
  const netmask6 = full6 === undefined ? netmasks.find(isIpv6) : undefined;
  const address6 = full6 ?? addresses.find(isIpv6) ?? netmask6;
  const ipv6 = address6 === undefined ? undefined : reader.interfaceAddress('IPv6 address', address6, netmask6);
  return { ...(ipv4 !== undefined && { ipv4 }), ...(ipv6 !== undefined && { ipv6 }) };
}

/** The smallest of the limits that are set (spec 4.4, `X-CSTP-Lease-Duration`). */
function expiry(reader: ConfigReader, headers: HttpHeaders, now: Millis): Millis | undefined {
  const limits = ['X-CSTP-Session-Timeout', 'X-CSTP-Session-Timeout-Remaining', 'X-CSTP-Lease-Duration']
    .map((name) => reader.seconds(headerValue(headers, name)))
    .filter((limit) => limit !== undefined);
  return limits.length === 0 ? undefined : now + Math.min(...limits);
}

function times(reader: ConfigReader, headers: HttpHeaders, channel: 'CSTP' | 'DTLS'): KeepaliveTimes {
  const seconds = (name: string) => reader.seconds(headerValue(headers, `X-${channel}-${name}`)) ?? 0;
  const method = headerValue(headers, `X-${channel}-Rekey-Method`);
  // Spec 9.4: `new-tunnel` asks nothing of the datagram channel by itself, a new tunnel brings it a new id.
  const rekeys = channel === 'CSTP' ? method === 'ssl' || method === 'new-tunnel' : method === 'ssl';
  return { dpd: seconds('DPD'), keepalive: seconds('Keepalive'), rekey: rekeys ? seconds('Rekey-Time') : 0 };
}

function compressionOf(name: string | undefined, isStream: boolean): CompressionName | undefined {
  switch (name) {
    case undefined:
    case '':
    case 'none':
      return undefined;
    case 'lzs':
    case 'oc-lz4':
      return name;
    case 'deflate':
      if (isStream) return name;
      break;
  }
  throw new UnsupportedError(`The gateway chose an unknown compression: ${printable(name)}.`);
}

/** A text says why there is none. */
function datagramParameters(reader: ConfigReader, headers: HttpHeaders): DatagramParameters | string {
  const port = reader.number(headerValue(headers, 'X-DTLS-Port'));
  const sessionId = headerValue(headers, 'X-DTLS-Session-ID');
  const appId = headerValue(headers, 'X-DTLS-App-ID');
  if (port === 0 || port > 0xffff || (sessionId === undefined && appId === undefined)) return 'The gateway offers no DTLS.';
  const association = associationParameters(headers, sessionId, appId);
  if (typeof association === 'string') return association;
  const compression = compressionOf(headerValue(headers, 'X-DTLS-Content-Encoding'), false);
  return { port, association, times: times(reader, headers, 'DTLS'), compression };
}

function associationParameters(
  headers: HttpHeaders,
  sessionId: string | undefined,
  appId: string | undefined,
): AssociationParameters | string {
  const name12 = headerValue(headers, 'X-DTLS12-CipherSuite');
  const name = headerValue(headers, 'X-DTLS-CipherSuite');
  if (name === PSK_NEGOTIATE || name12 === PSK_NEGOTIATE) {
    const id = fromHex(appId ?? '');
    if (id.length === 0 || id.length > MAX_APP_ID_BYTES) {
      throw new PeerMisbehavedError(`X-DTLS-App-ID: expected 1 to ${MAX_APP_ID_BYTES} bytes of hex, got ${id.length}.`);
    }
    return { mode: 'psk', appId: id };
  }
  if (name12 === undefined && name === undefined) return 'The gateway names no DTLS cipher.';
  const suite = name12 !== undefined ? resumptionSuite('X-DTLS12-CipherSuite', name12) : resumptionSuite('X-DTLS-CipherSuite', name ?? '');
  if (suite === undefined) return `The gateway chose a DTLS cipher that is not known: ${printable(name12 ?? name ?? '')}.`;
  const id = fromHex(sessionId ?? '');
  if (id.length !== SESSION_ID_BYTES) {
    throw new PeerMisbehavedError(`X-DTLS-Session-ID: expected ${SESSION_ID_BYTES} bytes of hex, got ${id.length}.`);
  }
  return { mode: 'resumption', sessionId: id, suite };
}
