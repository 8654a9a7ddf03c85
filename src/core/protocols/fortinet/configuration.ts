/**
 * The configuration of a tunnel as XML, both ways. Everything is in attributes.
 *
 * Read first: spec "Fortinet", sections 3.2 to 3.4 (what simple clients can read) and 6 (`auth-ses`).
 *
 *   <sslvpn-tunnel ver="2" dtls="1">
 *     <dtls-config heartbeat-interval="10"/> <auth-ses tun-connect-without-reauth="1" tun-user-ses-timeout="240"/>
 *     <ipv4> <dns ip= domain=/> <split-dns domains= dnsserver1=/> <assigned-addr ipv4=/> <split-tunnel-info> <addr ip= mask=/> … </ipv4>
 *     <ipv6> … prefix-len instead of mask … </ipv6>
 *     <idle-timeout val="300"/> <auth-timeout val="28800"/>
 *   </sslvpn-tunnel>
 */
import { PeerMisbehavedError } from '../../errors.ts';
import { attribute, child, childrenNamed, parseXml, renderXml, type XmlElement, type XmlLimits, xmlElement } from '../../markup/xml.ts';
import type { InterfaceAddress, TunnelConfig } from '../../tunnel/config.ts';
import {
  ConfigReader,
  type ConfigWarning,
  MAX_DNS_SERVERS,
  MAX_SEARCH_DOMAINS,
  MAX_SPLIT_DNS_DOMAINS,
} from '../../tunnel/config-values.ts';
import type { Millis } from '../../tunnel/packet.ts';
import { type Cidr, formatIp, type IpAddress, netmaskOf, sameIp } from '../../wire/ip-address.ts';
import { printable } from '../../wire/text.ts';

export interface FortinetConfiguration {
  /** The MTU is found by PPP; {@link lifetime} says when it ends. */
  readonly config: Omit<TunnelConfig, 'mtu' | 'expiresAt'>;
  /** How long the session lasts, from when the document came. */
  readonly lifetime?: Millis;
  /** UDP on the port of TCP is answered. */
  readonly hasDatagrams: boolean;
  /** How often to look for signs of life. */
  readonly heartbeat?: Millis;
  /** The cookie opens another tunnel after a drop, for so long where that is said. */
  readonly reconnects?: { readonly within?: Millis };
  /** The gateway's firmware in words. */
  readonly firmware?: string;
  readonly warnings: readonly ConfigWarning[];
}

const ROOT = 'sslvpn-tunnel';

/** Spec 9. */
const LIMITS: Partial<XmlLimits> = { length: 256 * 1024, depth: 8, elements: 10_000, attributes: 32, attributeLength: 8192 };

/** `dnsserver1` to `dnsserver9`. */
const SPLIT_DNS_SERVERS = 9;

const MAX_FIRMWARE_LENGTH = 80;

/** Throws {@link PeerMisbehavedError} if the document is none, or gives no address. */
export function parseConfiguration(document: Uint8Array | string): FortinetConfiguration {
  const root = parseXml(document, LIMITS);
  if (root.name !== ROOT)
    throw new PeerMisbehavedError(`The gateway's configuration is a <${printable(root.name).slice(0, 40)}>, not a <${ROOT}>.`);
  const reader = new ConfigReader();
  const families = ([4, 6] as const).map((family) => readFamily(reader, child(root, `ipv${family}`), family));
  const [ipv4, ipv6] = families.map(({ own }) => own);
  if (ipv4 === undefined && ipv6 === undefined) throw new PeerMisbehavedError('The gateway assigns no address.');
  const idleTimeout = reader.seconds(attributeOf(root, 'idle-timeout', 'val'));
  const lifetime = reader.seconds(attributeOf(root, 'auth-timeout', 'val'));
  const heartbeat = reader.seconds(attributeOf(root, 'dtls-config', 'heartbeat-interval'));
  const within = reader.seconds(attributeOf(root, 'auth-ses', 'tun-user-ses-timeout'));
  const firmware = firmwareOf(root);
  return {
    config: {
      ...(ipv4 !== undefined && { ipv4 }),
      ...(ipv6 !== undefined && { ipv6 }),
      dns: withoutRepeats(families.flatMap(({ dns }) => dns)).slice(0, MAX_DNS_SERVERS),
      nbns: [],
      searchDomains: reader.domains(
        'domain',
        families.flatMap(({ domains }) => domains),
        MAX_SEARCH_DOMAINS,
      ),
      // Gateways say the same for each family.
      splitDns: [
        ...new Set(
          reader.domains(
            'split DNS',
            families.flatMap((part) => part.splitDns),
            MAX_SPLIT_DNS_DOMAINS,
          ),
        ),
      ],
      include: includedNetworks(families),
      exclude: families.flatMap(({ exclude }) => exclude),
      ...(idleTimeout !== undefined && { idleTimeout }),
      vendorOptions: [],
    },
    ...(lifetime !== undefined && { lifetime }),
    hasDatagrams: reader.number(attribute(root, 'dtls')) !== 0,
    ...(heartbeat !== undefined && { heartbeat }),
    ...(attributeOf(root, 'auth-ses', 'tun-connect-without-reauth') === '1' && { reconnects: within === undefined ? {} : { within } }),
    ...(firmware !== undefined && { firmware }),
    warnings: reader.warnings,
  };
}

