/** A gateway's pages. Read first: spec "Array", sections 2.2, 3 and 7: no answer with status 200 is empty but that to the tunnel's request. */
import type { HttpResponse } from '../../http/message.ts';
import type { Secret } from '../../secret.ts';
import { cookieOnWire } from '../hex-cookie.ts';
import { CLOSES, clearedCookie, pageAnswer } from '../page-gateway.ts';
import { PATHS } from './paths.ts';
import { SESSION_COOKIE } from './session-cookie.ts';

export function page(text: string): HttpResponse {
  return pageAnswer(200, 'OK', 'text/html', `<html><body>${text}</body></html>\n`);
}

/** For browsers, and for who asks what this is; clients post without it. */
export function loginPage(): HttpResponse {
  return page(`<!-- ${PATHS.login} -->A VPN client is needed here.`);
}

/** Of a log-in, for whatever reason. A page without a cookie is the no that clients know. */
export function loginRefused(): HttpResponse {
  return page('The log-in was refused.');
}

export function admitted(cookie: Secret): HttpResponse {
  const set = `${SESSION_COOKIE}=${cookieOnWire(cookie)}; path=/; secure; HttpOnly; SameSite=Strict`;
  return pageAnswer(200, 'OK', 'text/html', '<html><body>Welcome</body></html>\n', [['Set-Cookie', set]]);
}

/** No tunnel for this cookie. */
export function tunnelRefused(): HttpResponse {
  return pageAnswer(401, 'Unauthorized', 'text/plain', 'No session\n', CLOSES);
}

/** The session is over, or there was none. */
export function loggedOut(): HttpResponse {
  return pageAnswer(200, 'OK', 'text/html', '<html><body>Bye</body></html>\n', [clearedCookie(SESSION_COOKIE)]);
}
