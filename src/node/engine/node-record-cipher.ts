/** AEAD records by node:crypto: slower than OpenSSL by address by ten times, and it allocates; the reference that the fast one is tested against. */
import { type CipherGCMTypes, createCipheriv, createDecipheriv, createSecretKey, type KeyObject } from 'node:crypto';
import type { AeadCipher, TrafficKey } from '../../core/tunnel/traffic.ts';
import type { Arena } from '../ffi/arena.ts';
import { explicitNonceLength, RECORD_HEADER_LENGTH, TAG_LENGTH } from '../ffi/openssl.ts';
import type { RecordCipher } from './record-cipher.ts';

export class NodeRecordCipher implements RecordCipher {
  readonly #arena: Arena;
  /** ChaCha20-Poly1305's calls have the same shape as GCM's; only their types know two families. */
  readonly #algorithm: CipherGCMTypes;
  readonly #nonceLength: number;
  readonly #nonce: Buffer;
  readonly #iv: Uint8Array;
  #key: KeyObject | undefined;

  constructor(arena: Arena, cipher: AeadCipher, key: TrafficKey) {
    this.#arena = arena;
    this.#algorithm = cipher as CipherGCMTypes;
    this.#nonceLength = explicitNonceLength(cipher);
    this.#key = createSecretKey(key.key);
    this.#iv = Uint8Array.from(key.iv);
    this.#nonce = Buffer.alloc(12);
  }

  seal(record: number, length: number): boolean {
    if (this.#key === undefined) return false;
    const { bytes } = this.#arena;
    const body = record + RECORD_HEADER_LENGTH;
    if (this.#nonceLength > 0) bytes.copy(bytes, body, record + 3, record + 11);
    const data = body + this.#nonceLength;
    const cipher = createCipheriv(this.#algorithm, this.#key, this.#nonceOf(record), { authTagLength: TAG_LENGTH });
    cipher.setAAD(this.#aad(record, length), { plaintextLength: length });
    cipher.update(bytes.subarray(data, data + length)).copy(bytes, data);
    cipher.final();
    cipher.getAuthTag().copy(bytes, data + length);
    return true;
  }

  open(record: number, recordLength: number): number {
    if (this.#key === undefined) return -1;
    const { bytes } = this.#arena;
    const length = recordLength - RECORD_HEADER_LENGTH;
    const data = record + RECORD_HEADER_LENGTH + this.#nonceLength;
    const dataLength = length - this.#nonceLength - TAG_LENGTH;
    const decipher = createDecipheriv(this.#algorithm, this.#key, this.#nonceOf(record), { authTagLength: TAG_LENGTH });
    decipher.setAAD(this.#aad(record, dataLength), { plaintextLength: dataLength });
    decipher.setAuthTag(bytes.subarray(data + dataLength, data + dataLength + TAG_LENGTH));
    decipher.update(bytes.subarray(data, data + dataLength)).copy(bytes, data);
    try {
      decipher.final();
      return dataLength;
    } catch {
      return -1; // node:crypto's way to say that the tag is wrong
    }
  }

  close(): void {
    this.#key = undefined;
  }

  #nonceOf(record: number): Buffer {
    const { bytes } = this.#arena;
    this.#nonce.set(this.#iv);
    if (this.#nonceLength > 0) {
      bytes.copy(this.#nonce, 4, record + RECORD_HEADER_LENGTH, record + RECORD_HEADER_LENGTH + 8);
    } else {
      for (let i = 0; i < 8; i++) this.#nonce[4 + i] = (this.#nonce[4 + i] ?? 0) ^ (bytes[record + 3 + i] ?? 0);
    }
    return this.#nonce;
  }

  #aad(record: number, length: number): Buffer {
    const { bytes } = this.#arena;
    const aad = Buffer.alloc(RECORD_HEADER_LENGTH);
    bytes.copy(aad, 0, record + 3, record + 11);
    bytes.copy(aad, 8, record, record + 3);
    aad.writeUInt16BE(length, 11);
    return aad;
  }
}
