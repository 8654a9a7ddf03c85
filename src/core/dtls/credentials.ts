/** What the two ends of a handshake know in advance, checked: a pre-shared key, the session to resume, or whose certificates they take and show. */
import type { CertificateIdentity } from '../crypto/provider.ts';
import { MisuseError } from '../errors.ts';
import {
  CERTIFICATE_CBC_SUITE_IDS,
  CERTIFICATE_SUITE_IDS,
  type CipherSuite,
  cipherSuite,
  PSK_SUITE_IDS,
  suiteIdText,
} from '../tls-messages/cipher-suites.ts';
import { MAX_PSK_IDENTITY_LENGTH, MAX_SESSION_ID_LENGTH } from '../tls-messages/handshake-messages.ts';
import { MASTER_SECRET_LENGTH } from '../tls-messages/key-schedule.ts';
import { copyOf } from '../wire/copy.ts';
import { allowsSuite, type Dialect } from './dialect.ts';

/** A full handshake with a pre-shared key (RFC 4279). Not in the pre-RFC dialect. */
export interface PskOptions {
  readonly kind: 'psk';
  /** Names the key to the server. */
  readonly identity: Uint8Array;
  readonly key: Uint8Array;
  /** Goes into the hello although nothing is resumed: by it a gateway knows whose association this is. Up to 32 bytes, may be empty. */
  readonly sessionId: Uint8Array;
  /** IANA ids, best first. Default: all of ours that the version allows. */
  readonly suites?: readonly number[];
  /** Offer RFC 7627. Default: true. */
  readonly extendedMasterSecret?: boolean;
}

/** A session that both sides pretend to resume: its secret and id came over TLS. */
export interface ResumptionOptions {
  readonly kind: 'resumption';
  readonly masterSecret: Uint8Array;
  readonly sessionId: Uint8Array;
  /** IANA id of the one suite. */
  readonly suite: number;
}

/** The server's side of a full handshake with a pre-shared key. */
export interface PskServerOptions {
  readonly kind: 'psk';
  /** The key of the association with this id; undefined: nobody's, and the hello is ignored without an answer. The identity is not asked for. */
  readonly findKey: (id: Uint8Array) => Uint8Array | undefined;
  /** IANA ids, best first: the order in which a suite is chosen from what the client offers. Default: all of ours that the version allows. */
  readonly suites?: readonly number[];
  /** Take RFC 7627 if it is offered. Default: true. */
  readonly extendedMasterSecret?: boolean;
}

/** A full handshake in which the server shows a certificate (RFC 5246 §7.4.2). Not in the pre-RFC dialect. */
export interface CertificateOptions {
  readonly kind: 'certificate';
  /** What is wrong with a chain (DER, leaf first); undefined: it is accepted. */
  readonly faultOf: (chain: readonly Uint8Array[]) => string | undefined;
  /** Shown to a server that asks. Default: none. */
  readonly identity?: CertificateIdentity;
  /** IANA ids, best first. Default: {@link CERTIFICATE_SUITE_IDS}; in 1.0, {@link CERTIFICATE_CBC_SUITE_IDS}. */
  readonly suites?: readonly number[];
}

/** The server's side: it takes whoever sends a hello, and learns who that is from what comes after the handshake. */
export interface CertificateServerOptions {
  readonly kind: 'certificate';
  readonly identity: CertificateIdentity;
  /** As in {@link CertificateOptions}, the order in which a suite is chosen. Default: those of them that have forward secrecy. */
  readonly suites?: readonly number[];
}

/** {@link PskOptions}, {@link ResumptionOptions} or {@link CertificateOptions}, checked; `secret` is a copy, to be wiped. */
export type ClientCredentials = PskCredentials | ResumptionCredentials | CertificateCredentials;

export interface CertificateCredentials {
  readonly kind: 'certificate';
  /** There is none in advance. */
  readonly secret: Uint8Array;
  readonly sessionId: Uint8Array;
  readonly suites: readonly CipherSuite[];
  readonly offersExtendedMasterSecret: true;
  readonly faultOf: CertificateOptions['faultOf'];
  readonly identity: CertificateIdentity | undefined;
}

export interface PskCredentials {
  readonly kind: 'psk';
  readonly secret: Uint8Array;
  readonly identity: Uint8Array;
  readonly sessionId: Uint8Array;
  readonly suites: readonly CipherSuite[];
  readonly offersExtendedMasterSecret: boolean;
}

export interface ResumptionCredentials {
  readonly kind: 'resumption';
  readonly secret: Uint8Array;
  readonly sessionId: Uint8Array;
  readonly suites: readonly [CipherSuite];
}

/** {@link PskServerOptions}, {@link ResumptionOptions} or {@link CertificateServerOptions}, checked. */
export type ServerCredentials = PskServerCredentials | ResumptionCredentials | CertificateServerCredentials;

export interface CertificateServerCredentials {
  readonly kind: 'certificate';
  readonly identity: CertificateIdentity;
  readonly suites: readonly CipherSuite[];
  readonly takesExtendedMasterSecret: true;
}

export interface PskServerCredentials {
  readonly kind: 'psk';
  readonly findKey: PskServerOptions['findKey'];
  readonly suites: readonly CipherSuite[];
  readonly takesExtendedMasterSecret: boolean;
}

