/**
 * Key exchange where the server shows a certificate: ECDHE, signed with its key, or RSA, encrypted to it. Both ends.
 *
 * Read first: RFC 5246 §7.4.2 to §7.4.8, RFC 8422 §2; `key-exchange.ts`.
 *
 *   ← ServerHello Certificate [ServerKeyExchange] [CertificateRequest] ServerHelloDone
 *   [Certificate] ClientKeyExchange [CertificateVerify] CCS Finished →
 */
import type { CertificateIdentity, CryptoProvider, KeyAgreement, SignatureScheme } from '../crypto/provider.ts';
import { PeerRefusedError, SallyportError, UnsupportedError } from '../errors.ts';
import {
  decodeCertificate,
  decodeCertificateRequest,
  decodeEcdheClientKeyExchange,
  decodeRsaClientKeyExchange,
  decodeServerKeyExchange,
  encodeCertificate,
  encodeEcdheClientKeyExchange,
  encodeEcdheParameters,
  encodeRsaClientKeyExchange,
  encodeServerKeyExchange,
  encodeSigned,
  GROUPS,
  offeredGroup,
  offeredSchemes,
  type ServerKeyExchange as ServerKeyExchangeMessage,
} from '../tls-messages/certificate-messages.ts';
import type { CipherSuite } from '../tls-messages/cipher-suites.ts';
import type { HandshakeMessage } from '../tls-messages/handshake-fragment.ts';
import { type ClientHello, HANDSHAKE_TYPES } from '../tls-messages/handshake-messages.ts';
import type { HelloRandoms } from '../tls-messages/key-schedule.ts';
import { ByteWriter } from '../wire/byte-writer.ts';
import { copyOf } from '../wire/copy.ts';
import type { CertificateCredentials, CertificateServerCredentials } from './credentials.ts';
import type { Dialect } from './dialect.ts';
import { HandshakeAbort, type HandshakeIo, misbehaved } from './handshake-role.ts';
import { type ClientKeyExchange, missingMessage, type ServerKeyExchange } from './key-exchange.ts';

/** `code` of the error when the server's certificate is not accepted. */
export const ERR_DTLS_CERTIFICATE = 'ERR_DTLS_CERTIFICATE';

const RSA_PREMASTER_LENGTH = 48;

/** What a full handshake's exchange is about. */
export interface ExchangeSession {
  readonly suite: CipherSuite;
  readonly randoms: HelloRandoms;
}

export class CertificateClientExchange implements ClientKeyExchange {
  readonly #credentials: CertificateCredentials;
  readonly #crypto: CryptoProvider;
  readonly #dialect: Dialect;
  readonly #session: ExchangeSession;
  #leaf: Uint8Array | undefined;
  #ephemeral: ServerKeyExchangeMessage | undefined;
  /** What the server takes of us; undefined: it has not asked. */
  #wanted: readonly SignatureScheme[] | undefined;
  /** Undefined until ClientKeyExchange, or where we have nothing to prove. */
  #scheme: SignatureScheme | undefined;

  constructor(credentials: CertificateCredentials, { crypto, dialect }: HandshakeIo, session: ExchangeSession) {
    this.#credentials = credentials;
    this.#crypto = crypto;
    this.#dialect = dialect;
    this.#session = session;
  }

  receive({ type, body }: HandshakeMessage): boolean {
    if (type === HANDSHAKE_TYPES.certificate && this.#leaf === undefined) {
      this.#leaf = this.#accepted(decodeCertificate(body).map(copyOf));
    } else if (
      type === HANDSHAKE_TYPES.serverKeyExchange &&
      this.#isEphemeral &&
      this.#leaf !== undefined &&
      this.#ephemeral === undefined
    ) {
      this.#ephemeral = this.#verified(decodeServerKeyExchange(copyOf(body), this.#isLegacy), this.#leaf);
    } else if (type === HANDSHAKE_TYPES.certificateRequest && this.#leaf !== undefined && this.#wanted === undefined) {
      this.#wanted = decodeCertificateRequest(body, this.#isLegacy);
    } else {
      return false;
    }
    return true;
  }

