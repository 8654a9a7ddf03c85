/**
 * MTU arithmetic of AnyConnect: what a client asks for, what a link carries, and when a smaller size is adopted.
 *
 * Read first: spec "AnyConnect", sections 8.1 to 8.3. What a record of a DTLS connection holds, its layer knows.
 *
 *   link MTU = IP header (20 | 40) + UDP header (8) + DTLS overhead + type (1) + tunnel MTU
 */
import { MIN_MTU_IPV4, MIN_MTU_IPV6 } from './config.ts';

export type IpFamily = 4 | 6;

/** What is asked for where nobody knows the path: openconnect's value. */
export const DEFAULT_BASE_MTU = 1406;

/** No base MTU below this is asked for, whatever the path says. */
export const MIN_BASE_MTU = 1280;

const UDP_HEADER = 8;
/** The packet type in front of the IP packet. */
const DTLS_TYPE = 1;

/** What a request reckons with before a suite is known: type, record header, the longest MAC, IV and padding (1 + 13 + 20 + 32 + 16). */
const WORST_DTLS_OVERHEAD = 82;

export interface MtuWishes {
  /** Of the outer connection. */
  readonly family: IpFamily;
  /** The tunnel MTU that the user wants. */
  readonly mtu?: number;
  /** The link MTU that the user says. */
  readonly baseMtu?: number;
  /** The link MTU that the kernel or the interface knows. */
  readonly pathMtu?: number;
}

/** What goes into `X-CSTP-Base-MTU` and `X-CSTP-MTU`. */
export interface MtuRequest {
  readonly base: number;
  readonly tunnel: number;
}

export function mtuRequest(wishes: MtuWishes): MtuRequest {
  const base = Math.max(wishes.baseMtu ?? wishes.pathMtu ?? DEFAULT_BASE_MTU, MIN_BASE_MTU);
  return { base, tunnel: wishes.mtu ?? base - ipHeader(wishes.family) - UDP_HEADER - WORST_DTLS_OVERHEAD };
}

/** The largest UDP payload that a link carries in one IP packet. */
export function datagramOfLink(linkMtu: number, family: IpFamily): number {
  return linkMtu - ipHeader(family) - UDP_HEADER;
}

/** The tunnel MTU of a link with a DTLS connection of this overhead; undefined: without DTLS, where the gateways count nothing for TLS. */
export function tunnelMtuOfLink(linkMtu: number, family: IpFamily, overhead: number | undefined): number {
  return datagramOfLink(linkMtu, family) - (overhead === undefined ? 0 : overhead + DTLS_TYPE);
}

/** The smallest tunnel MTU that IP allows. */
export function minTunnelMtu(hasIpv6: boolean): number {
  return hasIpv6 ? MIN_MTU_IPV6 : MIN_MTU_IPV4;
}

/**
 * The tunnel MTU once a path has shown what it carries: it is lowered, never raised, for the gateway and the device rely on what was agreed.
 * Undefined: the path carries less than IP needs and cannot be used.
 */
export function lowerTunnelMtu(agreed: number, carried: number, hasIpv6: boolean): number | undefined {
  return carried < minTunnelMtu(hasIpv6) ? undefined : Math.min(agreed, carried);
}

function ipHeader(family: IpFamily): number {
  return family === 4 ? 20 : 40;
}
