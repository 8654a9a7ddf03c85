/**
 * What a session's terms mean for PPP: addresses, sizes, times, and whose packets are taken.
 *
 * Read first: spec "PPP", sections 6.2, 10.2 and 13.
 */
import { MIN_MTU_IPV4, MIN_MTU_IPV6 } from '../tunnel/config.ts';
import type { SessionTerms } from '../tunnel/session-terms.ts';
import { innerSources, SourceFilter } from '../tunnel/source-filter.ts';
import type { PppLinkOptions } from './link-options.ts';

/** What TLS or DTLS, IP and PPP add to a packet at worst, in round figures: 1400 bytes pass where 1500 do. */
const OVERHEAD = 100;

/** From this tunnel MTU on a client need not be told: it reckons with no more itself. */
const USUAL_MTU = 1400;

/** @param alwaysSaysMru the vendor's clients are told our size in any case */
export function gatewayLinkOptions(
  terms: SessionTerms,
  alwaysSaysMru = false,
): Pick<PppLinkOptions, 'network' | 'mtu' | 'sendsMru' | 'dpd' | 'admits'> {
  const { config, linkMtu, times, gatewayIpv4 } = terms;
  const { ipv4, ipv6, dns, nbns } = config;
  const isIpv4 = ({ family }: { readonly family: 4 | 6 }) => family === 4;
  const mtu = Math.max(linkMtu - OVERHEAD, ipv6 === undefined ? MIN_MTU_IPV4 : MIN_MTU_IPV6);
  const filter = new SourceFilter(innerSources(terms));
  const sendsMru = alwaysSaysMru || mtu < USUAL_MTU;
  return {
    // A client that was told nothing has a size of its own, which it says: that is what it is sent.
    mtu: sendsMru ? mtu : linkMtu,
    sendsMru,
    ...(times.dpd !== undefined && { dpd: times.dpd }),
    network: {
      role: 'gateway',
      ...(ipv4 !== undefined && {
        ipv4: {
          ...(gatewayIpv4 !== undefined && { own: gatewayIpv4 }),
          ...{ peer: ipv4.address, dns: dns.filter(isIpv4), nbns: nbns.filter(isIpv4) },
        },
      }),
      ...(ipv6 !== undefined && { ipv6: { peer: ipv6.address } }),
    },
    admits: (packet) => filter.allows(packet),
  };
}
