/**
 * Cryptography by `node:crypto`: works wherever Node does, some 5 µs a packet.
 *
 * Keys are kept as KeyObjects: a raw key is parsed again for each record, which costs twice as much as the record itself.
 */
import {
  type CipherGCMTypes,
  createCipheriv,
  createDecipheriv,
  createHmac,
  createSecretKey,
  hash as hashOnce,
  type KeyObject,
  randomBytes,
} from 'node:crypto';
import type {
  Aead,
  Cbc,
  CryptoProvider,
  HashName,
  KeyAgreement,
  KeyAgreementGroup,
  KeyKind,
  Mac,
  P256KeyPair,
  SignatureScheme,
} from '../../core/crypto/provider.ts';
import { MisuseError } from '../../core/errors.ts';
import type { AeadCipher, CbcCipher } from '../../core/tunnel/traffic.ts';
import { certificateKeyKind, encryptRsa, verifySignature } from './certificates.ts';
import { keyAgreement } from './key-agreement.ts';
import { generateP256, importP256, verifyP256 } from './p256.ts';
import { plain } from './plain-bytes.ts';

const TAG_LENGTH = 16;

const HASH_LENGTHS: Readonly<Record<HashName, number>> = { md5: 16, sha1: 20, sha256: 32, sha384: 48, sha512: 64 };

const KEY_LENGTHS: Readonly<Record<AeadCipher | CbcCipher, number>> = {
  'aes-128-gcm': 16,
  'aes-256-gcm': 32,
  'chacha20-poly1305': 32,
  'aes-128-cbc': 16,
  'aes-256-cbc': 32,
};

export class NodeCrypto implements CryptoProvider {
  randomBytes(length: number): Uint8Array {
    return plain(randomBytes(length));
  }

  hash(name: HashName, data: Uint8Array): Uint8Array {
    return plain(hashOnce(name, data, 'buffer'));
  }

  hmac(name: HashName, key: Uint8Array, data: Uint8Array): Uint8Array {
    return plain(createHmac(name, key).update(data).digest());
  }

  mac(name: HashName, key: Uint8Array): Mac {
    return new NodeMac(name, createSecretKey(key));
  }

  aead(cipher: AeadCipher, key: Uint8Array): Aead {
    return new NodeAead(cipher, cipherKey(cipher, key));
  }

  cbc(cipher: CbcCipher, key: Uint8Array): Cbc {
    return new NodeCbc(cipher, cipherKey(cipher, key));
  }

  generateP256(): P256KeyPair {
    return generateP256();
  }

  importP256(der: Uint8Array): P256KeyPair {
    return importP256(der);
  }

  verifyP256(publicKey: Uint8Array, data: Uint8Array, signature: Uint8Array): boolean {
    return verifyP256(publicKey, data, signature);
  }

  keyAgreement(group: KeyAgreementGroup): KeyAgreement {
    return keyAgreement(group);
  }

  certificateKeyKind(certificate: Uint8Array): KeyKind | undefined {
    return certificateKeyKind(certificate);
  }

  verifySignature(certificate: Uint8Array, scheme: SignatureScheme, data: Uint8Array, signature: Uint8Array): boolean {
    return verifySignature(certificate, scheme, data, signature);
  }

  encryptRsa(certificate: Uint8Array, data: Uint8Array): Uint8Array {
    return encryptRsa(certificate, data);
  }
}

function cipherKey(cipher: AeadCipher | CbcCipher, key: Uint8Array): KeyObject {
  if (key.length !== KEY_LENGTHS[cipher]) throw new MisuseError(`${cipher} takes a key of ${KEY_LENGTHS[cipher]} bytes, not ${key.length}`);
  return createSecretKey(key);
}

class NodeMac implements Mac {
  readonly length: number;
  readonly #name: HashName;
  readonly #key: KeyObject;

  constructor(name: HashName, key: KeyObject) {
    this.length = HASH_LENGTHS[name];
    this.#name = name;
    this.#key = key;
  }

  compute(data: Uint8Array): Uint8Array {
    return plain(createHmac(this.#name, this.#key).update(data).digest());
  }
}

class NodeAead implements Aead {
  readonly tagLength: number = TAG_LENGTH;
  /** ChaCha20-Poly1305 has the calls of GCM; the declarations of node:crypto tell them apart by name alone. */
  readonly #cipher: CipherGCMTypes;
  readonly #key: KeyObject;
  readonly #options = { authTagLength: TAG_LENGTH };

  constructor(cipher: AeadCipher, key: KeyObject) {
    this.#cipher = cipher as CipherGCMTypes;
    this.#key = key;
  }

  seal(nonce: Uint8Array, aad: Uint8Array, plaintext: Uint8Array, out: Uint8Array): void {
    const length = plaintext.length; // before `out`, which may be the same memory, is written
    const cipher = createCipheriv(this.#cipher, this.#key, nonce, this.#options);
    cipher.setAAD(aad);
    out.set(cipher.update(plaintext));
    cipher.final();
    out.set(cipher.getAuthTag(), length);
  }

  open(nonce: Uint8Array, aad: Uint8Array, sealed: Uint8Array, out: Uint8Array): boolean {
    const length = sealed.length - TAG_LENGTH;
    if (length < 0) return false;
    const decipher = createDecipheriv(this.#cipher, this.#key, nonce, this.#options);
    decipher.setAuthTag(sealed.subarray(length));
    decipher.setAAD(aad);
    const plaintext = decipher.update(sealed.subarray(0, length));
    try {
      decipher.final();
    } catch {
      return false; // a bad tag: the only reason that final() knows
    }
    out.set(plaintext);
    return true;
  }
}

class NodeCbc implements Cbc {
  readonly #cipher: CbcCipher;
  readonly #key: KeyObject;

  constructor(cipher: CbcCipher, key: KeyObject) {
    this.#cipher = cipher;
    this.#key = key;
  }

  encrypt(iv: Uint8Array, blocks: Uint8Array, out: Uint8Array): void {
    const cipher = createCipheriv(this.#cipher, this.#key, iv);
    cipher.setAutoPadding(false);
    out.set(cipher.update(blocks));
    cipher.final(); // throws if the blocks were not whole
  }

  decrypt(iv: Uint8Array, blocks: Uint8Array, out: Uint8Array): void {
    const decipher = createDecipheriv(this.#cipher, this.#key, iv);
    decipher.setAutoPadding(false);
    out.set(decipher.update(blocks));
    decipher.final();
  }
}
