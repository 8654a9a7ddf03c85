/**
 * The client's handshake: a full one with a pre-shared key or with certificates, or the resumption of a session whose secret came by another way.
 *
 * Read first: spec "AnyConnect", sections 7.4 (resumption) and 7.7 (PSK); RFC 5246 §7.3; `key-exchange.ts`.
 *
 *   full        ClientHello →   [← HelloVerifyRequest, ClientHello →]   ← ServerHello [of the key exchange] ServerHelloDone
 *               [of the key exchange] CCS Finished →                    ← CCS Finished
 *   resumption  ClientHello →   [← HelloVerifyRequest, ClientHello →]   ← ServerHello CCS Finished
 *               CCS Finished →
 */
import { equalInConstantTime } from '../crypto/constant-time.ts';
import { PeerMisbehavedError, UnsupportedError } from '../errors.ts';
import { POINT_FORMATS, SIGNATURE_ALGORITHMS, SUPPORTED_GROUPS } from '../tls-messages/certificate-messages.ts';
import { suiteIdText } from '../tls-messages/cipher-suites.ts';
import {
  EMPTY_RENEGOTIATION_INFO,
  EXTENDED_MASTER_SECRET,
  type Extension,
  hasExtendedMasterSecret,
  hasRenegotiationInfo,
  MAX_PLAINTEXT_LENGTH,
  recordSizeLimit,
  recordSizeLimitOf,
} from '../tls-messages/extensions.ts';
import type { HandshakeMessage } from '../tls-messages/handshake-fragment.ts';
import {
  decodeHelloVerifyRequest,
  decodeServerHello,
  decodeServerHelloDone,
  encodeClientHello,
  HANDSHAKE_TYPES,
  handshakeTypeName,
  RANDOM_LENGTH,
  type ServerHello,
} from '../tls-messages/handshake-messages.ts';
import type { HelloRandoms } from '../tls-messages/key-schedule.ts';
import { copyOf } from '../wire/copy.ts';
import { CertificateClientExchange } from './certificate-exchange.ts';
import type { ClientCredentials } from './credentials.ts';
import { type Dialect, DTLS_1_0, DTLS_1_2 } from './dialect.ts';
import {
  HandshakeAbort,
  type HandshakeIo,
  type HandshakeRole,
  misbehaved,
  sendFinished,
  unexpectedMessage,
  verifyFinished,
} from './handshake-role.ts';
import { type ClientKeyExchange, PskClientExchange } from './key-exchange.ts';
import { fullSecrets, SessionSecrets } from './session-secrets.ts';
import type { DtlsSession } from './state.ts';

/** A gateway that asks for a cookie more often than this will never have enough. */
const MAX_HELLO_VERIFY_REQUESTS = 3;

/** `code` of the error when a gateway does not resume the announced session: possibly not the gateway (spec 7.4). Do not try again in this run. */
export const ERR_DTLS_NOT_RESUMED = 'ERR_DTLS_NOT_RESUMED';

/** Only a full handshake waits for ServerHelloDone. */
interface HelloDoneStep {
  readonly name: 'server-hello-done';
  readonly session: DtlsSession;
  readonly exchange: ClientKeyExchange;
  readonly randoms: HelloRandoms;
}

type Step =
  | { readonly name: 'server-hello'; readonly cookies: number }
  | HelloDoneStep
  | { readonly name: 'finished'; readonly session: DtlsSession; readonly secrets: SessionSecrets };

export class ClientHandshake implements HandshakeRole {
  readonly side = 'client' as const;
  readonly #credentials: ClientCredentials;
  /** The extensions whose answers we understand, and those that we offer besides. */
  readonly #understood: readonly Extension[];
  readonly #extra: readonly Extension[];
  #random: Uint8Array = new Uint8Array(0);
  #step: Step = { name: 'server-hello', cookies: 0 };

  constructor(credentials: ClientCredentials, dialect: Dialect, extraExtensions: readonly Extension[]) {
    this.#credentials = credentials;
    this.#understood = ownExtensions(credentials, dialect);
    this.#extra = extraExtensions;
  }

  start(io: HandshakeIo): void {
    this.#random = io.crypto.randomBytes(RANDOM_LENGTH);
    // Spec 7.4: seen of clients. A full handshake begins with the lowest version, for servers that look no further than the record.
    const isFull12 = this.#credentials.kind !== 'resumption' && io.dialect.wireVersion === DTLS_1_2;
    io.recordVersion = isFull12 ? DTLS_1_0 : io.dialect.wireVersion;
    this.#sendHello(io, new Uint8Array(0));
  }

  receive(message: HandshakeMessage, io: HandshakeIo): void {
    const step = this.#step;
    switch (step.name) {
      case 'server-hello':
        if (message.type === HANDSHAKE_TYPES.helloVerifyRequest) this.#answerCookie(message, step.cookies, io);
        else if (message.type === HANDSHAKE_TYPES.serverHello) this.#receiveServerHello(message, io);
        else throw unexpectedMessage(message, 'ServerHello');
        return;
      case 'server-hello-done':
        if (message.type === HANDSHAKE_TYPES.serverHelloDone) this.#receiveServerHelloDone(message, step, io);
        else if (step.exchange.receive(message)) io.transcript.add(message);
        else throw unexpectedMessage(message, 'ServerHelloDone');
        return;
      case 'finished':
        this.#receiveFinished(message, step.session, step.secrets, io);
        return;
    }
    step satisfies never;
  }

