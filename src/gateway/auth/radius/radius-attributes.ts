/**
 * RADIUS attributes by name, and what a server's answer says of a session.
 *
 * Read first: RFC 2865 §5, RFC 2866 §5, RFC 2869 §5, RFC 3162, RFC 4818, RFC 6911, RFC 2548 (Microsoft); spec "Gateway contract", section 3.
 */
import { type Cidr, formatIp, type IpAddress, parseCidr, prefixOfNetmask } from '../../../core/wire/ip-address.ts';
import { fromUtf8, printable, utf8 } from '../../../core/wire/text.ts';
import type { SessionPolicy } from '../../config/gateway-config.ts';
import { parseGroups } from '../password-file.ts';
import { MAX_VALUE_LENGTH, type RadiusAttribute } from './radius-packet.ts';

export const ATTRIBUTES = {
  userName: 1,
  userPassword: 2,
  nasIpAddress: 4,
  serviceType: 6,
  framedProtocol: 7,
  framedIpAddress: 8,
  framedIpNetmask: 9,
  replyMessage: 18,
  framedRoute: 22,
  state: 24,
  class: 25,
  vendorSpecific: 26,
  sessionTimeout: 27,
  calledStationId: 30,
  callingStationId: 31,
  nasIdentifier: 32,
  acctStatusType: 40,
  acctDelayTime: 41,
  acctInputOctets: 42,
  acctOutputOctets: 43,
  acctSessionId: 44,
  acctAuthentic: 45,
  acctSessionTime: 46,
  acctTerminateCause: 49,
  acctInputGigawords: 52,
  acctOutputGigawords: 53,
  eventTimestamp: 55,
  nasPortType: 61,
  connectInfo: 77,
  acctInterimInterval: 85,
  nasIpv6Address: 95,
  framedIpv6Prefix: 97,
  framedIpv6Route: 99,
  delegatedIpv6Prefix: 123,
  framedIpv6Address: 168,
  dnsServerIpv6Address: 169,
} as const;

const MICROSOFT = 311;
const MICROSOFT_DNS = [28, 29];
const MICROSOFT_NBNS = [30, 31];

/** Routes, name servers and groups of one answer. */
const MAX_LIST = 256;

/** RFC 2865 §5.8: the address is the gateway's to choose. */
const CHOSEN_BY_NAS: ReadonlySet<string> = new Set(['255.255.255.254', '255.255.255.255', '0.0.0.0']);

export function textAttribute(type: number, text: string): RadiusAttribute {
  const bytes = utf8(text);
  let length = Math.min(bytes.length, MAX_VALUE_LENGTH);
  while (length < bytes.length && length > 0 && ((bytes[length] ?? 0) & 0xc0) === 0x80) length--; // whole characters
  return { type, value: bytes.subarray(0, length) };
}

export function numberAttribute(type: number, value: number): RadiusAttribute {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value);
  return { type, value: bytes };
}

export function addressAttribute(v4: number, v6: number, { family, bytes }: IpAddress): RadiusAttribute {
  return { type: family === 4 ? v4 : v6, value: bytes };
}

/** What both kinds of request say of the gateway. RFC 2865 §4.1: an address or a name must be there. */
export function gatewayAttributes(nasIdentifier: string | undefined, local: IpAddress): readonly RadiusAttribute[] {
  const address = addressAttribute(ATTRIBUTES.nasIpAddress, ATTRIBUTES.nasIpv6Address, local);
  return nasIdentifier === undefined ? [address] : [address, textAttribute(ATTRIBUTES.nasIdentifier, nasIdentifier)];
}

export function valuesOf(attributes: readonly RadiusAttribute[], type: number): readonly Uint8Array[] {
  return attributes.filter((attribute) => attribute.type === type).map(({ value }) => value);
}

/** What a server says to the person, in one text. */
export function replyMessage(attributes: readonly RadiusAttribute[]): string {
  return printable(valuesOf(attributes, ATTRIBUTES.replyMessage).map(fromUtf8).join('\n'));
}

/** The groups of a Class attribute: `OU=one;two`, or a single name. */
export function groupsOf(attributes: readonly RadiusAttribute[]): readonly string[] {
  const texts = valuesOf(attributes, ATTRIBUTES.class).map(fromUtf8);
  const groups = texts.flatMap((text) => parseGroups((/^OU=/i.test(text) ? text.slice(3) : text).replaceAll(';', ',')));
  return [...new Set(groups)].slice(0, MAX_LIST);
}

/** Limits that hold whatever the files say: the server's word on how long a session lasts and how often it wants to hear of it. */
export function limitsOf(attributes: readonly RadiusAttribute[]): Partial<SessionPolicy> {
  const timeout = numberOf(attributes, ATTRIBUTES.sessionTimeout);
  const interim = numberOf(attributes, ATTRIBUTES.acctInterimInterval);
  return {
    ...(timeout !== undefined && timeout > 0 && { sessionTimeout: timeout * 1000 }),
    ...(interim !== undefined && interim > 0 && { statisticsInterval: interim * 1000 }),
  };
}

