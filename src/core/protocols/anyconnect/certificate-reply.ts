/**
 * The answer to a request for a second certificate: it signs what the gateway sent.
 *
 * Read first: spec "AnyConnect", section 3.12.
 */
import type { UserCertificate } from '../../auth/login-io.ts';
import { PeerMisbehavedError } from '../../errors.ts';
import { printable } from '../../wire/text.ts';
import { certificateBundle } from './certificate-bundle.ts';
import type { UserCertificateReply } from './client-document.ts';

/** Strongest first. */
const HASHES = ['sha512', 'sha384', 'sha256'] as const;

/** `body`: the gateway's response, byte for byte. Throws {@link PeerMisbehavedError} if no hash is known to both sides. */
export async function certificateReply(
  certificate: UserCertificate,
  offered: readonly string[],
  body: Uint8Array,
): Promise<UserCertificateReply> {
  const hash = HASHES.find((name) => offered.includes(name));
  if (hash === undefined) {
    throw new PeerMisbehavedError(
      `The gateway wants a certificate's signature with ${printable(offered.join(', ')) || 'no hash at all'}; known are ${HASHES.join(', ')}.`,
    );
  }
  return { bundle: certificateBundle(certificate.chain), hash, signature: await certificate.sign(hash, body) };
}
