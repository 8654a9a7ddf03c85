/**
 * The seam to cryptography: core asks, the platform answers (`NodeCrypto` in node/crypto). Randomness comes in by it too, so that tests can seed it.
 *
 * Keys are given once and kept by what is returned ({@link Aead}, {@link Cbc}, {@link Mac}); results go into the caller's memory where packets pass.
 */
import type { AeadCipher, CbcCipher } from '../tunnel/traffic.ts';

export type HashName = 'md5' | 'sha1' | 'sha256' | 'sha384' | 'sha512';

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
  generateP256(): P256KeyPair;
  /** Reads a private key in SEC1 or PKCS#8 DER. Throws {@link SallyportError} if it is neither or not on P-256. */
  importP256(der: Uint8Array): P256KeyPair;
  /** Whether a signature as {@link P256KeyPair.sign} makes it is that of this public key's owner. False, too, for what is no key or signature. */
  verifyP256(publicKey: Uint8Array, data: Uint8Array, signature: Uint8Array): boolean;
  /** A new key of this group, to agree on a secret with a peer. */
  keyAgreement(group: KeyAgreementGroup): KeyAgreement;
  /** The kind of key in a certificate (DER); undefined for what cannot be read or is of another kind. */
  certificateKeyKind(certificate: Uint8Array): KeyKind | undefined;
  /** Whether a signature is that of the certificate's owner. False, too, for what does not fit the scheme. */
  verifySignature(certificate: Uint8Array, scheme: SignatureScheme, data: Uint8Array, signature: Uint8Array): boolean;
  /** RSA with PKCS #1 v1.5 padding, to the owner of a certificate. Throws {@link SallyportError} if its key cannot. */
  encryptRsa(certificate: Uint8Array, data: Uint8Array): Uint8Array;
}

export type KeyAgreementGroup = 'x25519' | 'p256' | 'p384';

export interface KeyAgreement {
  /** As TLS writes it: 32 bytes, or an uncompressed point. */
  readonly publicKey: Uint8Array;
  /** The shared secret; undefined if that is no public key of the group, or one that gives the secret away. */
  agree(peer: Uint8Array): Uint8Array | undefined;
}

export type KeyKind = 'rsa' | 'ecdsa';

/** `legacy`: of TLS before 1.2, MD5 and SHA-1 together for RSA and SHA-1 for ECDSA. */
export type SignatureScheme =
  | 'rsa-pkcs1-sha256'
  | 'rsa-pkcs1-sha384'
  | 'rsa-pkcs1-sha512'
  | 'rsa-pss-sha256'
  | 'rsa-pss-sha384'
  | 'rsa-pss-sha512'
  | 'ecdsa-sha256'
  | 'ecdsa-sha384'
  | 'ecdsa-sha512'
  | 'legacy';

/** A certificate and what its owner can do with the key, wherever that is. */
export interface CertificateIdentity {
  /** DER, leaf first. */
  readonly chain: readonly Uint8Array[];
  readonly keyKind: KeyKind;
  sign(scheme: SignatureScheme, data: Uint8Array): Uint8Array;
  /** Raw RSA, padding and all, as long as the modulus. Throws {@link SallyportError} for what is no ciphertext of this key. */
  decryptRsa(ciphertext: Uint8Array): Uint8Array;
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
