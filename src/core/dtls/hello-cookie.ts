/**
 * The cookie of HelloVerifyRequest: proof that a hello's sender can receive at the address it sends from, kept by nobody.
 *
 * Read first: RFC 6347 §4.2.1. Cookie = HMAC-SHA256(secret, peer's address ‖ the hello without its cookie).
 */
import { equalInConstantTime } from '../crypto/constant-time.ts';
import type { CryptoProvider } from '../crypto/provider.ts';
import { encodeHandshakeMessage } from '../tls-messages/handshake-fragment.ts';
import { type ClientHello, encodeClientHello, encodeHelloVerifyRequest, HANDSHAKE_TYPES } from '../tls-messages/handshake-messages.ts';
import { ByteWriter } from '../wire/byte-writer.ts';
import { DTLS_1_0 } from './dialect.ts';
import { readFirstHello } from './first-hello.ts';
import { CONTENT_TYPES, RECORD_HEADER_LENGTH, readSequence, writeRecordHeader } from './record.ts';

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

/**
 * What a server with no memory says to the first datagram of a stranger: the HelloVerifyRequest, as a datagram; 'valid' for a hello that has a good cookie,
 * with which a {@link DtlsServer} with the same options goes on; undefined for what is no hello.
 */
export function answerStranger(
  crypto: CryptoProvider,
  options: HelloCookieOptions,
  datagram: Uint8Array,
): Uint8Array | 'valid' | undefined {
  const hello = readFirstHello(datagram);
  if (hello === undefined) return undefined;
  if (hasValidCookie(crypto, options, hello)) return 'valid';
  const body = encodeHelloVerifyRequest({ version: DTLS_1_0, cookie: helloCookie(crypto, options, hello) });
  const message = encodeHandshakeMessage({ type: HANDSHAKE_TYPES.helloVerifyRequest, sequence: 0, body });
  const record = new Uint8Array(RECORD_HEADER_LENGTH + message.length);
  // RFC 6347 §4.2.1: the record has the number of the hello's.
  writeRecordHeader(record, CONTENT_TYPES.handshake, DTLS_1_0, 0, readSequence(datagram, 0), message.length);
  record.set(message, RECORD_HEADER_LENGTH);
  return record;
}
