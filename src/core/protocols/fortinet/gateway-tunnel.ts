/** A gateway's tunnel: PPP on the connection that asked for it, as the session's terms say. */
import type { CryptoProvider } from '../../crypto/provider.ts';
import type { Logger } from '../../log.ts';
import { DatagramCarrier } from '../../ppp/datagram-carrier.ts';
import { fortinetEncapsulation } from '../../ppp/encapsulation.ts';
import { gatewayLinkOptions } from '../../ppp/gateway-terms.ts';
import { PppGatewayTunnel } from '../../ppp/gateway-tunnel.ts';
import { PppLink } from '../../ppp/link.ts';
import type { PppLinkOptions } from '../../ppp/link-options.ts';
import { StreamCarrier } from '../../ppp/stream-carrier.ts';
import type { SessionTerms } from '../../tunnel/session-terms.ts';
import { innerSources } from '../../tunnel/source-filter.ts';
import { cookieOffWire } from '../base64url-cookie.ts';
import type { SessionFront } from '../gateway-protocol.ts';
import { parseClientHello, renderServerHello } from './dtls-hello.ts';
import { MAX_COOKIE_LENGTH } from './session-cookie.ts';

/** By UDP: the vendor's words are said, but for a hello that comes again, whose answer was lost. */
export const datagramFront: SessionFront = {
  kind: 'tunnel',
  greet: (record) => {
    const cookie = parseClientHello(record);
    if (cookie === undefined || cookie.length > MAX_COOKIE_LENGTH) return undefined;
    return {
      cookie: cookieOffWire(cookie),
      wishes: { wantsIpv4: true, wantsIpv6: true, isMobile: false, userAgent: '' },
      accepted: () => renderServerHello('ok'),
      refused: renderServerHello('fail'),
    };
  },
  tunnel: ({ crypto, log, terms, dtls, early }) => {
    const options = linkOptions({ crypto, log, terms });
    const answers = (datagram: Uint8Array) => (parseClientHello(datagram) === undefined ? undefined : renderServerHello('ok'));
    return new PppGatewayTunnel({
      log,
      config: terms.config,
      carry: (path, { engine }) =>
        new DatagramCarrier({
          ...{ path, dtls, early, answers, isCarried: engine, innerSources: innerSources(terms) },
          link: new PppLink({ ...options, carrier: 'datagram' }),
        }),
    });
  },
};

export interface GatewayTunnelParts {
  readonly crypto: CryptoProvider;
  readonly log: Logger;
  readonly terms: SessionTerms;
}

export function streamTunnel({ crypto, log, terms }: GatewayTunnelParts): PppGatewayTunnel {
  const options = linkOptions({ crypto, log, terms });
  return new PppGatewayTunnel({
    log,
    config: terms.config,
    carry: (path, facts) =>
      new StreamCarrier({ path, facts, link: new PppLink({ ...options, carrier: 'stream' }), innerSources: innerSources(terms) }),
  });
}

function linkOptions({ crypto, log, terms }: GatewayTunnelParts): Omit<PppLinkOptions, 'carrier'> {
  return { crypto, log, encapsulation: fortinetEncapsulation('gateway'), ...gatewayLinkOptions(terms) };
}