interface FamilyPart {
  readonly own: InterfaceAddress | undefined;
  readonly dns: readonly IpAddress[];
  readonly domains: readonly string[];
  readonly splitDns: readonly string[];
  readonly include: readonly Cidr[];
  readonly exclude: readonly Cidr[];
}

const NO_PART: FamilyPart = { own: undefined, dns: [], domains: [], splitDns: [], include: [], exclude: [] };

function readFamily(reader: ConfigReader, element: XmlElement | undefined, family: 4 | 6): FamilyPart {
  if (element === undefined) return NO_PART;
  const key = family === 4 ? 'ip' : 'ipv6';
  const servers = childrenNamed(element, 'dns');
  const splits = childrenNamed(element, 'split-dns');
  const addresses = [
    ...servers.flatMap((server) => attribute(server, key) ?? []),
    ...splits.flatMap((split) => Array.from({ length: SPLIT_DNS_SERVERS }, (_, i) => attribute(split, `dnsserver${i + 1}`) ?? []).flat()),
  ];
  const routes = (negated: boolean) =>
    reader.routes(
      negated ? 'split exclude' : 'split include',
      childrenNamed(element, 'split-tunnel-info')
        .filter((block) => (reader.number(attribute(block, 'negate')) !== 0) === negated)
        .flatMap((block) => childrenNamed(block, 'addr').flatMap((route) => routeText(route, family) ?? [])),
    );
  return {
    own: ownAddress(reader, child(element, 'assigned-addr'), family),
    dns: reader.addresses('DNS server', addresses, MAX_DNS_SERVERS),
    domains: servers.flatMap((server) => attribute(server, 'domain') ?? []),
    splitDns: splits.flatMap((split) => attribute(split, 'domains') ?? []),
    include: routes(false),
    exclude: routes(true),
  };
}

function ownAddress(reader: ConfigReader, assigned: XmlElement | undefined, family: 4 | 6): InterfaceAddress | undefined {
  const text = assigned && attribute(assigned, family === 4 ? 'ipv4' : 'ipv6');
  const address = text === undefined ? undefined : reader.address('assigned address', text);
  if (assigned === undefined || address?.family !== family) return undefined;
  const prefix = family === 4 ? 32 : reader.number(attribute(assigned, 'prefix-len') ?? '128');
  return { address, prefix: prefix >= 1 && prefix <= 128 ? prefix : 128 };
}

/** Undefined for a route that lacks a half. */
function routeText(route: XmlElement, family: 4 | 6): string | undefined {
  const address = attribute(route, family === 4 ? 'ip' : 'ipv6');
  const size = attribute(route, family === 4 ? 'mask' : 'prefix-len');
  return address === undefined || size === undefined ? undefined : `${address}/${size}`;
}

/**
 * Spec 3.3: one route to include, of either family, and nothing goes by default. A family of which none is named then reaches itself alone, as in our
 * model no route means all.
 */
function includedNetworks(families: readonly FamilyPart[]): readonly Cidr[] {
  const include = families.flatMap((family) => family.include);
  if (include.length === 0) return [];
  return families.flatMap(({ own, include: named }) =>
    named.length === 0 && own !== undefined ? [{ address: own.address, prefix: own.address.bytes.length * 8 }] : named,
  );
}

function withoutRepeats(addresses: readonly IpAddress[]): IpAddress[] {
  return addresses.filter((address, i) => addresses.findIndex((other) => sameIp(other, address)) === i);
}

function attributeOf(root: XmlElement, name: string, key: string): string | undefined {
  const element = child(root, name);
  return element && attribute(element, key);
}

