/**
 * The server's handshake: the mirror image of `client-handshake.ts`, for one association.
 *
 * Read first: spec "AnyConnect", sections 7.4, 7.7, 7.8; RFC 4279 §2; RFC 6347 §4.2.1 (cookie).
 *
 * Until a hello is known to be of somebody (its id, and its cookie where one is asked for), nothing is kept and nothing but a cookie is sent.
 */
import { equalInConstantTime } from '../crypto/constant-time.ts';
import { MisuseError, UnsupportedError } from '../errors.ts';
import { POINT_FORMATS } from '../tls-messages/certificate-messages.ts';
import { type CipherSuite, EMPTY_RENEGOTIATION_INFO_SCSV } from '../tls-messages/cipher-suites.ts';
import {
  EMPTY_RENEGOTIATION_INFO,
  EXTENDED_MASTER_SECRET,
  EXTENSIONS,
  type Extension,
  extensionOf,
  hasExtendedMasterSecret,
  hasRenegotiationInfo,
  MAX_PLAINTEXT_LENGTH,
  recordSizeLimit,
  recordSizeLimitOf,
} from '../tls-messages/extensions.ts';
import type { HandshakeMessage } from '../tls-messages/handshake-fragment.ts';
import {
  type ClientHello,
  decodeClientHello,
  encodeHelloVerifyRequest,
  encodeServerHello,
  HANDSHAKE_TYPES,
  MAX_SESSION_ID_LENGTH,
  RANDOM_LENGTH,
} from '../tls-messages/handshake-messages.ts';
import type { HelloRandoms } from '../tls-messages/key-schedule.ts';
import { copyOf } from '../wire/copy.ts';
import { CertificateServerExchange, canServe } from './certificate-exchange.ts';
import type { ServerCredentials } from './credentials.ts';
import { type Dialect, DTLS_0_9, DTLS_1_0 } from './dialect.ts';
import { associationId, isUsable } from './first-hello.ts';
import { HandshakeAbort, type HandshakeIo, type HandshakeRole, sendFinished, unexpectedMessage, verifyFinished } from './handshake-role.ts';
import { type HelloCookieOptions, hasValidCookie, helloCookie, MIN_COOKIE_SECRET_LENGTH } from './hello-cookie.ts';
import { PskServerExchange, type ServerKeyExchange } from './key-exchange.ts';
import { fullSecrets, SessionSecrets } from './session-secrets.ts';
import type { DtlsSession } from './state.ts';

type Step =
  | { readonly name: 'client-hello' }
  | {
      readonly name: 'client-key-exchange';
      readonly session: DtlsSession;
      readonly exchange: ServerKeyExchange;
      readonly randoms: HelloRandoms;
    }
  | { readonly name: 'finished'; readonly session: DtlsSession; readonly secrets: SessionSecrets };

export class ServerHandshake implements HandshakeRole {
  readonly side = 'server' as const;
  readonly #credentials: ServerCredentials;
  readonly #cookie: HelloCookieOptions | undefined;
  #step: Step = { name: 'client-hello' };

  /** Throws {@link MisuseError} for a cookie secret that is too short. */
  constructor(credentials: ServerCredentials, cookie: HelloCookieOptions | undefined) {
    if (cookie !== undefined && cookie.secret.length < MIN_COOKIE_SECRET_LENGTH) {
      throw new MisuseError(`The secret behind DTLS cookies has at least ${MIN_COOKIE_SECRET_LENGTH} bytes, not ${cookie.secret.length}.`);
    }
    this.#credentials = credentials;
    this.#cookie = cookie;
  }

  start(): void {
    // The client begins.
  }

  receive(message: HandshakeMessage, io: HandshakeIo): void {
    const step = this.#step;
    switch (step.name) {
      case 'client-hello':
        if (message.type !== HANDSHAKE_TYPES.clientHello) throw unexpectedMessage(message, 'ClientHello');
        this.#receiveClientHello(message, io);
        return;
      case 'client-key-exchange':
        if (message.type !== HANDSHAKE_TYPES.clientKeyExchange) throw unexpectedMessage(message, 'ClientKeyExchange');
        this.#receiveClientKeyExchange(message, step, io);
        return;
      case 'finished':
        if (message.type !== HANDSHAKE_TYPES.finished) throw unexpectedMessage(message, 'Finished');
        verifyFinished(message, 'client', step.secrets, io);
        if (!step.session.isResumed) sendFinished('server', step.secrets, io);
        io.finish(step.session);
        return;
    }
    step satisfies never;
  }

