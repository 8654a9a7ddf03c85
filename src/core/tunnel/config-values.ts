/**
 * From a gateway's text to the values of a {@link TunnelConfig}: what is in there goes into routes and a script's environment, so everything is
 * checked here, once. What cannot be used is left out and remembered as a warning; nothing throws.
 *
 * Read first: spec "vpnc-script", section 3; spec "AnyConnect", sections 4.4 and 12.1.
 */
import { ByteWriter } from '../wire/byte-writer.ts';
import type { Cidr, IpAddress } from '../wire/ip-address.ts';
import { formatCidr, networkOf, parseCidr, parseIp, prefixOfNetmask, sameIp } from '../wire/ip-address.ts';
import { fromUtf8, printable, utf8 } from '../wire/text.ts';
import type { InterfaceAddress } from './config.ts';
import type { Millis } from './packet.ts';

/** As many as openconnect keeps, of both families together; scripts and resolvers take no more. */
export const MAX_DNS_SERVERS = 3;
export const MAX_NBNS_SERVERS = 3;

/** Includes and excludes, each: three variables for each route must fit the environment of a process (2 MiB on Linux). */
export const MAX_SPLIT_ROUTES = 4096;

/** A list is one variable, and one variable may have 128 KiB. */
export const MAX_SEARCH_DOMAINS = 64;
export const MAX_SPLIT_DNS_DOMAINS = 256;

const MAX_DOMAIN_LENGTH = 253;
const MAX_BANNER_LENGTH = 8192;
const MAX_URL_LENGTH = 2048;
const MAX_OPTIONS_LENGTH = 65_536;
/** Of numbers that a gateway sends: seconds for 68 years. */
const MAX_NUMBER = 0x7fff_ffff;

/** What people get to see of a gateway's mistakes: enough to understand them, not thousands. */
const MAX_WARNINGS = 50;
const MAX_WARNING_TEXT = 120;

export interface ConfigWarning {
  /** `malformed`, `too-many`: left out. `host-bits`: a network with host bits, which were cleared. */
  readonly problem: 'malformed' | 'too-many' | 'host-bits';
  /** What it was meant to be, in the words of the caller: `split include`. */
  readonly field: string;
  /** What the gateway wrote, fit for a terminal. */
  readonly text: string;
}

/** Options that are log-in secrets: never for a script. */
const SECRET_OPTIONS: readonly string[] = ['x-cstp-post-auth-xml', 'set-cookie'];

/** Reads the values of one configuration, and remembers what was wrong with them. */
export class ConfigReader {
  readonly #warnings: ConfigWarning[] = [];

  /** What was left out or changed, in the order it came; only the first ones of very many. */
  get warnings(): readonly ConfigWarning[] {
    return this.#warnings;
  }

  /** An address that an interface or a server can have: neither unspecified nor loopback, multicast or broadcast. */
  address(field: string, text: string): IpAddress | undefined {
    const address = parseIp(text);
    if (address !== undefined && isHostAddress(address)) return address;
    this.#warn('malformed', field, text);
    return undefined;
  }

  /** The first `limit` good ones. */
  addresses(field: string, texts: readonly string[], limit: number): IpAddress[] {
    return this.#list(field, texts, limit, (text) => this.address(field, text));
  }

  /** An interface's address and network: `192.0.2.1` with a netmask, `2001:db8::1/64`, or an IPv6 address with `2001:db8::1/64` as its netmask. */
  interfaceAddress(field: string, text: string, netmask?: string): InterfaceAddress | undefined {
    const slash = text.indexOf('/');
    const address = this.address(field, slash < 0 ? text : text.slice(0, slash));
    const prefix = slash < 0 ? prefixOf(netmask) : parseCidr(text)?.prefix;
    if (address === undefined) return undefined;
    if (prefix !== undefined) return { address, prefix };
    if (slash >= 0) this.#warn('malformed', field, text);
    else if (netmask !== undefined) this.#warn('malformed', field, netmask);
    return { address };
  }

  /** Networks, as `address`, `address/length` or `address/netmask`; host bits are cleared, with a warning. */
  routes(field: string, texts: readonly string[]): Cidr[] {
    return this.#list(field, texts, MAX_SPLIT_ROUTES, (text) => this.#route(field, text));
  }

  /** Domain names, one or a list (blanks, commas) in each text. A leading `*.` and the root's dot are left out. */
  domains(field: string, texts: readonly string[], limit: number): string[] {
    const names = texts.flatMap((text) => text.split(/[\s,;]+/)).filter((name) => name !== '');
    return this.#list(field, names, limit, (name) => this.#domain(field, name));
  }

  /** A number; 0 for `none` and for what is not one, as openconnect takes it. */
  number(text: string | undefined): number {
    return text !== undefined && /^\d+$/.test(text) ? Math.min(Number(text), MAX_NUMBER) : 0;
  }

