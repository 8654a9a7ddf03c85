/**
 * Cookies as AnyConnect and its like keep them: a flat jar, name to value. No paths, no domains, no expiry: the last value of a name wins,
 * an empty one deletes it, and the caller clears the jar when a redirect leaves the host (spec "AnyConnect", sections 3.9 and 3.17).
 * So the jar is for one gateway; a jar for several hosts would have to be RFC 6265's.
 */
import { MisuseError, PeerMisbehavedError } from '../errors.ts';
import { revealed, Secret } from '../secret.ts';
import { HTTP_LIMIT_CODE } from './limits.ts';
import { type HttpHeaders, headerValues } from './message.ts';
import { isHeadText, trimBlanks } from './tokens.ts';

/** Cookies in one jar, and the characters of all their names and values together: they must fit into one header line. */
export const MAX_COOKIES = 256;
export const MAX_COOKIE_CHARACTERS = 32_768;

export interface Cookie {
  readonly name: string;
  readonly value: string;
}

/** The name and value of a `Set-Cookie` value, its attributes dropped; undefined if it has no name (RFC 6265 §5.2). */
export function parseSetCookie(value: string): Cookie | undefined {
  return parsePair(value.split(';', 1)[0] ?? '');
}

/** The cookies of a `Cookie` value: what a gateway reads, and what `--cookie` takes. Parts without a name are dropped. */
export function parseCookies(value: string): Cookie[] {
  return value
    .split(';')
    .map(parsePair)
    .filter((cookie) => cookie !== undefined);
}

function parsePair(text: string): Cookie | undefined {
  const equals = text.indexOf('=');
  const name = trimBlanks(text.slice(0, Math.max(equals, 0)));
  return name === '' ? undefined : { name, value: trimBlanks(text.slice(equals + 1)) };
}

export class CookieJar {
  readonly #cookies = new Map<string, string>();

  get size(): number {
    return this.#cookies.size;
  }

  /** Takes every `Set-Cookie` of a response. Throws {@link PeerMisbehavedError} when the jar overflows. */
  store(headers: HttpHeaders): void {
    for (const value of headerValues(headers, 'Set-Cookie')) {
      const cookie = parseSetCookie(value);
      if (cookie !== undefined) this.#put(cookie);
    }
    this.#checkSize();
  }

  /** Sets a cookie of our own; an empty value deletes it. Throws {@link MisuseError} if it cannot be written. */
  set(name: string, value: string | Secret): void {
    const text = revealed(value);
    if (name === '' || /[=;\s]/.test(name) || text.includes(';') || !isHeadText(name + text)) {
      throw new MisuseError('This name and value cannot be written as a cookie.');
    }
    this.#put({ name, value: text });
    this.#checkSize();
  }

  /** A cookie's value: secret, as most of them are. */
  get(name: string): Secret | undefined {
    const value = this.#cookies.get(name);
    return value === undefined ? undefined : new Secret(value);
  }

  names(): string[] {
    return [...this.#cookies.keys()];
  }

  clear(): void {
    this.#cookies.clear();
  }

  /** The value of the `Cookie` header, all cookies in one line in the order they were first set; undefined if there are none. */
  header(): string | undefined {
    if (this.#cookies.size === 0) return undefined;
    return Array.from(this.#cookies, ([name, value]) => `${name}=${value}`).join('; ');
  }

  #put({ name, value }: Cookie): void {
    if (value === '') this.#cookies.delete(name);
    else this.#cookies.set(name, value);
  }

  #checkSize(): void {
    let characters = 0;
    for (const [name, value] of this.#cookies) characters += name.length + value.length;
    if (this.#cookies.size <= MAX_COOKIES && characters <= MAX_COOKIE_CHARACTERS) return;
    throw new PeerMisbehavedError(`the gateway set more than ${MAX_COOKIES} cookies or ${MAX_COOKIE_CHARACTERS} characters of them`, {
      code: HTTP_LIMIT_CODE,
    });
  }
}
