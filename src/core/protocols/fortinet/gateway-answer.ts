/**
 * A gateway's answers: status lines, headers and bodies as the clients known want to see them.
 *
 * Read first: spec "Fortinet", section 1.1: every answer has a length, none with status 200 is empty, and two reasons are read word by word.
 */
import type { HttpHeaders, HttpResponse } from '../../http/message.ts';
import type { Secret } from '../../secret.ts';
import { cookieOnWire } from '../base64url-cookie.ts';
import { CLOSES, clearedCookie, pageAnswer, redirect } from '../page-gateway.ts';
import { type ChallengePage, renderChallengePage } from './challenge-page.ts';
import { renderAccepted, renderCodeWanted, type TokenChallenge } from './login-answer.ts';
import { PATHS } from './paths.ts';
import { SESSION_COOKIE } from './session-cookie.ts';

/** Takes the cookies of a session away (spec 2.3). */
const NO_SESSION: HttpHeaders = [clearedCookie(SESSION_COOKIE)];

/** openfortivpn knows a refusal by these words, and would take any page that has them for one. */
const REFUSAL_WORDS = 'Permission denied';

export function html(body: string, more: HttpHeaders = []): HttpResponse {
  return pageAnswer(200, 'OK', 'text/html', body, more);
}

export function xml(body: string): HttpResponse {
  return pageAnswer(200, 'OK', 'text/xml', body);
}

/** Of a log-in, for whatever reason: name and password look alike. Observed: 405 is a FortiGate's way to say so. */
export function loginRefused(): HttpResponse {
  return pageAnswer(405, 'Method Not Allowed', 'text/html', `<html><body>${REFUSAL_WORDS}</body></html>\n`, NO_SESSION);
}

/** No tunnel for this cookie. */
export function tunnelRefused(message: string): HttpResponse {
  return pageAnswer(403, 'Forbidden', 'text/plain', `${message}\n`, CLOSES);
}

export function admitted(cookie: Secret): HttpResponse {
  return pageAnswer(200, 'OK', 'text/plain', renderAccepted(PATHS.configuration), [
    ['Set-Cookie', `${SESSION_COOKIE}=${cookieOnWire(cookie)}; path=/; secure; httponly`],
  ]);
}

export function codeWanted(challenge: TokenChallenge): HttpResponse {
  return pageAnswer(200, 'OK', 'text/plain', renderCodeWanted(challenge));
}

export function pageWanted(page: ChallengePage): HttpResponse {
  return pageAnswer(401, 'Authorization Required', 'text/html', renderChallengePage(page));
}

/** The session is over. */
export function loggedOut(): HttpResponse {
  return html('<html><body>Bye</body></html>\n', NO_SESSION);
}

/** Where a log-in begins anew. */
export function toLogin(): HttpResponse {
  return redirect(`${PATHS.login}?lang=en`);
}
