/** Diffie-Hellman on elliptic curves by `node:crypto` (RFC 8422 §5.10 and §5.11). */
import { createECDH, createPublicKey, diffieHellman, generateKeyPairSync } from 'node:crypto';
import type { KeyAgreement, KeyAgreementGroup } from '../../core/crypto/provider.ts';
import { plain } from './plain-bytes.ts';

const NODE_CURVES = { p256: 'prime256v1', p384: 'secp384r1' } as const;

/** A SubjectPublicKeyInfo of X25519 but for its last 32 bytes, the key (RFC 8410 §4). */
const X25519_PREFIX = Buffer.from('302a300506032b656e032100', 'hex');
const X25519_LENGTH = 32;

export function keyAgreement(group: KeyAgreementGroup): KeyAgreement {
  return group === 'x25519' ? x25519() : ecdh(NODE_CURVES[group]);
}

function ecdh(curve: string): KeyAgreement {
  const own = createECDH(curve);
  return { publicKey: plain(own.generateKeys()), agree: (peer) => unlessRefused(() => own.computeSecret(peer)) };
}

function x25519(): KeyAgreement {
  const { privateKey, publicKey } = generateKeyPairSync('x25519');
  return {
    publicKey: plain(publicKey.export({ format: 'der', type: 'spki' })).slice(X25519_PREFIX.length),
    agree: (peer) => {
      if (peer.length !== X25519_LENGTH) return undefined;
      return unlessRefused(() => {
        const key = createPublicKey({ key: Buffer.concat([X25519_PREFIX, peer]), format: 'der', type: 'spki' });
        return diffieHellman({ privateKey, publicKey: key });
      });
    },
  };
}

/** OpenSSL refuses points that are not on the curve, and secrets of all zeros. */
function unlessRefused(agree: () => Buffer): Uint8Array | undefined {
  try {
    return plain(agree());
  } catch {
    return undefined; // a peer's bytes: that they are no key is all there is to know
  }
}
