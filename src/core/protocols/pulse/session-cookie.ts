/**
 * The cookie that holds a session: between a log-in and its tunnel, on the wire, and between processes.
 *
 * Read first: spec "Pulse", sections 6.2 and 6.11.
 *
 *   DSID=<value>        or the value alone
 */
import { MisuseError } from '../../errors.ts';
import { Secret } from '../../secret.ts';

export const SESSION_COOKIE = 'DSID';

/** Characters of a value. */
export const MAX_COOKIE_LENGTH = 1024;

/** The value of what stands in an AVP or is given by people: a name in front and what follows a semicolon are not of it. */
export function cookieValue(text: string): string {
  return (
    text
      .trim()
      .replace(/^DSID=/, '')
      .split(';', 1)[0] ?? ''
  ).trim();
}

/** Whether it can be written where cookies are. */
export function isCookieValue(value: string): boolean {
  return value.length <= MAX_COOKIE_LENGTH && /^[\x21-\x7e]+$/.test(value);
}

/** Throws {@link MisuseError}, which does not show it, if there is no session in the text. */
export function parseSessionCookie(cookie: Secret): Secret {
  const value = cookieValue(cookie.reveal());
  if (!isCookieValue(value)) {
    throw new MisuseError(`The cookie has no session in it: expected ${SESSION_COOKIE}=VALUE.`);
  }
  return new Secret(value);
}
