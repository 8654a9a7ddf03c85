/** The part of a CryptoProvider that hashes, over node:crypto, with randomness that a test chooses. */
import { createHash, createHmac } from 'node:crypto';
import type { CryptoProvider, HashName } from '../../src/core/crypto/provider.ts';

export type Hashes = Pick<CryptoProvider, 'hash' | 'hmac' | 'randomBytes'>;

/** `randomBytes` gives the byte `filler` over and over. */
export function testHashes(filler = 0xaa): Hashes {
  return {
    hash: (name: HashName, data: Uint8Array) => new Uint8Array(createHash(name).update(data).digest()),
    hmac: (name: HashName, key: Uint8Array, data: Uint8Array) => new Uint8Array(createHmac(name, key).update(data).digest()),
    randomBytes: (length: number) => new Uint8Array(length).fill(filler),
  };
}
