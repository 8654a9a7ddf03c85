/**
 * The configuration of a Network Connect tunnel (KMP 301) and what a client says of itself (KMP 303), both ways.
 *
 * Read first: spec "Juniper NC", sections 6.4, 6.5 and 8.
 */
import { PeerMisbehavedError } from '../../errors.ts';
import { MIN_MTU_IPV4, type TunnelConfig } from '../../tunnel/config.ts';
import { ConfigReader, type ConfigWarning, MAX_DNS_SERVERS, MAX_NBNS_SERVERS, MAX_SEARCH_DOMAINS } from '../../tunnel/config-values.ts';
import { ByteWriter } from '../../wire/byte-writer.ts';
import { type Cidr, formatIp, type IpAddress, netmaskOf, parseIp } from '../../wire/ip-address.ts';
import { fromUtf8, utf8 } from '../../wire/text.ts';
import { type EspOffer, espOfferIn, espSwitchIn, renderEspOffer } from './esp-terms.ts';
import { ATTRIBUTES, type KmpAttribute, KmpAttributes, renderKmp } from './kmp-attributes.ts';
import { KMP_TYPES } from './kmp-message.ts';

/** Largest MTU that is believed: what a client's buffer takes (spec 5.2). */
const MAX_MTU = 16_384;

/** Routes of each kind, which all have to fit one message with the names. */
const MAX_SENT_ROUTES = 1500;

/** Servers that clients take. */
const MAX_SERVERS = 3;

export interface ReceivedConfiguration {
  readonly config: TunnelConfig;
  /** Undefined: no ESP is offered, or none that this end speaks. */
  readonly esp: EspOffer | undefined;
  readonly warnings: readonly ConfigWarning[];
}

/** @param previous the configuration so far: a gateway may leave the address out on a reconnect. Throws {@link PeerMisbehavedError}. */
export function parseConfiguration(payload: Uint8Array, previous: TunnelConfig | undefined): ReceivedConfiguration {
  const attributes = new KmpAttributes(payload);
  const reader = new ConfigReader();
  const address = attributes.bytes(ATTRIBUTES.address);
  const netmask = attributes.bytes(ATTRIBUTES.netmask);
  const ipv4 =
    address === undefined
      ? previous?.ipv4
      : reader.interfaceAddress('address', ipText(address), netmask === undefined ? undefined : ipText(netmask));
  const gateway = attributes.bytes(ATTRIBUTES.gatewayAddress);
  const gatewayIpv4 = gateway?.length === 4 ? parseIp(ipText(gateway)) : previous?.gatewayIpv4;
  if (ipv4 === undefined) throw new PeerMisbehavedError('The gateway has given no IPv4 address.');
  const networks = (key: number) => attributes.all(key).map((value) => `${ipText(value.subarray(0, 4))}/${ipText(value.subarray(4))}`);
  const include = reader.routes('split include', networks(ATTRIBUTES.include));
  const domains = attributes.all(ATTRIBUTES.domains).map((value) => fromUtf8(value));
  return {
    config: {
      ...{ mtu: mtuIn(attributes), ipv4 },
      ...(gatewayIpv4 !== undefined && { gatewayIpv4 }),
      dns: reader.addresses('DNS server', attributes.all(ATTRIBUTES.dns).map(ipText), MAX_DNS_SERVERS),
      nbns: reader.addresses('WINS server', attributes.all(ATTRIBUTES.nbns).map(ipText), MAX_NBNS_SERVERS),
      searchDomains: reader.domains('search domain', domains, MAX_SEARCH_DOMAINS),
      splitDns: [],
      include: include.some(({ prefix }) => prefix === 0) ? [] : include, // 0.0.0.0/0 among them: everything
      exclude: reader.routes('split exclude', networks(ATTRIBUTES.exclude)),
      vendorOptions: [],
    },
    esp: espOfferIn(attributes),
    warnings: reader.warnings,
  };
}

function mtuIn(attributes: KmpAttributes): number {
  const mtu = attributes.number(ATTRIBUTES.mtu);
  if (mtu === undefined) throw new PeerMisbehavedError('The gateway has not said the MTU of the tunnel.');
  if (mtu < MIN_MTU_IPV4 || mtu > MAX_MTU) throw new PeerMisbehavedError(`The gateway has given an MTU of ${mtu}.`);
  return mtu;
}

function ipText(bytes: Uint8Array): string {
  return formatIp({ family: 4, bytes });
}

/** A gateway's. What of it is IPv6 is left out: the protocol has none. */
export function renderConfiguration(config: TunnelConfig, gateway: IpAddress | undefined, esp?: EspOffer): Uint8Array {
  const { ipv4, mtu } = config;
  const isIpv4 = ({ family }: IpAddress) => family === 4;
  const own =
    ipv4 === undefined
      ? []
      : [
          { key: ATTRIBUTES.address, value: ipv4.address.bytes },
          { key: ATTRIBUTES.netmask, value: netmaskOf(4, ipv4.prefix ?? 32).bytes },
          ...(gateway !== undefined && isIpv4(gateway) ? [{ key: ATTRIBUTES.gatewayAddress, value: gateway.bytes }] : []),
        ];
  const servers = (key: number, all: readonly IpAddress[]) =>
    all
      .filter(isIpv4)
      .slice(0, MAX_SERVERS)
      .map(({ bytes }) => ({ key, value: bytes }));
  const routes = (key: number, all: readonly Cidr[]) =>
    all
      .filter(({ address }) => isIpv4(address))
      .slice(0, MAX_SENT_ROUTES)
      .map(({ address, prefix }) => ({ key, value: Uint8Array.of(...address.bytes, ...netmaskOf(4, prefix).bytes) }));
  const domains = config.searchDomains.length === 0 ? [] : [{ key: ATTRIBUTES.domains, value: utf8(config.searchDomains.join(',')) }];
  // Observed: openconnect 9.01 overlooks a last group of less than 26 bytes; the one with the address has as many, that of the keys more (spec 6.3).
  return renderKmp('gateway', KMP_TYPES.configuration, [
    mtuAttribute(mtu),
    ...servers(ATTRIBUTES.dns, config.dns),
    ...domains,
    ...routes(ATTRIBUTES.include, config.include),
    ...routes(ATTRIBUTES.exclude, config.exclude),
    ...servers(ATTRIBUTES.nbns, config.nbns),
    ...own,
    ...(esp === undefined ? [] : renderEspOffer(esp)),
  ]);
}

/** What a client says of itself. */
export interface ClientSettings {
  readonly mtu: number | undefined;
  /** Packets go by ESP from now on, or no longer. */
  readonly usesEsp: boolean | undefined;
}

/** The MTU as the client was told it. */
export function renderMtu(mtu: number): Uint8Array {
  return renderKmp('client', KMP_TYPES.settings, [mtuAttribute(mtu)]);
}

/** Throws {@link PeerMisbehavedError}. */
export function parseSettings(payload: Uint8Array): ClientSettings {
  const attributes = new KmpAttributes(payload);
  return { mtu: attributes.number(ATTRIBUTES.mtu), usesEsp: espSwitchIn(attributes) };
}

function mtuAttribute(mtu: number): KmpAttribute {
  return { key: ATTRIBUTES.mtu, value: new ByteWriter().u32(mtu).finish() };
}
