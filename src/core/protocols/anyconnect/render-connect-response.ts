/**
 * A gateway's answer to CONNECT as headers: the mirror image of `connect-response.ts`, in ocserv's words and order.
 *
 * Read first: spec "AnyConnect", sections 4.4 to 4.6.
 */
import type { HttpHeaders, HttpResponse } from '../../http/message.ts';
import type { InterfaceAddress, TunnelConfig } from '../../tunnel/config.ts';
import type { KeepaliveTimes } from '../../tunnel/keepalive.ts';
import type { Millis } from '../../tunnel/packet.ts';
import { type Cidr, formatCidr, formatIp, netmaskOf } from '../../wire/ip-address.ts';
import { toHex } from '../../wire/text.ts';
import type { ClientFamily } from './client-family.ts';
import type { ConnectResponse, DatagramParameters } from './connect-response.ts';
import { PSK_NEGOTIATE, resumptionSuite } from './dtls-suites.ts';

/** How the answer is put for this client, and what no client of ours needs. */
export interface ResponseDetails {
  /** Informational: `sallyport 1.0`. */
  readonly serverName: string;
  /** The client's name, accepted. */
  readonly hostname?: string;
  /** It decides in which header IPv6 name servers stand. */
  readonly family: ClientFamily;
  /** Understands headers that end in `-IP6`; without it IPv6 is an address and nothing more (spec 4.6). */
  readonly hasFullIpv6: boolean;
  /** What the client does with all other packets of a family that has no address: false drops them. */
  readonly bypassesProtocols?: boolean;
  /** Default: the client decides by its routes, which is `false` in these words (observed, also with a default route). */
  readonly tunnelsAllDns?: boolean;
  /** How keys are changed; `datagram` undefined: it is not said. Default: by a new tunnel, and by a handshake inside DTLS. */
  readonly rekeyMethods?: { readonly stream: 'ssl' | 'new-tunnel'; readonly datagram?: 'ssl' };
  /** How long the session may last from its log-in on. Default: what is left of it now. */
  readonly sessionTimeout?: Millis;
  /** The administrator's own for this session, in front of the datagram channel's. */
  readonly headers?: HttpHeaders;
  /** The administrator's own for all answers, in front of everything. */
  readonly pageHeaders?: HttpHeaders;
}

type Header = readonly [name: string, value: string];

/** Seconds, rounded up: what lasts shorter than one is not off. */
const seconds = (time: Millis) => String(Math.ceil(time / 1000));

/** `now` is when it is sent. Header values that cannot stand in a header line make `renderResponse` throw. */
export function renderConnectResponse(response: ConnectResponse, details: ResponseDetails, now: Millis): HttpResponse {
  const { config, datagram, stream } = response;
  const { stream: streamMethod, datagram: datagramMethod } = details.rekeyMethods ?? { stream: 'new-tunnel', datagram: 'ssl' };
  const headers: Header[] = [
    ...(details.pageHeaders ?? []),
    ['X-CSTP-Version', '1'],
    ['X-CSTP-Server-Name', details.serverName],
    ...given('X-CSTP-Hostname', details.hostname),
    ...timed('X-CSTP-DPD', stream.times.dpd),
    ...given('X-CSTP-Default-Domain', config.searchDomains.length === 0 ? undefined : config.searchDomains.join(' ')),
    ...addresses(config, details),
    ...nameServers(config, details),
    ...config.nbns.map((server): Header => ['X-CSTP-NBNS', formatIp(server)]),
    ...config.splitDns.map((domain): Header => ['X-CSTP-Split-DNS', domain]),
    ...appleRoute(config, details),
    ...routes('X-CSTP-Split-Include', config.include, details),
    ['X-CSTP-Tunnel-All-DNS', String(details.tunnelsAllDns === true)],
    ['X-CSTP-Client-Bypass-Protocol', String(details.bypassesProtocols === true)],
    ...routes('X-CSTP-Split-Exclude', config.exclude, details),
    ...timed('X-CSTP-Keepalive', stream.times.keepalive),
    ['X-CSTP-Idle-Timeout', config.idleTimeout === undefined ? 'none' : seconds(config.idleTimeout)],
    ['X-CSTP-Smartcard-Removal-Disconnect', 'true'],
    ...given('X-CSTP-DynDNS', config.gatewayMoves === true ? 'true' : undefined),
    ...rekeyTime('X-CSTP', stream.times),
    ['X-CSTP-Rekey-Method', hasRekey(stream.times) ? streamMethod : 'none'],
    ...given('X-CSTP-MSIE-Proxy-Pac-URL', config.proxyPac),
    ...sessionTimeout(config.expiresAt, details.sessionTimeout, now),
    ['X-CSTP-Disconnected-Timeout', 'none'],
    ['X-CSTP-Keep', 'true'],
    ['X-CSTP-TCP-Keepalive', 'true'],
    ['X-CSTP-License', 'accept'],
    ...(details.headers ?? []),
    ...(datagram === undefined ? [] : datagramHeaders(datagram, config.mtu, datagramMethod)),
    ...given('X-CSTP-Base-MTU', response.baseMtu === 0 ? undefined : String(response.baseMtu)),
    ['X-CSTP-MTU', String(config.mtu)],
    ...given('X-CSTP-Banner', config.banner === undefined ? undefined : percentEncoded(config.banner)),
    ...given('X-DTLS-Content-Encoding', datagram?.compression),
    ...given('X-CSTP-Content-Encoding', stream.compression),
  ];
  return { version: '1.1', status: 200, reason: 'CONNECTED', headers, body: new Uint8Array(0) };
}

