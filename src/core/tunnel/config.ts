/**
 * What a gateway tells a client about the tunnel: one model for all vendors, both ways. Whoever fills it from a peer's text
 * has checked every value: what is in here may go into a script's environment or a route.
 */
import type { Cidr, IpAddress } from '../wire/ip-address.ts';
import type { Millis } from './packet.ts';

export interface TunnelConfig {
  /** Largest inner IP packet in bytes. */
  readonly mtu: number;
  readonly ipv4?: InterfaceAddress;
  readonly ipv6?: InterfaceAddress;
  /** The gateway's own end inside the tunnel, where it says that. */
  readonly gatewayIpv4?: IpAddress;
  readonly dns: readonly IpAddress[];
  readonly nbns: readonly IpAddress[];
  readonly searchDomains: readonly string[];
  /** Domains to look up through the tunnel, in the order they came. */
  readonly splitDns: readonly string[];
  /** Networks behind the tunnel. None of a family that has an address: all of that family. */
  readonly include: readonly Cidr[];
  /** Networks that stay outside; they win over `include`. */
  readonly exclude: readonly Cidr[];
  readonly banner?: string;
  readonly proxyPac?: string;
  readonly idleTimeout?: Millis;
  /** When the gateway ends the session, in the time of the machine that says so. */
  readonly expiresAt?: Millis;
  /** The gateway's name may lead elsewhere next time: it is looked up again for a reconnect. Default: the address stays. */
  readonly gatewayMoves?: boolean;
  /** What the script sees as CISCO_CSTP_OPTIONS: AnyConnect's as they came, in order, repeats included; other vendors' are made of the rest (script-options.ts). */
  readonly vendorOptions: readonly (readonly [name: string, value: string])[];
}

/** The address of the tunnel's interface, and the network it is in where the gateway says one (a contiguous netmask). */
export interface InterfaceAddress {
  readonly address: IpAddress;
  readonly prefix?: number;
}

/** The limits of IP itself, and of what fits a record: configured sizes outside are a peer's mistake. */
export const MIN_MTU_IPV4 = 576;
export const MIN_MTU_IPV6 = 1280;