/** Throws {@link MisuseError} for what cannot be. */
export function serverCredentials(
  options: PskServerOptions | ResumptionOptions | CertificateServerOptions,
  dialect: Dialect,
): ServerCredentials {
  if (options.kind === 'resumption') return resumptionCredentials(options, dialect);
  if (options.kind === 'certificate') {
    const { identity } = options;
    const all = certificateSuites(options.suites, dialect);
    const suites = options.suites === undefined ? all.filter(({ keyExchange }) => keyExchange !== 'RSA') : all;
    return { kind: 'certificate', identity, suites, takesExtendedMasterSecret: true };
  }
  return {
    kind: 'psk',
    findKey: options.findKey,
    suites: pskSuites(options.suites, dialect),
    takesExtendedMasterSecret: options.extendedMasterSecret ?? true,
  };
}

/** Throws {@link MisuseError} for what cannot be. */
export function clientCredentials(options: PskOptions | ResumptionOptions | CertificateOptions, dialect: Dialect): ClientCredentials {
  if (options.kind === 'resumption') return resumptionCredentials(options, dialect);
  if (options.kind === 'certificate') {
    const { faultOf, identity } = options;
    const none = new Uint8Array(0);
    const suites = certificateSuites(options.suites, dialect);
    return { kind: 'certificate', secret: none, sessionId: none, suites, offersExtendedMasterSecret: true, faultOf, identity };
  }
  const { identity, key, sessionId } = options;
  if (identity.length > MAX_PSK_IDENTITY_LENGTH)
    throw new MisuseError(`A PSK identity has up to ${MAX_PSK_IDENTITY_LENGTH} bytes, not ${identity.length}.`);
  if (key.length === 0) throw new MisuseError('The pre-shared key is empty.');
  requireSessionId(sessionId);
  return {
    kind: 'psk',
    secret: copyOf(key),
    identity: copyOf(identity),
    sessionId: copyOf(sessionId),
    suites: pskSuites(options.suites, dialect),
    offersExtendedMasterSecret: options.extendedMasterSecret ?? true,
  };
}

function resumptionCredentials({ masterSecret, sessionId, suite }: ResumptionOptions, dialect: Dialect): ResumptionCredentials {
  if (masterSecret.length !== MASTER_SECRET_LENGTH) {
    throw new MisuseError(`A master secret has ${MASTER_SECRET_LENGTH} bytes, not ${masterSecret.length}.`);
  }
  requireSessionId(sessionId);
  if (sessionId.length === 0) throw new MisuseError('A session without an id cannot be resumed.');
  return { kind: 'resumption', secret: copyOf(masterSecret), sessionId: copyOf(sessionId), suites: [suiteOf(suite, dialect)] };
}

/** The PSK suites of these ids. Throws {@link MisuseError} for ids that are no PSK suite of ours or not of this version. */
function pskSuites(ids: readonly number[] | undefined, dialect: Dialect): readonly CipherSuite[] {
  if (dialect.version === '0.9') throw new MisuseError('DTLS 0.9 knows only resumption: it cannot be used with a pre-shared key.');
  if (ids === undefined) return PSK_SUITE_IDS.flatMap((id) => cipherSuite(id) ?? []).filter((suite) => allowsSuite(dialect, suite));
  if (ids.length === 0) throw new MisuseError('No cipher suite to offer.');
  return ids.map((id) => {
    const suite = suiteOf(id, dialect);
    if (suite.keyExchange !== 'PSK') throw new MisuseError(`Cipher suite ${suiteIdText(id)} is not one of plain PSK.`);
    return suite;
  });
}

/** The suites of these ids in which a server shows a certificate. Throws {@link MisuseError} for all others. */
function certificateSuites(ids: readonly number[] | undefined, dialect: Dialect): readonly CipherSuite[] {
  if (dialect.version === '0.9') throw new MisuseError('DTLS 0.9 knows only resumption: it cannot be used with certificates.');
  const wanted = ids ?? (dialect.version === '1.2' ? CERTIFICATE_SUITE_IDS : CERTIFICATE_CBC_SUITE_IDS);
  if (wanted.length === 0) throw new MisuseError('No cipher suite to offer.');
  return wanted.map((id) => {
    const suite = suiteOf(id, dialect);
    if (suite.keyExchange === 'PSK' || suite.keyExchange === 'DHE-RSA') {
      throw new MisuseError(`Cipher suite ${suiteIdText(id)} is not one of ECDHE or RSA.`);
    }
    return suite;
  });
}

function suiteOf(id: number, dialect: Dialect): CipherSuite {
  const suite = cipherSuite(id);
  if (suite === undefined) throw new MisuseError(`Cipher suite ${suiteIdText(id)} is not one that we speak.`);
  if (!allowsSuite(dialect, suite)) throw new MisuseError(`Cipher suite ${suiteIdText(id)} cannot be used with DTLS ${dialect.version}.`);
  return suite;
}

function requireSessionId(sessionId: Uint8Array): void {
  if (sessionId.length > MAX_SESSION_ID_LENGTH)
    throw new MisuseError(`A session id has up to ${MAX_SESSION_ID_LENGTH} bytes, not ${sessionId.length}.`);
}
