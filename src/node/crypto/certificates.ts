/** Certificates and their keys by `node:crypto`: what a handshake with certificates verifies, and signs with. */
import {
  constants,
  hash,
  type KeyObject,
  privateDecrypt,
  privateEncrypt,
  publicDecrypt,
  publicEncrypt,
  sign,
  verify,
  X509Certificate,
} from 'node:crypto';
import type { CertificateIdentity, KeyKind, SignatureScheme } from '../../core/crypto/provider.ts';
import { PeerMisbehavedError, UnsupportedError } from '../../core/errors.ts';
import { plain } from './plain-bytes.ts';

type HashOfScheme = 'sha1' | 'sha256' | 'sha384' | 'sha512';

export function certificateKeyKind(certificate: Uint8Array): KeyKind | undefined {
  return kindOf(publicKeyOf(certificate));
}

export function verifySignature(certificate: Uint8Array, scheme: SignatureScheme, data: Uint8Array, signature: Uint8Array): boolean {
  const key = publicKeyOf(certificate);
  const kind = kindOf(key);
  if (key === undefined || kind === undefined || !fits(scheme, kind)) return false;
  try {
    if (scheme === 'legacy' && kind === 'rsa') {
      return publicDecrypt({ key, padding: constants.RSA_PKCS1_PADDING }, signature).equals(legacyDigest(data));
    }
    return verify(hashOf(scheme), data, { key, ...paddingOf(scheme, kind) }, signature);
  } catch {
    return false; // a peer's bytes: that they are no signature of this key is all there is to know
  }
}

export function encryptRsa(certificate: Uint8Array, data: Uint8Array): Uint8Array {
  const key = publicKeyOf(certificate);
  if (kindOf(key) !== 'rsa' || key === undefined) throw new PeerMisbehavedError('the certificate has no RSA key to encrypt with');
  return plain(publicEncrypt({ key, padding: constants.RSA_PKCS1_PADDING }, data));
}

/** Throws {@link UnsupportedError} for a key that is neither RSA nor ECDSA. */
export function certificateIdentity(chain: readonly Uint8Array[], key: KeyObject): CertificateIdentity {
  const keyKind = kindOf(key);
  if (keyKind === undefined) throw new UnsupportedError('The private key is neither an RSA key nor one of an elliptic curve.');
  return {
    chain,
    keyKind,
    sign: (scheme, data) => {
      if (!fits(scheme, keyKind)) throw new UnsupportedError(`A key of kind ${keyKind} does not sign by ${scheme}.`);
      if (scheme === 'legacy' && keyKind === 'rsa') {
        return plain(privateEncrypt({ key, padding: constants.RSA_PKCS1_PADDING }, legacyDigest(data)));
      }
      return plain(sign(hashOf(scheme), data, { key, ...paddingOf(scheme, keyKind) }));
    },
    decryptRsa: (ciphertext) => {
      try {
        return plain(privateDecrypt({ key, padding: constants.RSA_NO_PADDING }, ciphertext));
      } catch (error) {
        throw new PeerMisbehavedError('the encrypted premaster secret is none of this key', { cause: error });
      }
    },
  };
}

/** RFC 4346 §7.4.3: both digests one behind the other, without the name of either. */
function legacyDigest(data: Uint8Array): Buffer {
  return Buffer.concat([hash('md5', data, 'buffer'), hash('sha1', data, 'buffer')]);
}

function hashOf(scheme: SignatureScheme): HashOfScheme {
  return scheme === 'legacy' ? 'sha1' : (scheme.slice(scheme.lastIndexOf('-') + 1) as HashOfScheme);
}

function paddingOf(scheme: SignatureScheme, kind: KeyKind): { readonly padding?: number; readonly saltLength?: number } {
  if (kind === 'ecdsa') return {};
  if (scheme.startsWith('rsa-pss')) return { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST };
  return { padding: constants.RSA_PKCS1_PADDING };
}

function fits(scheme: SignatureScheme, kind: KeyKind): boolean {
  return scheme === 'legacy' || scheme.startsWith(kind === 'rsa' ? 'rsa-' : 'ecdsa-');
}

function kindOf(key: KeyObject | undefined): KeyKind | undefined {
  if (key?.asymmetricKeyType === 'rsa') return 'rsa';
  return key?.asymmetricKeyType === 'ec' ? 'ecdsa' : undefined;
}

function publicKeyOf(certificate: Uint8Array): KeyObject | undefined {
  try {
    return new X509Certificate(certificate).publicKey;
  } catch {
    return undefined; // a peer's bytes: no certificate, or a kind of key that OpenSSL does not know
  }
}
