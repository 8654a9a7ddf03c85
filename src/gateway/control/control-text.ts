/** Routes, ports and sessions as {@link UserStatus} and {@link ControlSession} carry them: in ocserv's notation. */
import { type Cidr, formatCidr, formatIp, netmaskOf } from '../../core/wire/ip-address.ts';
import type { PortRestriction } from '../config/gateway-config.ts';
import type { SessionListing } from '../processes/auth-service.ts';
import type { ControlSession } from './control-target.ts';

/** `10.0.0.0/255.0.0.0`, `fd77::/64`. */
export function routeText(network: Cidr): string {
  const { address, prefix } = network;
  return address.family === 6 ? formatCidr(network) : `${formatIp(address)}/${formatIp(netmaskOf(4, prefix))}`;
}

/** `tcp(443)`, `icmp()`; `!udp(53)` for what is forbidden. */
export function portTexts({ isNegated, ports }: PortRestriction): string[] {
  return ports.map(({ protocol, port }) => `${isNegated ? '!' : ''}${protocol}(${port ?? ''})`);
}

export function controlSession(listing: SessionListing): ControlSession {
  return { ...listing, remote: formatIp(listing.remote) };
}