function firmwareOf(root: XmlElement): string | undefined {
  const fos = child(root, 'fos');
  if (fos === undefined) return undefined;
  const text = ['platform', 'major', 'minor', 'patch', 'build'].flatMap((name) => attribute(fos, name) ?? []).join(' ');
  return printable(text).slice(0, MAX_FIRMWARE_LENGTH);
}

/** What a gateway says of a tunnel. */
export interface ConfigurationOffer {
  readonly config: Omit<TunnelConfig, 'mtu'>;
  readonly hasDatagrams: boolean;
  readonly heartbeat: Millis;
  /** How long the cookie opens another tunnel after a drop. */
  readonly reconnectsWithin: Millis;
}

/** @param now the time that `config.expiresAt` is in */
export function renderConfiguration({ config, hasDatagrams, heartbeat, reconnectsWithin }: ConfigurationOffer, now: Millis): string {
  const { ipv4, ipv6, idleTimeout, expiresAt } = config;
  const dtlsFlag = hasDatagrams ? '1' : '0';
  const interval = seconds(heartbeat);
  const root = xmlElement(ROOT, { ver: '2', dtls: dtlsFlag, patch: '1' }, [
    xmlElement('dtls-config', {
      'heartbeat-interval': interval,
      'heartbeat-fail-count': '3',
      'heartbeat-idle-timeout': interval,
      'client-hello-timeout': '10',
    }),
    xmlElement('tunnel-method', { value: 'ppp' }),
    xmlElement('fos', { platform: 'SALLYPORT', major: '7', minor: '0', patch: '0', build: '0001', branch: '0001', mr_num: '00' }),
    xmlElement('auth-ses', {
      'tun-connect-without-reauth': '1',
      'check-src-ip': '0',
      'tun-user-ses-timeout': seconds(reconnectsWithin),
    }),
    xmlElement('client-config', { 'save-password': 'off', 'keep-alive': 'on', 'auto-connect': 'off' }),
    ...(ipv4 === undefined ? [] : [familyElement(config, ipv4, 4)]),
    ...(ipv6 === undefined ? [] : [familyElement(config, ipv6, 6)]),
    ...(idleTimeout === undefined ? [] : [xmlElement('idle-timeout', { val: seconds(idleTimeout) })]),
    ...(expiresAt === undefined ? [] : [xmlElement('auth-timeout', { val: seconds(Math.max(expiresAt - now, 1000)) })]),
  ]);
  return `<?xml version="1.0" encoding="utf-8"?>\n${renderXml(root)}\n`;
}

function familyElement(config: ConfigurationOffer['config'], own: InterfaceAddress, family: 4 | 6): XmlElement {
  const key = family === 4 ? 'ip' : 'ipv6';
  const isOfFamily = ({ family: other }: IpAddress) => other === family;
  const servers = config.dns.filter(isOfFamily).map(formatIp);
  const isFirst = family === 4 || config.ipv4 === undefined;
  const domains = isFirst ? config.searchDomains : [];
  const [firstServer, ...otherServers] = servers;
  const split =
    config.splitDns.length === 0 || firstServer === undefined
      ? []
      : [xmlElement('split-dns', { domains: config.splitDns.join(','), dnsserver1: firstServer })];
  const routes = (networks: readonly Cidr[]) =>
    networks.filter(({ address }) => isOfFamily(address)).map((network) => routeElement(network));
  const [include, exclude] = [routes(config.include), routes(config.exclude)];
  return xmlElement(`ipv${family}`, {}, [
    ...(firstServer === undefined
      ? []
      : [xmlElement('dns', { [key]: firstServer, ...(domains.length > 0 && { domain: domains.join(' ') }) })]),
    ...otherServers.map((server) => xmlElement('dns', { [key]: server })),
    ...split,
    xmlElement(
      'assigned-addr',
      family === 4 ? { ipv4: formatIp(own.address) } : { ipv6: formatIp(own.address), 'prefix-len': String(own.prefix ?? 128) },
    ),
    // Spec 3.4: what is included comes first.
    ...(include.length === 0 ? [] : [xmlElement('split-tunnel-info', {}, include)]),
    ...(exclude.length === 0 ? [] : [xmlElement('split-tunnel-info', { negate: '1' }, exclude)]),
  ]);
}

function routeElement({ address, prefix }: Cidr): XmlElement {
  return address.family === 4
    ? xmlElement('addr', { ip: formatIp(address), mask: formatIp(netmaskOf(4, prefix)) })
    : xmlElement('addr', { ipv6: formatIp(address), 'prefix-len': String(prefix) });
}

function seconds(time: Millis): string {
  return String(Math.max(1, Math.round(time / 1000)));
}
