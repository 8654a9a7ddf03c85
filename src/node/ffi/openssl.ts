/**
 * DTLS records sealed and opened in place by the OpenSSL inside the Node executable, ten times cheaper than through node:crypto.
 *
 * OpenSSL's TLS-record mode does a whole record in two calls on a context that is kept: first the 13 bytes of additional data, then the record's
 * body where it lies. All three ciphers have the mode; what differs is only how the nonce is made:
 *
 *                 nonce (12 bytes)                     the record's body
 *   AES-GCM       fixed iv (4) | explicit nonce (8)    explicit nonce (8) | data | tag (16)     RFC 5288 §3
 *   ChaCha20      iv (12) XOR 0000 | sequence (8)      data | tag (16)                          RFC 7905 §2
 *
 * Sealing GCM, OpenSSL writes the explicit nonce itself and counts it up. It starts where we say (epoch | sequence), so it equals the record's number
 * as long as every record is sealed in turn; {@link OpenSslRecordCipher.seal} checks that it does.
 */
import type { AeadCipher, TrafficKey } from '../../core/tunnel/traffic.ts';
import { type Arena, KeptAddress, KeptAddresses } from './arena.ts';
import { type NativeFunction, type NativeLibrary, nativeLibrary } from './koffi.ts';
import { CbcMacCalls } from './openssl-cbc-calls.ts';

/** Content type (1), version (2), epoch (2), sequence (6), length (2): RFC 6347 §4.1. */
export const RECORD_HEADER_LENGTH = 13;

/** What stands behind the data in a record of all three ciphers. */
export const TAG_LENGTH = 16;

/** What stands in front of the data: RFC 5288 §3 has an explicit nonce, RFC 7905 §2 has none. */
export function explicitNonceLength(cipher: AeadCipher): 0 | 8 {
  return cipher === 'chacha20-poly1305' ? 0 : 8;
}

/** epoch | sequence (8), content type (1), version (2), length (2): RFC 5246 §6.2.3.3, RFC 6347 §4.1.2.1. */
const AAD_LENGTH = 13;

/** EVP_CTRL_AEAD_SET_IV_FIXED and EVP_CTRL_GCM_SET_IV_FIXED: one number. As length -1 sets all 12 bytes of a GCM nonce. */
const CTRL_SET_IV_FIXED = 0x12;
const WHOLE_IV = -1;

/** Room for a key or an iv on its way to OpenSSL. */
const KEY_ROOM = 32;

/** OpenSSL's functions and the memory that all ciphers of a thread work in, one at a time. */
export class OpenSsl {
  readonly arena: Arena;
  /** Where a record's additional data goes. */
  readonly aad: number;
  /** struct OSSL_PARAM[2]: the additional data as the parameter that TLS-record mode wants. */
  readonly aadParams: number;
  /** Where a key goes, for the moment of its import. */
  readonly keyRoom: number;
  /** Of the records that all ciphers worked on lately. */
  readonly bodyAddresses: KeptAddresses;
  readonly newContext: NativeFunction;
  readonly freeContext: NativeFunction;
  readonly init: NativeFunction;
  readonly control: NativeFunction;
  readonly setParams: NativeFunction;
  readonly cipher: NativeFunction;
  readonly clearErrors: NativeFunction;
  readonly algorithm: Readonly<Record<AeadCipher, NativeFunction>>;
  readonly #usesMultiBlock: boolean;
  #cbcMac: CbcMacCalls | 'missing' | undefined;

  /**
   * Undefined where this executable does not export OpenSSL 3: callers use node:crypto.
   *
   * @param usesMultiBlock several messages of CBC at once, where that is possible
   */
  static bind(arena: Arena, usesMultiBlock = true): OpenSsl | undefined {
    const library = nativeLibrary('The packet engine');
    try {
      return new OpenSsl(library, arena, usesMultiBlock);
    } catch {
      return undefined; // a symbol is missing
    }
  }

