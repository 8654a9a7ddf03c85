/** Who may use a proxy: one name with its password. */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { Secret } from '../../core/secret.ts';

export interface ProxyLogin {
  readonly username: string;
  readonly password: Secret;
}

export class ProxyCredentials {
  readonly #digest: Buffer;

  constructor({ username, password }: ProxyLogin) {
    this.#digest = digestOf(Buffer.from(username), Buffer.from(password.reveal()));
  }

  /** In constant time, whatever is compared. */
  accepts(username: Uint8Array, password: Uint8Array): boolean {
    return timingSafeEqual(digestOf(username, password), this.#digest);
  }

  /** The value of `Proxy-Authorization` (RFC 7617). */
  acceptsBasic(header: string | undefined): boolean {
    const [, encoded] = /^basic +([a-z0-9+/=]{1,1024})$/i.exec(header ?? '') ?? [];
    if (encoded === undefined) return false;
    const decoded = Buffer.from(encoded, 'base64');
    const colon = decoded.indexOf(0x3a);
    return colon >= 0 && this.accepts(decoded.subarray(0, colon), decoded.subarray(colon + 1));
  }
}

/** The length keeps `a` + `bc` apart from `ab` + `c`. */
function digestOf(username: Uint8Array, password: Uint8Array): Buffer {
  return createHash('sha256').update(`${username.length}:`).update(username).update(password).digest();
}
