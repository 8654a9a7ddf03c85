/**
 * What a restricted session may reach: the same verdicts as the packet filter of a gateway with an interface gives (`gateway/network/firewall-rules.ts`).
 *
 * Read first: spec "Gateway contract", sections 2.4 and 6.
 *
 *   name servers, port 53 ──────────────────────────────────────────────────────► yes
 *   ports: one of the list ─┐   ports of `!( … )` ──────────────────────────────► no
 *   no ports, or `!( … )` ──┴─► routes do not restrict ─────────────────────────► yes
 *   any other ► no              no-routes ► no     no routes, or one of them ───► yes     any other ► no
 */
import { PROTOCOL } from '../ip/ip-packet.ts';
import { AddressTable } from '../tunnel/address-table.ts';
import type { Cidr, IpAddress } from '../wire/ip-address.ts';

export interface AccessRules {
  readonly dns: readonly IpAddress[];
  readonly routes: readonly Cidr[];
  readonly noRoutes: readonly Cidr[];
  readonly restrictsToRoutes: boolean;
  readonly restrictsToPorts?: {
    /** Everything but these. */
    readonly isNegated: boolean;
    readonly ports: readonly PortRule[];
  };
}

/** Without a port: all of the protocol. */
export interface PortRule {
  readonly protocol: 'tcp' | 'udp' | 'sctp' | 'icmp' | 'icmpv6' | 'esp';
  readonly port?: number;
}

const NUMBERS: Readonly<Record<PortRule['protocol'], number>> = {
  tcp: PROTOCOL.tcp,
  udp: PROTOCOL.udp,
  sctp: 132,
  icmp: PROTOCOL.icmp,
  icmpv6: PROTOCOL.icmpv6,
  esp: 50,
};

const DNS_PORT = 53;

/** Protocols whose header begins with two ports. */
const WITH_PORTS: ReadonlySet<number> = new Set([PROTOCOL.tcp, PROTOCOL.udp, NUMBERS.sctp]);

export function hasPorts(protocol: number): boolean {
  return WITH_PORTS.has(protocol);
}

export class AccessCheck {
  readonly #rules: AccessRules;
  readonly #dns = new AddressTable<true>();
  readonly #routes = new AddressTable<true>();
  readonly #noRoutes = new AddressTable<true>();

  /** Undefined: these rules restrict nothing. */
  static of(rules: AccessRules): AccessCheck | undefined {
    return rules.restrictsToRoutes || rules.restrictsToPorts !== undefined ? new AccessCheck(rules) : undefined;
  }

  private constructor(rules: AccessRules) {
    this.#rules = rules;
    for (const address of rules.dns) this.#dns.set({ address, prefix: 8 * address.bytes.length }, true);
    for (const network of rules.routes) this.#routes.set(network, true);
    for (const network of rules.noRoutes) this.#noRoutes.set(network, true);
  }

  /** @param port of the destination; -1: the protocol has none, or it is not known */
  allows(protocol: number, destination: IpAddress, port: number): boolean {
    const { restrictsToPorts } = this.#rules;
    const isName = port === DNS_PORT && (protocol === PROTOCOL.tcp || protocol === PROTOCOL.udp);
    if (isName && this.#dns.of(destination) !== undefined) return true;
    if (restrictsToPorts !== undefined) {
      const isListed = restrictsToPorts.ports.some((rule) => isMatch(rule, protocol, destination.family, port));
      if (isListed === restrictsToPorts.isNegated) return false;
    }
    return this.#isRouted(destination);
  }

  #isRouted(destination: IpAddress): boolean {
    const { restrictsToRoutes, routes } = this.#rules;
    if (!restrictsToRoutes) return true;
    if (this.#noRoutes.of(destination) !== undefined) return false;
    return routes.length === 0 || this.#routes.of(destination) !== undefined;
  }
}

function isMatch(rule: PortRule, protocol: number, family: 4 | 6, port: number): boolean {
  if (NUMBERS[rule.protocol] !== protocol) return false;
  // The ICMP of a family is of that family's packets only.
  if (rule.protocol === 'icmp') return family === 4;
  if (rule.protocol === 'icmpv6') return family === 6;
  return rule.port === undefined || rule.port === port;
}
