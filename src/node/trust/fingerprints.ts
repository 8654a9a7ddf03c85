/**
 * Fingerprints that a user gives in place of a certificate authority (`--servercert`), and the pin that we print.
 *
 * Read first: spec "Command line", section 3.3; RFC 7469, section 2.4 (the pin is over the SubjectPublicKeyInfo, so it outlives a renewal).
 *
 *   pin-sha256:BASE64   SHA-256 of the public key; case matters
 *   sha256:HEX          the same in hex
 *   sha1:HEX            SHA-1 of the public key
 *   HEX                 SHA-1 of the whole certificate (the oldest form)
 */
import { hash } from 'node:crypto';
import { BerReader } from '../../core/wire/ber.ts';

/** Shorter beginnings of a fingerprint match too many certificates. */
const MIN_LENGTH = 4;

const VERSION_TAG = 0xa0;

export interface FingerprintMatch {
  readonly matches: boolean;
  /** Why it never can match, in openconnect's words. */
  readonly complaint?: string;
}

/** `pin-sha256:` and the base64 SHA-256 of a certificate's SubjectPublicKeyInfo. Throws PeerMisbehavedError if it is no certificate. */
export function pinOf(certificate: Uint8Array): string {
  return `pin-sha256:${hash('sha256', subjectPublicKeyInfo(certificate), 'base64')}`;
}

/**
 * Compares a fingerprint, or a beginning of one that is at least {@link MIN_LENGTH} characters long, with a certificate (DER).
 * Throws PeerMisbehavedError if it is no certificate.
 */
export function matchFingerprint(fingerprint: string, certificate: Uint8Array): FingerprintMatch {
  const afterTag = fingerprint.indexOf(':') + 1;
  const given = fingerprint.slice(afterTag);
  const compare = (actual: string, wanted: string): FingerprintMatch =>
    wanted.length < MIN_LENGTH
      ? { matches: false, complaint: `The size of the provided fingerprint is less than the minimum required (${MIN_LENGTH}).` }
      : { matches: actual.startsWith(wanted) };

  switch (fingerprint.slice(0, afterTag)) {
    case 'pin-sha256:':
      return compare(hash('sha256', subjectPublicKeyInfo(certificate), 'base64'), given);
    case 'sha256:':
      return compare(hash('sha256', subjectPublicKeyInfo(certificate), 'hex'), given.toLowerCase());
    case 'sha1:':
      return compare(hash('sha1', subjectPublicKeyInfo(certificate), 'hex'), given.toLowerCase());
    case '':
      return compare(hash('sha1', certificate, 'hex'), given.toLowerCase());
    default:
      return { matches: false, complaint: `Unknown certificate hash: ${fingerprint}.` };
  }
}

/** RFC 5280, section 4.1. As it stands in the certificate: OpenSSL would write some keys anew in another form. */
function subjectPublicKeyInfo(certificate: Uint8Array): Uint8Array {
  const tbs = new BerReader(certificate).sequence('certificate').sequence('certificate');
  if (tbs.peekTag() === VERSION_TAG) tbs.element('version of a certificate');
  for (const field of ['serial number', 'signature algorithm', 'issuer', 'validity', 'subject']) tbs.element(`${field} of a certificate`);
  return tbs.element('public key of a certificate').encoded;
}
