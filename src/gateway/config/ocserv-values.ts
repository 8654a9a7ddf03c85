/** The values of `ocserv.conf` that are more than a word: networks, headers, groups, ports, fields of certificates. Each complaint goes to the report. */
import type { CompressionName } from '../../core/compress/compressor.ts';
import { type Cidr, type IpAddress, networkOf, parseCidr, parseIp, prefixOfNetmask } from '../../core/wire/ip-address.ts';
import type { ConfigReport } from './config-report.ts';
import type { CertificateField, PortRestriction } from './gateway-config.ts';
import type { OcservKey } from './ocserv-keys.ts';
import type { OcservSection, Setting } from './ocserv-section.ts';
import { parsePortRestriction } from './port-restriction.ts';

/** Those of a key that are addresses; the others are errors. */
export function addresses(section: OcservSection, key: OcservKey): readonly IpAddress[] {
  return section
    .list(key)
    .map((setting) => addressOf(section.report, key, setting))
    .filter((address) => address !== undefined);
}

/** Of a key with one value. */
export function address(section: OcservSection, key: OcservKey, family: 4 | 6): IpAddress | undefined {
  const value = section.text(key);
  if (value === undefined) return undefined;
  const found = addressOf(section.report, key, { value, ...section.placeOf(key) });
  if (found === undefined || found.family === family) return found;
  section.report.error(section.placeOf(key), `'${key}' is an IPv${family} address, not '${value}'`);
  return undefined;
}

function addressOf(report: ConfigReport, key: OcservKey, setting: Setting): IpAddress | undefined {
  const found = parseIp(setting.value);
  // The keyword was removed, and these are ocserv's words for it.
  if (key === 'dns' && setting.value === 'local') report.error(setting, "the 'local' DNS keyword is no longer supported.");
  else if (found === undefined) report.error(setting, `'${key}' is an IP address, not '${setting.value}'`);
  return found;
}

/** What the gateway sends for a client's networks. */
export interface Routes {
  readonly networks: readonly Cidr[];
  /** There is `default`, or a network that is everything of its family: all goes through the tunnel. */
  readonly isEverything: boolean;
}

export function routes(section: OcservSection, key: 'route' | 'no-route' | 'iroute'): Routes {
  const settings = section.list(key);
  const networks = settings.flatMap((setting) => {
    if (setting.value === 'default' && key === 'route') return [];
    const network = networkFrom(setting.value);
    if (network === undefined) section.report.error(setting, routeComplaint(key, setting.value));
    return network === undefined ? [] : [networkOf(network)];
  });
  const isEverything = settings.some(({ value }) => value === 'default') || networks.some(({ prefix }) => prefix === 0);
  return { networks, isEverything: key === 'route' && isEverything };
}

/** Observed: an IPv4 network without a mask is refused, an IPv6 address without a length is one address. */
function networkFrom(text: string): Cidr | undefined {
  const network = parseCidr(text);
  return network?.address.family === 4 && !text.includes('/') ? undefined : network;
}

function routeComplaint(key: string, value: string): string {
  if (value === 'default') return `'${key}' cannot be 'default': name the networks`;
  return `${key} '${value}' in wrong format, use xxx.xxx.xxx.xxx/xxx.xxx.xxx.xxx`;
}

/** A pool from its network and, where that has no length, its mask; undefined where there is none or it is wrong. */
export function ipv4Pool(section: OcservSection): Cidr | undefined {
  const text = section.text('ipv4-network');
  if (text === undefined) return undefined;
  const [host = '', length] = text.split('/');
  // Observed: only a length of bits counts behind the slash; a netmask has a key of its own.
  const mask = length === undefined ? address(section, 'ipv4-netmask', 4) : undefined;
  const prefix = length === undefined ? mask && prefixOfNetmask(mask) : prefixLength(length, 32);
  const network = parseIp(host);
  if (network?.family === 4 && prefix !== undefined) return networkOf({ address: network, prefix });
  section.report.error(
    section.placeOf('ipv4-network'),
    network?.family === 4 ? 'no mask found for IPv4 network.' : `'${host}' is no IPv4 network`,
  );
  return undefined;
}