  /**
   * Bound when the first key wants them: most gateways have something better than CBC. Undefined where this executable does not export them all, as OpenSSL
   * can be built without its plain hash functions: callers use node:crypto.
   */
  get cbcMac(): CbcMacCalls | undefined {
    try {
      this.#cbcMac ??= new CbcMacCalls(this.arena, this.#usesMultiBlock);
    } catch {
      this.#cbcMac = 'missing';
    }
    return this.#cbcMac === 'missing' ? undefined : this.#cbcMac;
  }

  private constructor(library: NativeLibrary, arena: Arena, usesMultiBlock: boolean) {
    this.#usesMultiBlock = usesMultiBlock;
    this.newContext = library.func('uintptr_t EVP_CIPHER_CTX_new()');
    this.freeContext = library.func('void EVP_CIPHER_CTX_free(uintptr_t)');
    this.init = library.func('int EVP_CipherInit_ex(uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t, int)');
    this.control = library.func('int EVP_CIPHER_CTX_ctrl(uintptr_t, int, int, uintptr_t)');
    this.setParams = library.func('int EVP_CIPHER_CTX_set_params(uintptr_t, uintptr_t)');
    this.cipher = library.func('int EVP_Cipher(uintptr_t, uintptr_t, uintptr_t, uint32_t)');
    this.clearErrors = library.func('void ERR_clear_error()');
    this.algorithm = {
      'aes-128-gcm': library.func('uintptr_t EVP_aes_128_gcm()'),
      'aes-256-gcm': library.func('uintptr_t EVP_aes_256_gcm()'),
      'chacha20-poly1305': library.func('uintptr_t EVP_chacha20_poly1305()'),
    };
    this.arena = arena;
    this.bodyAddresses = new KeptAddresses(arena);
    this.keyRoom = arena.allocate(KEY_ROOM);
    this.aad = arena.allocate(AAD_LENGTH);
    this.aadParams = arena.allocate(2 * PARAM_LENGTH);
    const name = arena.allocate(AAD_PARAM.length + 1);
    arena.bytes.write(AAD_PARAM, name, 'latin1');
    arena.view.setBigUint64(this.aadParams, BigInt(arena.address(name)), true);
    arena.view.setUint32(this.aadParams + 8, PARAM_OCTET_STRING, true);
    arena.view.setBigUint64(this.aadParams + 16, BigInt(arena.address(this.aad)), true);
    arena.view.setBigUint64(this.aadParams + 24, BigInt(AAD_LENGTH), true);
  }
}

/** OSSL_CIPHER_PARAM_AEAD_TLS1_AAD. What EVP_CTRL_AEAD_TLS1_AAD (0x16) becomes after a longer way. */
const AAD_PARAM = 'tlsaad';

/** struct OSSL_PARAM: key (8), data type (4), padding (4), data (8), data size (8), return size (8). One of zeros ends the list. */
const PARAM_LENGTH = 40;
const PARAM_OCTET_STRING = 5;

/** One key in one direction. A record lies in the arena from its 13-byte header on; see the picture above for the body. */
export class OpenSslRecordCipher {
  readonly #openssl: OpenSsl;
  readonly #view: DataView;
  readonly #aad: number;
  /** Length of the explicit nonce in the record. */
  readonly #nonceLength: number;
  readonly #paramsAddress: KeptAddress;
  readonly #bodyAddresses: KeptAddresses;
  /** Address of an EVP_CIPHER_CTX; undefined after {@link close}. */
  #context: number | undefined = undefined;

