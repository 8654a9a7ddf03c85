/**
 * {@link TlsAcceptor} by node:tls: what works everywhere.
 *
 * Read first: tls-acceptor.ts.
 *
 * A resumed session brings along the client certificate that it was made with, judged by the authority of the host that it was made for. So with several
 * hosts no session is ever resumed: a client of one of them would be let in to another.
 */
import { constants, X509Certificate } from 'node:crypto';
import type { Socket } from 'node:net';
import { createSecureContext, createServer, type SecureContext, type SecureContextOptions, type Server, TLSSocket } from 'node:tls';
import type { ClientFindings } from '../core/auth/inner-tls.ts';
import { MisuseError, NetworkError } from '../core/errors.ts';
import { ServerHandshake } from './server-handshake.ts';
import { endsOf } from './socket-ends.ts';
import {
  type AcceptedTls,
  type AcceptOptions,
  commonWish,
  findingsOf,
  MAX_CLIENT_CHAIN,
  mustBeWelcome,
  type TlsAcceptor,
  type TlsIdentity,
} from './tls-acceptor.ts';
import { reasonOf, TlsConnection } from './tls-connection.ts';

/**
 * What sessions are resumed by, so that they are with client certificates as well. The name of the host is no part of it: OpenSSL looks up a session
 * before it tells us the name that the client asks for.
 */
const SESSION_CONTEXT = 'sallyport';

interface Host {
  readonly identity: TlsIdentity;
  readonly context: SecureContext;
}

interface Handshaken {
  readonly socket: TLSSocket;
  readonly host: Host;
}

export class TlsServer implements TlsAcceptor {
  readonly #hosts: ReadonlyMap<string | undefined, Host>;
  readonly #default: Host;
  /** Never listens: node:tls asks it for OCSP responses. */
  readonly #oracle: Server;
  readonly #wish: TlsIdentity['clientCertificates'];

  /** The first is the default host. Throws {@link MisuseError} if OpenSSL refuses what one of them is made of. */
  constructor(identities: readonly TlsIdentity[]) {
    const resumes = identities.length === 1;
    const hosts = identities.map((identity) => ({ identity, context: contextOf(identity, resumes) }));
    const [first] = hosts;
    if (first === undefined) throw new MisuseError('A TLS server needs a certificate.');
    this.#default = first;
    this.#hosts = new Map(hosts.map((host) => [host.identity.name, host]));
    this.#oracle = oracleOf(identities, resumes);
    this.#wish = commonWish(identities);
  }

  /** Nothing is held that the collector does not free. */
  retire(): void {}

  async accept(raw: Socket, options: AcceptOptions): Promise<AcceptedTls | undefined> {
    try {
      const handshaken = await this.#handshake(raw, options);
      if (handshaken === undefined) {
        raw.destroy();
        return undefined;
      }
      const { socket, host } = handshaken;
      // Nothing offers it; were OpenSSL to do it all the same, nobody could tell whose session it was.
      if (this.#hosts.size > 1 && socket.isSessionReused())
        throw new NetworkError('The client resumed a session: of which host is not known.');
      const ends = options.ends ?? endsOf(raw);
      const shown = socket.getX509Certificate()?.raw;
      if (shown === undefined) throw new NetworkError('The client left after its handshake.');
      const client = verifiedClient(socket);
      mustBeWelcome(host.identity, client);
      const connection = TlsConnection.accepted(socket, ends, client.clientChain?.[0]);
      return { connection, identity: host.identity, certificate: new Uint8Array(shown), ...client };
    } catch (error) {
      raw.destroy();
      throw error;
    }
  }

  #handshake(raw: Socket, options: AcceptOptions): Promise<Handshaken | undefined> {
    let host = this.#default;
    if (raw.destroyed && raw.bytesRead <= (options.bytesRead ?? 0)) return Promise.resolve(undefined);
    raw.on('error', () => undefined); // the TLS socket tells it too
    const socket = new TLSSocket(raw, {
      isServer: true,
      server: this.#oracle,
      secureContext: this.#default.context,
      SNICallback: (name, choose) => {
        host = this.#hosts.get(name.toLowerCase()) ?? this.#default;
        choose(null, host.context);
      },
      requestCert: this.#wish !== 'no',
      rejectUnauthorized: this.#wish === 'required',
    });
    socket.on('error', () => undefined); // what it says is heard below; later, by the connection, which is made a moment after the handshake
    const secured = () => handshake.succeed({ socket, host });
    const handshake = new ServerHandshake<Handshaken>(raw, options, (_, error) => {
      socket.off('error', handshake.broken).off('close', handshake.closed).off('secure', secured);
      if (error !== undefined) socket.destroy();
    });
    socket.once('error', handshake.broken).once('close', handshake.closed).once('secure', secured);
    handshake.start();
    return handshake.promise;
  }
}

