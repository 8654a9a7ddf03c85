/** What a server asks of a connection of {@link TlsSession} after the handshake. */
import type { OpenSslTls } from './openssl-tls-calls.ts';

export interface ServerFacts {
  /** DER of the certificate that the client was shown. */
  readonly shown: Uint8Array | undefined;
  /** What the client sent, DER, its own certificate first; empty if it has none. */
  readonly clientChain: readonly Uint8Array[];
  /** What OpenSSL found wrong with that chain; undefined: nothing. */
  readonly clientFault: string | undefined;
  readonly isResumed: boolean;
}

/** X509_V_OK. */
const VERIFIED = 0;

/** @param ssl address of the SSL @param maxChain certificates that are looked at */
export function serverFacts(tls: OpenSslTls, ssl: number, maxChain: number): ServerFacts {
  const { call, text } = tls;
  const own = call.ownCertificate(ssl);
  const result = call.verifyResult(ssl);
  return {
    shown: own === 0 ? undefined : tls.certificate(own),
    clientChain: clientChain(tls, ssl, maxChain),
    clientFault: result === VERIFIED ? undefined : (text.verifyFault(result) ?? `error ${result}`),
    isResumed: call.isResumed(ssl) === 1,
  };
}

/** The stack of a server does not have the client's own certificate: SSL_get_peer_cert_chain(3). */
function clientChain(tls: OpenSslTls, ssl: number, maxChain: number): Uint8Array[] {
  const { call } = tls;
  const own = call.peerCertificate(ssl);
  if (own === 0) return [];
  const chain: (Uint8Array | undefined)[] = [];
  try {
    chain.push(tls.certificate(own));
    const stack = call.peerChain(ssl);
    const count = stack === 0 ? 0 : Math.min(call.chainLength(stack), maxChain - 1);
    for (let i = 0; i < count; i++) chain.push(tls.certificate(call.chainMember(stack, i)));
  } finally {
    call.freeCertificate(own);
  }
  return chain.filter((der) => der !== undefined);
}
