/**
 * The cookie of a Network Connect session, and the others that go with it.
 *
 * Read first: spec "Juniper NC", section 2.3.
 *
 *   DSID=<id>[; DSFirst=<start>; DSLast=<last>]       or the id alone
 */
import { MisuseError } from '../../errors.ts';
import { type CookieJar, parseCookies } from '../../http/cookies.ts';
import { isHeadText } from '../../http/tokens.ts';
import { Secret } from '../../secret.ts';

/** That it is there ends the log-in, whatever the page says. */
export const SESSION_COOKIE = 'DSID';
export const FIRST_COOKIE = 'DSFirstAccess';
export const LAST_COOKIE = 'DSLastAccess';
export const POLICY_COOKIE = 'DSSIGNIN';
export const URL_COOKIE = 'DSSignInURL';
/** That a host check is to come, or has gone before. */
export const CHECK_COOKIE = 'DSPREAUTH';

/** What a tunnel client calls those that it is handed. */
const SHORT_NAMES = [
  [FIRST_COOKIE, 'DSFirst'],
  [LAST_COOKIE, 'DSLast'],
] as const;

/** Cookies of a credential, and characters of a value. */
const MAX_COOKIES = 64;
const MAX_VALUE_LENGTH = 4096;

/** As `--authenticate` prints it. Undefined: the jar has no session. */
export function sessionIn(jar: CookieJar): Secret | undefined {
  const id = jar.get(SESSION_COOKIE);
  if (id === undefined) return undefined;
  const others = SHORT_NAMES.flatMap(([name, short]) => {
    const value = jar.get(name);
    return value === undefined ? [] : `; ${short}=${value.reveal()}`;
  });
  return new Secret(`${SESSION_COOKIE}=${id.reveal()}${others.join('')}`);
}

/** All cookies of a credential. Throws {@link MisuseError}, which does not show the text, if there is no session in it. */
export function parseSessionCookie(cookie: Secret): readonly (readonly [name: string, value: Secret])[] {
  const text = cookie.reveal().trim();
  const cookies = text.includes('=') ? parseCookies(text) : [{ name: SESSION_COOKIE, value: text }];
  const isGood = cookies.every(({ name, value }) => isHeadText(name + value) && !/[=;\s]/.test(name) && value.length <= MAX_VALUE_LENGTH);
  const id = cookies.find(({ name }) => name === SESSION_COOKIE)?.value ?? '';
  if (!isGood || id === '' || /\s/.test(id) || cookies.length > MAX_COOKIES) {
    throw new MisuseError(`The cookie has no session in it: expected ${SESSION_COOKIE}=VALUE.`);
  }
  return cookies.map(({ name, value }) => [name, new Secret(value)]);
}
