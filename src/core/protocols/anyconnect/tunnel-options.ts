/** What a tunnel is opened with: the credential's part and the user's wishes. */
import type { Target } from '../../auth/login-io.ts';
import type { CompressionName, PacketCompressor, StatelessCompressionName } from '../../compress/compressor.ts';
import type { CryptoProvider } from '../../crypto/provider.ts';
import type { Logger } from '../../log.ts';
import type { Secret } from '../../secret.ts';
import type { TunnelConfig } from '../../tunnel/config.ts';
import type { Millis } from '../../tunnel/packet.ts';
import type { ClientIdentification } from '../client-protocol.ts';

export interface TunnelOptions {
  readonly crypto: CryptoProvider;
  readonly log: Logger;
  readonly target: Target;
  readonly client: ClientIdentification;
  /** Value of the cookie `webvpn`. */
  readonly cookie: Secret;
  /** Proves the cookie is ours, where a STRAP key belongs to it: the headers for a connection whose Finished is this (spec 3.14). */
  readonly strap?: (finished: Uint8Array) => StrapProof;
  /** Encodings to offer, preferred first. */
  readonly encodings: readonly CompressionName[];
  /** Makes the stateful compressor, if {@link encodings} has it. */
  readonly createDeflate?: () => PacketCompressor;
  readonly wantsIpv6: boolean;
  /** The tunnel MTU to ask for. */
  readonly mtu?: number;
  /** The link MTU to reckon with. */
  readonly baseMtu?: number;
  /** Used instead of what the gateway says. */
  readonly dpd?: Millis;
  /** The datagram channel's offer; undefined: no datagram channel. */
  readonly datagram?: DatagramWishes;
  /** On a reconnect: the configuration so far. Another address ends the session. */
  readonly previous?: TunnelConfig;
}

export interface DatagramWishes {
  /** Names for `X-DTLS-CipherSuite`, `PSK-NEGOTIATE` among them. */
  readonly suites: readonly string[];
  /** Names for `X-DTLS12-CipherSuite`. */
  readonly suites12: readonly string[];
  /** IANA ids that a PSK handshake may offer, best first; undefined: all. */
  readonly pskSuites?: readonly number[];
}

export interface StrapProof {
  readonly verify: string;
  readonly publicKey: string;
}

/** Encodings of the datagram channel: those in which each packet stands by itself. */
export function statelessEncodings(encodings: readonly CompressionName[]): StatelessCompressionName[] {
  return encodings.filter((name) => name !== 'deflate');
}
