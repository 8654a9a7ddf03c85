/** What a session's terms mean for both kinds of tunnel: its size, and what is asked in it. */
import { MIN_MTU_IPV4, MIN_MTU_IPV6 } from '../../tunnel/config.ts';
import type { SessionTerms } from '../../tunnel/session-terms.ts';
import type { IpAddress } from '../../wire/ip-address.ts';

/** What TCP, TLS, IP and the frame add at worst, in round figures; ESP adds less. */
const OVERHEAD = 120;

export function tunnelMtu({ linkMtu, config }: SessionTerms): number {
  return Math.max(linkMtu - OVERHEAD, config.ipv6 === undefined ? MIN_MTU_IPV4 : MIN_MTU_IPV6);
}

/** What a client asks by ESP whether we are there: our end of the link, in one of its families. */
export function askedAddress({ config, gatewayIpv4, gatewayIpv6 }: SessionTerms): IpAddress | undefined {
  return config.ipv4 !== undefined ? gatewayIpv4 : config.ipv6 !== undefined ? gatewayIpv6 : undefined;
}
