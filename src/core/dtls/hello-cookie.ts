/**
 * The cookie of HelloVerifyRequest: proof that a hello's sender can receive at the address it sends from, kept by nobody.
 *
 * Read first: RFC 6347 §4.2.1. Cookie = HMAC-SHA256(secret, peer's address ‖ the hello without its cookie).
 */
import { equalInConstantTime } from '../crypto/constant-time.ts';
import type { CryptoProvider } from '../crypto/provider.ts';
import { type ClientHello, encodeClientHello } from '../tls-messages/handshake-messages.ts';
import { ByteWriter } from '../wire/byte-writer.ts';

export const MIN_COOKIE_SECRET_LENGTH = 16;

export interface HelloCookieOptions {
  /** Secret of the server, the same for all associations; may change now and then. At least {@link MIN_COOKIE_SECRET_LENGTH} bytes. */
  readonly secret: Uint8Array;
  /** Address and port of the peer, in whatever form: only equality matters. */
  readonly peer: Uint8Array;
}

export function helloCookie(crypto: CryptoProvider, { secret, peer }: HelloCookieOptions, hello: ClientHello): Uint8Array {
  const input = new ByteWriter().prefixed(2, (part) => part.bytes(peer)).bytes(encodeClientHello({ ...hello, cookie: new Uint8Array(0) }));
  return crypto.hmac('sha256', secret, input.finish());
}

export function hasValidCookie(crypto: CryptoProvider, options: HelloCookieOptions, hello: ClientHello): boolean {
  return equalInConstantTime(hello.cookie, helloCookie(crypto, options, hello));
}
