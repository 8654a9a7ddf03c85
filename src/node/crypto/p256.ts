/** P-256 key pairs by `node:crypto`: what STRAP signs with (spec "AnyConnect", section 3.14). */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign, verify } from 'node:crypto';
import type { P256KeyPair } from '../../core/crypto/provider.ts';
import { UnsupportedError } from '../../core/errors.ts';
import { plain } from './plain-bytes.ts';

/** node:crypto's (X9.62) name for NIST P-256. */
const CURVE = 'prime256v1';

/** It takes a tenth of a millisecond: less than asking another thread. */
export function generateP256(): P256KeyPair {
  return new NodeP256(generateKeyPairSync('ec', { namedCurve: CURVE }).privateKey);
}

/** Reads SEC1 or PKCS#8 DER. Throws {@link UnsupportedError} for anything else, and for other kinds of keys. */
export function importP256(der: Uint8Array): P256KeyPair {
  const key = tryParse(der, 'sec1') ?? tryParse(der, 'pkcs8');
  if (key === undefined) throw new UnsupportedError('The private key is neither SEC1 nor PKCS#8 DER.');
  if (key.asymmetricKeyType !== 'ec' || key.asymmetricKeyDetails?.namedCurve !== CURVE) {
    throw new UnsupportedError('The private key is not an elliptic-curve key on P-256.');
  }
  return new NodeP256(key);
}

function tryParse(der: Uint8Array, type: 'sec1' | 'pkcs8'): KeyObject | undefined {
  try {
    return createPrivateKey({ key: Buffer.from(der), format: 'der', type });
  } catch {
    return undefined; // not of this type; OpenSSL's reason would only say which byte surprised it
  }
}

/** False, too, for what is no public key in DER, one of another kind, or no signature. */
export function verifyP256(publicKey: Uint8Array, data: Uint8Array, signature: Uint8Array): boolean {
  const key = tryParsePublic(publicKey);
  if (key?.asymmetricKeyType !== 'ec' || key.asymmetricKeyDetails?.namedCurve !== CURVE) return false;
  return verify('sha256', data, key, signature);
}

function tryParsePublic(der: Uint8Array): KeyObject | undefined {
  try {
    return createPublicKey({ key: Buffer.from(der), format: 'der', type: 'spki' });
  } catch {
    return undefined; // a peer's bytes: that they are no key is all there is to know
  }
}

class NodeP256 implements P256KeyPair {
  readonly publicKey: Uint8Array;
  readonly #key: KeyObject;

  constructor(key: KeyObject) {
    this.#key = key;
    this.publicKey = plain(createPublicKey(key).export({ format: 'der', type: 'spki' }));
  }

  exportSec1(): Uint8Array {
    return plain(this.#key.export({ format: 'der', type: 'sec1' }));
  }

  sign(data: Uint8Array): Uint8Array {
    return plain(sign('sha256', data, this.#key));
  }
}
