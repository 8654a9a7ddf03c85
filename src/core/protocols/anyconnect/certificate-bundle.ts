/**
 * The certificates-only PKCS#7 of a multiple-certificate log-in (a degenerate SignedData, RFC 2315 §9.1).
 *
 * Read first: spec "AnyConnect", section 3.12.
 */
import { DER_TAGS, der, derObjectIdentifier } from '../../wire/der.ts';

const ID_DATA = '1.2.840.113549.1.7.1';
const ID_SIGNED_DATA = '1.2.840.113549.1.7.2';

/** ContentInfo with a SignedData that has certificates (DER, leaf first) and nothing else. */
export function certificateBundle(certificates: readonly Uint8Array[]): Uint8Array {
  const signedData = der(
    DER_TAGS.sequence,
    der(DER_TAGS.integer, Uint8Array.of(1)),
    der(DER_TAGS.set), // digest algorithms: none
    der(DER_TAGS.sequence, derObjectIdentifier(ID_DATA)),
    der(DER_TAGS.context0, ...certificates),
    der(DER_TAGS.set), // signers: none
  );
  return der(DER_TAGS.sequence, derObjectIdentifier(ID_SIGNED_DATA), der(DER_TAGS.context0, signedData));
}