function contextOf({ name, tls }: TlsIdentity, resumes: boolean): SecureContext {
  return contextFor(name, settingsOf(tls, resumes));
}

/** @throws MisuseError with the host's name, if OpenSSL refuses them */
export function contextFor(name: string | undefined, settings: SecureContextOptions): SecureContext {
  try {
    return createSecureContext(settings);
  } catch (error) {
    const host = name === undefined ? 'the default host' : `the host ${name}`;
    throw new MisuseError(`TLS of ${host} cannot be set up: ${reasonOf(error instanceof Error ? error : new Error(String(error)))}.`, {
      cause: error,
    });
  }
}

/** Without tickets that hold a session there are only those that name one (TLS 1.3 again, session ids): and a server of node:tls remembers none. */
function settingsOf(tls: SecureContextOptions, resumes: boolean): SecureContextOptions {
  const always = (tls.secureOptions ?? 0) | constants.SSL_OP_NO_RENEGOTIATION;
  return {
    ...{ sessionIdContext: SESSION_CONTEXT, ...tls },
    secureOptions: resumes ? always : always | constants.SSL_OP_NO_TICKET,
  };
}

function oracleOf(identities: readonly TlsIdentity[], resumes: boolean): Server {
  const responses = identities.flatMap(({ tls, ocspResponse }) =>
    ocspResponse === undefined ? [] : certificatesOf(tls).map((certificate) => ({ certificate, response: Buffer.from(ocspResponse) })),
  );
  // For a client that asks for no name, node:tls looks at the server's own certificate.
  const oracle = createServer(settingsOf(identities[0]?.tls ?? {}, resumes));
  if (responses.length === 0) return oracle; // without a listener, nothing waits for an answer
  oracle.on('OCSPRequest', (certificate: Buffer, _issuer: Buffer, answer: (error: Error | null, response: Buffer | null) => void) => {
    answer(null, responses.find((known) => known.certificate.equals(certificate))?.response ?? null);
  });
  return oracle;
}

/** The first of each PEM text. */
function certificatesOf({ cert }: SecureContextOptions): Buffer[] {
  if (cert === undefined) return [];
  return (Array.isArray(cert) ? cert : [cert]).map((pem) => new X509Certificate(pem).raw);
}

/** What a client showed on a connection of its handshake's end. */
export function verifiedClient(socket: TLSSocket): ClientFindings {
  const chain: Uint8Array[] = [];
  for (let each = socket.getPeerX509Certificate(); each !== undefined && chain.length < MAX_CLIENT_CHAIN; each = each.issuerCertificate) {
    chain.push(new Uint8Array(each.raw));
  }
  return findingsOf(chain, faultOf(socket));
}

/**
 * What OpenSSL found wrong with the client's chain. node:tls says it of connections that its own listening server has made and of no others, so this
 * asks where it does; were that gone, no certificate would be good.
 */
function faultOf(socket: TLSSocket): string | undefined {
  const handle: unknown = '_handle' in socket ? socket._handle : undefined;
  if (typeof handle !== 'object' || handle === null || !('verifyError' in handle) || typeof handle.verifyError !== 'function') {
    return 'it cannot be verified';
  }
  const error: unknown = handle.verifyError();
  if (error === null || error === undefined) return undefined;
  return error instanceof Error ? error.message : 'it is not verified';
}
