/**
 * Plans the network set-up of a tunnel: from what the gateway wants and what is true of the machine to the steps between them. Pure.
 *
 * Read first: spec "vpnc-script", sections 4 and 6; docs/network-setup.md for the choices.
 *
 * No foreign route is ever overwritten where there is another way:
 *   - a network of the tunnel that has a route already is routed as its two halves, which are more specific and so win;
 *   - "everything" is always routed as halves: the default route belongs to DHCP, which may change it while the tunnel is up;
 *   - only a route to a single address has to be replaced, and is restored.
 * So when the tunnel's device goes, even by a crash, the old routing is back by itself.
 */
import { MisuseError, PeerMisbehavedError } from '../../core/errors.ts';
import { MIN_MTU_IPV6, type TunnelConfig } from '../../core/tunnel/config.ts';
import { type Cidr, formatCidr, formatIp, type IpAddress, networkOf, parseCidr, sameIp } from '../../core/wire/ip-address.ts';
import { planDns, type WantedDns } from './dns-plan.ts';
import type { NetworkFacts } from './facts.ts';
import type { MachineLink } from './ip-json.ts';
import { covers, halvesOf, hostNetwork, sameNetwork, wayTo } from './routes.ts';
import { type AddressStep, type LinkStep, type RouteStep, type Step, subjectOf } from './steps.ts';

export interface WantedNetwork extends WantedDns {
  /** The address that the tunnel's own packets go to. */
  readonly gateway: IpAddress;
}

export interface NetworkPlan {
  /** In the order in which they are taken. */
  readonly steps: readonly Step[];
  /** What could not be planned as wanted, for people. */
  readonly notes: readonly string[];
}

/** More routes than any gateway has a use for: the kernel's default limit for IPv6 is half of it. */
export const MAX_ROUTES = 8192;

/**
 * Plans the steps. The facts are those of the machine without this tunnel.
 * Throws {@link MisuseError} if the device is not there and {@link PeerMisbehavedError} if the gateway wants more than {@link MAX_ROUTES}.
 */
export function planNetwork(wanted: WantedNetwork, facts: NetworkFacts): NetworkPlan {
  const { config, device } = wanted;
  const link = facts.links.find(({ name }) => name === device);
  if (link === undefined) throw new MisuseError(`There is no network device "${device}".`);
  const notes: string[] = [];
  const families = ([4, 6] as const).filter((family) => canConfigure(family, wanted, facts, notes));
  const routes = families.map((family) => new FamilyRoutes(family, wanted, facts, notes));
  const isEverything = routes.some((family) => family.isEverything);
  const steps = [
    ...gatewaySteps(wanted, facts, notes),
    ...linkSteps(link, config),
    ...families.flatMap((family) => addressSteps(family, config, link)),
    ...routes.flatMap((family) => family.excludedSteps()),
    ...routes.flatMap((family) => family.tunnelSteps()),
    ...planDns(wanted, facts.resolver, isEverything, notes),
  ];
  if (steps.length > MAX_ROUTES) throw new PeerMisbehavedError(`The gateway asks for more than ${MAX_ROUTES} routes.`);
  // The half of one network may be another that was asked for as well, an exclude may be the gateway.
  const distinctSteps = new Map(steps.toReversed().map((step) => [subjectOf(step), step]));
  return { steps: steps.filter((step) => distinctSteps.get(subjectOf(step)) === step), notes };
}

/** IPv6 can be off on the machine, and needs packets of 1280 bytes (RFC 8200 §5). */
function canConfigure(family: 4 | 6, { config, device }: WantedNetwork, facts: NetworkFacts, notes: string[]): boolean {
  if (family === 4) return config.ipv4 !== undefined;
  if (config.ipv6 === undefined) return false;
  if (facts.hasIpv6 && config.mtu >= MIN_MTU_IPV6) return true;
  notes.push(
    facts.hasIpv6
      ? `The tunnel's packets of ${config.mtu} bytes are too small for IPv6: only IPv4 goes through it.`
      : `IPv6 is switched off for ${device}: only IPv4 goes through the tunnel.`,
  );
  return false;
}

