/**
 * A gateway's TLS inside of a conversation on one of its connections, by node:tls: it shows what the connection itself has shown, and asks for a
 * certificate of the client's by the rules of the same host.
 *
 * Read first: inner-tls.ts, tls-acceptor.ts.
 */
import { constants, X509Certificate } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { type SecureContext, TLSSocket } from 'node:tls';
import type { ClientFindings, InnerTlsServer } from '../core/auth/inner-tls.ts';
import { MisuseError } from '../core/errors.ts';
import { CarriedTls } from './inner-tls.ts';
import { type HostSettings, listOf, type TlsIdentity } from './tls-acceptor.ts';
import { contextFor, verifiedClient } from './tls-server.ts';

/** Hosts' contexts, each made when it is first needed. */
export class InnerTlsContexts {
  /** By the host, and the certificate in base64. */
  readonly #contexts = new WeakMap<TlsIdentity, Map<string, SecureContext>>();

  /** @param certificate DER: the one of the host's that the connection has shown. Throws {@link MisuseError} if it is none of them. */
  serve(identity: TlsIdentity, certificate: Uint8Array): InnerTlsServer {
    return new ServingTls(this.#contextOf(identity, certificate));
  }

  #contextOf(identity: TlsIdentity, certificate: Uint8Array): SecureContext {
    const known = this.#contexts.get(identity) ?? new Map<string, SecureContext>();
    this.#contexts.set(identity, known);
    const name = Buffer.from(certificate).toString('base64');
    const context = known.get(name) ?? contextFor(identity.name, innerSettings(identity.tls, certificate));
    known.set(name, context);
    return context;
  }
}

class ServingTls extends CarriedTls implements InnerTlsServer {
  constructor(secureContext: SecureContext) {
    super((carrier: Duplex) => new TLSSocket(carrier, { isServer: true, secureContext, requestCert: true, rejectUnauthorized: false }));
    this.socket.once('secure', () => this.secured(undefined));
  }

  get client(): ClientFindings {
    return this.isOpen ? verifiedClient(this.socket) : {};
  }
}

/**
 * TLS 1.2 and nothing newer: node:tls sends tickets behind a handshake of TLS 1.3, whatever it is told. Observed: openconnect 9.01 reads them where it
 * expects an answer, and gives up. Where the host takes 1.3 alone, that is what this is inside of.
 */
function innerSettings({ cert, key, minVersion, ciphers, ...others }: HostSettings, certificate: Uint8Array) {
  const isNewOnly = minVersion === 'TLSv1.3';
  const [certs, keys] = [listOf(cert), listOf(key)];
  const place = certs.findIndex((pem) => new X509Certificate(pem).raw.equals(certificate));
  const [shown, itsKey] = [certs[place], keys[place]];
  if (shown === undefined || itsKey === undefined) throw new MisuseError('a connection has shown a certificate that is not its host’s');
  return {
    ...others,
    ...{ cert: shown, key: [itsKey], maxVersion: 'TLSv1.2' as const },
    ...(isNewOnly
      ? { minVersion: 'TLSv1.2' as const }
      : { ...(minVersion !== undefined && { minVersion }), ...(ciphers !== undefined && { ciphers }) }),
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION | constants.SSL_OP_NO_TICKET,
  };
}
