/**
 * The options of one VPN resource, both ways: what the tunnel's request needs, and the configuration but for addresses, which come with its answer.
 *
 * Read first: spec "F5", section 4.
 *
 *   <favorite> <object ID="ur_Host"> <ur_Z/> <Session_ID/> <IPV4_0/> <LAN0/> <DNS0/> … </object> </favorite>
 */
import { PeerMisbehavedError } from '../../errors.ts';
import { elementsOf, parseXml, renderXml, textOf, xmlElement } from '../../markup/xml.ts';
import type { TunnelConfig } from '../../tunnel/config.ts';
import {
  ConfigReader,
  type ConfigWarning,
  MAX_DNS_SERVERS,
  MAX_NBNS_SERVERS,
  MAX_SEARCH_DOMAINS,
  MAX_SPLIT_DNS_DOMAINS,
} from '../../tunnel/config-values.ts';
import { type Cidr, formatCidr, formatIp } from '../../wire/ip-address.ts';
import { printable } from '../../wire/text.ts';

export interface F5Options {
  /** The two texts by which the tunnel's request is known. `sessionId`: undefined where the gateway leaves it out; the session cookie's value then. */
  readonly z: string;
  readonly sessionId?: string;
  readonly hasIpv4: boolean;
  readonly hasIpv6: boolean;
  /** What the gateway would have; the request decides. */
  readonly usesHdlc: boolean;
  /** Undefined: no DTLS. */
  readonly datagram?: { readonly port: number; readonly allows12: boolean };
  /** Everything goes through the tunnel, whatever routes are named. */
  readonly isDefaultRoute: boolean;
  readonly config: Omit<TunnelConfig, 'mtu' | 'expiresAt' | 'ipv4' | 'ipv6'>;
  readonly warnings: readonly ConfigWarning[];
}

const ROOT = 'favorite';
const OBJECT = 'object';
const MAX_TOKEN_LENGTH = 512;
/** Of the texts that go into a query as they are. */
const TOKEN = /^[A-Za-z0-9._~%+/=-]+$/;

/** Throws {@link PeerMisbehavedError} if the document is none, lacks `ur_Z`, or enables no family. */
export function parseOptions(document: Uint8Array | string): F5Options {
  const root = parseXml(document, { length: 1024 * 1024, elements: 10_000 });
  const [object] = elementsOf(root);
  if (root.name !== ROOT || object?.name !== OBJECT) {
    throw new PeerMisbehavedError(
      `The gateway's options are a <${printable(root.name).slice(0, 40)}>, not a <${ROOT}> with an <${OBJECT}>.`,
    );
  }
  const all = elementsOf(object).map((element) => [element.name, textOf(element).trim()] as const);
  const value = (name: string) => all.find(([each]) => each === name)?.[1] ?? '';
  /** The values of a name that is followed by a number, split where gateways put several into one. */
  const list = (name: RegExp) =>
    all.filter(([each]) => name.test(each)).flatMap(([, text]) => text.split(/[\s,]+/).filter((part) => part !== ''));
  const reader = new ConfigReader();
  const sessionId = value('Session_ID');
  const port = reader.number(value('tunnel_port_dtls'));
  const [hasIpv4, hasIpv6] = [flag(value('IPV4_0')), flag(value('IPV6_0'))];
  if (!hasIpv4 && !hasIpv6) throw new PeerMisbehavedError('The gateway offers neither IPv4 nor IPv6.');
  const idleTimeout = reader.seconds(value('idle_session_timeout'));
  const isDefaultRoute = flag(value('UseDefaultGateway0'));
  const splitDns = reader.domains(
    'split DNS',
    list(/^DNS_SPLIT\d+$/).filter((name) => name !== '*'),
    MAX_SPLIT_DNS_DOMAINS,
  );
  return {
    z: token('ur_Z', value('ur_Z')),
    ...(sessionId !== '' && { sessionId: token('Session_ID', sessionId) }),
    ...{ hasIpv4, hasIpv6, isDefaultRoute },
    usesHdlc: flag(value('hdlc_framing')),
    ...(flag(value('tunnel_dtls')) && port >= 1 && port <= 0xffff && { datagram: { port, allows12: flag(value('dtls_v1_2_supported')) } }),
    config: {
      dns: reader.addresses('DNS server', list(/^DNS(6_)?\d+$/), MAX_DNS_SERVERS),
      nbns: reader.addresses('WINS server', list(/^WINS\d+$/), MAX_NBNS_SERVERS),
      searchDomains: reader.domains('domain', list(/^DNSSuffix\d+$/), MAX_SEARCH_DOMAINS),
      splitDns,
      include: isDefaultRoute ? [] : reader.routes('split include', list(/^LAN(6_)?\d+$/)),
      exclude: reader.routes('split exclude', list(/^ExcludeSubnets(6_)?\d+$/)),
      ...(idleTimeout !== undefined && { idleTimeout }),
      vendorOptions: [],
    },
    warnings: reader.warnings,
  };
}

