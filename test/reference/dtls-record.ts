/**
 * DTLS 1.2 records with AEAD ciphers, written once more from the RFCs over node:crypto: slow, obvious, and with nothing in common with the engine.
 *
 * RFC 6347 §4.1 (record), RFC 5246 §6.2.3.3 (additional data), RFC 5288 §3 (AES-GCM nonce), RFC 7905 §2 (ChaCha20-Poly1305 nonce).
 */
import { type CipherGCMTypes, createCipheriv, createDecipheriv } from 'node:crypto';
import type { AeadCipher } from '../../src/core/tunnel/traffic.ts';

export interface ReferenceKey {
  readonly cipher: AeadCipher;
  readonly epoch: number;
  readonly key: Uint8Array;
  readonly iv: Uint8Array;
}

export interface ReferenceRecord {
  readonly type: number;
  readonly epoch: number;
  readonly sequence: number;
  /** The explicit nonce; empty for ChaCha20-Poly1305. */
  readonly nonce: Buffer;
  readonly plaintext: Buffer;
}

const VERSION = 0xfefd;

function numberOf(epoch: number, sequence: number): Buffer {
  const number = Buffer.alloc(8);
  number.writeUInt16BE(epoch, 0);
  number.writeUIntBE(sequence, 2, 6);
  return number;
}

function nonceOf(key: ReferenceKey, number: Buffer, explicit: Buffer): Buffer {
  if (key.cipher !== 'chacha20-poly1305') return Buffer.concat([key.iv, explicit]);
  const padded = Buffer.concat([Buffer.alloc(4), number]);
  return padded.map((byte, i) => byte ^ (key.iv[i] ?? 0)) as Buffer;
}

function additionalData(number: Buffer, type: number, length: number): Buffer {
  const rest = Buffer.alloc(5);
  rest.writeUInt8(type, 0);
  rest.writeUInt16BE(VERSION, 1);
  rest.writeUInt16BE(length, 3);
  return Buffer.concat([number, rest]);
}

export function sealReference(key: ReferenceKey, sequence: number, type: number, plaintext: Uint8Array): Buffer {
  const number = numberOf(key.epoch, sequence);
  const explicit = key.cipher === 'chacha20-poly1305' ? Buffer.alloc(0) : number;
  const cipher = createCipheriv(key.cipher as CipherGCMTypes, key.key, nonceOf(key, number, explicit), { authTagLength: 16 });
  cipher.setAAD(additionalData(number, type, plaintext.length), { plaintextLength: plaintext.length });
  const body = Buffer.concat([explicit, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
  const header = Buffer.alloc(13);
  header.writeUInt8(type, 0);
  header.writeUInt16BE(VERSION, 1);
  number.copy(header, 3);
  header.writeUInt16BE(body.length, 11);
  return Buffer.concat([header, body]);
}

/** Opens a datagram that is one record. Throws if anything about it is wrong. */
export function openReference(key: ReferenceKey, record: Uint8Array): ReferenceRecord {
  const bytes = Buffer.from(record);
  if (bytes.readUInt16BE(1) !== VERSION || bytes.readUInt16BE(11) !== bytes.length - 13) throw new Error('not one DTLS 1.2 record');
  const number = bytes.subarray(3, 11);
  const explicitLength = key.cipher === 'chacha20-poly1305' ? 0 : 8;
  const explicit = bytes.subarray(13, 13 + explicitLength);
  const sealed = bytes.subarray(13 + explicitLength, -16);
  const decipher = createDecipheriv(key.cipher as CipherGCMTypes, key.key, nonceOf(key, number, explicit), { authTagLength: 16 });
  decipher.setAAD(additionalData(number, bytes.readUInt8(0), sealed.length), { plaintextLength: sealed.length });
  decipher.setAuthTag(bytes.subarray(-16));
  const plaintext = Buffer.concat([decipher.update(sealed), decipher.final()]);
  return {
    type: bytes.readUInt8(0),
    epoch: number.readUInt16BE(0),
    sequence: number.readUIntBE(2, 6),
    nonce: Buffer.from(explicit),
    plaintext,
  };
}
