/**
 * The configuration of a tunnel as XML, both ways.
 *
 * Read first: spec "GlobalProtect", section 9.2, and 15 for gateways that cannot be spoken to. ESP is not offered, and not taken where it is.
 */
import { PeerMisbehavedError, PeerRefusedError, UnsupportedError } from '../../errors.ts';
import { child, childrenNamed, parseXml, renderXml, textOf, type XmlElement, xmlElement } from '../../markup/xml.ts';
import { toXmlText } from '../../markup/xml-names.ts';
import type { InterfaceAddress, TunnelConfig } from '../../tunnel/config.ts';
import { MIN_MTU_IPV4, MIN_MTU_IPV6 } from '../../tunnel/config.ts';
import { ConfigReader, type ConfigWarning, MAX_DNS_SERVERS, MAX_NBNS_SERVERS, MAX_SEARCH_DOMAINS } from '../../tunnel/config-values.ts';
import type { Millis } from '../../tunnel/packet.ts';
import { type Cidr, formatCidr, formatIp, type IpAddress, netmaskOf } from '../../wire/ip-address.ts';
import { fromUtf8 } from '../../wire/text.ts';
import { PORTAL_NAME } from './login-answer.ts';
import { PATHS } from './paths.ts';
import { childText, XML_LIMITS } from './prelogin.ts';

export interface GpConfiguration {
  readonly config: Omit<TunnelConfig, 'mtu' | 'expiresAt'>;
  /** Undefined: the client reckons. */
  readonly mtu?: number;
  /** Of the session, from now on, whatever it does. */
  readonly lifetime?: Millis;
  /** After this the tunnel is to be opened anew. */
  readonly renewAfter?: Millis;
  /** Where the tunnel over TLS is asked for. */
  readonly tunnelPath: string;
  readonly warnings: readonly ConfigWarning[];
}

const MAX_MTU = 9000;
/** How long before its end a tunnel is opened anew (spec 11). */
const RENEW_BEFORE: Millis = 60_000;
const MAX_PATH = 256;

/** Of a gateway that wants a handshake which nobody has described (spec 15). */
const BALANCED = ['hs-key', 'enc-hs-key', 'tunnel-opaque'];

/** Spec 8.2: the plain words for a cookie that is not taken. */
const NO_CONFIGURATION = 'errors getting SSL/VPN config';

/** Throws {@link PeerRefusedError} for a cookie that is not taken, {@link PeerMisbehavedError} and {@link UnsupportedError} for what cannot be used. */
export function parseConfiguration(document: Uint8Array | string): GpConfiguration {
  const text = typeof document === 'string' ? document : fromUtf8(document);
  if (text.startsWith(NO_CONFIGURATION)) throw new PeerRefusedError('The gateway does not take the cookie. Log in again.');
  const root = parseXml(text, XML_LIMITS);
  if (root.name !== 'response') throw new PeerMisbehavedError('The gateway answered the request for a configuration with something else.');
  const error = childText(root, 'error');
  if (error !== undefined) throw new PeerRefusedError(`The gateway gives no configuration: ${error}`);
  if (BALANCED.some((name) => child(root, name) !== undefined)) {
    throw new UnsupportedError('The gateway is a load-balanced one, whose handshake is not known.');
  }
  const reader = new ConfigReader();
  const ipv4 = ownAddress(reader, root, 4);
  const ipv6 = ownAddress(reader, root, 6);
  if (ipv4 === undefined && ipv6 === undefined) throw new PeerMisbehavedError('The gateway assigns no address.');
  const tunnelPath = childText(root, 'ssl-tunnel-url') ?? PATHS.tunnel;
  if (!/^\/[!-~]*$/.test(tunnelPath) || tunnelPath.length > MAX_PATH) {
    throw new PeerMisbehavedError('The gateway has no usable path for the tunnel.');
  }
  const mtu = reader.number(childText(root, 'mtu'));
  const lifetime = reader.seconds(childText(root, 'lifetime'));
  const timeout = reader.seconds(childText(root, 'timeout'));
  const idleTimeout = reader.seconds(childText(root, 'disconnect-on-idle'));
  return {
    config: {
      ...(ipv4 !== undefined && { ipv4 }),
      ...(ipv6 !== undefined && { ipv6 }),
      dns: reader.addresses('DNS server', [...members(root, 'dns'), ...members(root, 'dns-v6')], MAX_DNS_SERVERS),
      nbns: reader.addresses('WINS server', members(root, 'wins'), MAX_NBNS_SERVERS),
      searchDomains: reader.domains('domain', members(root, 'dns-suffix'), MAX_SEARCH_DOMAINS),
      splitDns: [],
      include: reader.routes('split include', [...members(root, 'access-routes'), ...members(root, 'access-routes-v6')]),
      exclude: reader.routes('split exclude', [...members(root, 'exclude-access-routes'), ...members(root, 'exclude-access-routes-v6')]),
      ...(idleTimeout !== undefined && { idleTimeout }),
      vendorOptions: [],
    },
    ...(mtu >= (ipv6 === undefined ? MIN_MTU_IPV4 : MIN_MTU_IPV6) && mtu <= MAX_MTU && { mtu }),
    ...(lifetime !== undefined && { lifetime }),
    ...(timeout !== undefined && timeout > RENEW_BEFORE && { renewAfter: timeout - RENEW_BEFORE }),
    tunnelPath,
    warnings: reader.warnings,
  };
}

