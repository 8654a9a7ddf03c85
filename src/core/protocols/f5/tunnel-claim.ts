/**
 * Whose tunnel a request is for: it brings no cookies, but the two texts of the options (spec "F5", sections 5.1 and 6).
 *
 * The session's id is its cookie, as with appliances. Z proves that whoever asks has read the options; it follows from the cookie, so nothing is kept.
 */
import { equalInConstantTime } from '../../crypto/constant-time.ts';
import type { CryptoProvider } from '../../crypto/provider.ts';
import type { HttpRequest } from '../../http/message.ts';
import type { Secret } from '../../secret.ts';
import { toHex, utf8 } from '../../wire/text.ts';
import type { LeaseWishes } from '../gateway-protocol.ts';
import { cookieOffWire } from '../hex-cookie.ts';
import { userAgentOf } from '../page-login.ts';
import { parseTunnelTarget, type TunnelWish } from './tunnel-request.ts';

const Z_LENGTH = 16;

export function zOf(crypto: CryptoProvider, cookie: Secret): string {
  return toHex(crypto.hmac('sha256', utf8(cookie.reveal()), utf8('F5 Z'))).slice(0, Z_LENGTH);
}

/** Undefined: it names no session, or has another Z. */
export function authorised(
  { target }: HttpRequest,
  crypto: CryptoProvider,
): { readonly wish: TunnelWish; readonly cookie: Secret } | undefined {
  const wish = parseTunnelTarget(target);
  const cookie = wish && cookieOffWire(wish.sessionId);
  if (wish === undefined || cookie === undefined || !equalInConstantTime(utf8(wish.z), utf8(zOf(crypto, cookie)))) return undefined;
  return { wish, cookie };
}

export function tunnelWishes(request: HttpRequest, { wantsIpv4, wantsIpv6, hostname }: TunnelWish): LeaseWishes {
  return { wantsIpv4, wantsIpv6, isMobile: false, userAgent: userAgentOf(request.headers), ...(hostname !== undefined && { hostname }) };
}
