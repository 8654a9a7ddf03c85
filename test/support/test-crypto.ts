/** What log-ins and CONNECT need of a CryptoProvider, over node:crypto, with randomness that a test chooses. */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import type { CryptoProvider, P256KeyPair } from '../../src/core/crypto/provider.ts';
import { MisuseError } from '../../src/core/errors.ts';
import { testHashes } from './hashes.ts';

/** `randomBytes` gives the byte `filler` over and over. There are no ciphers. */
export function testCrypto(filler = 0xaa): CryptoProvider {
  return {
    ...testHashes(filler),
    aead: noCipher,
    cbc: noCipher,
    generateP256: async () => pairOf(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey),
    importP256: (der) => pairOf(createPrivateKey({ key: Buffer.from(der), format: 'der', type: 'sec1' })),
  };
}

function noCipher(): never {
  throw new MisuseError('this CryptoProvider has no ciphers');
}

function pairOf(key: KeyObject): P256KeyPair {
  return {
    publicKey: new Uint8Array(createPublicKey(key).export({ type: 'spki', format: 'der' })),
    exportSec1: () => new Uint8Array(key.export({ type: 'sec1', format: 'der' })),
    sign: (data) => new Uint8Array(sign('sha256', data, key)),
  };
}
