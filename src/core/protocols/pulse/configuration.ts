/**
 * The configuration of a Pulse tunnel, both ways: addresses, routes, names, sizes.
 *
 * Read first: spec "Pulse", sections 8.2 and 8.3.
 *
 *   container (container.ts) | [leading blocks] | routes | length, 03000000, attributes
 */
import { PeerMisbehavedError, UnsupportedError } from '../../errors.ts';
import type { EspAlgorithms } from '../../esp/algorithms.ts';
import { algorithmsOf, CIPHER_IDS, MAC_IDS } from '../../esp/key-block.ts';
import { type InterfaceAddress, MIN_MTU_IPV4, MIN_MTU_IPV6, type TunnelConfig } from '../../tunnel/config.ts';
import { ConfigReader, type ConfigWarning, MAX_DNS_SERVERS, MAX_NBNS_SERVERS, MAX_SEARCH_DOMAINS } from '../../tunnel/config-values.ts';
import type { Millis } from '../../tunnel/packet.ts';
import { ByteReader } from '../../wire/byte-reader.ts';
import { ByteWriter } from '../../wire/byte-writer.ts';
import { type Cidr, formatIp, type IpAddress, netmaskOf, parseIp } from '../../wire/ip-address.ts';
import { fromUtf8, utf8 } from '../../wire/text.ts';
import { container, readContainer, SIGNATURES } from './container.ts';
import { IFT_HEADER_LENGTH, MAX_IFT_PACKET } from './ift-packet.ts';

const ROUTES_TAG = 0x2e00;
const LAST_BLOCK_TAG = 0x2c00;
const ATTRIBUTES_TAG = 0x0300_0000;
/** Leading blocks that are read (spec 8.2: two are known). */
const MAX_LEADING_BLOCKS = 4;

const ROUTE_KINDS = { include: 0x0700_0010, exclude: 0xf100_0010 } as const;
const ROUTE_MARK = 0xffff;
/** The count is one byte. */
export const MAX_ROUTES = 255;

const ATTRIBUTES = {
  ipv4: 0x0001,
  netmask: 0x0002,
  dns: 0x0003,
  wins: 0x0004,
  ipv6: 0x0008,
  dnsIpv6: 0x000a,
  includeIpv6: 0x000f,
  excludeIpv6: 0x0010,
  mtu: 0x4005,
  domains: 0x4006,
  gatewayIpv4: 0x400b,
  espCipher: 0x4010,
  espMac: 0x4011,
  /** Seconds, and bytes: for clients' information, as the gateway changes the keys. */
  espLifetime: 0x4012,
  espLifetimeBytes: 0x4013,
  espReplayProtection: 0x4014,
  espPort: 0x4016,
  espFallback: 0x4017,
} as const;

/** Bytes of all search domains that are sent. */
const MAX_DOMAINS_LENGTH = 4096;

/** Where a gateway names no time (spec "ESP", 5.4), and the longest that is believed. */
const DEFAULT_DPD: Millis = 60_000;
const MAX_DPD: Millis = 86_400_000;

/** How ESP is spoken, besides its keys, which come in a packet of their own. */
export interface EspTerms {
  readonly algorithms: EspAlgorithms;
  /** Of UDP, at the gateway. */
  readonly port: number;
  /** Silence by ESP after which a client asks; after twice that it goes by TLS. */
  readonly dpd: Millis;
}

export interface PulseConfiguration {
  readonly config: TunnelConfig;
  /** Undefined: there is no ESP that could be spoken. */
  readonly esp?: EspTerms;
  readonly warnings: readonly ConfigWarning[];
}