  /** Whole seconds as milliseconds; undefined for none. */
  seconds(text: string | undefined): Millis | undefined {
    const seconds = this.number(text);
    return seconds === 0 ? undefined : seconds * 1000;
  }

  /** A text to show, `%XX` decoded, fit for a terminal; undefined if nothing is left of it. */
  banner(text: string): string | undefined {
    const banner = printable(percentDecoded(text)).trim().slice(0, MAX_BANNER_LENGTH);
    return banner === '' ? undefined : banner;
  }

  /** Where the proxy configuration is: an http or https URL. */
  proxyPac(text: string): string | undefined {
    const url = text.length <= MAX_URL_LENGTH ? parseUrl(text) : undefined;
    if (url?.protocol === 'http:' || url?.protocol === 'https:') return url.href;
    this.#warn('malformed', 'proxy configuration', text);
    return undefined;
  }

  /** What a script may see of the options as they came: no log-in secrets, nothing that could pass for another line. */
  options(options: readonly (readonly [name: string, value: string])[]): (readonly [name: string, value: string])[] {
    const kept: (readonly [string, string])[] = [];
    let length = 0;
    for (const [name, value] of options) {
      if (SECRET_OPTIONS.includes(name.toLowerCase())) continue;
      length += name.length + value.length + 2;
      if (length > MAX_OPTIONS_LENGTH) {
        this.#warn('too-many', 'option', name);
        break;
      }
      if (/[\u0000-\u001f\u007f]/.test(name + value) || name.includes('=')) this.#warn('malformed', 'option', name);
      else kept.push([name, value]);
    }
    return kept;
  }

  #route(field: string, text: string): Cidr | undefined {
    const route = parseCidr(text);
    if (route === undefined) {
      this.#warn('malformed', field, text);
      return undefined;
    }
    const network = networkOf(route);
    if (!sameIp(network.address, route.address)) this.#warn('host-bits', field, formatCidr(route));
    return network;
  }

  #domain(field: string, text: string): string | undefined {
    const name = text.replace(/^\*?\./, '').replace(/\.$/, '');
    if (name.length <= MAX_DOMAIN_LENGTH && name.split('.').every(isLabel)) return name;
    this.#warn('malformed', field, text);
    return undefined;
  }

  /** The first `limit` values that `read` makes of texts. Those behind are not even looked at: there may be very many. */
  #list<T>(field: string, texts: readonly string[], limit: number, read: (text: string) => T | undefined): T[] {
    const values: T[] = [];
    for (const text of texts) {
      if (values.length === limit) {
        this.#warn('too-many', field, text);
        break;
      }
      const value = read(text);
      if (value !== undefined) values.push(value);
    }
    return values;
  }

  #warn(problem: ConfigWarning['problem'], field: string, text: string): void {
    if (this.#warnings.length === MAX_WARNINGS) return;
    this.#warnings.push({ problem, field, text: printable(text).slice(0, MAX_WARNING_TEXT) });
  }
}

/** Neither unspecified nor loopback, multicast or broadcast: an interface or a server can have it. */
export function isHostAddress({ family, bytes }: IpAddress): boolean {
  if (family === 4) {
    const first = bytes[0] ?? 0;
    const isBroadcast = bytes.every((byte) => byte === 255);
    return first !== 0 && first !== 127 && (first < 224 || first > 239) && !isBroadcast;
  }
  const isUnspecifiedOrLoopback = bytes.every((byte, i) => byte === 0 || (i === 15 && byte === 1));
  return !isUnspecifiedOrLoopback && bytes[0] !== 0xff;
}

/** The prefix length of a netmask, which IPv6 writes as `address/length`; undefined if it has none: not contiguous, or no netmask. */
function prefixOf(netmask: string | undefined): number | undefined {
  if (netmask === undefined) return undefined;
  if (netmask.includes('/')) return parseCidr(netmask)?.prefix;
  const mask = parseIp(netmask);
  return mask === undefined ? undefined : prefixOfNetmask(mask);
}

/** Letters, digits, hyphens inside (RFC 1123 §2.1), and underscores, which directories use. A hyphen in front could pass for an option. */
function isLabel(text: string): boolean {
  return /^(?!-)[a-z0-9_-]{1,63}(?<!-)$/i.test(text);
}

/** `%XX` decoded as UTF-8; a `%` without two digits stays. */
function percentDecoded(text: string): string {
  const bytes = new ByteWriter();
  for (const part of text.split(/(%[0-9a-f]{2})/i)) {
    if (/^%[0-9a-f]{2}$/i.test(part)) bytes.u8(Number.parseInt(part.slice(1), 16));
    else bytes.bytes(utf8(part));
  }
  return fromUtf8(bytes.finish());
}

function parseUrl(text: string): URL | undefined {
  try {
    return new URL(text);
  } catch {
    return undefined; // not a URL: the caller warns
  }
}
