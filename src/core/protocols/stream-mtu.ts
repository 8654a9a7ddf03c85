/** The MTU of a client's tunnel over TLS, of the user's wishes and of what the way holds, where the gateway does not say it. */
import { MIN_MTU_IPV6 } from '../tunnel/config.ts';
import type { PathFacts } from '../tunnel/machine.ts';
import type { ProtocolSettings } from './client-protocol.ts';

/** Of the way to the gateway, where nobody knows it: an Ethernet. */
const DEFAULT_LINK_MTU = 1500;
/** Spec "PPP", section 10.2: IPv6 (40), TCP (32), TLS (30). The vendor's header comes on top. */
const STREAM_OVERHEAD = 102;
/** The same on every path, so that a change of path is none of the device's business. */
const MAX_MTU = 1400;

/** @param header bytes in front of each packet inside a record */
export function tunnelMtu({ mtu, baseMtu }: ProtocolSettings, { pathMtu = DEFAULT_LINK_MTU }: PathFacts, header: number): number {
  return mtu ?? Math.min(Math.max((baseMtu ?? pathMtu) - STREAM_OVERHEAD - header, MIN_MTU_IPV6), MAX_MTU);
}
