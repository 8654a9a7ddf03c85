/** Whose cookie a DTLS hello brings back: the same in main, which gives it, and in a worker, which goes on from it. */
import type { HelloCookieOptions } from '../../core/dtls/hello-cookie.ts';
import { type Endpoint, formatEndpoint } from '../../core/wire/ip-address.ts';
import { utf8 } from '../../core/wire/text.ts';

export function helloCookieOf(secret: Uint8Array, remote: Endpoint): HelloCookieOptions {
  return { secret, peer: utf8(formatEndpoint(remote)) };
}
