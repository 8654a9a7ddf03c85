/**
 * The cookie that holds a session: between a log-in and its tunnel, on the wire, and between processes.
 *
 * Read first: spec "Fortinet", sections 2.3 (how it is cleared), 2.6 (how people write it) and 2.9.
 *
 *   SVPNCOOKIE=<value>        or the value alone
 */
import { MisuseError } from '../../errors.ts';
import { parseCookies } from '../../http/cookies.ts';
import { isHeadText } from '../../http/tokens.ts';
import { Secret } from '../../secret.ts';

export const SESSION_COOKIE = 'SVPNCOOKIE';

/** Characters of a value; real ones have a few hundred. A DTLS hello must hold it. */
export const MAX_COOKIE_LENGTH = 1024;

/** As `--authenticate` prints it. */
export function renderSessionCookie(value: Secret): Secret {
  return new Secret(`${SESSION_COOKIE}=${value.reveal()}`);
}

/** The value. Throws {@link MisuseError}, which does not show it, if there is no session in the text. */
export function parseSessionCookie(cookie: Secret): Secret {
  const text = cookie.reveal().trim();
  const named = parseCookies(text).find(({ name }) => name === SESSION_COOKIE)?.value;
  // What is no name and value is a bare value; padding at its end makes it no name.
  const value = named ?? (/^[^=;\s]+=*$/.test(text) ? text : '');
  if (value === '' || value.length > MAX_COOKIE_LENGTH || !isHeadText(value) || /[;\s]/.test(value)) {
    throw new MisuseError(`The cookie has no session in it: expected ${SESSION_COOKIE}=VALUE.`);
  }
  return new Secret(value);
}
