/**
 * Keys as Juniper's protocols hand them over: one block of 64 bytes a direction, and numbers for what they are for.
 *
 * Read first: spec "ESP", sections 1 and 2.2.
 *
 *   | encryption key | MAC key, right behind it | filler |
 */
import type { CryptoProvider } from '../crypto/provider.ts';
import { PeerMisbehavedError } from '../errors.ts';
import type { CbcCipher, EspMac } from '../tunnel/traffic.ts';
import type { EspAlgorithms } from './algorithms.ts';
import { ESP_KEY_LENGTHS, ESP_MAC_KEY_LENGTHS, type EspKeys } from './packet.ts';

export const KEY_BLOCK_LENGTH = 64;

/** One direction's. */
export interface KeyBlock {
  readonly spi: number;
  /** As long as {@link KEY_BLOCK_LENGTH}. */
  readonly bytes: Uint8Array;
}

/** Spec 2.1. */
export const CIPHER_IDS: Readonly<Record<CbcCipher, number>> = { 'aes-128-cbc': 2, 'aes-256-cbc': 5 };
export const MAC_IDS: Readonly<Record<EspMac, number>> = { md5: 1, sha1: 2, sha256: 3 };

/** Undefined: there is no ESP with these numbers. */
export function algorithmsOf(cipherId: number, macId: number): EspAlgorithms | undefined {
  const cipher = keyOf(CIPHER_IDS, cipherId);
  const mac = keyOf(MAC_IDS, macId);
  return cipher !== undefined && mac !== undefined ? { cipher, mac } : undefined;
}

export function newKeyBlock(crypto: CryptoProvider, spi: number): KeyBlock {
  return { spi, bytes: crypto.randomBytes(KEY_BLOCK_LENGTH) };
}

/** Copies: the block may be wiped. Throws {@link PeerMisbehavedError} for a block that is too short. */
export function keysOf({ spi, bytes }: KeyBlock, { cipher, mac }: EspAlgorithms): EspKeys {
  if (bytes.length !== KEY_BLOCK_LENGTH) throw new PeerMisbehavedError(`ESP keys: expected ${KEY_BLOCK_LENGTH} bytes, got ${bytes.length}`);
  const length = ESP_KEY_LENGTHS[cipher];
  return { spi, cipher, mac, key: bytes.slice(0, length), macKey: bytes.slice(length, length + ESP_MAC_KEY_LENGTHS[mac]) };
}

/** Why a client does not use them; undefined: nothing speaks against it. */
export function weaknessOf({ mac }: EspAlgorithms, allowsLegacy: boolean): string | undefined {
  return mac === 'md5' && !allowsLegacy ? 'the gateway wants MD5, which needs --allow-insecure-crypto' : undefined;
}

function keyOf<Name extends string>(ids: Readonly<Record<Name, number>>, id: number): Name | undefined {
  return (Object.keys(ids) as Name[]).find((name) => ids[name] === id);
}
