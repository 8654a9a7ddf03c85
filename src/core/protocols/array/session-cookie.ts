/**
 * The cookies of an Array session: every one whose name begins with `ANsession`, whatever follows.
 *
 * Read first: spec "Array", section 2.2.
 *
 *   ANsession0123456789=<value>[; name=value …]
 */
import { MisuseError } from '../../errors.ts';
import { type Cookie, type CookieJar, parseCookies } from '../../http/cookies.ts';
import { isHeadText } from '../../http/tokens.ts';
import { Secret } from '../../secret.ts';

const PREFIX = 'ANsession';

/** What our gateway calls its own. */
export const SESSION_COOKIE: string = `${PREFIX}1`;

/** Characters of the whole text; real ones have less than a hundred. */
const MAX_COOKIE_LENGTH = 4096;

export function isSessionCookie(name: string): boolean {
  return name.startsWith(PREFIX);
}

/** As `--authenticate` prints it: all cookies, the session's first. Undefined if there is none of a session. */
export function renderSessionCookie(jar: CookieJar): Secret | undefined {
  const names = jar.names();
  const session = names.find(isSessionCookie);
  if (session === undefined) return undefined;
  const all = [session, ...names.filter((name) => name !== session)];
  return new Secret(all.map((name) => `${name}=${jar.get(name)?.reveal() ?? ''}`).join('; '));
}

/** Throws {@link MisuseError}, which does not show it, if there is no session in the text. */
export function parseSessionCookie(cookie: Secret): readonly Cookie[] {
  const text = cookie.reveal().trim();
  const cookies = text.length <= MAX_COOKIE_LENGTH && isHeadText(text) ? parseCookies(text) : [];
  const isGood = cookies.every(({ name, value }) => !/\s/.test(name + value));
  if (!isGood || !cookies.some(({ name, value }) => isSessionCookie(name) && value !== '')) {
    throw new MisuseError(`The cookie has no session in it: expected ${PREFIX}NAME=VALUE.`);
  }
  return cookies;
}
