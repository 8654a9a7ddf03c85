/**
 * Hashes of passwords as crypt(3) writes them: `$5$salt$hash`. By the system's libcrypt where it is there; else by packages, which know fewer kinds.
 */
import { equalInConstantTime } from '../../core/crypto/constant-time.ts';
import { UnsupportedError } from '../../core/errors.ts';
import type { Secret } from '../../core/secret.ts';
import { utf8 } from '../../core/wire/text.ts';
import { Libcrypt } from '../../node/ffi/libcrypt.ts';

/** Hashes that are being made at once: as many threads as Node's pool has by default would starve files and names, so fewer. */
const MAX_AT_ONCE = 3;

/** Hashes that wait. Beyond it a log-in is refused at once: somebody tries passwords faster than they can be checked. */
const MAX_WAITING = 256;

const SALT_ALPHABET = './0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const SALT_LENGTH = 16;

/** What makes a hash; undefined for a kind of hash that it does not know. */
type Crypt = (phrase: string, setting: string) => Promise<string | undefined>;

export class PasswordHasher {
  readonly #crypt: Crypt;
  #running = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(crypt: Crypt = systemCrypt()) {
    this.#crypt = crypt;
  }

  /** `busy`: too many are waiting. `unsupported`: nobody here knows this kind of hash. */
  async verify(password: Secret, hash: string): Promise<'right' | 'wrong' | 'busy' | 'unsupported'> {
    if (!(await this.#enter())) return 'busy';
    try {
      const made = await this.#crypt(password.reveal(), hash);
      if (made === undefined) return 'unsupported';
      return equalInConstantTime(utf8(made), utf8(hash)) ? 'right' : 'wrong';
    } finally {
      this.#leave();
    }
  }

  /** A new hash, of SHA-256 crypt as ocpasswd makes them. */
  async make(password: Secret, random: (length: number) => Uint8Array): Promise<string> {
    const salt = Array.from(random(SALT_LENGTH), (byte) => SALT_ALPHABET.charAt(byte & 63)).join('');
    const hash = await this.#crypt(password.reveal(), `$5$${salt}$`);
    if (hash === undefined) throw new UnsupportedError('SHA-256 crypt is not known to the crypt library of this system.');
    return hash;
  }

  async #enter(): Promise<boolean> {
    if (this.#running < MAX_AT_ONCE) {
      this.#running++;
      return true;
    }
    if (this.#waiting.length >= MAX_WAITING) return false;
    await new Promise<void>((resolve) => this.#waiting.push(resolve)); // the place is handed on
    return true;
  }

  #leave(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#running--;
    else next();
  }
}

function systemCrypt(): Crypt {
  try {
    const libcrypt = Libcrypt.open();
    return (phrase, setting) => libcrypt.crypt(phrase, setting);
  } catch (error) {
    if (error instanceof UnsupportedError) return portableCrypt;
    throw error;
  }
}

/** Without libcrypt: `$5$` and `$6$` (on the event loop, some ten milliseconds each) and bcrypt. Not MD5-crypt, not yescrypt. */
export async function portableCrypt(phrase: string, setting: string): Promise<string | undefined> {
  if (/^\$2[aby]\$\d\d\$[./A-Za-z0-9]{22}/.test(setting)) {
    const { hash } = await import('bcryptjs');
    // It writes its own letter: `$2b$` and `$2y$` are the same function.
    const made = await hash(phrase, `$2b$${setting.slice(4, 29)}`);
    return setting.slice(0, 4) + made.slice(4);
  }
  if (/^\$[56]\$/.test(setting)) {
    const { encrypt } = await import('unixcrypt');
    return encrypt(phrase, setting.slice(0, setting.lastIndexOf('$')));
  }
  return undefined;
}