/** A number other than 0, `yes` or `on` (spec 4). */
function flag(text: string): boolean {
  return /^\d/.test(text) ? Number.parseInt(text, 10) !== 0 : /^(yes|on)$/i.test(text);
}

function token(name: string, text: string): string {
  if (text.length <= MAX_TOKEN_LENGTH && TOKEN.test(text)) return text;
  throw new PeerMisbehavedError(`The gateway's options have no ${name} that a request could carry.`);
}

/** What a gateway says of a tunnel. */
export interface OptionsOffer {
  readonly z: string;
  readonly sessionId: string;
  readonly resource: string;
  readonly host: string;
  readonly port: number;
  readonly config: Omit<TunnelConfig, 'mtu'>;
  readonly datagramPort?: number;
}

/**
 * Spec 4, what simple clients can read: one address in an element, and never `UseDefaultGateway0`, which costs them IPv6; all of a family is said in two
 * halves instead.
 */
export function renderOptions({ z, sessionId, resource, host, port, config, datagramPort }: OptionsOffer): string {
  const { ipv4, ipv6, dns, searchDomains, splitDns, include, exclude, idleTimeout } = config;
  const isFamily = (family: 4 | 6) => (network: Cidr) => network.address.family === family;
  const routes = (networks: readonly Cidr[]) => networks.map(formatCidr).join(' ');
  const halves = (family: 4 | 6) => (family === 4 ? '0.0.0.0/1 128.0.0.0/1' : '::/1 8000::/1');
  const included = (family: 4 | 6) => {
    const own = family === 4 ? ipv4 : ipv6;
    const named = include.filter(isFamily(family));
    if (own === undefined) return '';
    return named.length === 0 ? halves(family) : routes(named);
  };
  const has = (condition: boolean) => (condition ? '1' : '0');
  const servers = { 4: 0, 6: 0 };
  const texts: (readonly [string, string])[] = [
    ['ur_Z', z],
    ['Session_ID', sessionId],
    ['ur_name', resource],
    ['host0', host],
    ['port0', String(port)],
    ['tunnel_host0', host],
    ['tunnel_port0', String(port)],
    ['tunnel_protocol0', 'https'],
    ['idle_session_timeout', String(Math.round((idleTimeout ?? 0) / 1000))],
    ['IPV4_0', has(ipv4 !== undefined)],
    ['IPV6_0', has(ipv6 !== undefined)],
    ['tunnel_dtls', has(datagramPort !== undefined)],
    ['tunnel_port_dtls', String(datagramPort ?? 0)],
    ['dtls_v1_2_supported', has(datagramPort !== undefined)],
    ['UseDefaultGateway0', '0'],
    ['SplitTunneling0', '2'],
    ['LAN0', included(4)],
    ['LAN6_0', included(6)],
    ['ExcludeSubnets0', routes(exclude.filter(isFamily(4)))],
    ['ExcludeSubnets6_0', routes(exclude.filter(isFamily(6)))],
    ...dns.map((address) => [`${address.family === 4 ? 'DNS' : 'DNS6_'}${servers[address.family]++}`, formatIp(address)] as const),
    ['WINS0', ''],
    ['DNSSuffix0', searchDomains.join(',')],
    ['DNS_SPLIT0', splitDns.length === 0 ? '*' : splitDns.join(' ')],
    ['hdlc_framing', 'no'],
  ];
  const object = xmlElement(
    OBJECT,
    { ID: 'ur_Host' },
    texts.map(([name, text]) => xmlElement(name, {}, text === '' ? [] : [text])),
  );
  return `<?xml version="1.0" encoding="UTF-8" ?>${renderXml(xmlElement(ROOT, {}, [object]))}\n`;
}
