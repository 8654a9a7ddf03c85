/**
 * The configuration of a Network Connect tunnel (KMP 301) and what a client says of itself (KMP 303), both ways.
 *
 * Read first: spec "Juniper NC", sections 6.4, 6.5 and 8.
 */
import { PeerMisbehavedError } from '../../errors.ts';
import { MIN_MTU_IPV4, type TunnelConfig } from '../../tunnel/config.ts';
import { ConfigReader, type ConfigWarning, MAX_DNS_SERVERS, MAX_NBNS_SERVERS, MAX_SEARCH_DOMAINS } from '../../tunnel/config-values.ts';
import { ByteReader } from '../../wire/byte-reader.ts';
import { ByteWriter } from '../../wire/byte-writer.ts';
import { type Cidr, formatIp, type IpAddress, netmaskOf } from '../../wire/ip-address.ts';
import { fromUtf8, utf8 } from '../../wire/text.ts';
import { KMP_TYPES, type KmpAttribute, type KmpSide, parseAttributes, renderKmp } from './kmp-message.ts';

/** Group and attribute in one number, as in the specification's table: 0x0601 is 6/1. */
const SETTINGS = {
  address: 0x0101,
  netmask: 0x0102,
  gatewayAddress: 0x0103,
  dns: 0x0201,
  domains: 0x0202,
  include: 0x0303,
  exclude: 0x0304,
  nbns: 0x0401,
  mtu: 0x0602,
} as const;

/** Bytes of those that have one length only. */
const LENGTHS: Readonly<Record<number, number>> = {
  [SETTINGS.address]: 4,
  [SETTINGS.netmask]: 4,
  [SETTINGS.dns]: 4,
  [SETTINGS.include]: 8,
  [SETTINGS.exclude]: 8,
  [SETTINGS.nbns]: 4,
  [SETTINGS.mtu]: 4,
};

/** Largest MTU that is believed: what a client's buffer takes (spec 5.2). */
const MAX_MTU = 16_384;

/** Routes of each kind, which all have to fit one message with the names. */
const MAX_SENT_ROUTES = 1500;

/** Servers that clients take. */
const MAX_SERVERS = 3;

export interface ReceivedConfiguration {
  readonly config: TunnelConfig;
  readonly warnings: readonly ConfigWarning[];
}

/** @param previous the configuration so far: a gateway may leave the address out on a reconnect. Throws {@link PeerMisbehavedError}. */
export function parseConfiguration(payload: Uint8Array, previous: TunnelConfig | undefined): ReceivedConfiguration {
  const attributes = parseAttributes(payload);
  const valuesOf = (key: number) => attributes.filter((each) => keyOf(each) === key).map(({ value }) => value);
  for (const attribute of attributes) checkLength(attribute);
  const reader = new ConfigReader();
  const [address] = valuesOf(SETTINGS.address);
  const [netmask] = valuesOf(SETTINGS.netmask);
  const ipv4 =
    address === undefined
      ? previous?.ipv4
      : reader.interfaceAddress('address', ipText(address), netmask === undefined ? undefined : ipText(netmask));
  if (ipv4 === undefined) throw new PeerMisbehavedError('The gateway has given no IPv4 address.');
  const networks = (key: number) => valuesOf(key).map((value) => `${ipText(value.subarray(0, 4))}/${ipText(value.subarray(4))}`);
  const include = reader.routes('split include', networks(SETTINGS.include));
  const domains = valuesOf(SETTINGS.domains).map((value) => fromUtf8(value));
  return {
    config: {
      ...{ mtu: mtuIn(valuesOf(SETTINGS.mtu)), ipv4 },
      dns: reader.addresses('DNS server', valuesOf(SETTINGS.dns).map(ipText), MAX_DNS_SERVERS),
      nbns: reader.addresses('WINS server', valuesOf(SETTINGS.nbns).map(ipText), MAX_NBNS_SERVERS),
      searchDomains: reader.domains('search domain', domains, MAX_SEARCH_DOMAINS),
      splitDns: [],
      include: include.some(({ prefix }) => prefix === 0) ? [] : include, // 0.0.0.0/0 among them: everything
      exclude: reader.routes('split exclude', networks(SETTINGS.exclude)),
      vendorOptions: [],
    },
    warnings: reader.warnings,
  };
}