  wipe(): void {
    if (this.#step.name === 'server-hello-done') this.#step.exchange.wipe();
    if (this.#step.name === 'finished') this.#step.secrets.wipe();
    this.#credentials.secret.fill(0);
  }

  #sendHello(io: HandshakeIo, cookie: Uint8Array): void {
    const { sessionId } = this.#credentials;
    const suites = this.#credentials.suites.map((suite) => suite.id);
    const extensions = [...this.#extra, ...this.#understood];
    const hello = { version: io.dialect.wireVersion, random: this.#random, sessionId, cookie, suites, extensions };
    io.send('clientHello', encodeClientHello(hello));
  }

  #answerCookie(message: HandshakeMessage, cookies: number, io: HandshakeIo): void {
    const { cookie } = decodeHelloVerifyRequest(message.body);
    if (cookies >= MAX_HELLO_VERIFY_REQUESTS) throw unexpectedMessage(message, `ServerHello after ${cookies} cookies`);
    this.#step = { name: 'server-hello', cookies: cookies + 1 };
    io.transcript.clear();
    this.#sendHello(io, cookie);
  }

  #receiveServerHello(message: HandshakeMessage, io: HandshakeIo): void {
    const hello = decodeServerHello(message.body);
    const session = this.#negotiated(hello, io.dialect);
    io.recordVersion = io.dialect.wireVersion;
    io.transcript.add(message);
    const credentials = this.#credentials;
    const randoms = { client: this.#random, server: copyOf(hello.random) };
    // In a full handshake the session id is the server's own and of no use to us, even if it repeats ours.
    switch (credentials.kind) {
      case 'resumption':
        this.#expectFinished(session, new SessionSecrets(io, session.suite, copyOf(credentials.secret), randoms), io);
        break;
      case 'psk': {
        const exchange = new PskClientExchange(copyOf(credentials.secret), credentials.identity);
        this.#step = { name: 'server-hello-done', session, exchange, randoms };
        break;
      }
      case 'certificate': {
        const exchange = new CertificateClientExchange(credentials, io, { suite: session.suite, randoms });
        this.#step = { name: 'server-hello-done', session, exchange, randoms };
        break;
      }
      default:
        credentials satisfies never;
    }
  }

  /** What the server chose. Throws if we did not offer it. */
  #negotiated(hello: ServerHello, dialect: Dialect): DtlsSession {
    const credentials = this.#credentials;
    if (hello.version !== dialect.wireVersion) {
      const chosen = `0x${hello.version.toString(16).padStart(4, '0')}`;
      const error = new UnsupportedError(`The DTLS server chose version ${chosen}; only DTLS ${dialect.version} was offered.`);
      throw new HandshakeAbort('protocol_version', error);
    }
    if (credentials.kind === 'resumption' && !equalInConstantTime(hello.sessionId, credentials.sessionId)) {
      throw notResumed('it answered with another session id');
    }
    const suite = credentials.suites.find((offered) => offered.id === hello.suite);
    if (suite === undefined) throw misbehaved('illegal_parameter', `cipher suite ${suiteIdText(hello.suite)} was not offered`);
    const stranger = hello.extensions.find(({ type }) => !this.#understood.some((offered) => offered.type === type));
    if (stranger !== undefined) throw misbehaved('unsupported_extension', `extension ${stranger.type} was answered, which is none of ours`);
    hasRenegotiationInfo(hello.extensions); // throws if it is not that of a first handshake; ocserv leaves it out of resumed ones
    return {
      version: dialect.version,
      suite,
      isResumed: credentials.kind === 'resumption',
      hasExtendedMasterSecret: hasExtendedMasterSecret(hello.extensions),
      maxPlaintext: recordSizeLimitOf(hello.extensions) ?? MAX_PLAINTEXT_LENGTH,
    };
  }

  #receiveServerHelloDone(message: HandshakeMessage, step: HelloDoneStep, io: HandshakeIo): void {
    decodeServerHelloDone(message.body);
    io.transcript.add(message);
    const secrets = fullSecrets(io, step.session, step.exchange.agree(io), step.randoms);
    step.exchange.prove(io);
    step.exchange.wipe();
    this.#expectFinished(step.session, secrets, io);
    sendFinished('client', secrets, io);
  }

  #expectFinished(session: DtlsSession, secrets: SessionSecrets, io: HandshakeIo): void {
    this.#step = { name: 'finished', session, secrets };
    io.expectChangeCipherSpec(secrets.protections.server);
  }

  #receiveFinished(message: HandshakeMessage, session: DtlsSession, secrets: SessionSecrets, io: HandshakeIo): void {
    if (message.type !== HANDSHAKE_TYPES.finished) {
      if (session.isResumed) throw notResumed(`it sent ${handshakeTypeName(message.type)}`);
      throw unexpectedMessage(message, 'Finished');
    }
    verifyFinished(message, 'server', secrets, io);
    if (session.isResumed) sendFinished('client', secrets, io);
    io.finish(session);
  }
}

function notResumed(how: string): HandshakeAbort {
  const message = `The DTLS server did not resume the session that the gateway announced: ${how}. It may not be the gateway.`;
  return new HandshakeAbort('handshake_failure', new PeerMisbehavedError(message, { code: ERR_DTLS_NOT_RESUMED }));
}

/** Extended master secret has no place in a resumption whose secret was made elsewhere (spec 7.4). */
function ownExtensions(credentials: ClientCredentials, dialect: Dialect): Extension[] {
  const extensions = [EMPTY_RENEGOTIATION_INFO, recordSizeLimit(MAX_PLAINTEXT_LENGTH)];
  if (credentials.kind !== 'resumption' && credentials.offersExtendedMasterSecret) extensions.push(EXTENDED_MASTER_SECRET);
  if (credentials.kind === 'certificate') extensions.push(SUPPORTED_GROUPS, POINT_FORMATS);
  if (credentials.kind === 'certificate' && dialect.version === '1.2') extensions.push(SIGNATURE_ALGORITHMS);
  return extensions;
}
