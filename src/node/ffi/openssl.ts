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
import type { Arena } from './arena.ts';
import { type NativeFunction, type NativeLibrary, nativeLibrary } from './koffi.ts';

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

/** Bytes of arena that one cipher at a time needs as working room. */
export const CIPHER_SCRATCH_LENGTH = 64;

/** EVP_CTRL_AEAD_SET_IV_FIXED and EVP_CTRL_GCM_SET_IV_FIXED: one number. As length -1 sets all 12 bytes of a GCM nonce. */
const CTRL_SET_IV_FIXED = 0x12;
const CTRL_TLS1_AAD = 0x16;
const WHOLE_IV = -1;

/** OpenSSL's functions, bound. */
export interface Evp {
  readonly newContext: NativeFunction;
  readonly freeContext: NativeFunction;
  readonly init: NativeFunction;
  readonly control: NativeFunction;
  readonly cipher: NativeFunction;
  readonly clearErrors: NativeFunction;
  readonly algorithm: Readonly<Record<AeadCipher, NativeFunction>>;
}

/** OpenSSL's functions, or undefined where this executable does not export them. */
export function bindOpenSsl(): Evp | undefined {
  const library = nativeLibrary('The packet engine');
  try {
    return bindEvp(library);
  } catch {
    return undefined; // an executable with its OpenSSL hidden: callers use node:crypto
  }
}

function bindEvp(library: NativeLibrary): Evp {
  return {
    newContext: library.func('uintptr_t EVP_CIPHER_CTX_new()'),
    freeContext: library.func('void EVP_CIPHER_CTX_free(uintptr_t)'),
    init: library.func('int EVP_CipherInit_ex(uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t, int)'),
    control: library.func('int EVP_CIPHER_CTX_ctrl(uintptr_t, int, int, uintptr_t)'),
    cipher: library.func('int EVP_Cipher(uintptr_t, uintptr_t, uintptr_t, uint32_t)'),
    clearErrors: library.func('void ERR_clear_error()'),
    algorithm: {
      'aes-128-gcm': library.func('uintptr_t EVP_aes_128_gcm()'),
      'aes-256-gcm': library.func('uintptr_t EVP_aes_256_gcm()'),
      'chacha20-poly1305': library.func('uintptr_t EVP_chacha20_poly1305()'),
    },
  };
}

/** One key in one direction. A record lies in the arena from its 13-byte header on; see the picture above for the body. */
export class OpenSslRecordCipher {
  readonly #evp: Evp;
  readonly #arena: Arena;
  readonly #aad: number;
  readonly #aadAddress: number;
  /** Length of the explicit nonce in the record. */
  readonly #nonceLength: number;
  /** Address of an EVP_CIPHER_CTX; 0 after {@link close}. */
  #context: number;

  /** @param scratch offset of {@link CIPHER_SCRATCH_LENGTH} bytes, which all ciphers of a thread may share */
  constructor(evp: Evp, arena: Arena, scratch: number, cipher: AeadCipher, direction: 'seal' | 'open', key: TrafficKey) {
    this.#evp = evp;
    this.#arena = arena;
    this.#aad = scratch;
    this.#aadAddress = arena.address(scratch);
    this.#nonceLength = explicitNonceLength(cipher);
    this.#context = evp.newContext();
    try {
      arena.bytes.set(key.key, scratch);
      const isSealing = direction === 'seal';
      this.#must('key', evp.init(this.#context, evp.algorithm[cipher](), 0, arena.address(scratch), 0, isSealing ? 1 : 0));
      arena.bytes.set(key.iv, scratch);
      const countsItself = isSealing && this.#nonceLength > 0;
      if (countsItself) writeRecordNumber(arena, scratch + key.iv.length, key);
      this.#must('iv', evp.control(this.#context, CTRL_SET_IV_FIXED, countsItself ? WHOLE_IV : key.iv.length, arena.address(scratch)));
    } catch (error) {
      this.close();
      throw error;
    } finally {
      arena.bytes.fill(0, scratch, scratch + CIPHER_SCRATCH_LENGTH);
    }
  }

  /**
   * Seals `length` bytes of plaintext that lie behind the record's header and room for the explicit nonce. The header is complete but for its length.
   * Behind the plaintext is room for the tag.
   *
   * @returns false if OpenSSL refused or counted differently: the record must not leave, and this key must not be used again
   */
  seal(record: number, length: number): boolean {
    if (!this.#setAad(record, length + this.#nonceLength)) return false;
    const body = this.#arena.address(record + RECORD_HEADER_LENGTH);
    if (this.#evp.cipher(this.#context, body, body, this.#nonceLength + length + TAG_LENGTH) < 0) return false;
    if (this.#nonceLength === 0) return true;
    const { view } = this.#arena;
    const [number, nonce] = [record + 3, record + RECORD_HEADER_LENGTH];
    return view.getUint32(nonce) === view.getUint32(number) && view.getUint32(nonce + 4) === view.getUint32(number + 4);
  }

  /** Opens a record whose body has `length` bytes, in place. False if the tag is wrong; the body is then garbage. */
  open(record: number, length: number): boolean {
    if (!this.#setAad(record, length)) return false;
    const body = this.#arena.address(record + RECORD_HEADER_LENGTH);
    if (this.#evp.cipher(this.#context, body, body, length) >= 0) return true;
    this.#evp.clearErrors();
    return false;
  }

  /** Frees and wipes the key. Safe to call twice. */
  close(): void {
    if (this.#context !== 0) this.#evp.freeContext(this.#context);
    this.#context = 0;
  }

  /** `length` as OpenSSL wants it: the explicit nonce counts, and when opening the tag too. It takes them off again. */
  #setAad(record: number, length: number): boolean {
    if (this.#context === 0) return false; // closed
    const { view } = this.#arena;
    const aad = this.#aad;
    view.setUint32(aad, view.getUint32(record + 3));
    view.setUint32(aad + 4, view.getUint32(record + 7));
    view.setUint8(aad + 8, view.getUint8(record));
    view.setUint16(aad + 9, view.getUint16(record + 1));
    view.setUint16(aad + 11, length);
    return this.#evp.control(this.#context, CTRL_TLS1_AAD, AAD_LENGTH, this.#aadAddress) > 0;
  }

  #must(what: string, result: number): void {
    if (result <= 0) throw new Error(`OpenSSL refused the ${what} of a record cipher`);
  }
}

function writeRecordNumber(arena: Arena, offset: number, key: TrafficKey): void {
  arena.view.setUint16(offset, key.id);
  arena.view.setUint16(offset + 2, Math.floor(key.nextSequence / 2 ** 32));
  arena.view.setUint32(offset + 4, key.nextSequence % 2 ** 32);
}
