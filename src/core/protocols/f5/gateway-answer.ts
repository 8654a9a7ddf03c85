/**
 * A gateway's answers: status lines, headers and bodies as the clients known want to see them.
 *
 * Read first: spec "F5", sections 1.1, 2.1, 2.7 and 7: every answer has a length, and none with status 200 is empty.
 */
import type { HttpHeaders, HttpResponse } from '../../http/message.ts';
import type { Secret } from '../../secret.ts';
import { utf8 } from '../../wire/text.ts';
import { PATHS } from './paths.ts';
import { cookieOnWire, LAST_COOKIE, SESSION_COOKIE, TIMING_COOKIE } from './session-cookie.ts';

const EXPIRED = 'path=/; expires=Sun, 11 Mar 1984 12:00:00 GMT; secure; httponly';

/** Takes the cookies of a session away. */
const NO_SESSION: HttpHeaders = [SESSION_COOKIE, TIMING_COOKIE, LAST_COOKIE].map((name) => ['Set-Cookie', `${name}=; ${EXPIRED}`]);

/** Characters of the session's id that people see. */
const LAST_LENGTH = 8;

export function page(body: string, more: HttpHeaders = []): HttpResponse {
  return answer(200, 'OK', 'text/html; charset=utf-8', body, more);
}

export function document(body: string): HttpResponse {
  return answer(200, 'OK', 'text/xml; charset=utf-8', body);
}

export function redirect(location: string, more: HttpHeaders = []): HttpResponse {
  return answer(302, 'Found', 'text/html', '', [['Location', location], ...more]);
}

export function toPolicy(more: HttpHeaders = []): HttpResponse {
  return redirect(PATHS.policy, more);
}

export function notFound(): HttpResponse {
  return answer(404, 'Not Found', 'text/html', '<html><body>Not found</body></html>\n');
}

/** Of who asks for what belongs to a session: clients know by it that their cookie is dead (spec 4). */
export function noSession(): HttpResponse {
  return answer(403, 'Forbidden', 'text/html', '<html><body>Log in first</body></html>\n');
}

/** Observed: appliances say so for a tunnel of a session that they do not know. */
export function tunnelRefused(): HttpResponse {
  return answer(504, 'Gateway Timeout', 'text/plain', '', [['Connection', 'close']]);
}

export function loggedOut(): HttpResponse {
  return page('<html><body>Bye</body></html>\n', NO_SESSION);
}

export function tooLarge(): HttpResponse {
  return answer(413, 'Content Too Large', 'text/plain', 'Too large\n', [['Connection', 'close']]);
}

export function failed(): HttpResponse {
  return answer(503, 'Service Unavailable', 'text/plain', 'Try again later\n', [['Connection', 'close']]);
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

function answer(status: number, reason: string, type: string, body: string, more: HttpHeaders = []): HttpResponse {
  const bytes = utf8(body);
  const headers: HttpHeaders = [...more, ['Content-Type', type], ['Content-Length', String(bytes.length)]];
  return { version: '1.1', status, reason, headers, body: bytes };
}
