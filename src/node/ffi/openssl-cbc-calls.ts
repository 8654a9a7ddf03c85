/** The functions of OpenSSL 3 for AES-CBC and HMAC, and what they are told of a hash. See {@link OpenSslCbcMac}. */
import type { CbcCipher, EspMac } from '../../core/tunnel/traffic.ts';
import type { Arena } from './arena.ts';
import { type NativeFunction, nativeLibrary } from './koffi.ts';

/** struct OSSL_PARAM (see openssl.ts) with text, and the one of zeros that ends the list. */
const PARAM_LENGTH = 40;
const PARAM_UTF8_STRING = 4;

/** Room for the name of a parameter, or of a hash. */
const NAME_ROOM = 16;

export class CbcMacCalls {
  readonly setPadding: NativeFunction;
  readonly cbc: Readonly<Record<CbcCipher, NativeFunction>>;
  /** The same cipher without chaining. */
  readonly ecb: Readonly<Record<CbcCipher, NativeFunction>>;
  readonly newMac: NativeFunction;
  readonly freeMac: NativeFunction;
  readonly macInit: NativeFunction;
  readonly macUpdate: NativeFunction;
  readonly macFinal: NativeFunction;
  /** The algorithm HMAC, which lives as long as the process; 0 where no provider has it. */
  readonly hmac: number;
  readonly #arena: Arena;
  /** struct OSSL_PARAM[2], with the texts behind it. */
  readonly #params: number;

  constructor(arena: Arena) {
    const library = nativeLibrary('The packet engine');
    this.#arena = arena;
    this.#params = arena.allocate(2 * PARAM_LENGTH + 2 * NAME_ROOM);
    this.setPadding = library.func('int EVP_CIPHER_CTX_set_padding(uintptr_t, int)');
    this.cbc = {
      'aes-128-cbc': library.func('uintptr_t EVP_aes_128_cbc()'),
      'aes-256-cbc': library.func('uintptr_t EVP_aes_256_cbc()'),
    };
    this.ecb = {
      'aes-128-cbc': library.func('uintptr_t EVP_aes_128_ecb()'),
      'aes-256-cbc': library.func('uintptr_t EVP_aes_256_ecb()'),
    };
    this.newMac = library.func('uintptr_t EVP_MAC_CTX_new(uintptr_t)');
    this.freeMac = library.func('void EVP_MAC_CTX_free(uintptr_t)');
    this.macInit = library.func('int EVP_MAC_init(uintptr_t, uintptr_t, size_t, uintptr_t)');
    this.macUpdate = library.func('int EVP_MAC_update(uintptr_t, uintptr_t, size_t)');
    this.macFinal = library.func('int EVP_MAC_final(uintptr_t, uintptr_t, uintptr_t, size_t)');
    this.hmac = library.func('uintptr_t EVP_MAC_fetch(uintptr_t, const char *, uintptr_t)')(0, 'HMAC', 0);
  }

  /** The address of parameters that name a hash; good until it is asked again. */
  hashParams(hash: EspMac): number {
    const { bytes, view } = this.#arena;
    const params = this.#params;
    const name = params + 2 * PARAM_LENGTH;
    const value = name + NAME_ROOM;
    bytes.fill(0, params, value + NAME_ROOM);
    bytes.write('digest', name, 'latin1');
    bytes.write(hash.toUpperCase(), value, 'latin1');
    this.#arena.writeAddress(params, name);
    view.setUint32(params + 8, PARAM_UTF8_STRING, true);
    this.#arena.writeAddress(params + 16, value);
    view.setUint32(params + 24, hash.length, true);
    return this.#arena.address(params);
  }
}
