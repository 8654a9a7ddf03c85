/**
 * AEAD records of DTLS 1.2: AES-GCM and ChaCha20-Poly1305.
 *
 * Read first: RFC 5246 §6.2.3.3 (AAD); RFC 5288 §3 (GCM's nonce); RFC 7905 §2 (ChaCha20-Poly1305's nonce); RFC 6347 §4.1.2.1 (record number for sequence).
 *
 *   AES-GCM             | header 13 | explicit nonce 8 | ciphertext | tag 16 |     nonce = fixed IV (4) ‖ explicit nonce
 *   ChaCha20-Poly1305   | header 13 | ciphertext | tag 16 |                         nonce = fixed IV (12) XOR 0000 ‖ record number
 *
 *   AAD = record number 8 ‖ type ‖ version ‖ length of the plaintext
 *
 * Our explicit nonce is the record number, as GnuTLS's is: unique without a counter of its own. A peer's may be anything.
 */
import type { Aead, CryptoProvider } from '../crypto/provider.ts';
import type { DirectionKeys } from '../tls-messages/key-schedule.ts';
import type { AeadCipher, RecordLayout, TrafficKey } from '../tunnel/traffic.ts';
import { copyOf } from '../wire/copy.ts';
import { RECORD_HEADER_LENGTH, RECORD_NUMBER_LENGTH, RECORD_NUMBER_OFFSET, writeRecordHeader, writeU16 } from './record.ts';
import type { RecordProtection } from './record-protection.ts';

/** Bytes of the explicit nonce in each record. */
export function explicitNonceLength(cipher: AeadCipher): number {
  return cipher === 'chacha20-poly1305' ? 0 : RECORD_NUMBER_LENGTH;
}

export const AEAD_TAG_LENGTH = 16;

const NONCE_LENGTH = 12;
const AAD_LENGTH = 13;
const TRAFFIC_EPOCH = 1;

export class AeadProtection implements RecordProtection {
  readonly plaintextOffset: number;
  readonly maxOverhead: number;
  readonly layout: RecordLayout;
  readonly #aead: Aead;
  readonly #keys: DirectionKeys;
  readonly #version: number;
  /** Filled anew for each record, to allocate nothing. */
  readonly #nonce = new Uint8Array(NONCE_LENGTH);
  readonly #aad = new Uint8Array(AAD_LENGTH);

  constructor(crypto: CryptoProvider, cipher: AeadCipher, keys: DirectionKeys, version: number) {
    this.layout = { kind: 'dtls-aead', cipher };
    this.#aead = crypto.aead(cipher, keys.key);
    this.#keys = keys;
    this.#version = version;
    this.plaintextOffset = RECORD_HEADER_LENGTH + explicitNonceLength(cipher);
    this.maxOverhead = this.plaintextOffset + AEAD_TAG_LENGTH;
    this.#nonce.set(keys.iv);
  }

  /** Copies of the key and the fixed part of the nonce, for someone else who seals or opens. */
  exportKeys(): Pick<TrafficKey, 'key' | 'iv'> {
    return { key: copyOf(this.#keys.key), iv: copyOf(this.#keys.iv) };
  }

  seal(type: number, sequence: number, plaintext: Uint8Array, room: Uint8Array): number {
    const length = plaintext.length;
    const end = this.maxOverhead + length;
    writeRecordHeader(room, type, this.#version, TRAFFIC_EPOCH, sequence, end - RECORD_HEADER_LENGTH);
    if (this.plaintextOffset > RECORD_HEADER_LENGTH) {
      room.copyWithin(RECORD_HEADER_LENGTH, RECORD_NUMBER_OFFSET, RECORD_NUMBER_OFFSET + RECORD_NUMBER_LENGTH);
    }
    this.#prepare(room, length);
    this.#aead.seal(this.#nonce, this.#aad, plaintext, room.subarray(this.plaintextOffset, end));
    return end;
  }

  open(record: Uint8Array): number {
    const length = record.length - this.maxOverhead;
    if (length < 0) return -1;
    this.#prepare(record, length);
    const sealed = record.subarray(this.plaintextOffset);
    return this.#aead.open(this.#nonce, this.#aad, sealed, sealed) ? length : -1;
  }

  wipe(): void {
    this.#keys.key.fill(0);
    this.#keys.iv.fill(0);
    this.#nonce.fill(0);
  }

  /** Sets nonce and AAD for a record whose header, and explicit nonce where there is one, are written. */
  #prepare(record: Uint8Array, plaintextLength: number): void {
    const nonce = this.#nonce;
    if (this.plaintextOffset > RECORD_HEADER_LENGTH) {
      for (let i = 0; i < RECORD_NUMBER_LENGTH; i++) nonce[4 + i] = record[RECORD_HEADER_LENGTH + i] ?? 0;
    } else {
      const iv = this.#keys.iv;
      for (let i = 0; i < RECORD_NUMBER_LENGTH; i++) nonce[4 + i] = (iv[4 + i] ?? 0) ^ (record[RECORD_NUMBER_OFFSET + i] ?? 0);
    }
    const aad = this.#aad;
    for (let i = 0; i < RECORD_NUMBER_LENGTH; i++) aad[i] = record[RECORD_NUMBER_OFFSET + i] ?? 0;
    aad[8] = record[0] ?? 0;
    aad[9] = record[1] ?? 0;
    aad[10] = record[2] ?? 0;
    writeU16(aad, 11, plaintextLength);
  }
}
