/**
 * The server's side of TLS, whoever does it: node:tls (tls-server.ts) or OpenSSL's own functions (openssl-server.ts), which can give a connection to the
 * packet engine.
 *
 * Read first: RFC 6066 §3 (the name that a client asks for) and §8 (OCSP stapling). No renegotiation, TLS 1.2 and 1.3 unless the host says otherwise.
 *
 * Nothing listens here: whoever owns the sockets hands them in one by one, PROXY header read off.
 */
import type { Socket } from 'node:net';
import type { SecureContextOptions } from 'node:tls';
import type { ClientFindings } from '../core/auth/inner-tls.ts';
import { NetworkError } from '../core/errors.ts';
import type { PacketEngine } from './engine/packet-engine.ts';
import { type ConnectionEnds, TLS_FAILED, type TlsStream } from './tls-stream.ts';

/** How a host shows itself, and whom it wants to see. */
export interface TlsIdentity {
  /** The virtual host, in lower case; undefined: for clients that ask for none, or one that nobody knows. */
  readonly name?: string;
  /** Certificates with their keys, side by side of several kinds, the authority of clients, versions, ciphers: in node:tls's words. */
  readonly tls: HostSettings;
  readonly clientCertificates: ClientCertificates;
  /** DER of what an OCSP responder said of the certificate. */
  readonly ocspResponse?: Uint8Array;
}

export type ClientCertificates = 'no' | 'optional' | 'required';

/** What both ways know of node:tls's options. */
export interface HostSettings
  extends Pick<SecureContextOptions, 'minVersion' | 'maxVersion' | 'ciphers' | 'ecdhCurve' | 'sigalgs' | 'honorCipherOrder'> {
  /** PEM: a certificate and its issuers each. */
  readonly cert?: string | string[];
  /** PEM: of the same place in {@link cert}. */
  readonly key?: string | (string | { readonly pem: string; readonly passphrase?: string })[];
  /** PEM: whom clients' certificates must be of. */
  readonly ca?: string | string[];
  /** PEM: of each issuer, if there is one. */
  readonly crl?: string;
  readonly dhparam?: 'auto';
}

export interface AcceptOptions {
  /** Where the client is, if the socket does not know: behind a proxy, on a unix socket. Default: what the socket says. */
  readonly ends?: ConnectionEnds;
  /** Bytes that were read off the socket before: those of a PROXY header. Default: none. */
  readonly bytesRead?: number;
  readonly signal: AbortSignal;
}

export interface AcceptedTls extends ClientFindings {
  readonly connection: AcceptedStream;
  readonly identity: TlsIdentity;
  /** DER of the certificate that the client was shown. */
  readonly certificate: Uint8Array;
}

/** A client's connection: first it speaks HTTP, then it may become a tunnel. */
export interface AcceptedStream extends TlsStream {
  /** DER of the client's certificate; empty if it has shown none. */
  readonly peerCertificate: Uint8Array;
  /** The verify_data of the client's Finished. */
  readonly peerFinished: Uint8Array | undefined;
  /** {@link TlsStream.exportKeyingMaterial}, at once. */
  exportNow(label: string, length: number): Uint8Array;
  /** Stops reading, so that the peer feels back-pressure. */
  pause(): void;
  resume(): void;
  /** Takes the listeners off and stops reading: who is given the connection sets its own. False: it is over. */
  release(): boolean;
  /**
   * Gives a connection that was released to the engine: it is {@link TlsStream}'s over there from then on, and this object is done with. Undefined where
   * that cannot be: it goes on here.
   */
  moveTo(engine: Pick<PacketEngine, 'adoptStream'>): Promise<TlsStream | undefined>;
}

export interface TlsAcceptor {
  /**
   * Handshakes with a client. Undefined if it left without a word: a health probe. Rejects with NetworkError or CancelledError; the socket is destroyed
   * then.
   */
  accept(raw: Socket, options: AcceptOptions): Promise<AcceptedTls | undefined>;
  /** No connections are handed in any more; those that are there go on. */
  retire(): void;
}

/** How long a client may take for its handshake: a slow phone on a slow line needs a few seconds. */
export const HANDSHAKE_LIMIT_MS = 20_000;

/** Issuers of a client's certificate that are looked at. */
export const MAX_CLIENT_CHAIN = 10;

/** What a client showed. @param fault what OpenSSL found wrong with it */
export function findingsOf(chain: readonly Uint8Array[], fault: string | undefined): ClientFindings {
  if (chain.length === 0) return {};
  return fault === undefined ? { clientChain: chain } : { clientCertificateFault: fault };
}

/** @throws NetworkError if the host wants more of its clients than this one showed */
export function mustBeWelcome({ clientCertificates }: TlsIdentity, client: ClientFindings): void {
  if (clientCertificates !== 'required' || client.clientChain !== undefined) return;
  throw new NetworkError(`The client has no certificate that is good here: ${client.clientCertificateFault ?? 'none at all'}.`, {
    code: TLS_FAILED,
  });
}

/** Which host it is is known too late to change what is asked for: who wants more looks at the answer itself. */
export function commonWish(identities: readonly TlsIdentity[]): ClientCertificates {
  const wishes = identities.map(({ clientCertificates }) => clientCertificates);
  if (wishes.every((wish) => wish === 'required')) return 'required';
  return wishes.every((wish) => wish === 'no') ? 'no' : 'optional';
}

/** What {@link HostSettings} has one or several of. */
export function listOf<T>(value: T | T[] | undefined): T[] {
  if (value === undefined) return [];
  return Array.isArray(value) ? value : [value];
}
