/**
 * {@link TlsAcceptor} by OpenSSL's own functions: one context a host, shared by all its connections, which can move into the packet engine.
 *
 * Read first: tls-acceptor.ts; ffi/openssl-tls-hosts.ts for sessions that are resumed.
 */
import { createPrivateKey } from 'node:crypto';
import type { Socket } from 'node:net';
import { DEFAULT_CIPHERS, DEFAULT_MAX_VERSION, DEFAULT_MIN_VERSION } from 'node:tls';
import { MisuseError, NetworkError } from '../core/errors.ts';
import { TlsSession } from './ffi/openssl-tls.ts';
import { TlsBytes } from './ffi/openssl-tls-bytes.ts';
import { beginHandshake, endHandshake } from './ffi/openssl-tls-callbacks.ts';
import { OpenSslTls } from './ffi/openssl-tls-calls.ts';
import type { TlsKeyPair } from './ffi/openssl-tls-context.ts';
import { serverFacts } from './ffi/openssl-tls-facts.ts';
import { type HostTls, TlsHosts } from './ffi/openssl-tls-hosts.ts';
import { OpenSslConnection } from './openssl-connection.ts';
import { derBlocks } from './pem-blocks.ts';
import { ServerHandshake } from './server-handshake.ts';
import { endsOf } from './socket-ends.ts';
import {
  type AcceptedTls,
  type AcceptOptions,
  commonWish,
  findingsOf,
  type HostSettings,
  listOf,
  MAX_CLIENT_CHAIN,
  mustBeWelcome,
  type TlsAcceptor,
  type TlsIdentity,
} from './tls-acceptor.ts';
import { reasonOf } from './tls-connection.ts';
import { TLS_FAILED } from './tls-stream.ts';

interface Handshaken {
  readonly session: TlsSession;
  readonly bytes: TlsBytes;
  /** Address of the context that the client has come to. */
  readonly context: number;
}

export class OpenSslServer implements TlsAcceptor {
  readonly #tls: OpenSslTls;
  readonly #identities: readonly TlsIdentity[];
  readonly #hosts: TlsHosts;
  #underWay = 0;
  #isRetired = false;

  /**
   * The first is the default host. Throws {@link MisuseError} if OpenSSL refuses what one of them is made of, UnsupportedError where its functions are not
   * to be had.
   */
  constructor(identities: readonly TlsIdentity[]) {
    this.#tls = OpenSslTls.shared();
    this.#identities = identities;
    this.#hosts = new TlsHosts(this.#tls, identities.map(hostOf), commonWish(identities));
  }