export function ipv6Pool(section: OcservSection): Cidr | undefined {
  const text = section.text('ipv6-network');
  if (text === undefined) return undefined;
  const [host = '', length = section.text('ipv6-prefix')] = text.split('/');
  const prefix = length === undefined ? undefined : prefixLength(length, 128);
  const network = parseIp(host);
  if (network?.family === 6 && prefix !== undefined) return networkOf({ address: network, prefix });
  section.report.error(
    section.placeOf('ipv6-network'),
    network?.family === 6 ? 'no prefix found for IPv6 network.' : `'${host}' is no IPv6 network`,
  );
  return undefined;
}

function prefixLength(text: string, bits: number): number | undefined {
  const length = /^\d{1,3}$/.test(text) ? Number(text) : undefined;
  return length !== undefined && length > 0 && length <= bits ? length : undefined;
}

export function portRestriction(section: OcservSection): PortRestriction | undefined {
  const text = section.text('restrict-user-to-ports');
  if (text === undefined) return undefined;
  const restriction = parsePortRestriction(text);
  if (restriction === undefined) section.report.error(section.placeOf('restrict-user-to-ports'), 'cannot parse restrict-user-to-ports');
  return restriction;
}

/** `Name: value` lines. A name is a token (RFC 9110 §5.1); a value has no line ends, as it stood in a line. */
export function headers(
  section: OcservSection,
  key: 'custom-header' | 'included-http-headers',
): readonly (readonly [name: string, value: string])[] {
  return section.list(key).flatMap((setting) => {
    const header = /^([!#$%&'*+.^_`|~\w-]+):\s*([^\r\n]*)$/.exec(setting.value);
    if (header?.[1] === undefined || header[2] === undefined) {
      section.report.warning(setting, `'${key}' is 'Name: value', not '${setting.value}': the header is not sent`);
      return [];
    }
    return [[header[1], header[2]] as const];
  });
}

/** `name` or `name[Friendly text]`. */
export function groups(section: OcservSection): readonly { readonly name: string; readonly label: string }[] {
  return section.list('select-group').flatMap((setting) => {
    const group = /^([^[\]]+?)\s*(?:\[([^\]]*)\]?)?$/.exec(setting.value);
    if (group?.[1] === undefined || (setting.value.includes('[') && !setting.value.endsWith(']'))) {
      section.report.error(setting, `error parsing ${setting.value}`);
      return [];
    }
    return [{ name: group[1], label: group[2] === undefined || group[2] === '' ? group[1] : group[2] }];
  });
}

export function certificateField(section: OcservSection, key: 'cert-user-oid' | 'cert-group-oid'): CertificateField | undefined {
  const text = section.text(key);
  if (text === undefined) return undefined;
  if (/^SAN\(rfc822name\)$/i.test(text) && key === 'cert-user-oid') return { alternativeName: 'rfc822name' };
  if (/^[012](\.\d{1,10}){1,30}$/.test(text)) return { oid: text };
  const forms = key === 'cert-user-oid' ? 'an object identifier like 2.5.4.3, or SAN(rfc822name)' : 'an object identifier like 2.5.4.11';
  section.report.error(section.placeOf(key), `'${key}' is ${forms}, not '${text}'`);
  return undefined;
}

const SEPARATORS = /\s*[,\s]\s*/;

const ALGORITHMS: Readonly<Record<string, CompressionName>> = { lz4: 'oc-lz4', 'oc-lz4': 'oc-lz4', lzs: 'lzs' };

/** `lz4:9,lzs:3`: the higher number goes first; 0 takes one away. Observed: blanks do as well as commas. */
export function compressionOrder(section: OcservSection): readonly CompressionName[] {
  const key = 'compression-algo-priority';
  const ranked = (section.text(key) ?? '').split(SEPARATORS).flatMap((word) => {
    const [name = '', rank = ''] = word.split(':').map((part) => part.trim());
    const algorithm = ALGORITHMS[name.toLowerCase()];
    if (algorithm === undefined || !/^\d{1,4}$/.test(rank)) {
      section.report.warning(section.placeOf(key), `'${key}' has 'lz4:number' and 'lzs:number', not '${word.trim()}': it is skipped`);
      return [];
    }
    return [{ algorithm, rank: Number(rank) }];
  });
  const sorted = ranked.filter(({ rank }) => rank > 0).toSorted((a, b) => b.rank - a.rank);
  return [...new Set(sorted.map(({ algorithm }) => algorithm))];
}
