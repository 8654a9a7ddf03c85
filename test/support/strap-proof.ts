/** Checks a STRAP proof as a gateway would, with node:crypto (spec "AnyConnect", section 3.14). */
import { createPublicKey, verify } from 'node:crypto';
import type { StrapProof } from '../../src/core/protocols/anyconnect/tunnel-options.ts';

/** Whether the owner of `known` (base64 SubjectPublicKeyInfo) vouches for the key that is announced, on the connection with this Finished. */
export function strapProofHolds(proof: StrapProof, known: string, finished: Uint8Array): boolean {
  const announced = Buffer.from(proof.publicKey, 'base64');
  const key = createPublicKey({ key: Buffer.from(known, 'base64'), format: 'der', type: 'spki' });
  return verify('sha256', Buffer.concat([finished, announced]), key, Buffer.from(proof.verify, 'base64'));
}
