/** ESP packets (RFC 4303, AES-CBC, HMAC), written once more over node:crypto: slow, obvious, and with nothing in common with the engine. */
import { createCipheriv, createDecipheriv, createHmac } from 'node:crypto';
import type { CbcCipher, EspMac } from '../../src/core/tunnel/traffic.ts';

export interface ReferenceSa {
  readonly spi: number;
  readonly cipher: CbcCipher;
  readonly key: Uint8Array;
  readonly mac: EspMac;
  readonly macKey: Uint8Array;
}

export interface ReferencePacket {
  readonly sequence: number;
  readonly iv: Buffer;
  readonly payload: Buffer;
  readonly nextHeader: number;
}

const MAC_LENGTHS = { md5: 12, sha1: 12, sha256: 16 };

/** @param padding in place of `01 02 03…`, and its length byte */
export function sealEspReference(
  sa: ReferenceSa,
  { sequence, iv, payload, nextHeader }: ReferencePacket,
  padding: Uint8Array = usualPadding(payload.length),
): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt32BE(sa.spi, 0);
  header.writeUInt32BE(sequence, 4);
  const cipher = createCipheriv(sa.cipher, sa.key, iv).setAutoPadding(false);
  const sealed = Buffer.concat([cipher.update(Buffer.concat([payload, padding, Buffer.of(nextHeader)])), cipher.final()]);
  const packet = Buffer.concat([header, iv, sealed]);
  return Buffer.concat([packet, createHmac(sa.mac, sa.macKey).update(packet).digest().subarray(0, MAC_LENGTHS[sa.mac])]);
}

/** Throws for a packet that is not the security association's. */
export function openEspReference(sa: ReferenceSa, packet: Buffer): ReferencePacket & { readonly padding: number } {
  const end = packet.length - MAC_LENGTHS[sa.mac];
  const mac = createHmac(sa.mac, sa.macKey).update(packet.subarray(0, end)).digest().subarray(0, MAC_LENGTHS[sa.mac]);
  if (packet.readUInt32BE(0) !== sa.spi || !mac.equals(packet.subarray(end))) throw new Error('not authentic');
  const iv = packet.subarray(8, 24);
  const decipher = createDecipheriv(sa.cipher, sa.key, iv).setAutoPadding(false);
  const opened = Buffer.concat([decipher.update(packet.subarray(24, end)), decipher.final()]);
  const padding = opened.at(-2) ?? 0;
  const payload = opened.subarray(0, opened.length - 2 - padding);
  if (!opened.subarray(payload.length, -1).equals(Buffer.from([...Array.from({ length: padding }, (_, i) => i + 1), padding]))) {
    throw new Error('not padded as RFC 4303 says');
  }
  return { sequence: packet.readUInt32BE(4), iv, payload, nextHeader: opened.at(-1) ?? 0, padding };
}

function usualPadding(length: number): Uint8Array {
  const padding = (30 - (length % 16)) % 16;
  return Uint8Array.from([...Array.from({ length: padding }, (_, i) => i + 1), padding]);
}
