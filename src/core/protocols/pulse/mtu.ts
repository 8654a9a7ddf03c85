/**
 * How long a Pulse tunnel's packets may be.
 *
 * Read first: spec "Pulse", section 12; spec "ESP", section 7.
 */
import { espCapacity } from '../../esp/packet.ts';
import { MIN_MTU_IPV4, MIN_MTU_IPV6, type TunnelConfig } from '../../tunnel/config.ts';
import type { EspMac } from '../../tunnel/traffic.ts';

/** Of IP and UDP. */
const OUTER_HEADERS = { 4: 28, 6: 48 } as const;

/** What TLS, IP and TCP add to a packet at worst, in round figures: 1400 bytes pass where 1500 do. */
const STREAM_OVERHEAD = 100;

/** Where packets go, and how long the largest outer IP packet there is. */
export interface OuterLink {
  readonly family: 4 | 6;
  readonly linkMtu: number;
  /** Of ESP; undefined: there is TLS alone. */
  readonly mac?: EspMac;
}

/** The longest packet that goes by ESP. */
export function espMtu(linkMtu: number, family: 4 | 6, mac: EspMac): number {
  return espCapacity(linkMtu - OUTER_HEADERS[family], mac);
}

/** The longest packet that fits the link by either way, but no less than what IP needs. */
export function tunnelMtu({ family, linkMtu, mac }: OuterLink, { ipv6 }: Pick<TunnelConfig, 'ipv6'>): number {
  const byEsp = mac === undefined ? Number.POSITIVE_INFINITY : espMtu(linkMtu, family, mac);
  return Math.max(Math.min(linkMtu - STREAM_OVERHEAD, byEsp), ipv6 === undefined ? MIN_MTU_IPV4 : MIN_MTU_IPV6);
}

/** A client uses the gateway's word, or less where its user wants less, or says what the link carries. */
export function clientMtu(config: TunnelConfig, wish: number | undefined, link: OuterLink | undefined): number {
  const least = Math.min(config.mtu, config.ipv6 === undefined ? MIN_MTU_IPV4 : MIN_MTU_IPV6);
  const fits = link === undefined ? config.mtu : tunnelMtu(link, config);
  return Math.max(Math.min(config.mtu, wish ?? config.mtu, fits), least);
}