  agree(io: HandshakeIo): Uint8Array {
    const leaf = this.#leaf;
    if (leaf === undefined) throw missingMessage('certificate');
    if (this.#wanted !== undefined) this.#sendCertificate(this.#wanted, io);
    return this.#isEphemeral ? this.#agreeEphemeral(io) : this.#agreeRsa(leaf, io);
  }

  /** RFC 5246 §7.4.8: over all messages so far. */
  prove(io: HandshakeIo): void {
    const { identity } = this.#credentials;
    if (this.#scheme === undefined || identity === undefined) return;
    const signature = identity.sign(this.#scheme, io.transcript.bytes());
    io.send('certificateVerify', encodeSigned({ scheme: this.#scheme, signature }));
  }

  wipe(): void {
    // The secrets of both exchanges are the caller's.
  }

  get #isEphemeral(): boolean {
    return this.#session.suite.keyExchange !== 'RSA';
  }

  get #isLegacy(): boolean {
    return this.#dialect.version !== '1.2';
  }

  #accepted(chain: readonly Uint8Array[]): Uint8Array {
    const [leaf] = chain;
    if (leaf === undefined) throw misbehaved('bad_certificate', 'the server shows no certificate');
    const kind = this.#crypto.certificateKeyKind(leaf);
    const expected = this.#session.suite.keyExchange === 'ECDHE-ECDSA' ? 'ecdsa' : 'rsa';
    if (kind !== expected) throw misbehaved('unsupported_certificate', `the certificate's key is none for ${this.#session.suite.name}`);
    const fault = this.#credentials.faultOf(chain);
    if (fault === undefined) return leaf;
    const message = `The DTLS server's certificate is not accepted: ${fault}.`;
    throw new HandshakeAbort('bad_certificate', new PeerRefusedError(message, { code: ERR_DTLS_CERTIFICATE }));
  }

  #verified(message: ServerKeyExchangeMessage, leaf: Uint8Array): ServerKeyExchangeMessage {
    const { randoms } = this.#session;
    if (!this.#crypto.verifySignature(leaf, message.scheme, signedBytes(randoms, message.parameters), message.signature)) {
      throw misbehaved('decrypt_error', 'the signature of ServerKeyExchange is not that of the certificate');
    }
    return message;
  }

  /** An empty one where we have none, or none that the server takes: it decides whether that will do. */
  #sendCertificate(wanted: readonly SignatureScheme[], io: HandshakeIo): void {
    const { identity } = this.#credentials;
    this.#scheme = identity && schemeFor(identity, wanted);
    io.send('certificate', encodeCertificate(this.#scheme === undefined || identity === undefined ? [] : identity.chain));
  }

  #agreeEphemeral(io: HandshakeIo): Uint8Array {
    const server = this.#ephemeral;
    if (server === undefined) throw missingMessage('key');
    const own = this.#crypto.keyAgreement(server.group);
    const premaster = own.agree(server.publicKey);
    if (premaster === undefined) throw misbehaved('illegal_parameter', 'the public key of ServerKeyExchange is none');
    io.send('clientKeyExchange', encodeEcdheClientKeyExchange(own.publicKey));
    return premaster;
  }

  #agreeRsa(leaf: Uint8Array, io: HandshakeIo): Uint8Array {
    const premaster = this.#crypto.randomBytes(RSA_PREMASTER_LENGTH);
    premaster[0] = this.#dialect.wireVersion >>> 8;
    premaster[1] = this.#dialect.wireVersion & 0xff;
    io.send('clientKeyExchange', encodeRsaClientKeyExchange(this.#crypto.encryptRsa(leaf, premaster)));
    return premaster;
  }
}

export class CertificateServerExchange implements ServerKeyExchange {
  readonly #identity: CertificateIdentity;
  readonly #session: ExchangeSession;
  readonly #hello: ClientHello;
  readonly #isLegacy: boolean;
  #ephemeral: KeyAgreement | undefined;

  constructor({ identity }: CertificateServerCredentials, { dialect }: HandshakeIo, hello: ClientHello, session: ExchangeSession) {
    this.#identity = identity;
    this.#session = session;
    this.#hello = hello;
    this.#isLegacy = dialect.version !== '1.2';
  }

  offer(io: HandshakeIo): void {
    io.send('certificate', encodeCertificate(this.#identity.chain));
    if (this.#session.suite.keyExchange === 'RSA') return;
    const group = offeredGroup(this.#hello.extensions) ?? GROUPS[0];
    const scheme = schemeOf(this.#identity, this.#hello, this.#isLegacy);
    if (group === undefined || scheme === undefined)
      throw new UnsupportedError('The suite was chosen without a group or a signature for it.');
    this.#ephemeral = io.crypto.keyAgreement(group);
    const parameters = { group, publicKey: this.#ephemeral.publicKey };
    const signature = this.#identity.sign(scheme, signedBytes(this.#session.randoms, encodeEcdheParameters(parameters)));
    io.send('serverKeyExchange', encodeServerKeyExchange(parameters, { scheme, signature }));
  }

  agree(body: Uint8Array, { crypto }: HandshakeIo): Uint8Array {
    if (this.#ephemeral === undefined) {
      const fallback = crypto.randomBytes(RSA_PREMASTER_LENGTH);
      const padded = decryptedOrNothing(this.#identity, decodeRsaClientKeyExchange(body));
      return rsaPremaster(padded, this.#hello.version, fallback);
    }
    const premaster = this.#ephemeral.agree(decodeEcdheClientKeyExchange(body));
    if (premaster === undefined) throw misbehaved('illegal_parameter', 'the public key of ClientKeyExchange is none');
    return premaster;
  }

  wipe(): void {
    this.#ephemeral = undefined;
  }
}

/** Whether a server with this identity can keep what a suite promises to a client with this hello. */
export function canServe(identity: CertificateIdentity, suite: CipherSuite, hello: ClientHello, dialect: Dialect): boolean {
  if (suite.keyExchange === 'RSA') return identity.keyKind === 'rsa';
  if ((suite.keyExchange === 'ECDHE-ECDSA' ? 'ecdsa' : 'rsa') !== identity.keyKind) return false;
  return offeredGroup(hello.extensions) !== undefined && schemeOf(identity, hello, dialect.version !== '1.2') !== undefined;
}

function schemeOf(identity: CertificateIdentity, hello: ClientHello, isLegacy: boolean): SignatureScheme | undefined {
  return schemeFor(identity, isLegacy ? ['legacy'] : offeredSchemes(hello.extensions));
}

function schemeFor({ keyKind }: CertificateIdentity, schemes: readonly SignatureScheme[]): SignatureScheme | undefined {
  return schemes.find((scheme) => scheme === 'legacy' || scheme.startsWith(keyKind === 'rsa' ? 'rsa-' : 'ecdsa-'));
}

/** What is no ciphertext of the key at all ends as one with a wrong padding does. */
function decryptedOrNothing(identity: CertificateIdentity, ciphertext: Uint8Array): Uint8Array {
  try {
    return identity.decryptRsa(ciphertext);
  } catch (error) {
    if (error instanceof SallyportError) return new Uint8Array(0);
    throw error;
  }
}

/** RFC 8422 §5.4: both randoms, then the parameters. */
function signedBytes({ client, server }: HelloRandoms, parameters: Uint8Array): Uint8Array {
  return new ByteWriter().bytes(client).bytes(server).bytes(parameters).finish();
}

/**
 * RFC 5246 §7.4.7.1: of a padding or version that is wrong nobody may learn, so the random `fallback` takes the secret's place, and Finished fails.
 * The time that it takes depends on the key's length alone.
 */
function rsaPremaster(padded: Uint8Array, version: number, fallback: Uint8Array): Uint8Array {
  const start = padded.length - RSA_PREMASTER_LENGTH;
  if (start < 11) return fallback; // PKCS #1 v1.5: two bytes, eight of padding at least, one zero. The key is too short for any.
  let wrong = (padded[0] ?? 1) | ((padded[1] ?? 0) ^ 2) | (padded[start - 1] ?? 1);
  for (let i = 2; i < start - 1; i++) wrong |= (((padded[i] ?? 0) - 1) >>> 8) & 1; // a zero inside the padding
  wrong |= ((padded[start] ?? 0) ^ (version >>> 8)) | ((padded[start + 1] ?? 0) ^ (version & 0xff));
  const keeps = (wrong - 1) >> 31; // all ones where nothing is wrong
  return fallback.map((byte, i) => (byte & ~keeps) | ((padded[start + i] ?? 0) & keeps));
}
