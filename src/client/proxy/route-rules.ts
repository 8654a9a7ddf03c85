/**
 * Which way names and addresses go: through the VPN, or direct. What the user says comes first, then what the gateway says of its networks.
 *
 *   name    ─► the user's longest domain that fits: its way
 *              else nobody's yet: looked up where it is to be looked up, and its addresses decide
 *   address ─► the longest network that fits, the user's before the gateway's: its way
 *              else the gateway's networks are all there is behind it: direct; it has none: everything goes through the VPN
 *
 * The machine itself is never a destination: who may use the proxy may not therefore use what listens on its loopback addresses.
 */
import { MisuseError } from '../../core/errors.ts';
import { isHostName } from '../../core/socks/host-name.ts';
import type { TunnelConfig } from '../../core/tunnel/config.ts';
import { type Cidr, type IpAddress, parseCidr, parseIp } from '../../core/wire/ip-address.ts';

export type Way = 'vpn' | 'direct';

/** What a user says: `name` without a dot in front, `networks` of both families for `all`. */
export type UserRule = { readonly way: Way } & (
  | { readonly domain: string }
  | { readonly networks: readonly Cidr[]; readonly isEverything: boolean }
);

/** What the gateway says that matters here. */
export type GatewayNetworks = Pick<TunnelConfig, 'include' | 'exclude' | 'dns' | 'splitDns'>;

/** Rules of one network each, the most specific first. */
interface NetworkRule {
  readonly network: Cidr;
  readonly way: Way;
}

export interface NameRule {
  /** Who looks the name up. */
  readonly resolver: Way;
  /** Undefined: its addresses decide. */
  readonly way: Way | undefined;
}

const EVERYTHING = ['0.0.0.0/0', '::/0'].map((text) => parseCidr(text) as Cidr); // both are networks

/** Reads `all`, a network, an address, or a domain (with or without `*.` or a dot in front: it covers what is below it too). Throws {@link MisuseError}. */
export function parseUserRule(way: Way, text: string): UserRule {
  if (text === 'all') return { way, networks: EVERYTHING, isEverything: true };
  const network = parseCidr(text);
  if (network !== undefined) return { way, networks: [network], isEverything: false };
  const address = parseIp(text);
  if (address !== undefined) return { way, networks: [{ address, prefix: address.bytes.length * 8 }], isEverything: false };
  const domain = normalName(text.replace(/^\*?\./, ''));
  if (domain === '' || !isHostName(domain)) throw new MisuseError(`"${text}" is no domain, address or network (or "all").`);
  return { way, domain };
}

export class RouteRules {
  readonly #domains: readonly { readonly domain: string; readonly way: Way }[];
  readonly #networks: readonly NetworkRule[];
  readonly #splitDomains: readonly string[];
  readonly #hasNameServers: boolean;
  /** Names that nobody names go direct. */
  readonly #otherNames: Way | undefined;
  readonly #otherAddresses: Way;

  constructor(user: readonly UserRule[], { include, exclude, dns, splitDns }: GatewayNetworks) {
    this.#domains = user
      .flatMap((rule) => ('domain' in rule ? [{ domain: rule.domain, way: rule.way }] : []))
      .sort((a, b) => b.domain.length - a.domain.length);
    const ofUser = user.flatMap((rule) => ('networks' in rule ? rule.networks.map((network) => ({ network, way: rule.way })) : []));
    const ofGateway = [
      ...exclude.map((network): NetworkRule => ({ network, way: 'direct' })), // they win over include of the same size
      ...include.map((network): NetworkRule => ({ network, way: 'vpn' })),
    ];
    // The sort is stable: of equal networks the user's stays first.
    this.#networks = [...ofUser, ...ofGateway].sort((a, b) => b.network.prefix - a.network.prefix);
    this.#splitDomains = splitDns.map(normalName);
    this.#hasNameServers = dns.length > 0;
    this.#otherNames = user.findLast((rule) => 'networks' in rule && rule.isEverything)?.way;
    this.#otherAddresses = include.length === 0 ? 'vpn' : 'direct';
  }

  ofName(name: string): NameRule {
    const wanted = normalName(name);
    const rule = this.#domains.find(({ domain }) => isWithin(wanted, domain));
    if (rule !== undefined) return { resolver: this.#resolver(rule.way), way: rule.way };
    // A name without a dot is one of the search domains', which are the VPN's.
    const isInside = !wanted.includes('.') || this.#splitDomains.some((domain) => isWithin(wanted, domain));
    if (isInside) return { resolver: this.#resolver('vpn'), way: undefined };
    const other = this.#otherNames ?? (this.#splitDomains.length > 0 ? 'direct' : 'vpn');
    return { resolver: this.#resolver(other), way: undefined };
  }

  ofAddress(address: IpAddress): Way | 'forbidden' {
    if (isOwnMachine(address) || isMulticast(address)) return 'forbidden';
    return this.#networks.find(({ network }) => contains(network, address))?.way ?? this.#otherAddresses;
  }

  /** What the user says of names, the most specific first. */
  get domains(): readonly { readonly domain: string; readonly way: Way }[] {
    return this.#domains;
  }

  /** Of both families, the most specific first. */
  get networks(): readonly NetworkRule[] {
    return this.#networks;
  }

  /** Where addresses go of which nobody says anything. */
  get sendsOtherAddresses(): Way {
    return this.#otherAddresses;
  }

  /** A gateway without name servers leaves names to the machine, as network scripts do. */
  #resolver(way: Way): Way {
    return this.#hasNameServers ? way : 'direct';
  }
}

/** Lower case, without the root's dot. */
export function normalName(name: string): string {
  return name.toLowerCase().replace(/\.$/, '');
}

/** An IPv4 address that is written as an IPv6 one (RFC 4291 §2.5.5.2) is the IPv4 address. */
export function unmapped(address: IpAddress): IpAddress {
  const { family, bytes } = address;
  const isMapped = family === 6 && bytes.subarray(0, 10).every((byte) => byte === 0) && bytes[10] === 0xff && bytes[11] === 0xff;
  return isMapped ? { family: 4, bytes: bytes.subarray(12) } : address;
}

function isWithin(name: string, domain: string): boolean {
  return name === domain || name.endsWith(`.${domain}`);
}

function contains({ address: base, prefix }: Cidr, { family, bytes }: IpAddress): boolean {
  if (base.family !== family) return false;
  const whole = prefix >> 3;
  for (let i = 0; i < whole; i++) if (base.bytes[i] !== bytes[i]) return false;
  const mask = 0xff00 >> (prefix & 7); // the byte that is only partly in
  return ((base.bytes[whole] ?? 0) & mask & 0xff) === ((bytes[whole] ?? 0) & mask & 0xff);
}

/** Loopback, and the addresses that mean "here": 0.0.0.0/8 (RFC 1122 §3.2.1.3), `::`. */
function isOwnMachine({ family, bytes }: IpAddress): boolean {
  if (family === 4) return bytes[0] === 127 || bytes[0] === 0;
  return bytes.subarray(0, 15).every((byte) => byte === 0) && (bytes[15] ?? 0) <= 1;
}

/** And the limited broadcast. */
function isMulticast({ family, bytes }: IpAddress): boolean {
  const [first = 0] = bytes;
  return family === 4 ? (first >= 224 && first < 240) || bytes.every((byte) => byte === 255) : first === 0xff;
}
