/** AES-CBC and HMAC under one pair of keys, on bytes of the arena: OpenSSL by address, or node:crypto where its symbols are missing. */
import { createCipheriv, createDecipheriv, createHmac, createSecretKey, type KeyObject } from 'node:crypto';
import type { CbcCipher, EspMac } from '../../core/tunnel/traffic.ts';
import type { Arena } from '../ffi/arena.ts';
import type { MultiBlockCbc } from '../ffi/multi-block-cbc.ts';
import type { MultiBlockHmac } from '../ffi/multi-block-hmac.ts';
import type { OpenSsl } from '../ffi/openssl.ts';
import { type CbcMacKeys, OpenSslCbcMac } from '../ffi/openssl-cbc-mac.ts';
import { BLOCK_LENGTH } from './record-form.ts';

export interface CbcMac {
  /**
   * Encrypts `length` bytes of whole blocks behind fresh random bytes, which become the IV; or decrypts those behind an IV, of which nothing is left. In
   * place. False: OpenSSL refused.
   */
  blocks(iv: number, length: number): boolean;
  /** Encrypts whole blocks in place, each by itself. Only of a key that seals, by OpenSSL; else false. */
  encryptEach(address: number, length: number): boolean;
  /** Writes the first `outLength` bytes, a multiple of four, of the MAC of `length` bytes to `out`. False: the keys are gone. */
  mac(start: number, length: number, out: number, outLength: number): boolean;
  /** The same for up to eight messages of one length at once. Undefined: one by one. */
  readonly manyHmac: MultiBlockHmac | undefined;
  /** Encrypts up to eight records of one length at once, behind random bytes that are their IVs. Undefined: one by one. */
  readonly manyCbc: MultiBlockCbc | undefined;
  /** Wipes the keys. Safe to call twice. */
  close(): void;
}

/** @param openssl undefined, or without the functions: node:crypto does it */
export function makeCbcMac(openssl: OpenSsl | undefined, arena: Arena, direction: 'seal' | 'open', keys: CbcMacKeys): CbcMac {
  const calls = openssl?.cbcMac;
  return openssl === undefined || calls === undefined
    ? new NodeCbcMac(arena, direction, keys)
    : new OpenSslCbcMac(openssl, calls, direction, keys);
}

/** The same by node:crypto: slower, and it allocates; the reference that the fast one is tested against. */
class NodeCbcMac implements CbcMac {
  readonly manyHmac = undefined;
  readonly manyCbc = undefined;
  readonly #arena: Arena;
  readonly #cipher: CbcCipher;
  readonly #hash: EspMac;
  readonly #create: typeof createCipheriv | typeof createDecipheriv;
  #keys: { readonly key: KeyObject; readonly mac: KeyObject } | undefined;

  constructor(arena: Arena, direction: 'seal' | 'open', { cipher, key, hash, mac }: CbcMacKeys) {
    this.#arena = arena;
    this.#cipher = cipher;
    this.#hash = hash;
    this.#create = direction === 'seal' ? createCipheriv : createDecipheriv;
    this.#keys = { key: createSecretKey(key), mac: createSecretKey(mac) };
  }

  blocks(iv: number, length: number): boolean {
    if (this.#keys === undefined) return false;
    const { bytes } = this.#arena;
    const start = iv + BLOCK_LENGTH;
    const cipher = this.#create(this.#cipher, this.#keys.key, bytes.subarray(iv, iv + BLOCK_LENGTH)).setAutoPadding(false);
    cipher.update(bytes.subarray(start, start + length)).copy(bytes, start);
    cipher.final();
    return true;
  }

  encryptEach(): boolean {
    return false;
  }

  mac(start: number, length: number, out: number, outLength: number): boolean {
    if (this.#keys === undefined) return false;
    const { bytes } = this.#arena;
    createHmac(this.#hash, this.#keys.mac)
      .update(bytes.subarray(start, start + length))
      .digest()
      .copy(bytes, out, 0, outLength);
    return true;
  }

  close(): void {
    this.#keys = undefined;
  }
}