  constructor(openssl: OpenSsl, cipher: AeadCipher, direction: 'seal' | 'open', key: TrafficKey) {
    const { arena, keyRoom } = openssl;
    this.#openssl = openssl;
    this.#view = arena.view;
    this.#aad = openssl.aad;
    this.#paramsAddress = new KeptAddress(arena);
    this.#bodyAddresses = openssl.bodyAddresses;
    this.#nonceLength = explicitNonceLength(cipher);
    const context = openssl.newContext();
    this.#context = context;
    try {
      arena.bytes.set(key.key, keyRoom);
      const isSealing = direction === 'seal';
      must('key', openssl.init(context, openssl.algorithm[cipher](), 0, arena.address(keyRoom), 0, isSealing ? 1 : 0));
      arena.bytes.set(key.iv, keyRoom);
      const countsItself = isSealing && this.#nonceLength > 0;
      if (countsItself) writeRecordNumber(arena, keyRoom + key.iv.length, key);
      must('iv', openssl.control(context, CTRL_SET_IV_FIXED, countsItself ? WHOLE_IV : key.iv.length, arena.address(keyRoom)));
    } catch (error) {
      openssl.clearErrors(); // else the next read of any TLS connection would be taken to have failed
      this.close();
      throw error;
    } finally {
      arena.bytes.fill(0, keyRoom, keyRoom + KEY_ROOM);
    }
  }

  /**
   * Seals `length` bytes of plaintext that lie behind the record's header and room for the explicit nonce. The header is complete but for its length.
   * Behind the plaintext is room for the tag.
   *
   * @returns false if OpenSSL refused or counted differently: the record must not leave, and this key must not be used again
   */
  seal(record: number, length: number): boolean {
    if (!this.#cipher(record, this.#nonceLength + length, this.#nonceLength + length + TAG_LENGTH)) {
      this.#openssl.clearErrors();
      return false;
    }
    if (this.#nonceLength === 0) return true;
    const view = this.#view;
    const number = record + 3;
    const nonce = record + RECORD_HEADER_LENGTH;
    return view.getUint32(nonce) === view.getUint32(number) && view.getUint32(nonce + 4) === view.getUint32(number + 4);
  }

  /** Opens a record of so many bytes in place. Its plaintext's length, or -1 if the tag is wrong; the body is then garbage. */
  open(record: number, recordLength: number): number {
    const length = recordLength - RECORD_HEADER_LENGTH;
    if (this.#cipher(record, length, length)) return length - this.#nonceLength - TAG_LENGTH;
    this.#openssl.clearErrors();
    return -1;
  }

  /** Frees and wipes the key. Safe to call twice. */
  close(): void {
    if (this.#context !== undefined) this.#openssl.freeContext(this.#context);
    this.#context = undefined;
  }

  /**
   * The two calls.
   *
   * @param named the length in the additional data as OpenSSL wants it: the explicit nonce counts, and when opening the tag too. It takes them off again
   * @param length of all that it works on: explicit nonce, data and tag
   */
  #cipher(record: number, named: number, length: number): boolean {
    const context = this.#context;
    if (context === undefined) return false;
    const view = this.#view;
    const aad = this.#aad;
    view.setUint32(aad, view.getUint32(record + 3));
    view.setUint32(aad + 4, view.getUint32(record + 7));
    view.setUint8(aad + 8, view.getUint8(record));
    view.setUint16(aad + 9, view.getUint16(record + 1));
    view.setUint16(aad + 11, named);
    if (this.#openssl.setParams(context, this.#paramsAddress.of(this.#openssl.aadParams)) <= 0) return false;
    const body = this.#bodyAddresses.of(record + RECORD_HEADER_LENGTH);
    return this.#openssl.cipher(context, body, body, length) >= 0;
  }
}

function must(what: string, result: number): void {
  if (result <= 0) throw new Error(`OpenSSL refused the ${what} of a record cipher`);
}

function writeRecordNumber(arena: Arena, offset: number, key: TrafficKey): void {
  arena.view.setUint16(offset, key.id);
  arena.view.setUint16(offset + 2, Math.floor(key.nextSequence / 2 ** 32));
  arena.view.setUint32(offset + 4, key.nextSequence % 2 ** 32);
}