/** Throws {@link PeerMisbehavedError} for what is none, {@link UnsupportedError} where it lacks an address or the MTU. */
export function parseConfiguration(payload: Uint8Array): PulseConfiguration {
  const { signature, body } = readContainer(payload);
  const reader = new ByteReader(body);
  if (signature === SIGNATURES.mainWithBlocks) skipLeadingBlocks(reader);
  const values = new ConfigReader();
  const routes = readRoutes(reader);
  const attributes = readAttributes(reader);
  const all = (...types: number[]) => attributes.filter(({ type }) => types.includes(type));
  const networks = (type: number) => all(type).flatMap(({ value }) => (value.length === 17 ? ipv6Network(value) : []));
  const number = (type: number, length: 2 | 4) => {
    const value = all(type).find((attribute) => attribute.value.length === length)?.value;
    const found = value && new ByteReader(value);
    return length === 2 ? found?.u16('attribute') : found?.u32('attribute');
  };
  const ipv4 = ownIpv4(values, all(ATTRIBUTES.ipv4)[0]?.value, all(ATTRIBUTES.netmask)[0]?.value);
  const ipv6 = ownIpv6(values, all(ATTRIBUTES.ipv6)[0]?.value);
  const gateway = all(ATTRIBUTES.gatewayIpv4)[0]?.value;
  const gatewayIpv4 = gateway?.length === 4 ? parseIp(textOf(gateway)) : undefined;
  const mtu = number(ATTRIBUTES.mtu, 4);
  if (mtu === undefined || (ipv4 === undefined && ipv6 === undefined)) {
    throw new UnsupportedError('The gateway’s configuration has no address or no MTU.');
  }
  const esp = espTerms(number);
  const addresses = (...types: number[]) => all(...types).flatMap(({ value }) => addressText(value) ?? []);
  return {
    config: {
      mtu: checkedMtu(mtu, ipv6 !== undefined),
      ...(ipv4 !== undefined && { ipv4 }),
      ...(ipv6 !== undefined && { ipv6 }),
      ...(gatewayIpv4 !== undefined && { gatewayIpv4 }),
      dns: values.addresses('DNS server', addresses(ATTRIBUTES.dns, ATTRIBUTES.dnsIpv6), MAX_DNS_SERVERS),
      nbns: values.addresses('WINS server', addresses(ATTRIBUTES.wins), MAX_NBNS_SERVERS),
      searchDomains: values.domains(
        'search domain',
        all(ATTRIBUTES.domains).map(({ value }) => fromUtf8(value).replace(/\0.*$/s, '')),
        MAX_SEARCH_DOMAINS,
      ),
      splitDns: [],
      include: values.routes('split include', [...routes.include, ...networks(ATTRIBUTES.includeIpv6)]),
      exclude: values.routes('split exclude', [...routes.exclude, ...networks(ATTRIBUTES.excludeIpv6)]),
      vendorOptions: [],
    },
    ...(esp !== undefined && { esp }),
    warnings: values.warnings,
  };
}

export interface ConfigurationOffer {
  readonly config: TunnelConfig;
  /** The gateway's own end, where there is one. */
  readonly gatewayIpv4?: IpAddress;
  readonly esp?: EspTerms & {
    /** How long keys are used. */
    readonly lifetime: Millis;
  };
}

/**
 * In the form of before 9.1R14, which every client reads. Routes of IPv4 beyond {@link MAX_ROUTES} have no place in it. Throws {@link UnsupportedError} for
 * what no packet holds.
 */