  async accept(raw: Socket, options: AcceptOptions): Promise<AcceptedTls | undefined> {
    if (this.#isRetired) throw new MisuseError('this TLS server takes no connections any more');
    this.#underWay++;
    try {
      const handshaken = await this.#handshake(raw, options);
      if (handshaken !== undefined) return this.#accepted(raw, handshaken, options);
      raw.destroy();
      return undefined;
    } catch (error) {
      raw.destroy();
      throw error;
    } finally {
      this.#underWay--;
      this.#disposeIfDone();
    }
  }

  retire(): void {
    this.#isRetired = true;
    this.#disposeIfDone();
  }

  #disposeIfDone(): void {
    if (this.#isRetired && this.#underWay === 0) this.#hosts[Symbol.dispose]();
  }

  #accepted(raw: Socket, { session, bytes, context }: Handshaken, options: AcceptOptions): AcceptedTls {
    try {
      const identity = this.#identities[this.#hosts.placeOf(context)];
      const { shown, clientChain, clientFault, isResumed } = serverFacts(this.#tls, session.address ?? 0, MAX_CLIENT_CHAIN);
      // Nothing offers it; were OpenSSL to do it all the same, nobody could tell whose session it was.
      if (this.#identities.length > 1 && isResumed) throw new NetworkError('The client resumed a session: of which host is not known.');
      if (identity === undefined || shown === undefined) throw new MisuseError('a TLS handshake without a certificate');
      const client = findingsOf(clientChain, clientFault);
      mustBeWelcome(identity, client);
      const { cipherSuite, updatesKeys, finished, peerFinished } = session;
      const peerCertificate = client.clientChain?.[0] ?? NONE;
      const adopt = (handle: Parameters<typeof TlsSession.adopt>[1]) => new TlsBytes(this.#tls, TlsSession.adopt(this.#tls, handle));
      const facts = { cipherSuite, updatesKeys, finished, peerFinished, peerCertificate };
      const connection = new OpenSslConnection(raw, bytes, options.ends ?? endsOf(raw), facts, adopt);
      return { connection, identity, certificate: shown, ...client };
    } catch (error) {
      session.close();
      throw error;
    }
  }

  #handshake(raw: Socket, options: AcceptOptions): Promise<Handshaken | undefined> {
    if (raw.destroyed && raw.bytesRead <= (options.bytesRead ?? 0)) return Promise.resolve(undefined);
    const session = TlsSession.accept(this.#tls, this.#hosts.firstContext);
    const ssl = session.address ?? 0;
    beginHandshake(this.#tls, ssl, this.#hosts, this.#hosts.firstContext);
    const bytes = new TlsBytes(this.#tls, session);
    const received = (data: Uint8Array) => {
      bytes.feed(data);
      const state = bytes.handshake();
      if (bytes.unsent > 0) raw.write(bytes.takeUnsent());
      if (state === 'failed') handshake.fail(new NetworkError(`The TLS handshake failed: ${bytes.failure}.`, { code: TLS_FAILED }));
      else if (state === 'done') handshake.succeed({ session, bytes, context: endHandshake(ssl) ?? 0 });
    };
    const handshake = new ServerHandshake<Handshaken>(raw, options, (handshaken, error) => {
      endHandshake(ssl);
      raw.off('data', received).off('error', handshake.broken).off('end', handshake.closed).off('close', handshake.closed).pause();
      if (handshaken === undefined) session.close();
      if (error !== undefined) raw.destroy();
    });
    raw.on('error', () => undefined); // what it says is heard below; later, by the connection
    raw.once('error', handshake.broken).once('end', handshake.closed).once('close', handshake.closed).on('data', received);
    if (!options.signal.aborted) raw.resume();
    handshake.start();
    return handshake.promise;
  }
}

const NONE = new Uint8Array(0);

/** In OpenSSL's words. Throws {@link MisuseError} for what is no certificate or key. */
function hostOf({ name, tls, ocspResponse }: TlsIdentity): HostTls {
  const { minVersion = DEFAULT_MIN_VERSION, maxVersion = DEFAULT_MAX_VERSION, ciphers = DEFAULT_CIPHERS, ecdhCurve, sigalgs } = tls;
  try {
    return {
      ...(name !== undefined && { name }),
      ...{ minVersion, maxVersion, ciphers, identities: keyPairsOf(tls) },
      ...(ecdhCurve !== undefined && ecdhCurve !== 'auto' && { groups: ecdhCurve }),
      ...(sigalgs !== undefined && { signatures: sigalgs }),
      clientAuthorities: listOf(tls.ca).flatMap((pem) => derBlocks(Buffer.from(pem), 'CERTIFICATE')),
      revocationLists: derBlocks(Buffer.from(tls.crl ?? ''), 'X509 CRL'),
      prefersServerOrder: tls.honorCipherOrder === true,
      ...(ocspResponse !== undefined && { ocspResponse }),
    };
  } catch (error) {
    const which = name === undefined ? 'the default host' : `the host ${name}`;
    throw new MisuseError(`TLS of ${which} cannot be set up: ${reasonOf(error instanceof Error ? error : new Error(String(error)))}.`, {
      cause: error,
    });
  }
}

function keyPairsOf({ cert, key }: HostSettings): TlsKeyPair[] {
  const keys = listOf(key);
  return listOf(cert).map((pem, i) => {
    const own = keys[i];
    if (own === undefined) throw new MisuseError('a certificate without its key');
    const { pem: sealed, passphrase } = typeof own === 'string' ? { pem: own, passphrase: undefined } : own;
    const opened = createPrivateKey({ key: sealed, ...(passphrase !== undefined && { passphrase }) });
    return { chain: derBlocks(Buffer.from(pem), 'CERTIFICATE'), key: opened.export({ type: 'pkcs8', format: 'der' }) };
  });
}
