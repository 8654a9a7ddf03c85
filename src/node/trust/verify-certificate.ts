/**
 * Decides whether a gateway's certificate is to be believed, and says in openconnect's words why not.
 *
 * Read first: spec "Command line", sections 3.3 and 6 (the question that a person is asked).
 *
 *   fingerprints given?  yes: one matches ──► trusted      none matches ──► refused (no question)
 *                        no:  chain and name are good ──► trusted      else ──► doubtful (a person may decide)
 *
 * Node verifies the chain. Its single error code is that of the last fault, which can hide a worse one: an expired certificate of an
 * unknown authority comes as "expired". So the authority is looked for again before a fault is named.
 */
import { X509Certificate } from 'node:crypto';
import { checkServerIdentity, type TLSSocket } from 'node:tls';
import { PeerMisbehavedError } from '../../core/errors.ts';
import { BerReader } from '../../core/wire/ber.ts';
import { matchFingerprint, pinOf } from './fingerprints.ts';
import { anchorCertificates, type TrustAnchors } from './trust-anchors.ts';

/** What a TLS connection (made with `rejectUnauthorized: false`) presented. */
export interface PresentedCertificate {
  /** DER, leaf first. */
  readonly chain: readonly Uint8Array[];
  /** Name or address that the user wanted; an IPv6 address with or without brackets. */
  readonly host: string;
  /** Node's code; undefined if Node found the chain good. */
  readonly authorizationError: string | undefined;
}

export interface TrustDecision {
  /** `doubtful`: not proven, but a person may be asked to accept the pin. `refused`: nobody is asked. */
  readonly verdict: 'trusted' | 'doubtful' | 'refused';
  /** What is wrong with chain or name, also where a fingerprint then vouches for the certificate; undefined if nothing is. */
  readonly fault: string | undefined;
  /** What to tell the user about the fingerprints. */
  readonly complaints: readonly string[];
  readonly pin: string;
}

/** Certificates that a peer may send; a longer chain is cut, which makes it unverifiable. */
const MAX_CHAIN = 20;

/** Reads what a connected socket presented. */
export function presentedBy(socket: TLSSocket, host: string): PresentedCertificate {
  const chain: Uint8Array[] = [];
  for (let each = socket.getPeerX509Certificate(); each !== undefined && chain.length < MAX_CHAIN; each = each.issuerCertificate) {
    chain.push(each.raw);
  }
  // Node's types say Error; it is the code.
  return { chain, host, authorizationError: socket.authorized ? undefined : String(socket.authorizationError ?? 'UNSPECIFIED') };
}

/** Throws {@link PeerMisbehavedError} if there is no certificate, or none that can be read. */
export function judgeCertificate(
  presented: PresentedCertificate,
  trust: { readonly anchors: TrustAnchors; readonly fingerprints: readonly string[] },
): TrustDecision {
  const [leaf] = presented.chain;
  if (leaf === undefined) throw new PeerMisbehavedError('the gateway sent no certificate');
  const pin = pinOf(leaf);
  const fault = faultOf(presented.chain.map(readCertificate), presented, trust.anchors);
  const { fingerprints } = trust;
  if (fingerprints.length === 0) return { verdict: fault === undefined ? 'trusted' : 'doubtful', fault, complaints: [], pin };

  const complaints: string[] = [];
  for (const fingerprint of fingerprints.toReversed()) {
    // Observed: openconnect 9.01 takes the last one first and stops at the one that matches.
    const { matches, complaint } = matchFingerprint(fingerprint, leaf);
    if (matches) return { verdict: 'trusted', fault, complaints, pin };
    if (complaint !== undefined) complaints.push(complaint);
  }
  complaints.push(`None of the ${fingerprints.length} fingerprint(s) specified via --servercert match server's certificate: ${pin}`);
  return { verdict: 'refused', fault, complaints, pin };
}