export function renderConfiguration({ config, gatewayIpv4, esp }: ConfigurationOffer): Uint8Array {
  const { ipv4, ipv6 } = config;
  const ofFamily = (family: 4 | 6, networks: readonly Cidr[]) => networks.filter(({ address }) => address.family === family);
  const attributes = new ByteWriter();
  const attribute = (type: number, value: Uint8Array) => attributes.u16(type).u16(value.length).bytes(value);
  attribute(ATTRIBUTES.mtu, uint32(config.mtu));
  for (const { family, bytes } of config.dns) attribute(family === 4 ? ATTRIBUTES.dns : ATTRIBUTES.dnsIpv6, bytes);
  const domains = domainList(config.searchDomains);
  if (domains !== '') attribute(ATTRIBUTES.domains, utf8(`${domains}\0`));
  for (const { family, bytes } of config.nbns) if (family === 4) attribute(ATTRIBUTES.wins, bytes);
  if (esp !== undefined) {
    const { algorithms, port, dpd, lifetime } = esp;
    attribute(ATTRIBUTES.espCipher, uint16(CIPHER_IDS[algorithms.cipher]));
    attribute(ATTRIBUTES.espMac, uint16(MAC_IDS[algorithms.mac]));
    attribute(ATTRIBUTES.espLifetime, uint32(Math.ceil(lifetime / 1000)));
    attribute(ATTRIBUTES.espLifetimeBytes, uint32(0)); // no limit
    attribute(ATTRIBUTES.espReplayProtection, uint32(1));
    attribute(ATTRIBUTES.espPort, uint16(port));
    attribute(ATTRIBUTES.espFallback, uint32(Math.ceil(dpd / 1000)));
  }
  if (ipv4 !== undefined) {
    attribute(ATTRIBUTES.ipv4, ipv4.address.bytes);
    attribute(ATTRIBUTES.netmask, netmaskOf(4, ipv4.prefix ?? 32).bytes);
  }
  if (gatewayIpv4 !== undefined) attribute(ATTRIBUTES.gatewayIpv4, gatewayIpv4.bytes);
  if (ipv6 !== undefined) attribute(ATTRIBUTES.ipv6, withPrefix(ipv6.address, ipv6.prefix ?? 128));
  for (const { address, prefix } of ofFamily(6, config.include)) attribute(ATTRIBUTES.includeIpv6, withPrefix(address, prefix));
  for (const { address, prefix } of ofFamily(6, config.exclude)) attribute(ATTRIBUTES.excludeIpv6, withPrefix(address, prefix));
  const routes = [
    ...ofFamily(4, config.include).map((network) => ({ kind: ROUTE_KINDS.include, network })),
    ...ofFamily(4, config.exclude).map((network) => ({ kind: ROUTE_KINDS.exclude, network })),
  ].slice(0, MAX_ROUTES);
  const body = new ByteWriter();
  body
    .u16(ROUTES_TAG)
    .u16(8 + 16 * routes.length)
    .u8(routes.length)
    .u24(0);
  for (const { kind, network } of routes) writeRoute(body, kind, network);
  body
    .u32(8 + attributes.length)
    .u32(ATTRIBUTES_TAG)
    .bytes(attributes.finish());
  return container(SIGNATURES.main, body.finish());
}

/** Spec 8.4: all three, or none. */
function espTerms(number: (type: number, length: 2 | 4) => number | undefined): EspTerms | undefined {
  const algorithms = algorithmsOf(number(ATTRIBUTES.espCipher, 2) ?? 0, number(ATTRIBUTES.espMac, 2) ?? 0);
  const port = number(ATTRIBUTES.espPort, 2) ?? 0;
  const seconds = number(ATTRIBUTES.espFallback, 4) ?? 0;
  if (algorithms === undefined || port === 0) return undefined;
  return { algorithms, port, dpd: seconds === 0 ? DEFAULT_DPD : Math.min(seconds * 1000, MAX_DPD) };
}

function uint16(value: number): Uint8Array {
  return new ByteWriter().u16(value).finish();
}

function uint32(value: number): Uint8Array {
  return new ByteWriter().u32(value).finish();
}

/** Blocks of attributes that are of no use to us, up to the one that is the last. */
function skipLeadingBlocks(reader: ByteReader): void {
  for (let count = 0; count < MAX_LEADING_BLOCKS; count++) {
    const tag = reader.u16('leading block');
    const length = reader.u16('length of a leading block');
    if ((tag !== ROUTES_TAG && tag !== LAST_BLOCK_TAG) || length < 8 || reader.u32('leading block') !== ATTRIBUTES_TAG) {
      throw new PeerMisbehavedError('leading block: it is none');
    }
    reader.bytes(length - 8, 'leading block');
    if (tag === LAST_BLOCK_TAG) return;
  }
  throw new PeerMisbehavedError(`leading blocks: expected at most ${MAX_LEADING_BLOCKS}`);
}

interface Routes {
  readonly include: readonly string[];
  readonly exclude: readonly string[];
}

