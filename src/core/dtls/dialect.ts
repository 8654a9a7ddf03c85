/**
 * The three dialects of DTLS that gateways speak, and all that tells them apart. What is not here is the same in all.
 *
 * Read first: spec "AnyConnect", section 7.5 (the pre-RFC dialect); RFC 4347 (1.0); RFC 6347 (1.2).
 */
import type { PrfName } from '../crypto/tls-prf.ts';
import type { CipherSuite } from '../tls-messages/cipher-suites.ts';

/** `0.9`: what Cisco's gateways speak, as OpenSSL did before the RFC. It is only ever resumed, never negotiated. */
export type DtlsVersion = '1.2' | '1.0' | '0.9';

export interface Dialect {
  readonly version: DtlsVersion;
  /** The two version bytes of records and hellos. */
  readonly wireVersion: number;
  /** ChangeCipherSpec carries a 16-bit message number, and takes it from the sequence of handshake messages. */
  readonly numbersChangeCipherSpec: boolean;
  /** Each message enters the transcript with its 12-byte header. */
  readonly hashesMessageHeaders: boolean;
  /** A repeated last flight of the peer is answered with ours again. */
  readonly repeatsLastFlight: boolean;
}

export const DTLS_1_0 = 0xfeff;
export const DTLS_1_2 = 0xfefd;
export const DTLS_0_9 = 0x0100;

const STANDARD = { numbersChangeCipherSpec: false, hashesMessageHeaders: true, repeatsLastFlight: true };

export const DIALECTS: Readonly<Record<DtlsVersion, Dialect>> = {
  '1.2': { version: '1.2', wireVersion: DTLS_1_2, ...STANDARD },
  '1.0': { version: '1.0', wireVersion: DTLS_1_0, ...STANDARD },
  '0.9': {
    version: '0.9',
    wireVersion: DTLS_0_9,
    numbersChangeCipherSpec: true,
    hashesMessageHeaders: false,
    repeatsLastFlight: false, // Spec 7.5: ASA 8.4.1 and later misbehave when they see it.
  },
};

export function prfOf(dialect: Dialect, suite: CipherSuite): PrfName {
  return dialect.version === '1.2' ? suite.prf : 'md5-sha1';
}

/** RFC 5288 §3 and RFC 7905 §2: AEAD suites need 1.2. So do SHA-256 MACs (RFC 5487 §3.1). */
export function allowsSuite(dialect: Dialect, suite: CipherSuite): boolean {
  return dialect.version === '1.2' || (suite.protection.kind === 'cbc' && suite.protection.mac === 'sha1');
}

/**
 * True if a record's version can be of this dialect. Until the version is agreed on, any of the standard ones will do: RFC 6347 §4.2.1
 * has first hellos and HelloVerifyRequest say 1.0 whatever is offered.
 */
export function acceptsRecordVersion(dialect: Dialect, version: number, epoch: number): boolean {
  if (version === dialect.wireVersion) return true;
  return epoch === 0 && dialect.version !== '0.9' && (version === DTLS_1_0 || version === DTLS_1_2);
}