/** The tunnel's own packets must not enter the tunnel: the gateway is reached as it is now, whatever else changes. */
function gatewaySteps({ gateway, device }: WantedNetwork, facts: NetworkFacts, notes: string[]): RouteStep[] {
  const host = hostNetwork(gateway);
  const isOurs = facts.links.some(({ addresses }) => addresses.some(({ address }) => sameIp(address, gateway)));
  if (isOurs || !isRouted(host)) return [];
  const steps = stepsPast(host, 'gateway', facts, device);
  if (steps === undefined) notes.push(`There is no way to the gateway ${formatIp(gateway)} outside of the tunnel at the moment.`);
  return steps ?? [];
}

function linkSteps(link: MachineLink, { mtu }: TunnelConfig): LinkStep[] {
  if (link.mtu === mtu && link.isUp) return [];
  return [{ kind: 'link', device: link.name, mtu, before: { mtu: link.mtu, isUp: link.isUp } }];
}

/** IPv4 as a single address, as a tunnel has no neighbours; IPv6 with its prefix, which source address selection looks at (RFC 6724 §5 rule 8). */
function addressSteps(family: 4 | 6, config: TunnelConfig, link: MachineLink): AddressStep[] {
  const own = ownNetwork(family, config);
  if (own === undefined) return [];
  const address = family === 4 ? hostNetwork(own.address) : own;
  if (link.addresses.some((has) => sameIp(has.address, address.address) && has.prefix === address.prefix)) return [];
  return [{ kind: 'address', device: link.name, address: formatCidr(address) }];
}

/** The tunnel's own address with its network; just the address where the gateway names no network. */
function ownNetwork(family: 4 | 6, config: TunnelConfig): Cidr | undefined {
  const own = family === 4 ? config.ipv4 : config.ipv6;
  return own === undefined ? undefined : { address: own.address, prefix: own.prefix ?? bitsOf(family) };
}

/** A route that keeps `network` on the way it has now. Undefined if it has none; empty if that way needs no route of its own. */
function stepsPast(network: Cidr, purpose: 'gateway' | 'excluded', facts: NetworkFacts, tunnel: string): RouteStep[] | undefined {
  const way = wayTo(network, facts.routes, tunnel);
  if (way === undefined) return undefined;
  if (sameNetwork(way.route.destination, network)) return [];
  const { hop, route } = way;
  return [
    {
      kind: 'route',
      purpose,
      destination: formatCidr(network),
      device: hop.device,
      ...(hop.via === undefined ? {} : { via: formatIp(hop.via) }),
      ...(route.source === undefined ? {} : { source: formatIp(route.source) }),
      ...(hop.isOnlink ? { isOnlink: true } : {}),
      metric: metricOf(network),
      ...(route.mtu === undefined ? {} : { mtu: route.mtu }),
    },
  ];
}

/** Our routes come first among those to the same destination. For IPv6, 0 would mean the default, 1024. */
function metricOf(network: Cidr): number {
  return network.address.family === 4 ? 0 : 1;
}

/** Never routed, whatever a gateway says: this host, this link, multicast. Spec "vpnc-script", section 4. */
const NOT_ROUTED = networks('0.0.0.0/8', '127.0.0.0/8', '169.254.0.0/16', '224.0.0.0/4', '::1/128', 'fe80::/10', 'ff00::/8');
/** Addresses that mean something only within a network: RFC 1918, RFC 6598, RFC 4193. */
const PRIVATE = networks('10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10', 'fc00::/7');

function isRouted(network: Cidr): boolean {
  return !NOT_ROUTED.some((never) => covers(never, network));
}

function networks(...texts: readonly string[]): readonly Cidr[] {
  return texts.flatMap((text) => parseCidr(text) ?? []);
}

