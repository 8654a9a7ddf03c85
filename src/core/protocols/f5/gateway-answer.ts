/**
 * A gateway's answers: status lines, headers and bodies as the clients known want to see them.
 *
 * Read first: spec "F5", sections 1.1, 2.1, 2.7 and 7: every answer has a length, and none with status 200 is empty.
 */
import type { HttpHeaders, HttpResponse } from '../../http/message.ts';
import type { Secret } from '../../secret.ts';
import { cookieOnWire } from '../hex-cookie.ts';
import { CLOSES, clearedCookie, pageAnswer, redirect } from '../page-gateway.ts';
import { PATHS } from './paths.ts';
import { LAST_COOKIE, SESSION_COOKIE, TIMING_COOKIE } from './session-cookie.ts';

/** Takes the cookies of a session away. */
const NO_SESSION: HttpHeaders = [SESSION_COOKIE, TIMING_COOKIE, LAST_COOKIE].map(clearedCookie);

/** Characters of the session's id that people see. */
const LAST_LENGTH = 8;

export function page(body: string, more: HttpHeaders = []): HttpResponse {
  return pageAnswer(200, 'OK', 'text/html; charset=utf-8', body, more);
}

export function document(body: string): HttpResponse {
  return pageAnswer(200, 'OK', 'text/xml; charset=utf-8', body);
}

export function toPolicy(more: HttpHeaders = []): HttpResponse {
  return redirect(PATHS.policy, more);
}

/** Of who asks for what belongs to a session: clients know by it that their cookie is dead (spec 4). */
export function noSession(): HttpResponse {
  return pageAnswer(403, 'Forbidden', 'text/html', '<html><body>Log in first</body></html>\n');
}

/** Observed: appliances say so for a tunnel of a session that they do not know. */
export function tunnelRefused(): HttpResponse {
  return pageAnswer(504, 'Gateway Timeout', 'text/plain', '', CLOSES);
}

export function loggedOut(): HttpResponse {
  return page('<html><body>Bye</body></html>\n', NO_SESSION);
}

/** Cookies of a session that is in: there is no other sign of it. */
export function sessionCookies(cookie: Secret, timing: string): HttpHeaders {
  const id = cookieOnWire(cookie);
  return [
    ['Set-Cookie', `${LAST_COOKIE}=${id.slice(-LAST_LENGTH)};path=/;secure`],
    ['Set-Cookie', `${SESSION_COOKIE}=${id};path=/;secure;httponly`],
    ['Set-Cookie', `${TIMING_COOKIE}=${timing};path=/;secure`],
  ];
}

/** Of a session that is not: clients want to see some from the first answer on. */
export function preliminaryCookies(id: string): HttpHeaders {
  return [
    ['Set-Cookie', `${LAST_COOKIE}=${id.slice(-LAST_LENGTH)};path=/;secure`],
    ['Set-Cookie', `${SESSION_COOKIE}=${id};path=/;secure;httponly`],
  ];
}