/** What the server says of addresses, routes and name servers (`groupconfig=true`). What cannot be read is left out. */
export function policyOf(attributes: readonly RadiusAttribute[]): Partial<SessionPolicy> {
  const ipv4 = addressesOf(attributes, ATTRIBUTES.framedIpAddress, 4).find((address) => !CHOSEN_BY_NAS.has(formatIp(address)));
  const ipv6 = addressesOf(attributes, ATTRIBUTES.framedIpv6Address, 6)[0];
  const dns = [...microsoftAddresses(attributes, MICROSOFT_DNS), ...addressesOf(attributes, ATTRIBUTES.dnsServerIpv6Address, 6)];
  const nbns = microsoftAddresses(attributes, MICROSOFT_NBNS);
  const routes = [ATTRIBUTES.framedRoute, ATTRIBUTES.framedIpv6Route].flatMap((type) => routesOf(attributes, type));
  const pools = poolsOf(attributes, ipv4);
  return {
    ...limitsOf(attributes),
    ...(ipv4 !== undefined && { explicitIpv4: ipv4 }),
    ...(ipv6 !== undefined && { explicitIpv6: ipv6 }),
    ...(dns.length > 0 && { dns: dns.slice(0, MAX_LIST) }),
    ...(nbns.length > 0 && { nbns: nbns.slice(0, MAX_LIST) }),
    ...(routes.length > 0 && { routes: routes.slice(0, MAX_LIST) }),
    ...(pools !== undefined && { pools }),
  };
}

/** A netmask makes a network of the address; a delegated prefix, or a framed one, is the pool of this session alone. */
function poolsOf(attributes: readonly RadiusAttribute[], ipv4: IpAddress | undefined): SessionPolicy['pools'] | undefined {
  const mask = addressesOf(attributes, ATTRIBUTES.framedIpNetmask, 4)[0];
  const length = mask === undefined ? undefined : prefixOfNetmask(mask);
  const prefix = [ATTRIBUTES.delegatedIpv6Prefix, ATTRIBUTES.framedIpv6Prefix].flatMap((type) => prefixesOf(attributes, type))[0];
  if ((ipv4 === undefined || length === undefined || length > 30) && prefix === undefined) return undefined;
  return {
    ...(ipv4 !== undefined && length !== undefined && length <= 30 && { ipv4: { address: ipv4, prefix: length } }),
    ...(prefix !== undefined && { ipv6: prefix, ipv6SubnetPrefix: prefix.prefix }),
  };
}

function numberOf(attributes: readonly RadiusAttribute[], type: number): number | undefined {
  const value = valuesOf(attributes, type).find(({ length }) => length === 4);
  return value === undefined ? undefined : new DataView(value.buffer, value.byteOffset).getUint32(0);
}

function addressesOf(attributes: readonly RadiusAttribute[], type: number, family: 4 | 6): IpAddress[] {
  const length = family === 4 ? 4 : 16;
  return valuesOf(attributes, type)
    .filter((value) => value.length === length)
    .map((value) => ({ family, bytes: value.slice() }));
}

/** RFC 3162 §2.3: a reserved byte, the length in bits, as much of the prefix as is not zero. */
function prefixesOf(attributes: readonly RadiusAttribute[], type: number): Cidr[] {
  return valuesOf(attributes, type).flatMap((value) => {
    const [, prefix = 0] = value;
    if (value.length < 2 || value.length > 18 || prefix > 128) return [];
    const bytes = new Uint8Array(16);
    bytes.set(value.subarray(2));
    return [{ address: { family: 6 as const, bytes }, prefix }];
  });
}

/** RFC 2865 §5.22: `192.168.1.0/24 192.168.1.1 1`: the network counts, the way there is ours. */
function routesOf(attributes: readonly RadiusAttribute[], type: number): Cidr[] {
  return valuesOf(attributes, type).flatMap((value) => {
    const network = parseCidr(fromUtf8(value).trim().split(/\s+/)[0] ?? '');
    return network === undefined ? [] : [network];
  });
}

/** RFC 2865 §5.26: the vendor's number, then attributes of its own in the same shape. */
function microsoftAddresses(attributes: readonly RadiusAttribute[], types: readonly number[]): IpAddress[] {
  const inner = valuesOf(attributes, ATTRIBUTES.vendorSpecific).flatMap((value) => {
    if (value.length < 6 || new DataView(value.buffer, value.byteOffset).getUint32(0) !== MICROSOFT) return [];
    const found: RadiusAttribute[] = [];
    for (let at = 4; at + 2 <= value.length; ) {
      const length = value[at + 1] ?? 0;
      if (length < 2 || at + length > value.length) break;
      found.push({ type: value[at] ?? 0, value: value.subarray(at + 2, at + length) });
      at += length;
    }
    return found;
  });
  return types.flatMap((type) => addressesOf(inner, type, 4));
}