/** The routes of one family: which networks enter the tunnel, and which stay outside. */
class FamilyRoutes {
  /** Whether all of the family goes into the tunnel. */
  readonly isEverything: boolean;
  readonly #device: string;
  readonly #facts: NetworkFacts;
  readonly #notes: string[];
  readonly #included: readonly Cidr[];
  readonly #excluded: readonly Cidr[];
  /** What must not be claimed for the tunnel. */
  readonly #kept: readonly Cidr[];

  constructor(family: 4 | 6, { config, gateway, device }: WantedNetwork, facts: NetworkFacts, notes: string[]) {
    const ofFamily = (list: readonly Cidr[]) => distinct(list.filter(({ address }) => address.family === family).map(networkOf));
    const include = ofFamily(config.include);
    this.#device = device;
    this.#facts = facts;
    this.#notes = notes;
    this.#excluded = ofFamily(config.exclude).filter(isRouted);
    this.#kept = [...this.#excluded, hostNetwork(gateway)];
    this.isEverything = include.length === 0 || include.some(({ prefix }) => prefix === 0);
    const own = ownNetwork(family, config);
    const internal = own === undefined ? [] : [networkOf(own)];
    const everything = { address: { family, bytes: new Uint8Array(bitsOf(family) / 8) }, prefix: 0 };
    const wanted = distinct([
      ...internal.filter(({ prefix }) => prefix < bitsOf(family)),
      ...(this.isEverything ? [everything] : include.filter(isRouted)),
    ]);
    this.#included = [...wanted, ...(this.isEverything ? [] : this.#nameServers(config.dns, family, wanted))];
  }

  /** Name servers that only the tunnel can mean: private addresses to which the machine has no route but the default one. */
  #nameServers(dns: readonly IpAddress[], family: 4 | 6, wanted: readonly Cidr[]): readonly Cidr[] {
    return distinct(dns.filter((server) => server.family === family).map(hostNetwork)).filter((server) => {
      if (!PRIVATE.some((network) => covers(network, server)) || wanted.some((network) => covers(network, server))) return false;
      const way = wayTo(server, this.#facts.routes, this.#device);
      return way === undefined || way.route.destination.prefix === 0;
    });
  }

  excludedSteps(): RouteStep[] {
    return this.#excluded.flatMap((network) => {
      const steps = stepsPast(network, 'excluded', this.#facts, this.#device);
      if (steps === undefined)
        this.#notes.push(`There is no way to ${formatCidr(network)} outside of the tunnel, which should not go through it.`);
      return steps ?? [];
    });
  }

  tunnelSteps(): RouteStep[] {
    return this.#included.flatMap((network) => this.#claim(network));
  }

  #claim(network: Cidr): RouteStep[] {
    if (this.#kept.some((kept) => covers(kept, network))) return []; // excludes win
    const metric = metricOf(network);
    const destination = formatCidr(network);
    const inPlace = this.#facts.routes.filter((route) => route.name === destination && route.metric <= metric && !route.isSelective);
    const isThere = inPlace.some(({ hops }) => hops.some(({ device, via }) => device === this.#device && via === undefined));
    if (isThere) return []; // the device came with it
    const halves = halvesOf(network);
    if (network.prefix === 0 || (inPlace.length > 0 && halves.length > 0)) return halves.flatMap((half) => this.#claim(half));
    const step: RouteStep = { kind: 'route', purpose: 'tunnel', destination, device: this.#device, metric };
    const [occupant] = inPlace;
    if (occupant === undefined) return [step];
    if (occupant.words !== undefined && occupant.metric === metric) return [{ ...step, replaces: occupant.words }];
    this.#notes.push(`The route to ${destination} that is there could not be restored later, so it stays.`);
    return [];
  }
}

function distinct(list: readonly Cidr[]): readonly Cidr[] {
  return [...new Map(list.map((network) => [formatCidr(network), network])).values()];
}

function bitsOf(family: 4 | 6): number {
  return family === 4 ? 32 : 128;
}