function given(name: string, value: string | undefined): Header[] {
  return value === undefined ? [] : [[name, value]];
}

/** Left out where it is off. */
function timed(name: string, time: Millis | undefined): Header[] {
  return time === undefined || time === 0 ? [] : [[name, seconds(time)]];
}

function hasRekey({ rekey }: KeepaliveTimes): boolean {
  return rekey !== undefined && rekey > 0;
}

function rekeyTime(prefix: 'X-CSTP' | 'X-DTLS', times: KeepaliveTimes): Header[] {
  return timed(`${prefix}-Rekey-Time`, times.rekey);
}

/** Spec 4.6: clients of before `-IP6` get an IPv6 address like an IPv4 one. */
function addresses({ ipv4, ipv6 }: TunnelConfig, { hasFullIpv6 }: ResponseDetails): Header[] {
  return [
    ...(ipv4 === undefined ? [] : address4(ipv4)),
    ...(ipv6 === undefined ? [] : hasFullIpv6 ? [['X-CSTP-Address-IP6', withPrefix(ipv6)] as const] : oldAddress6(ipv6)),
  ];
}

function address4({ address, prefix }: InterfaceAddress): Header[] {
  return [
    ['X-CSTP-Address', formatIp(address)],
    ...given('X-CSTP-Netmask', prefix === undefined ? undefined : formatIp(netmaskOf(4, prefix))),
  ];
}

function oldAddress6(ipv6: InterfaceAddress): Header[] {
  return [
    ['X-CSTP-Address', formatIp(ipv6.address)],
    ['X-CSTP-Netmask', withPrefix(ipv6)],
  ];
}

function withPrefix({ address, prefix }: InterfaceAddress): string {
  return prefix === undefined ? formatIp(address) : formatCidr({ address, prefix });
}

/** Spec 4.6: Cisco's clients want IPv6 servers in a header of their own, openconnect in the common one; others get none (observed). */
function nameServers({ dns }: TunnelConfig, details: ResponseDetails): Header[] {
  return dns
    .filter(({ family }) => family === 4 || takesIpv6(details))
    .map((server) => [server.family === 6 && details.family !== 'openconnect' ? 'X-CSTP-DNS-IP6' : 'X-CSTP-DNS', formatIp(server)]);
}

/** IPv6 beyond an address. */
function takesIpv6({ family, hasFullIpv6 }: ResponseDetails): boolean {
  return hasFullIpv6 && family !== 'unknown';
}

/** Observed: where there are routes, ocserv gives Apple's clients all of global IPv6 first. */
function appleRoute({ ipv6, include }: TunnelConfig, details: ResponseDetails): Header[] {
  const isWanted = details.family === 'apple' && ipv6 !== undefined && include.length > 0 && takesIpv6(details);
  return isWanted ? [['X-CSTP-Split-Include-IP6', '2000::/3']] : [];
}

function routes(name: string, networks: readonly Cidr[], details: ResponseDetails): Header[] {
  return networks
    .filter(({ address }) => address.family === 4 || takesIpv6(details))
    .map(({ address, prefix }) =>
      address.family === 4
        ? [name, `${formatIp(address)}/${formatIp(netmaskOf(4, prefix))}`]
        : [`${name}-IP6`, formatCidr({ address, prefix })],
    );
}

/** Observed: ocserv says 0 twice where there is no limit. */
function sessionTimeout(expiresAt: Millis | undefined, whole: Millis | undefined, now: Millis): Header[] {
  const left = expiresAt === undefined ? '0' : seconds(Math.max(expiresAt - now, 1));
  return [
    ['X-CSTP-Session-Timeout', expiresAt === undefined || whole === undefined ? left : seconds(whole)],
    ['X-CSTP-Session-Timeout-Remaining', left],
  ];
}

function datagramHeaders({ port, times, association }: DatagramParameters, mtu: number, method: string | undefined): Header[] {
  return [
    ...timed('X-DTLS-DPD', times.dpd),
    ['X-DTLS-Port', String(port)],
    ...rekeyTime('X-DTLS', times),
    ...given('X-DTLS-Rekey-Method', hasRekey(times) ? method : undefined),
    ...timed('X-DTLS-Keepalive', times.keepalive),
    ...(association.mode === 'psk'
      ? ([
          ['X-DTLS-App-ID', toHex(association.appId)],
          ['X-DTLS-CipherSuite', PSK_NEGOTIATE],
        ] as const)
      : ([
          ['X-DTLS-Session-ID', toHex(association.sessionId)],
          [suiteHeader(association.suite.name, association.suite.version), association.suite.name],
          ['X-DTLS-MTU', String(mtu)],
        ] as const)),
  ];
}

/** Some names stand in both tables, and mean another version in each. */
function suiteHeader(name: string, version: string): string {
  return resumptionSuite('X-DTLS12-CipherSuite', name)?.version === version ? 'X-DTLS12-CipherSuite' : 'X-DTLS-CipherSuite';
}

/** What would end the line, what readers trim and what they would decode; the rest is for people as it is. */
function percentEncoded(banner: string): string {
  return banner.replace(
    /%(?=[\da-f]{2})|[\u0000-\u001f\u007f]|^ | $/gi,
    (character) => `%${toHex(Uint8Array.of(character.charCodeAt(0))).toUpperCase()}`,
  );
}
