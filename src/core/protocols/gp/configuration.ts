/**
 * The configuration of a tunnel as XML, both ways.
 *
 * Read first: spec "GlobalProtect", sections 9.2 and 10.1, and 15 for gateways that cannot be spoken to.
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
import { type EspOffer, parseIpsec, renderIpsec } from './ipsec.ts';
import { PORTAL_NAME } from './login-answer.ts';
import type { PingEnds } from './magic-ping.ts';
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
  /** UDP, to be tried first; the text: why what is said of it cannot be used. Undefined: nothing is said. */
  readonly esp?: EspTerms | string;
  readonly warnings: readonly ConfigWarning[];
}

export interface EspTerms extends EspOffer {
  /** Who asks whom whether ESP is answered. */
  readonly ping: PingEnds;
}

const MAX_MTU = 9000;
/** How long before its end a tunnel is opened anew (spec 11); one of a few seconds not so often that nothing else is done. */
const RENEW_BEFORE: Millis = 60_000;
const MIN_RENEWAL: Millis = 10_000;
const MAX_PATH = 256;

/** Of a gateway that wants a handshake which nobody has described, and what it gives in the place of an address (spec 15). */
const BALANCED = ['hs-key', 'enc-hs-key', 'tunnel-opaque'];
const PLACEHOLDER = '127.127.127.127';

/** Spec 8.2: the plain words for a cookie that is not taken. */
const NO_CONFIGURATION = 'errors getting SSL/VPN config';

/** Spec 8.2: clients do not come again with the cookie. */
export const NO_SESSION = 'Invalid authentication cookie';
/** After these neither: whatever else is wrong may pass. */
const FINAL_ERRORS: readonly string[] = [
  NO_SESSION,
  'Portal name not found',
  'Valid client certificate is required',
  'Allow Automatic Restoration of SSL VPN is disabled',
];

/**
 * Throws {@link PeerRefusedError} for a cookie that is not taken, {@link PeerMisbehavedError} for another error, and with {@link UnsupportedError} for what
 * cannot be used.
 * @param wantsIpv6 else whatever is said of IPv6 is left out
 */
