/**
 * crypt(3) of the system's libcrypt, off the event loop: a hash is made slow on purpose, and all others would wait for it.
 *
 * Read first: crypt(3) and crypt(5) of libxcrypt.
 */
import { UnsupportedError } from '../../core/errors.ts';
import { Arena } from './arena.ts';
import { koffi, type NativeTextFunction } from './koffi.ts';

/** Of libxcrypt (glibc's own before it has the first too). */
const LIBRARIES = ['libcrypt.so.1', 'libcrypt.so.2'];

/** `struct crypt_data`: 32 KiB in libxcrypt, 128 KiB and a little in glibc's. */
const DATA_SIZE = 196_608;

export class Libcrypt {
  readonly #crypt: NativeTextFunction;
  /** Of calls that have ended, for the next ones. */
  readonly #spare: Arena[] = [];

  private constructor(crypt: NativeTextFunction) {
    this.#crypt = crypt;
  }

  /** Throws {@link UnsupportedError} where koffi or the library is missing. */
  static open(): Libcrypt {
    const purpose = 'The system’s password hashing';
    for (const name of LIBRARIES) {
      try {
        const library = koffi(purpose).load(name);
        return new Libcrypt(library.func('str crypt_r(str, str, uintptr_t)') as unknown as NativeTextFunction);
      } catch (error) {
        if (error instanceof UnsupportedError) throw error;
        // Not here under this name: the next one.
      }
    }
    throw new UnsupportedError(`${purpose} needs one of the libraries ${LIBRARIES.join(', ')}, and none is installed.`);
  }

  /** The hash of a phrase; `setting` is a hash or its beginning. Undefined: the library does not know this kind of hash. */
  async crypt(phrase: string, setting: string): Promise<string | undefined> {
    const data = this.#spare.pop() ?? new Arena(DATA_SIZE);
    try {
      const hash = await new Promise<string | null>((resolve, reject) => {
        this.#crypt.async(phrase, setting, data.address(0), (error, result) => {
          if (error === null || error === undefined) resolve(result);
          else reject(error instanceof Error ? error : new Error(String(error)));
        });
      });
      return hash === null || hash.startsWith('*') ? undefined : hash;
    } finally {
      data.bytes.fill(0); // it holds what the password can be found from
      this.#spare.push(data);
    }
  }
}
