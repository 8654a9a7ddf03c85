/**
 * AES-CBC and HMAC by the OpenSSL inside the Node executable, on contexts that are kept: a new IV and a new message cost no new keys.
 *
 * CBC by EVP_Cipher, which takes whole blocks and keeps nothing back; HMAC by {@link OpenSslHmac}.
 *
 * A context goes on where it was with each call, and so no IV is ever set, which would be another call: what stands in an IV's place is a block like the
 * others. Sealing, the random bytes there become an IV that is as random, as a block cipher maps all blocks to all blocks. Opening, that block becomes
 * nonsense, and the next one what it should, as it needs nothing but the block before it.
 */
import type { CbcCipher, EspMac } from '../../core/tunnel/traffic.ts';
import type { KeptAddresses } from './arena.ts';
import { MultiBlockCbc } from './multi-block-cbc.ts';
import type { MultiBlockHmac } from './multi-block-hmac.ts';
import type { OpenSsl } from './openssl.ts';
import type { CbcMacCalls } from './openssl-cbc-calls.ts';
import { OpenSslHmac } from './openssl-hmac.ts';

export interface CbcMacKeys {
  readonly cipher: CbcCipher;
  readonly key: Uint8Array;
  readonly hash: EspMac;
  readonly mac: Uint8Array;
}

/** Room for a key on its way to OpenSSL. */
const KEY_ROOM = 32;

/** Of AES, and of an IV. */
const BLOCK_LENGTH = 16;

export class OpenSslCbcMac {
  readonly #openssl: OpenSsl;
  readonly #addresses: KeptAddresses;
  readonly #hmac: OpenSslHmac;
  #manyHmac: MultiBlockHmac | undefined;
  #manyCbc: MultiBlockCbc | undefined;
  /** Address of an EVP_CIPHER_CTX; 0 after {@link close}. */
  #cipher = 0;
  /** The same for single blocks, where it seals. */
  #ecb = 0;

  constructor(openssl: OpenSsl, calls: CbcMacCalls, direction: 'seal' | 'open', { cipher, key, hash, mac }: CbcMacKeys) {
    const { arena, keyRoom } = openssl;
    this.#openssl = openssl;
    this.#addresses = openssl.bodyAddresses;
    this.#hmac = new OpenSslHmac(calls.hmac, hash, mac, openssl.bodyAddresses);
    this.#cipher = openssl.newContext();
    try {
      must('context', this.#cipher);
      this.#manyHmac = calls.many && this.#hmac.forMany(calls.many);
      this.#manyCbc = calls.many && direction === 'seal' ? new MultiBlockCbc(calls.many.calls, key) : undefined;
      arena.bytes.set(key, keyRoom);
      must('key', openssl.init(this.#cipher, calls.cbc[cipher](), 0, arena.address(keyRoom), 0, direction === 'seal' ? 1 : 0));
      if (direction === 'seal') {
        this.#ecb = openssl.newContext();
        must('context', this.#ecb);
        must('key', openssl.init(this.#ecb, calls.ecb[cipher](), 0, arena.address(keyRoom), 0, 1));
        must('padding', calls.setPadding(this.#ecb, 0));
      }
      arena.bytes.fill(0, keyRoom, keyRoom + KEY_ROOM);
      must('IV', openssl.init(this.#cipher, 0, 0, 0, arena.address(keyRoom), -1)); // any; -1: the direction stays
      must('padding', calls.setPadding(this.#cipher, 0));
    } catch (error) {
      openssl.clearErrors(); // else the next read of any TLS connection would be taken to have failed
      this.close();
      throw error;
    } finally {
      arena.bytes.fill(0, keyRoom, keyRoom + KEY_ROOM);
    }
  }

  /** See CbcMac in `engine/cbc-mac.ts`; undefined after {@link close}, as they would go on with a key of zeros. */
  get manyHmac(): MultiBlockHmac | undefined {
    return this.#manyHmac;
  }

  get manyCbc(): MultiBlockCbc | undefined {
    return this.#manyCbc;
  }

  blocks(iv: number, length: number): boolean {
    if (this.#cipher === 0) return false;
    return this.#encrypts(this.#cipher, this.#addresses.of(iv), BLOCK_LENGTH + length);
  }

  encryptEach(address: number, length: number): boolean {
    return this.#ecb !== 0 && this.#encrypts(this.#ecb, address, length);
  }

  mac(start: number, length: number, out: number, outLength: number): boolean {
    if (this.#cipher === 0) return false;
    this.#hmac.mac(start, length, out, outLength);
    return true;
  }

  /** In place; or decrypts, where it opens. */
  #encrypts(context: number, address: number, length: number): boolean {
    const isDone = this.#openssl.cipher(context, address, address, length) > 0;
    if (!isDone) this.#openssl.clearErrors();
    return isDone;
  }

  /** Frees and wipes the keys. Safe to call twice. */
  close(): void {
    if (this.#cipher !== 0) this.#openssl.freeContext(this.#cipher);
    if (this.#ecb !== 0) this.#openssl.freeContext(this.#ecb);
    this.#hmac.close();
    this.#manyHmac?.close();
    this.#manyCbc?.close();
    this.#manyHmac = undefined;
    this.#manyCbc = undefined;
    this.#cipher = 0;
    this.#ecb = 0;
  }
}

function must(what: string, result: number): void {
  if (result <= 0) throw new Error(`OpenSSL refused the ${what} of a record cipher`);
}
