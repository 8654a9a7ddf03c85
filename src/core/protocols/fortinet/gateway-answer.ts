/**
 * A gateway's answers: status lines, headers and bodies as the clients known want to see them.
 *
 * Read first: spec "Fortinet", section 1.1: every answer has a length, none with status 200 is empty, and two reasons are read word by word.
 */
import type { HttpHeaders, HttpResponse } from '../../http/message.ts';
import type { Secret } from '../../secret.ts';
import { utf8 } from '../../wire/text.ts';
import { type ChallengePage, renderChallengePage } from './challenge-page.ts';
import { renderAccepted, renderCodeWanted, type TokenChallenge } from './login-answer.ts';
import { PATHS } from './paths.ts';
import { cookieOnWire, SESSION_COOKIE } from './session-cookie.ts';

const EXPIRED = 'path=/; expires=Sun, 11 Mar 1984 12:00:00 GMT; secure; httponly';

/** Takes the cookies of a session away (spec 2.3). */
const NO_SESSION: HttpHeaders = [['Set-Cookie', `${SESSION_COOKIE}=; ${EXPIRED}`]];

/** openfortivpn knows a refusal by these words, and would take any page that has them for one. */
const REFUSAL_WORDS = 'Permission denied';

export function html(body: string, more: HttpHeaders = []): HttpResponse {
  return answer(200, 'OK', 'text/html', body, more);
}

export function xml(body: string): HttpResponse {
  return answer(200, 'OK', 'text/xml', body);
}

export function redirect(location: string, more: HttpHeaders = []): HttpResponse {
  return answer(302, 'Found', 'text/html', '', [['Location', location], ...more]);
}

export function notFound(): HttpResponse {
  return answer(404, 'Not Found', 'text/html', '<html><body>Not found</body></html>\n');
}

/** Of a log-in, for whatever reason: name and password look alike. Observed: 405 is a FortiGate's way to say so. */
export function loginRefused(): HttpResponse {
  return answer(405, 'Method Not Allowed', 'text/html', `<html><body>${REFUSAL_WORDS}</body></html>\n`, NO_SESSION);
}

/** No tunnel for this cookie. */
export function tunnelRefused(message: string): HttpResponse {
  return answer(403, 'Forbidden', 'text/plain', `${message}\n`, [['Connection', 'close']]);
}

export function admitted(cookie: Secret): HttpResponse {
  return answer(200, 'OK', 'text/plain', renderAccepted(PATHS.configuration), [
    ['Set-Cookie', `${SESSION_COOKIE}=${cookieOnWire(cookie)}; path=/; secure; httponly`],
  ]);
}

export function codeWanted(challenge: TokenChallenge): HttpResponse {
  return answer(200, 'OK', 'text/plain', renderCodeWanted(challenge));
}

export function pageWanted(page: ChallengePage): HttpResponse {
  return answer(401, 'Authorization Required', 'text/html', renderChallengePage(page));
}

/** The session is over. */
export function loggedOut(): HttpResponse {
  return html('<html><body>Bye</body></html>\n', NO_SESSION);
}

export function tooLarge(): HttpResponse {
  return answer(413, 'Content Too Large', 'text/plain', 'Too large\n', [['Connection', 'close']]);
}

export function failed(): HttpResponse {
  return answer(503, 'Service Unavailable', 'text/plain', 'Try again later\n', [['Connection', 'close']]);
}

/** Where a log-in begins anew. */
export function toLogin(): HttpResponse {
  return redirect(`${PATHS.login}?lang=en`);
}

function answer(status: number, reason: string, type: string, body: string, more: HttpHeaders = []): HttpResponse {
  const bytes = utf8(body);
  const headers: HttpHeaders = [...more, ['Content-Type', type], ['Content-Length', String(bytes.length)]];
  return { version: '1.1', status, reason, headers, body: bytes };
}
