/** A gateway's tunnel: the answer to the request for it, and PPP behind. */
import type { CryptoProvider } from '../../crypto/provider.ts';
import { MisuseError } from '../../errors.ts';
import type { Logger } from '../../log.ts';
import { DatagramCarrier } from '../../ppp/datagram-carrier.ts';
import { f5Encapsulation, HDLC } from '../../ppp/encapsulation.ts';
import { gatewayLinkOptions } from '../../ppp/gateway-terms.ts';
import { PppGatewayTunnel } from '../../ppp/gateway-tunnel.ts';
import { PppLink } from '../../ppp/link.ts';
import type { GatewayNetwork, PppLinkOptions } from '../../ppp/link-options.ts';
import type { PrologueResult, StreamPrologue } from '../../ppp/prologue.ts';
import { StreamCarrier } from '../../ppp/stream-carrier.ts';
import type { SessionTerms } from '../../tunnel/session-terms.ts';
import { innerSources } from '../../tunnel/source-filter.ts';
import type { SessionFront } from '../gateway-protocol.ts';
import { authorised, tunnelWishes } from './tunnel-claim.ts';
import { renderTunnelAnswer, renderTunnelRefusal, requestIn, type TunnelAnswer, type TunnelWish } from './tunnel-request.ts';

export interface GatewayTunnelParts {
  readonly crypto: CryptoProvider;
  readonly log: Logger;
  readonly terms: SessionTerms;
  readonly wish: TunnelWish;
}

export function streamTunnel(parts: GatewayTunnelParts): PppGatewayTunnel {
  const { log, terms } = parts;
  return new PppGatewayTunnel({
    log,
    config: terms.config,
    carry: (path, facts) => {
      const link = new PppLink({ ...linkOptions(parts), carrier: 'stream' });
      return new StreamCarrier({
        ...{ path, facts, link, innerSources: innerSources(terms) },
        prologue: new Greeting(renderTunnelAnswer(grantOf(terms))),
      });
    },
  });
}

/** By UDP: the same request and answer, a record each. */
export const datagramFront: SessionFront = {
  kind: 'tunnel',
  greet: (record, crypto) => {
    const request = requestIn(record);
    const known = request && authorised(request, crypto);
    if (request === undefined || known === undefined) return undefined;
    const { wish, cookie } = known;
    return {
      cookie,
      wishes: tunnelWishes(request, wish),
      accepted: (terms) => renderTunnelAnswer(grantOf(terms)),
      refused: renderTunnelRefusal(),
    };
  },
  tunnel: ({ hello, dtls, early, ...parts }) => {
    const { crypto, log, terms } = parts;
    const request = requestIn(hello);
    const known = request && authorised(request, crypto);
    if (known === undefined) throw new MisuseError('the tunnel of a client that has not said whose it is');
    const answer = renderTunnelAnswer(grantOf(terms));
    return new PppGatewayTunnel({
      log,
      config: terms.config,
      carry: (path, { engine }) =>
        new DatagramCarrier({
          ...{ path, dtls, early, isCarried: engine, innerSources: innerSources(terms) },
          answers: (datagram) => (requestIn(datagram) === undefined ? undefined : answer),
          link: new PppLink({ ...linkOptions({ ...parts, wish: { ...known.wish, usesHdlc: false } }), carrier: 'datagram' }),
        }),
    });
  },
};

/** What the client is told before PPP begins. */
export function grantOf({ config, gatewayIpv4 }: SessionTerms): TunnelAnswer {
  return {
    ...(config.ipv4 !== undefined && { clientIpv4: config.ipv4.address }),
    ...(config.ipv6 !== undefined && { clientIpv6: config.ipv6.address }),
    ...(gatewayIpv4 !== undefined && { serverIpv4: gatewayIpv4 }),
  };
}

export function linkOptions({ crypto, log, terms, wish }: GatewayTunnelParts): Omit<PppLinkOptions, 'carrier'> {
  const { network, ...options } = gatewayLinkOptions(terms, true);
  return { crypto, log, ...options, network: wanted(network, wish), encapsulation: wish.usesHdlc ? HDLC : f5Encapsulation('gateway') };
}

/** A family that the client does not speak is not negotiated: waiting for it would hold the other one up. */
function wanted(network: PppLinkOptions['network'], { wantsIpv4, wantsIpv6 }: TunnelWish): PppLinkOptions['network'] {
  const { ipv4, ipv6 } = network as GatewayNetwork; // made for this role
  return { role: 'gateway', ...(wantsIpv4 && ipv4 !== undefined && { ipv4 }), ...(wantsIpv6 && ipv6 !== undefined && { ipv6 }) };
}

/** The answer, with PPP at once behind it: whatever comes from the client is PPP. */
class Greeting implements StreamPrologue {
  readonly request: Uint8Array;
  readonly startsAtOnce = true;

  constructor(answer: Uint8Array) {
    this.request = answer;
  }

  receive(bytes: Uint8Array): PrologueResult {
    return { type: 'begun', rest: bytes };
  }
}