function members(root: XmlElement, name: string): readonly string[] {
  const list = child(root, name);
  return list === undefined ? [] : childrenNamed(list, 'member').map((member) => textOf(member).trim());
}

function ownAddress(reader: ConfigReader, root: XmlElement, family: 4 | 6): InterfaceAddress | undefined {
  const text = childText(root, family === 4 ? 'ip-address' : 'ip-address-v6');
  if (text === undefined) return undefined;
  const own = reader.interfaceAddress(
    'assigned address',
    text,
    family === 4 ? (childText(root, 'netmask') ?? '255.255.255.255') : undefined,
  );
  return own?.address.family === family ? own : undefined;
}

export interface ConfigurationOffer {
  readonly config: Omit<TunnelConfig, 'mtu'>;
  readonly mtu: number;
  /** After how long the client opens its tunnel anew. */
  readonly timeout: Millis;
  readonly user: string;
  /** Networks of IPv6 that are behind the tunnel are said. False: all of IPv6 is. */
  readonly saysIpv6Routes: boolean;
  /** What a client with ESP would ask whether we are there. */
  readonly gatewayIpv4?: IpAddress;
}

/** Clients go on in circles with less than a minute (spec 9.2). */
const MIN_TIMEOUT: Millis = 600_000;
const DEFAULT_LIFETIME: Millis = 86_400_000;

/** @param now the time that `config.expiresAt` is in */
export function renderConfiguration({ config, mtu, timeout, user, saysIpv6Routes, gatewayIpv4 }: ConfigurationOffer, now: Millis): string {
  const { ipv4, ipv6, dns, nbns, searchDomains, include, exclude, idleTimeout, expiresAt } = config;
  const text = (name: string, value: string) => xmlElement(name, {}, [value]);
  const list = (name: string, values: readonly string[]) =>
    values.length === 0
      ? []
      : [
          xmlElement(
            name,
            {},
            values.map((value) => text('member', value)),
          ),
        ];
  const of = (family: 4 | 6) => (address: IpAddress) => address.family === family;
  const routes = (networks: readonly Cidr[], family: 4 | 6) =>
    networks.filter(({ address }) => address.family === family).map((network) => formatCidr(network));
  const lifetime = expiresAt === undefined ? DEFAULT_LIFETIME : Math.max(expiresAt - now, 1000);
  return renderXml(
    xmlElement('response', { status: 'success' }, [
      text('need-tunnel', 'yes'),
      text('ssl-tunnel-url', PATHS.tunnel),
      ...[text('portal', PORTAL_NAME), text('user', toXmlText(user))],
      text('lifetime', seconds(lifetime)),
      text('timeout', seconds(Math.max(timeout, MIN_TIMEOUT))),
      ...(idleTimeout === undefined ? [] : [text('disconnect-on-idle', seconds(idleTimeout))]),
      ...(gatewayIpv4 === undefined ? [] : [text('gw-address', formatIp(gatewayIpv4))]),
      ...(ipv4 === undefined ? [] : [text('ip-address', formatIp(ipv4.address)), text('netmask', formatIp(netmaskOf(4, 32)))]),
      ...(ipv6 === undefined ? [] : [text('ip-address-v6', formatIp(ipv6.address))]),
      ...list('dns', dns.filter(of(4)).map(formatIp)),
      ...list('dns-v6', dns.filter(of(6)).map(formatIp)),
      ...list('wins', nbns.map(formatIp)),
      text('mtu', String(mtu)),
      ...list('dns-suffix', searchDomains),
      ...list('access-routes', routes(include, 4)),
      ...(saysIpv6Routes ? list('access-routes-v6', routes(include, 6)) : []),
      ...list('exclude-access-routes', routes(exclude, 4)),
      ...list('exclude-access-routes-v6', routes(exclude, 6)),
    ]),
  );
}

function seconds(time: Millis): string {
  return String(Math.max(1, Math.round(time / 1000)));
}
