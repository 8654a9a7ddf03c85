/**
 * A gateway's answers: status lines, headers and bodies as the clients known want to see them.
 *
 * Read first: spec "Juniper NC", sections 2.2, 2.3 and 9: every answer has a length, and none with status 200 is empty.
 */
import type { HttpHeaders, HttpResponse } from '../../http/message.ts';
import type { Secret } from '../../secret.ts';
import { cookieOnWire } from '../hex-cookie.ts';
import { CLOSES, clearedCookie, pageAnswer, redirect } from '../page-gateway.ts';
import { PATHS } from './paths.ts';
import { FIRST_COOKIE, LAST_COOKIE, POLICY_COOKIE, SESSION_COOKIE, URL_COOKIE } from './session-cookie.ts';

export function page(body: string, more: HttpHeaders = []): HttpResponse {
  return pageAnswer(200, 'OK', 'text/html; charset=utf-8', body, more);
}

/** To the log-in, as a browser goes. */
export function toWelcome(): HttpResponse {
  return redirect(PATHS.welcome, [
    ['Set-Cookie', `${POLICY_COOKIE}=url_default; path=/dana-na/; secure`],
    ['Set-Cookie', `${URL_COOKIE}=/; path=/; secure`],
  ]);
}

/** The only sign of a log-in that is complete. @param now in milliseconds since 1970 */
export function admitted(cookie: Secret, now: number): HttpResponse {
  const seconds = Math.floor(now / 1000);
  return redirect(PATHS.landing, [
    ['Set-Cookie', `${SESSION_COOKIE}=${cookieOnWire(cookie)}; path=/; secure; httponly`],
    ['Set-Cookie', `${FIRST_COOKIE}=${seconds}; path=/; secure`],
    ['Set-Cookie', `${LAST_COOKIE}=${seconds}; path=/; secure`],
  ]);
}

/** Clients know by it that their cookie is dead (spec 5.1). */
export function tunnelRefused(): HttpResponse {
  return pageAnswer(403, 'Forbidden', 'text/html', '<html><body>Log in first</body></html>\n', CLOSES);
}

export function loggedOut(): HttpResponse {
  return page('<html><body>Bye</body></html>\n', [clearedCookie(SESSION_COOKIE)]);
}
