/**
 * STRAP: the session cookie is bound to a key of the client's, which it proves to have on each CONNECT. The client's side, and what the gateway checks.
 *
 * Read first: spec "AnyConnect", section 3.14.
 *
 *   signed data = verify_data of the client's Finished on this connection ‖ SubjectPublicKeyInfo that this CONNECT announces
 */
import type { CryptoProvider, P256KeyPair } from '../../crypto/provider.ts';
import { SallyportError } from '../../errors.ts';
import { fromBase64, toBase64 } from '../../wire/text.ts';
import type { StrapProof } from './tunnel-options.ts';

export class Strap {
  readonly #crypto: CryptoProvider;
  /** What the gateway knows, or will from the first request on; undefined: nobody has asked for it yet. */
  #known: P256KeyPair | undefined;
  /** What the next CONNECT announces, if it is another one. */
  #announced: P256KeyPair | undefined;

  private constructor(crypto: CryptoProvider, key?: P256KeyPair) {
    this.#crypto = crypto;
    this.#known = key;
  }

  /** A new key, which is made when it is first needed: the connection that it is announced on can be opened without. */
  static generate(crypto: CryptoProvider): Strap {
    return new Strap(crypto);
  }

  /** From a saved cookie. Its first CONNECT announces the key that signs it. */
  static restore(crypto: CryptoProvider, privateKey: Uint8Array): Strap {
    return new Strap(crypto, crypto.importP256(privateKey));
  }

  /** For the header `X-AnyConnect-STRAP-Pubkey` of log-in requests. */
  get publicKey(): string {
    return toBase64(this.#key.publicKey);
  }

  /** For the cookie. */
  exportKey(): Uint8Array {
    return this.#key.exportSec1();
  }

  /** The next CONNECT is to announce a new key, signed by the known one. */
  rotate(): void {
    this.#announced = this.#crypto.generateP256();
  }

  /** The headers of a CONNECT; the gateway knows the announced key from then on. */
  prove(finished: Uint8Array): StrapProof {
    const announced = this.#announced ?? this.#key;
    const { publicKey } = announced;
    const proof = { verify: toBase64(this.#key.sign(signedData(finished, publicKey))), publicKey: toBase64(publicKey) };
    this.#known = announced;
    return proof;
  }

  get #key(): P256KeyPair {
    this.#known ??= this.#crypto.generateP256();
    return this.#known;
  }
}

function signedData(finished: Uint8Array, publicKey: Uint8Array): Uint8Array {
  const data = new Uint8Array(finished.length + publicKey.length);
  data.set(finished);
  data.set(publicKey, finished.length);
  return data;
}

/** All SubjectPublicKeyInfos of uncompressed points on P-256 begin so and have so many bytes (RFC 5480 §2). */
const KEY_BEGINNING = 'MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE';
const KEY_CHARACTERS = 124;

/** Characters of a signature: two numbers of 33 bytes in DER, in base64. */
const MAX_SIGNATURE_CHARACTERS = 100;

/** The key that a client announces in `X-AnyConnect-STRAP-Pubkey`; undefined for what is none. */
export function parseStrapKey(header: string | undefined): Uint8Array | undefined {
  if (header?.length !== KEY_CHARACTERS || !header.startsWith(KEY_BEGINNING)) return undefined;
  return decoded(header);
}

/**
 * What a CONNECT announces, if the holder of the key that is known vouches for it on the connection with this Finished: the key that is known from
 * then on. Undefined if not.
 */
export function verifyStrap(
  crypto: CryptoProvider,
  known: Uint8Array,
  finished: Uint8Array,
  proof: { readonly [Name in keyof StrapProof]: string | undefined },
): Uint8Array | undefined {
  const announced = parseStrapKey(proof.publicKey);
  const signature = (proof.verify?.length ?? 0) > MAX_SIGNATURE_CHARACTERS ? undefined : decoded(proof.verify ?? '');
  if (announced === undefined || signature === undefined) return undefined;
  return crypto.verifyP256(known, signedData(finished, announced), signature) ? announced : undefined;
}

function decoded(base64: string): Uint8Array | undefined {
  try {
    return fromBase64(base64);
  } catch (error) {
    if (error instanceof SallyportError) return undefined;
    throw error;
  }
}
