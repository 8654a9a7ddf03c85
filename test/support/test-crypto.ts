/** NodeCrypto whose randomness is one byte over and over, which a test chooses. */
import type { CryptoProvider } from '../../src/core/crypto/provider.ts';
import { NodeCrypto } from '../../src/node/crypto/node-crypto.ts';

class FilledCrypto extends NodeCrypto {
  readonly #filler: number;

  constructor(filler: number) {
    super();
    this.#filler = filler;
  }

  override randomBytes(length: number): Uint8Array {
    return new Uint8Array(length).fill(this.#filler);
  }
}

export function testCrypto(filler = 0xaa): CryptoProvider {
  return new FilledCrypto(filler);
}
