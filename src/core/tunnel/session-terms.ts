/**
 * What a gateway's administrator and the address pool give one session, in no vendor's words: what a vendor's tunnel machine is made from.
 *
 * Policy of the host, the group and the user has been put together before (`gateway/config`); addresses are leased.
 */
import type { CompressionName } from '../compress/compressor.ts';
import type { SuiteProtection } from '../tls-messages/cipher-suites.ts';
import type { Cidr, IpAddress } from '../wire/ip-address.ts';
import type { TunnelConfig } from './config.ts';
import type { KeepaliveTimes } from './keepalive.ts';
import type { Millis } from './packet.ts';

export interface SessionTerms {
  /** Addresses, routes, names. The MTU is found when the client's connection is known. */
  readonly config: Omit<TunnelConfig, 'mtu'>;
  /** The gateway's own end of the link, where there is one. */
  readonly gatewayIpv4?: IpAddress;
  readonly gatewayIpv6?: IpAddress;
  /** The largest outer IP packet that is sent, in bytes. */
  readonly linkMtu: number;
  /** What the client is told; `dpd` is the mobile one for mobile clients. */
  readonly times: KeepaliveTimes;
  readonly rekeyMethod: 'ssl' | 'new-tunnel';
  /** How long the session may last from its log-in on; `config.expiresAt` is when that ends. */
  readonly sessionTimeout?: Millis;
  /** Encodings that are taken, best first; empty: none. */
  readonly compression: readonly CompressionName[];
  /** Packets shorter than this go uncompressed, in bytes. */
  readonly minLengthToCompress: number;
  /** Undefined: no datagram channel. */
  readonly datagram?: DatagramPolicy;
  /** Without UDP traffic for so long packets go by the stream; undefined: never. */
  readonly switchToStreamAfter?: Millis;
  /** Networks behind the client: it may send from these as well as from its own addresses. */
  readonly clientNetworks: readonly Cidr[];
  /** All name look-ups go through the tunnel, whatever else does (`tunnel-all-dns`). Default: false, which a client that tunnels everything need not heed. */
  readonly tunnelsAllDns?: boolean;
  /** What a client does with all other packets of a family that has no address: false drops them. */
  readonly bypassesProtocols: boolean;
  /** Headers of the administrator's own, names and user already filled in. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** The name that the client gets instead of the one that it has proposed. */
  readonly hostname?: string;
  /** Largest rates in bytes a second, as the gateway sees them: `receive` is what it takes from the client. Undefined: no limit. */
  readonly rates: { readonly receive?: number; readonly send?: number };
}

export interface DatagramPolicy {
  /** Of UDP, already open. */
  readonly port: number;
  /** A handshake in which the gateway shows the certificate that it shows on TLS is answered. */
  readonly certificate?: boolean;
  /** A handshake with a key from the TLS connection (AnyConnect's PSK-NEGOTIATE). */
  readonly allowsPsk: boolean;
  /** Resumption with a secret that the client invented: DTLS 1.2, and Cisco's old 0.9. */
  readonly allowsLegacy: boolean;
  /** Only the cipher that the TLS connection has. */
  readonly matchesTlsCipher: boolean;
  /** Best first; undefined: all that there are. */
  readonly ciphers?: readonly SuiteProtection['cipher'][];
}