  wipe(): void {
    if (this.#step.name === 'client-key-exchange') this.#step.exchange.wipe();
    if (this.#step.name === 'finished') this.#step.secrets.wipe();
    if (this.#credentials.kind === 'resumption') this.#credentials.secret.fill(0);
  }

  #receiveClientHello(message: HandshakeMessage, io: HandshakeIo): void {
    const hello = decodeClientHello(message.body);
    const secret = isUsable(hello) ? this.#secretFor(hello) : undefined;
    if (secret === undefined) {
      io.ignoreHello();
      return;
    }
    if (this.#cookie !== undefined && !hasValidCookie(io.crypto, this.#cookie, hello)) {
      secret.fill(0);
      // RFC 6347 §4.2.1: it says 1.0 whatever will be chosen.
      const version = io.dialect.version === '0.9' ? DTLS_0_9 : DTLS_1_0;
      io.recordVersion = version;
      io.sendHelloVerifyRequest(encodeHelloVerifyRequest({ version, cookie: helloCookie(io.crypto, this.#cookie, hello) }));
      return;
    }
    this.#accept(message, hello, secret, io);
  }

  /** The pre-shared key or master secret of the association that the hello asks for, as a copy; undefined if it is none of ours. */
  #secretFor(hello: ClientHello): Uint8Array | undefined {
    if (this.#credentials.kind === 'resumption') {
      return equalInConstantTime(hello.sessionId, this.#credentials.sessionId) ? copyOf(this.#credentials.secret) : undefined;
    }
    if (this.#credentials.kind === 'certificate') return new Uint8Array(0); // whoever it is
    const key = this.#credentials.findKey(associationId(hello));
    return key === undefined ? undefined : copyOf(key);
  }

  #accept(message: HandshakeMessage, hello: ClientHello, secret: Uint8Array, io: HandshakeIo): void {
    requireVersion(hello, io.dialect);
    const suite = chosenSuite(this.#credentials, hello, io.dialect);
    if (suite === undefined) {
      throw new HandshakeAbort('handshake_failure', new UnsupportedError('The DTLS client offers no cipher suite that we take.'));
    }
    const credentials = this.#credentials;
    const session: DtlsSession = {
      version: io.dialect.version,
      suite,
      isResumed: credentials.kind === 'resumption',
      hasExtendedMasterSecret:
        credentials.kind !== 'resumption' && credentials.takesExtendedMasterSecret && hasExtendedMasterSecret(hello.extensions),
      maxPlaintext: recordSizeLimitOf(hello.extensions) ?? MAX_PLAINTEXT_LENGTH,
    };
    io.recordVersion = io.dialect.wireVersion;
    io.transcript.add(message);
    const serverRandom = io.crypto.randomBytes(RANDOM_LENGTH);
    io.send(
      'serverHello',
      encodeServerHello({
        version: io.dialect.wireVersion,
        random: serverRandom,
        // A full handshake gets an id of its own, by which nothing can be resumed.
        sessionId: credentials.kind === 'resumption' ? credentials.sessionId : io.crypto.randomBytes(MAX_SESSION_ID_LENGTH),
        suite: suite.id,
        extensions: answeredExtensions(hello, session),
      }),
    );
    const randoms = { client: copyOf(hello.random), server: serverRandom };
    if (credentials.kind === 'resumption') {
      const secrets = new SessionSecrets(io, suite, secret, randoms);
      this.#expectFinished(session, secrets, io);
      sendFinished('server', secrets, io);
      return;
    }
    const exchange =
      credentials.kind === 'psk'
        ? new PskServerExchange(secret)
        : new CertificateServerExchange(credentials, io, hello, { suite, randoms });
    exchange.offer(io);
    io.send('serverHelloDone', new Uint8Array(0));
    this.#step = { name: 'client-key-exchange', session, exchange, randoms };
  }

  #receiveClientKeyExchange(message: HandshakeMessage, step: Extract<Step, { name: 'client-key-exchange' }>, io: HandshakeIo): void {
    const premaster = step.exchange.agree(message.body, io);
    io.transcript.add(message);
    const secrets = fullSecrets(io, step.session, premaster, step.randoms);
    step.exchange.wipe();
    this.#expectFinished(step.session, secrets, io);
  }

  #expectFinished(session: DtlsSession, secrets: SessionSecrets, io: HandshakeIo): void {
    this.#step = { name: 'finished', session, secrets };
    io.expectChangeCipherSpec(secrets.protections.client);
  }
}

/** The best suite that the client offers; with a certificate, of those that its key can serve. */
function chosenSuite(credentials: ServerCredentials, hello: ClientHello, dialect: Dialect): CipherSuite | undefined {
  const offered = credentials.suites.filter(({ id }) => hello.suites.includes(id));
  return credentials.kind === 'certificate' ? offered.find((suite) => canServe(credentials.identity, suite, hello, dialect)) : offered[0];
}

/** A client names the newest version that it speaks: numbers fall as versions rise. */
function requireVersion(hello: ClientHello, dialect: Dialect): void {
  const isOffered =
    dialect.version === '0.9' ? hello.version === DTLS_0_9 : hello.version >>> 8 === 0xfe && hello.version <= dialect.wireVersion;
  if (isOffered) return;
  const offered = `0x${hello.version.toString(16).padStart(4, '0')}`;
  const error = new UnsupportedError(
    `The DTLS client offers version ${offered} at most; this association takes only DTLS ${dialect.version}.`,
  );
  throw new HandshakeAbort('protocol_version', error);
}

/** Never one that was not offered. Observed: ocserv leaves renegotiation_info out of resumed sessions (spec 7.4), so that is what clients know. */
function answeredExtensions(hello: ClientHello, session: DtlsSession): Extension[] {
  const answers: Extension[] = [];
  const knowsRenegotiation = hasRenegotiationInfo(hello.extensions) || hello.suites.includes(EMPTY_RENEGOTIATION_INFO_SCSV);
  if (knowsRenegotiation && !session.isResumed) answers.push(EMPTY_RENEGOTIATION_INFO);
  if (recordSizeLimitOf(hello.extensions) !== undefined) answers.push(recordSizeLimit(MAX_PLAINTEXT_LENGTH));
  if (session.hasExtendedMasterSecret) answers.push(EXTENDED_MASTER_SECRET);
  const isEphemeral = !session.isResumed && session.suite.keyExchange.startsWith('ECDHE');
  if (isEphemeral && extensionOf(hello.extensions, EXTENSIONS.pointFormats) !== undefined) answers.push(POINT_FORMATS);
  return answers;
}