export function parseConfiguration(document: Uint8Array | string, wantsIpv6 = true): GpConfiguration {
  const text = typeof document === 'string' ? document : fromUtf8(document);
  if (text.startsWith(NO_CONFIGURATION)) throw new PeerRefusedError('The gateway does not take the cookie. Log in again.');
  const root = parseXml(text, XML_LIMITS);
  if (root.name !== 'response') throw new PeerMisbehavedError('The gateway answered the request for a configuration with something else.');
  const error = childText(root, 'error');
  if (error !== undefined) {
    const message = `The gateway gives no configuration: ${error}`;
    throw FINAL_ERRORS.includes(error) ? new PeerRefusedError(message) : new PeerMisbehavedError(message);
  }
  if (BALANCED.some((name) => child(root, name) !== undefined) || childText(root, 'ip-address') === PLACEHOLDER) {
    throw new UnsupportedError('The gateway is a load-balanced one, whose handshake is not known.');
  }
  const reader = new ConfigReader();
  const ipv4 = ownAddress(reader, root, 4);
  const ipv6 = wantsIpv6 ? ownAddress(reader, root, 6) : undefined;
  if (ipv4 === undefined && ipv6 === undefined) throw new PeerMisbehavedError('The gateway assigns no address.');
  const tunnelPath = childText(root, 'ssl-tunnel-url') ?? PATHS.tunnel;
  if (!/^\/[!-~]*$/.test(tunnelPath) || tunnelPath.length > MAX_PATH) {
    throw new PeerMisbehavedError('The gateway has no usable path for the tunnel.');
  }
  const mtu = reader.number(childText(root, 'mtu'));
  const lifetime = reader.seconds(childText(root, 'lifetime'));
  const timeout = reader.seconds(childText(root, 'timeout'));
  const idleTimeout = reader.seconds(childText(root, 'disconnect-on-idle'));
  const ofBoth = (name: string) => [...members(root, name), ...(wantsIpv6 ? members(root, `${name}-v6`) : [])];
  const esp = espTerms(reader, root, { ipv4, ipv6 });
  return {
    config: {
      ...(ipv4 !== undefined && { ipv4 }),
      ...(ipv6 !== undefined && { ipv6 }),
      dns: reader.addresses('DNS server', ofBoth('dns'), MAX_DNS_SERVERS),
      nbns: reader.addresses('WINS server', members(root, 'wins'), MAX_NBNS_SERVERS),
      searchDomains: reader.domains('domain', members(root, 'dns-suffix'), MAX_SEARCH_DOMAINS),
      splitDns: [],
      include: reader.routes('split include', ofBoth('access-routes')),
      exclude: reader.routes('split exclude', ofBoth('exclude-access-routes')),
      ...(idleTimeout !== undefined && { idleTimeout }),
      vendorOptions: [],
    },
    ...(mtu >= (ipv6 === undefined ? MIN_MTU_IPV4 : MIN_MTU_IPV6) && mtu <= MAX_MTU && { mtu }),
    ...(lifetime !== undefined && { lifetime }),
    ...(timeout !== undefined && { renewAfter: Math.max(timeout - RENEW_BEFORE, timeout / 2, MIN_RENEWAL) }),
    tunnelPath,
    ...(esp !== undefined && { esp }),
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

/** Spec 10.1: it is asked by the family of both addresses, IPv6 rather than IPv4. */
function espTerms(
  reader: ConfigReader,
  root: XmlElement,
  { ipv4, ipv6 }: { readonly ipv4: InterfaceAddress | undefined; readonly ipv6: InterfaceAddress | undefined },
): EspTerms | string | undefined {
  const ipsec = child(root, 'ipsec');
  if (ipsec === undefined) return undefined;
  const ends = [
    { own: ipv6, name: 'gw-address-v6', family: 6 },
    { own: ipv4, name: 'gw-address', family: 4 },
  ].flatMap(({ own, name, family }) => {
    const text = childText(root, name);
    const gateway = own === undefined || text === undefined ? undefined : reader.address('gateway address', text);
    return own === undefined || gateway?.family !== family ? [] : { client: own.address, gateway };
  });
  const [ping] = ends;
  if (ping === undefined) return 'no address to ask';
  const offer = parseIpsec(ipsec);
  return typeof offer === 'string' ? offer : { ...offer, ping };
}

export interface ConfigurationOffer {
  readonly config: Omit<TunnelConfig, 'mtu'>;
  readonly mtu: number;
  /** How long the tunnel and its keys last ({@link keysLife}). */
  readonly timeout: Millis;
  readonly user: string;
  /** Networks of IPv6 that are behind the tunnel are said. False: all of IPv6 is. */
  readonly saysIpv6Routes: boolean;
  /** What a client asks by ESP whether we are there. */
  readonly asked?: IpAddress;
  /** Absent: TLS only. */
  readonly esp?: EspOffer;
}

/** Clients open their tunnels anew a minute before, and go on in circles where that is at once (spec 9.2). */
const MIN_TIMEOUT: Millis = 70_000;
const DEFAULT_LIFETIME: Millis = 86_400_000;

/** How long a client is told that its tunnel and keys last. */
export function keysLife(timeout: Millis): Millis {
  return Math.max(timeout, MIN_TIMEOUT);
}

/** @param now the time that `config.expiresAt` is in */
export function renderConfiguration(offer: ConfigurationOffer, now: Millis): string {
  const { config, mtu, timeout, user, saysIpv6Routes, asked, esp } = offer;
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
      text('timeout', seconds(timeout)),
      ...(idleTimeout === undefined ? [] : [text('disconnect-on-idle', seconds(idleTimeout))]),
      ...(asked === undefined ? [] : [text(asked.family === 4 ? 'gw-address' : 'gw-address-v6', formatIp(asked))]),
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
      ...(esp === undefined ? [] : [renderIpsec(esp)]),
    ]),
  );
}

function seconds(time: Millis): string {
  return String(Math.max(1, Math.round(time / 1000)));
}
