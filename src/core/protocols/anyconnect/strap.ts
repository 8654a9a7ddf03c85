/**
 * STRAP: the session cookie is bound to a key of the client's, which it proves to have on each CONNECT.
 *
 * Read first: spec "AnyConnect", section 3.14.
 *
 *   signed data = verify_data of the client's Finished on this connection ‖ SubjectPublicKeyInfo that this CONNECT announces
 */
import type { CryptoProvider, P256KeyPair } from '../../crypto/provider.ts';
import { toBase64 } from '../../wire/text.ts';
import type { StrapProof } from './tunnel-options.ts';

export class Strap {
  readonly #crypto: CryptoProvider;
  /** What the gateway knows. */
  #known: P256KeyPair;
  /** What the next CONNECT announces. */
  #announced: P256KeyPair;

  private constructor(crypto: CryptoProvider, key: P256KeyPair) {
    this.#crypto = crypto;
    this.#known = key;
    this.#announced = key;
  }

  static async generate(crypto: CryptoProvider): Promise<Strap> {
    return new Strap(crypto, await crypto.generateP256());
  }

  /** From a saved cookie. Its first CONNECT announces the key that signs it. */
  static restore(crypto: CryptoProvider, privateKey: Uint8Array): Strap {
    return new Strap(crypto, crypto.importP256(privateKey));
  }

  /** For the header `X-AnyConnect-STRAP-Pubkey` of log-in requests. */
  get publicKey(): string {
    return toBase64(this.#known.publicKey);
  }

  /** For the cookie. */
  exportKey(): Uint8Array {
    return this.#known.exportSec1();
  }

  /** The next CONNECT is to announce a new key, signed by the known one. */
  async rotate(): Promise<void> {
    this.#announced = await this.#crypto.generateP256();
  }

  /** The headers of a CONNECT; the gateway knows the announced key from then on. */
  prove(finished: Uint8Array): StrapProof {
    const { publicKey } = this.#announced;
    const data = new Uint8Array(finished.length + publicKey.length);
    data.set(finished);
    data.set(publicKey, finished.length);
    const proof = { verify: toBase64(this.#known.sign(data)), publicKey: toBase64(publicKey) };
    this.#known = this.#announced;
    return proof;
  }
}