function keyOf({ group, attribute }: KmpAttribute): number {
  return group > 0xff || attribute > 0xff ? -1 : (group << 8) | attribute;
}

function checkLength(attribute: KmpAttribute): void {
  const expected = LENGTHS[keyOf(attribute)];
  const { length } = attribute.value;
  if (expected === undefined || length === expected) return;
  throw new PeerMisbehavedError(`KMP attribute ${attribute.group}/${attribute.attribute} has ${length} bytes in place of ${expected}`);
}

function mtuIn([value]: readonly Uint8Array[]): number {
  if (value === undefined) throw new PeerMisbehavedError('The gateway has not said the MTU of the tunnel.');
  const mtu = new ByteReader(value).u32('MTU');
  if (mtu < MIN_MTU_IPV4 || mtu > MAX_MTU) throw new PeerMisbehavedError(`The gateway has given an MTU of ${mtu}.`);
  return mtu;
}

function ipText(bytes: Uint8Array): string {
  return formatIp({ family: 4, bytes });
}

/** A gateway's. What of it is IPv6 is left out: the protocol has none. */
export function renderConfiguration(config: TunnelConfig, gateway: IpAddress | undefined): Uint8Array {
  const { ipv4, mtu } = config;
  const isIpv4 = ({ family }: IpAddress) => family === 4;
  const own =
    ipv4 === undefined
      ? []
      : [
          attribute(SETTINGS.address, ipv4.address.bytes),
          attribute(SETTINGS.netmask, netmaskOf(4, ipv4.prefix ?? 32).bytes),
          ...(gateway !== undefined && isIpv4(gateway) ? [attribute(SETTINGS.gatewayAddress, gateway.bytes)] : []),
        ];
  const servers = (key: number, all: readonly IpAddress[]) =>
    all
      .filter(isIpv4)
      .slice(0, MAX_SERVERS)
      .map(({ bytes }) => attribute(key, bytes));
  const routes = (key: number, all: readonly Cidr[]) =>
    all
      .filter(({ address }) => isIpv4(address))
      .slice(0, MAX_SENT_ROUTES)
      .map(({ address, prefix }) => attribute(key, Uint8Array.of(...address.bytes, ...netmaskOf(4, prefix).bytes)));
  const domains = config.searchDomains.length === 0 ? [] : [attribute(SETTINGS.domains, utf8(config.searchDomains.join(',')))];
  // Observed: openconnect 9.01 overlooks a last group of less than 26 bytes; the one with the address has as many (spec 6.3).
  return renderKmp('gateway', KMP_TYPES.configuration, [
    mtuAttribute(mtu),
    ...servers(SETTINGS.dns, config.dns),
    ...domains,
    ...routes(SETTINGS.include, config.include),
    ...routes(SETTINGS.exclude, config.exclude),
    ...servers(SETTINGS.nbns, config.nbns),
    ...own,
  ]);
}

/** A client's settings: the MTU as it was told. */
export function renderMtu(side: KmpSide, mtu: number): Uint8Array {
  return renderKmp(side, KMP_TYPES.settings, [mtuAttribute(mtu)]);
}

/** The MTU in a client's settings; undefined if they say none. Throws {@link PeerMisbehavedError}. */
export function parseMtu(payload: Uint8Array): number | undefined {
  const attributes = parseAttributes(payload);
  for (const each of attributes) checkLength(each);
  const value = attributes.find((each) => keyOf(each) === SETTINGS.mtu)?.value;
  return value === undefined ? undefined : mtuIn([value]);
}

function mtuAttribute(mtu: number): KmpAttribute {
  return attribute(SETTINGS.mtu, new ByteWriter().u32(mtu).finish());
}

function attribute(key: number, value: Uint8Array): KmpAttribute {
  return { group: key >>> 8, attribute: key & 0xff, value };
}