function readRoutes(reader: ByteReader): Routes {
  const tag = reader.u16('routes');
  const length = reader.u16('length of the routes');
  const count = reader.u8('number of routes');
  if (tag !== ROUTES_TAG || reader.u24('routes') !== 0 || length !== 8 + 16 * count) throw new PeerMisbehavedError('routes: they are none');
  const include: string[] = [];
  const exclude: string[] = [];
  for (let i = 0; i < count; i++) {
    const kind = reader.u32('kind of a route');
    const mark = reader.u32('mark of a route');
    const first = reader.bytes(4, 'first address of a route');
    const last = reader.bytes(4, 'last address of a route');
    if (mark !== ROUTE_MARK || (kind !== ROUTE_KINDS.include && kind !== ROUTE_KINDS.exclude)) {
      throw new PeerMisbehavedError(`route of an unknown kind ${kind}`);
    }
    // A range that is no network has no contiguous mask, and is left out with a warning.
    const mask = Uint8Array.from(first, (byte, at) => ~(byte ^ (last[at] ?? 0)));
    (kind === ROUTE_KINDS.include ? include : exclude).push(`${textOf(first)}/${textOf(mask)}`);
  }
  return { include, exclude };
}

function writeRoute(writer: ByteWriter, kind: number, { address, prefix }: Cidr): void {
  const mask = netmaskOf(4, prefix).bytes;
  const last = Uint8Array.from(address.bytes, (byte, i) => byte | ~(mask[i] ?? 0));
  writer.u32(kind).u32(ROUTE_MARK).bytes(address.bytes).bytes(last);
}

interface Attribute {
  readonly type: number;
  readonly value: Uint8Array;
}

function readAttributes(reader: ByteReader): Attribute[] {
  const length = reader.remaining;
  if (reader.u32('length of the attributes') !== length || reader.u32('attributes') !== ATTRIBUTES_TAG) {
    throw new PeerMisbehavedError('attributes: they are none');
  }
  const attributes: Attribute[] = [];
  while (reader.remaining > 0) {
    const type = reader.u16('attribute');
    attributes.push({ type, value: reader.bytes(reader.u16('length of an attribute'), 'value of an attribute') });
  }
  return attributes;
}

function ownIpv4(values: ConfigReader, address: Uint8Array | undefined, netmask: Uint8Array | undefined): InterfaceAddress | undefined {
  if (address?.length !== 4) return undefined;
  return values.interfaceAddress('assigned address', textOf(address), netmask?.length === 4 ? textOf(netmask) : undefined);
}

function ownIpv6(values: ConfigReader, value: Uint8Array | undefined): InterfaceAddress | undefined {
  return value?.length === 17 ? values.interfaceAddress('assigned address', ipv6Network(value)) : undefined;
}

/** Spec 12: it is the gateway's word; what no IP link can have is a mistake. */
function checkedMtu(mtu: number, hasIpv6: boolean): number {
  const min = hasIpv6 ? MIN_MTU_IPV6 : MIN_MTU_IPV4;
  const max = MAX_IFT_PACKET - IFT_HEADER_LENGTH;
  if (mtu < min || mtu > max) throw new PeerMisbehavedError(`MTU: expected ${min} to ${max}, got ${mtu}`);
  return mtu;
}

function ipv6Network(value: Uint8Array): string {
  return `${textOf(value.subarray(0, 16))}/${value[16] ?? 0}`;
}

function withPrefix({ bytes }: IpAddress, prefix: number): Uint8Array {
  return Uint8Array.of(...bytes, prefix);
}

function addressText(bytes: Uint8Array): string | undefined {
  return bytes.length === 4 || bytes.length === 16 ? textOf(bytes) : undefined;
}

function textOf(bytes: Uint8Array): string {
  return formatIp({ family: bytes.length === 4 ? 4 : 6, bytes });
}

/** As many as there is room for. */
function domainList(domains: readonly string[]): string {
  let list = '';
  for (const domain of domains) {
    if (list.length + domain.length >= MAX_DOMAINS_LENGTH) break;
    list += list === '' ? domain : `,${domain}`;
  }
  return list;
}
