/** Basic (RFC 7617) and Bearer (RFC 6750): schemes that send the secret itself, ahead of any challenge once it was accepted. */
import type { Secret } from '../../secret.ts';
import { toBase64, utf8 } from '../../wire/text.ts';
import type { AuthScheme, AuthSchemeName, Credentials } from './scheme.ts';

export function basicScheme({ username, password }: Credentials): AuthScheme {
  const pair = `${username}:${password.reveal()}`;
  // RFC 7617 §2: the first colon ends the name; control characters have no place in either.
  const isSendable = !username.includes(':') && !/[\u0000-\u001f\u007f]/.test(pair);
  return new PlainScheme('basic', isSendable ? `Basic ${toBase64(utf8(pair))}` : undefined, 'name or password');
}

export function bearerScheme(token: Secret): AuthScheme {
  const isSendable = /^[A-Za-z0-9\-._~+/]+=*$/.test(token.reveal()); // RFC 6750 §2.1
  return new PlainScheme('bearer', isSendable ? `Bearer ${token.reveal()}` : undefined, 'token');
}

class PlainScheme implements AuthScheme {
  readonly name: AuthSchemeName;
  readonly #value: string | undefined;
  readonly #secret: string;
  #isSent = false;

  /** `value` is undefined if the secret cannot be written; `secret` is what people call it. */
  constructor(name: AuthSchemeName, value: string | undefined, secret: string) {
    this.name = name;
    this.#value = value;
    this.#secret = secret;
  }

  /** There is one answer: a second challenge is a no. */
  challenged(): string | undefined {
    if (this.#value === undefined) return `the ${this.#secret} has characters that cannot be sent this way`;
    return this.#isSent ? `the ${this.#secret} was not accepted` : undefined;
  }

  authorization(): string | undefined {
    this.#isSent = true;
    return this.#value;
  }
}