/** Observed: openconnect 9.01 with GnuTLS prints these (except "certificate revoked", as it reads no revocation lists). */
const FAULTS: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: 'certificate expired',
  CERT_NOT_YET_VALID: 'certificate not yet activated',
  CERT_REVOKED: 'certificate revoked',
  CERT_SIGNATURE_FAILURE: 'signature verification failed',
  UNABLE_TO_DECRYPT_CERT_SIGNATURE: 'signature verification failed',
  INVALID_CA: 'signer not a CA certificate',
  INVALID_PURPOSE: 'signer not a CA certificate',
};

/** Node compared with the name it connected by, which need not be the user's. It does so only if the chain is good. */
const NODE_NAME_MISMATCH = 'ERR_TLS_CERT_ALTNAME_INVALID';

function faultOf(
  chain: readonly X509Certificate[],
  { host, authorizationError }: PresentedCertificate,
  anchors: TrustAnchors,
): string | undefined {
  const [leaf] = chain;
  if (leaf === undefined) return 'no certificate';
  if (authorizationError === undefined || authorizationError === NODE_NAME_MISMATCH) {
    return nameMatches(leaf, host) ? undefined : 'certificate does not match hostname';
  }
  if (!isAnchored(chain, anchorCertificates(anchors))) return 'signer not found';
  if (authorizationError === 'INVALID_PURPOSE' && !isForServers(leaf)) return 'certificate is not for servers';
  // OpenSSL has codes for weak keys and digests; Node has no names for them.
  if (authorizationError === 'UNSPECIFIED' && chain.some(isInsecure)) return 'insecure algorithm';
  return FAULTS[authorizationError] ?? authorizationError.toLowerCase().replaceAll('_', ' ');
}

function nameMatches(leaf: X509Certificate, host: string): boolean {
  return checkServerIdentity(host.replace(/^\[(.*)\]$/, '$1'), leaf.toLegacyObject()) === undefined;
}

/** Whether a chain of names leads from the leaf to an anchor. Signatures are Node's business. */
function isAnchored(chain: readonly X509Certificate[], anchors: readonly X509Certificate[]): boolean {
  const seen = new Set<X509Certificate>();
  for (let last = chain[0]; last !== undefined && !seen.has(last); ) {
    const certificate: X509Certificate = last;
    if (anchors.some((anchor) => certificate.raw.equals(anchor.raw) || certificate.checkIssued(anchor))) return true;
    seen.add(certificate);
    last = chain.find((candidate) => candidate !== certificate && certificate.checkIssued(candidate));
  }
  return false;
}

/** RFC 5280, section 4.2.1.12. */
const SERVER_PURPOSES: readonly string[] = ['1.3.6.1.5.5.7.3.1', '2.5.29.37.0'];

function isForServers(leaf: X509Certificate): boolean {
  const purposes: readonly string[] | undefined = leaf.keyUsage; // Node's name for the extended key usage
  return purposes === undefined || purposes.some((purpose) => SERVER_PURPOSES.includes(purpose));
}

/** Signatures with MD2, MD5 and SHA-1: RFC 3279, section 2.2. */
const WEAK_SIGNATURES: readonly string[] = [
  '1.2.840.113549.1.1.2',
  '1.2.840.113549.1.1.4',
  '1.2.840.113549.1.1.5',
  '1.2.840.10040.4.3',
  '1.2.840.10045.4.1',
];
/** Bits; OpenSSL's security level 2. */
const MIN_RSA_BITS = 2048;

function isInsecure(certificate: X509Certificate): boolean {
  const fields = new BerReader(certificate.raw).sequence('certificate');
  fields.element('contents of a certificate');
  const signature = fields.sequence('signature algorithm of a certificate').oid('signature algorithm of a certificate');
  const { modulus, bits = 0 } = certificate.toLegacyObject();
  return WEAK_SIGNATURES.includes(signature) || (modulus !== undefined && bits < MIN_RSA_BITS);
}

function readCertificate(der: Uint8Array): X509Certificate {
  try {
    return new X509Certificate(der);
  } catch (error) {
    throw new PeerMisbehavedError('the gateway sent a certificate that cannot be read', { cause: error });
  }
}
