/** A gateway's tunnel: PPP on the connection that asked for it, as the session's terms say. */
import type { CryptoProvider } from '../../crypto/provider.ts';
import type { Logger } from '../../log.ts';
import { fortinetEncapsulation } from '../../ppp/encapsulation.ts';
import { gatewayLinkOptions } from '../../ppp/gateway-terms.ts';
import { PppGatewayTunnel } from '../../ppp/gateway-tunnel.ts';
import { PppLink } from '../../ppp/link.ts';
import { StreamCarrier } from '../../ppp/stream-carrier.ts';
import type { SessionTerms } from '../../tunnel/session-terms.ts';

export interface GatewayTunnelParts {
  readonly crypto: CryptoProvider;
  readonly log: Logger;
  readonly terms: SessionTerms;
}

export function streamTunnel({ crypto, log, terms }: GatewayTunnelParts): PppGatewayTunnel {
  const options = { crypto, log, encapsulation: fortinetEncapsulation('gateway'), ...gatewayLinkOptions(terms) };
  return new PppGatewayTunnel({
    log,
    config: terms.config,
    carry: (path, facts) => new StreamCarrier({ path, facts, link: new PppLink({ ...options, carrier: 'stream' }) }),
  });
}
