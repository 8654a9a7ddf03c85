/** The functions of OpenSSL for AES-CBC and HMAC. See {@link OpenSslCbcMac}. */
import type { CbcCipher } from '../../core/tunnel/traffic.ts';
import type { Arena } from './arena.ts';
import { bindMultiBlock } from './bind-multi-block.ts';
import { type NativeFunction, nativeLibrary } from './koffi.ts';
import { MultiBlockHmacRoom } from './multi-block-hmac.ts';
import { HASH_LENGTHS, HmacCalls } from './openssl-hmac.ts';

export class CbcMacCalls {
  readonly setPadding: NativeFunction;
  readonly cbc: Readonly<Record<CbcCipher, NativeFunction>>;
  /** The same cipher without chaining. */
  readonly ecb: Readonly<Record<CbcCipher, NativeFunction>>;
  readonly hmac: HmacCalls;
  /** Undefined: one message after the other. */
  readonly many: MultiBlockHmacRoom | undefined;

  constructor(arena: Arena, usesMultiBlock: boolean) {
    const library = nativeLibrary('The packet engine');
    this.setPadding = library.func('int EVP_CIPHER_CTX_set_padding(uintptr_t, int)');
    this.cbc = {
      'aes-128-cbc': library.func('uintptr_t EVP_aes_128_cbc()'),
      'aes-256-cbc': library.func('uintptr_t EVP_aes_256_cbc()'),
    };
    this.ecb = {
      'aes-128-cbc': library.func('uintptr_t EVP_aes_128_ecb()'),
      'aes-256-cbc': library.func('uintptr_t EVP_aes_256_ecb()'),
    };
    this.hmac = new HmacCalls(arena, library);
    const multiBlock = usesMultiBlock ? bindMultiBlock(arena, library) : undefined;
    this.many = multiBlock && new MultiBlockHmacRoom(multiBlock, HASH_LENGTHS);
  }
}
