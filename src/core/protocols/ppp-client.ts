/** What clients of vendors that carry PPP make of the user's wishes, whoever the vendor is: the tunnel's MTU, and whom they believe in DTLS. */
import type { Target } from '../auth/login-io.ts';
import type { CertificateOptions } from '../dtls/credentials.ts';
import { MIN_MTU_IPV6 } from '../tunnel/config.ts';
import type { PathFacts } from '../tunnel/machine.ts';
import type { ProtocolSettings } from './client-protocol.ts';

/** Of the way to the gateway, where nobody knows it: an Ethernet. */
const DEFAULT_LINK_MTU = 1500;
/** Spec "PPP", section 10.2: IPv6 (40), TCP (32), TLS (30). The vendor's header and protocol come on top. */
const STREAM_OVERHEAD = 102;
/** The same on every path, so that a change of path is none of the device's business. */
const MAX_MTU = 1400;

/** @param header bytes in front of each packet inside a record */
export function tunnelMtu({ mtu, baseMtu }: ProtocolSettings, { pathMtu = DEFAULT_LINK_MTU }: PathFacts, header: number): number {
  return mtu ?? Math.min(Math.max((baseMtu ?? pathMtu) - STREAM_OVERHEAD - header, MIN_MTU_IPV6), MAX_MTU);
}

/** How a gateway's certificate is judged in DTLS, and which one it is shown; undefined: DTLS with certificates is not spoken. */
export function datagramCredentials(
  { log, datagramCertificateFault: faultOf, datagramIdentity: identity }: ProtocolSettings,
  gateway: Target,
): CertificateOptions | undefined {
  if (faultOf === undefined) return undefined;
  return {
    kind: 'certificate',
    faultOf: (chain) => {
      const fault = faultOf(gateway, chain);
      if (fault !== undefined) log.log('warn', 'datagram certificate refused', { reason: fault });
      return fault;
    },
    ...(identity !== undefined && { identity }),
  };
}
