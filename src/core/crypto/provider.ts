/**
 * The seam to cryptography: core asks, the platform answers (`NodeCrypto` in node/crypto). Randomness comes in by it too, so that tests can seed it.
 *
 * Keys are given once and kept by what is returned ({@link Aead}, {@link Cbc}, {@link Mac}); results go into the caller's memory where packets pass.
 */
import type { AeadCipher } from '../tunnel/traffic.ts';

export type HashName = 'md5' | 'sha1' | 'sha256' | 'sha384' | 'sha512';

export type CbcCipher = 'aes-128-cbc' | 'aes-256-cbc';

export interface CryptoProvider {
  randomBytes(length: number): Uint8Array;
  hash(name: HashName, data: Uint8Array): Uint8Array;
  hmac(name: HashName, key: Uint8Array, data: Uint8Array): Uint8Array;
  /** HMAC with its key kept, for many messages under one key. */
  mac(name: HashName, key: Uint8Array): Mac;
  /** A cipher with its key kept: one for each key and direction. */
  aead(cipher: AeadCipher, key: Uint8Array): Aead;
  cbc(cipher: CbcCipher, key: Uint8Array): Cbc;
  /** P-256 keys for STRAP. */
  generateP256(): Promise<P256KeyPair>;
  /** Reads a private key in SEC1 or PKCS#8 DER. Throws {@link SallyportError} if it is neither or not on P-256. */
  importP256(der: Uint8Array): P256KeyPair;
  /** Whether a signature as {@link P256KeyPair.sign} makes it is that of this public key's owner. False, too, for what is no key or signature. */
  verifyP256(publicKey: Uint8Array, data: Uint8Array, signature: Uint8Array): boolean;
}

export interface Mac {
  /** Bytes of a result. */
  readonly length: number;
  compute(data: Uint8Array): Uint8Array;
}

export interface Aead {
  /** Bytes of the tag that follow the ciphertext: 16 for every cipher here. */
  readonly tagLength: number;
  /** Encrypts `plaintext` into `out` (plaintext length plus tag). `out` may be the same memory as `plaintext`. */
  seal(nonce: Uint8Array, aad: Uint8Array, plaintext: Uint8Array, out: Uint8Array): void;
  /** Decrypts ciphertext and tag into `out` (without tag), which may be the same memory. False on a bad tag: then `out` holds nothing to use. */
  open(nonce: Uint8Array, aad: Uint8Array, sealed: Uint8Array, out: Uint8Array): boolean;
}

/** Raw CBC without padding: whole blocks in, as many out. `out` may be the same memory as `blocks`. */
export interface Cbc {
  encrypt(iv: Uint8Array, blocks: Uint8Array, out: Uint8Array): void;
  decrypt(iv: Uint8Array, blocks: Uint8Array, out: Uint8Array): void;
}

export interface P256KeyPair {
  /** DER SubjectPublicKeyInfo. */
  readonly publicKey: Uint8Array;
  /** SEC1 ECPrivateKey DER, as openconnect writes it into the cookie. */
  exportSec1(): Uint8Array;
  /** ECDSA with SHA-256, DER signature. */
  sign(data: Uint8Array): Uint8Array;
}
