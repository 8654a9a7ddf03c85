/**
 * IPv4 and IPv6 addresses, networks and endpoints: parsed once, then carried as bytes.
 *
 * Text forms: RFC 4291 §2.2 for IPv6 (written as RFC 5952 says), dotted quad without leading zeros for IPv4.
 */

export interface IpAddress {
  readonly family: 4 | 6;
  /** 4 or 16 bytes, network order. */
  readonly bytes: Uint8Array;
}

export interface Cidr {
  readonly address: IpAddress;
  readonly prefix: number;
}

export interface Endpoint {
  readonly address: IpAddress;
  readonly port: number;
}

/** Reads an IPv4 or IPv6 address; undefined if it is neither. Zone identifiers and brackets are not part of an address. */
export function parseIp(text: string): IpAddress | undefined {
  return text.includes(':') ? parseIpv6(text) : parseIpv4(text);
}

function parseIpv4(text: string): IpAddress | undefined {
  const match = /^(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})$/.exec(text);
  if (match === null) return undefined;
  const bytes = Uint8Array.from(match.slice(1), Number);
  return match.slice(1).some((part) => Number(part) > 255) ? undefined : { family: 4, bytes };
}

function parseIpv6(text: string): IpAddress | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const head = groupsOf(halves[0] ?? '');
  const tail = groupsOf(halves[1] ?? '');
  if (head === undefined || tail === undefined) return undefined;
  const missing = 8 - head.length - tail.length;
  if (halves.length === 1 ? missing !== 0 : missing < 1) return undefined;
  const groups = [...head, ...Array<number>(missing).fill(0), ...tail];
  const bytes = new Uint8Array(16);
  groups.forEach((group, i) => {
    bytes[2 * i] = group >>> 8;
    bytes[2 * i + 1] = group;
  });
  return { family: 6, bytes };
}

/** The 16-bit groups of one side of `::`; the last may be a dotted quad. */
function groupsOf(text: string): number[] | undefined {
  if (text === '') return [];
  const groups: number[] = [];
  const parts = text.split(':');
  for (const [i, part] of parts.entries()) {
    if (/^[0-9a-f]{1,4}$/i.test(part)) {
      groups.push(Number.parseInt(part, 16));
      continue;
    }
    const quad = i === parts.length - 1 ? parseIpv4(part)?.bytes : undefined;
    if (quad === undefined) return undefined;
    const [a = 0, b = 0, c = 0, d = 0] = quad;
    groups.push((a << 8) | b, (c << 8) | d);
  }
  return groups;
}

/** Writes an address: dotted quad, or RFC 5952 (lower case, the longest run of zero groups shortened). */
export function formatIp(address: IpAddress): string {
  return address.family === 4 ? address.bytes.join('.') : formatIpv6(address.bytes);
}

function formatIpv6(bytes: Uint8Array): string {
  const groups = Array.from({ length: 8 }, (_, i) => ((bytes[2 * i] ?? 0) << 8) | (bytes[2 * i + 1] ?? 0));
  let runStart = -1;
  let runLength = 1; // RFC 5952 §4.2.2: a single zero group is not shortened
  for (let i = 0; i < 8; i++) {
    let length = 0;
    while (groups[i + length] === 0) length++;
    if (length > runLength) [runStart, runLength] = [i, length];
  }
  const text = (part: readonly number[]) => part.map((group) => group.toString(16)).join(':');
  if (runStart < 0) return text(groups);
  return `${text(groups.slice(0, runStart))}::${text(groups.slice(runStart + runLength))}`;
}

export function sameIp(a: IpAddress, b: IpAddress): boolean {
  return a.family === b.family && a.bytes.every((byte, i) => byte === b.bytes[i]);
}

/** `192.0.2.1:443` or `[2001:db8::1]:443`. */
export function formatEndpoint(endpoint: Endpoint): string {
  const host = formatIp(endpoint.address);
  return `${endpoint.address.family === 6 ? `[${host}]` : host}:${endpoint.port}`;
}

/** The netmask of a prefix length, as an address of the same family. */
export function netmaskOf(family: 4 | 6, prefix: number): IpAddress {
  const bytes = new Uint8Array(family === 4 ? 4 : 16);
  for (let bit = 0; bit < prefix; bit++) bytes[bit >>> 3] = (bytes[bit >>> 3] ?? 0) | (0x80 >>> (bit & 7));
  return { family, bytes };
}

/** The prefix length of a netmask; undefined if its ones are not contiguous. */
export function prefixOfNetmask(mask: IpAddress): number | undefined {
  let prefix = 0;
  while (prefix < mask.bytes.length * 8 && ((mask.bytes[prefix >>> 3] ?? 0) & (0x80 >>> (prefix & 7))) !== 0) prefix++;
  return sameIp(mask, netmaskOf(mask.family, prefix)) ? prefix : undefined;
}

/** The network an address is in: the address with its host bits cleared. */
export function networkOf(network: Cidr): Cidr {
  const mask = netmaskOf(network.address.family, network.prefix).bytes;
  const bytes = network.address.bytes.map((byte, i) => byte & (mask[i] ?? 0));
  return { address: { family: network.address.family, bytes }, prefix: network.prefix };
}

/** Whether an address is in a network, whose host bits do not count. Makes nothing: lists of networks are long. */
export function isInNetwork({ family, bytes }: IpAddress, { address, prefix }: Cidr): boolean {
  if (family !== address.family) return false;
  const whole = prefix >>> 3;
  for (let i = 0; i < whole; i++) if (bytes[i] !== address.bytes[i]) return false;
  return (((bytes[whole] ?? 0) ^ (address.bytes[whole] ?? 0)) & (0xff00 >>> (prefix & 7)) & 0xff) === 0;
}

export function formatCidr(network: Cidr): string {
  return `${formatIp(network.address)}/${network.prefix}`;
}

/** Reads `address`, `address/length` or `address/netmask`; undefined if it is none of them. Host bits stay as written. */
export function parseCidr(text: string): Cidr | undefined {
  const slash = text.indexOf('/');
  const address = parseIp(slash < 0 ? text : text.slice(0, slash));
  if (address === undefined) return undefined;
  const bits = address.bytes.length * 8;
  if (slash < 0) return { address, prefix: bits };
  const suffix = text.slice(slash + 1);
  if (/^\d{1,3}$/.test(suffix)) return Number(suffix) <= bits ? { address, prefix: Number(suffix) } : undefined;
  const mask = parseIp(suffix);
  const prefix = mask?.family === address.family ? prefixOfNetmask(mask) : undefined;
  return prefix === undefined ? undefined : { address, prefix };
}
