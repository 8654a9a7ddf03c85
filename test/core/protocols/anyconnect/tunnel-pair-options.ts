/** How a pair of client and gateway in memory is set up. */
import type { HttpRequest } from '../../../../src/core/http/message.ts';
import type { Logger } from '../../../../src/core/log.ts';
import type { DatagramTerms, GatewayTerms } from '../../../../src/core/protocols/anyconnect/connect-terms.ts';
import type { GatewayTunnelOptions } from '../../../../src/core/protocols/anyconnect/gateway-tunnel.ts';
import type { TunnelOptions } from '../../../../src/core/protocols/anyconnect/tunnel-options.ts';
import type { Millis } from '../../../../src/core/tunnel/packet.ts';
import type { LinkConditions } from '../../../support/link-model.ts';

/** Names of the three modes, and the suites that both ends know for them (spec 7.2). */
export const MODES = {
  psk: { suites: ['PSK-NEGOTIATE'], suites12: [] },
  dtls12: { suites: [], suites12: ['AES256-GCM-SHA384'] },
  legacy: { suites: ['AES128-SHA'], suites12: [] },
} as const;

export type Mode = keyof typeof MODES;

export interface PairOptions {
  readonly seed?: number;
  /** How both directions of the datagram link are; what is not named is perfect but for a delay of 10 ms. */
  readonly link?: Partial<LinkConditions>;
  readonly streamDelay?: Millis;
  readonly mode?: Mode;
  /** The IANA id of the one suite that is offered in a PSK handshake. */
  readonly pskSuite?: number;
  /** The client's paths, and the gateway's flows, are carried by an engine. */
  readonly engine?: boolean;
  readonly gatewayEngine?: boolean;
  /** The gateway's stream could be. */
  readonly streamEngine?: boolean;
  /** What the client knows of its way to the gateway. */
  readonly pathMtu?: number;
  readonly client?: Partial<Omit<TunnelOptions, 'datagram'>> & { readonly datagram?: TunnelOptions['datagram'] | undefined };
  readonly terms?: Partial<GatewayTerms>;
  /** Undefined for no datagram channel. */
  readonly datagram?: Partial<DatagramTerms> | 'none';
  readonly gateway?: Partial<GatewayTunnelOptions>;
  /** Answers CONNECT instead of a gateway machine. Undefined: never. */
  readonly answer?: (request: HttpRequest) => Uint8Array | undefined;
  readonly log?: Logger;
}
