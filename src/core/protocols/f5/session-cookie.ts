/**
 * The cookies of an F5 session: its id, and how long it lasts.
 *
 * Read first: spec "F5", section 2.1.
 *
 *   MRHSession=<id>; F5_ST=<a>z<b>z<c>z<start>z<duration>[z…]       or the id alone
 */
import { MisuseError } from '../../errors.ts';
import { parseCookies } from '../../http/cookies.ts';
import { isHeadText } from '../../http/tokens.ts';
import { Secret } from '../../secret.ts';
import type { Millis } from '../../tunnel/packet.ts';

export const SESSION_COOKIE = 'MRHSession';
/** Set when the log-in is complete, not before. */
export const TIMING_COOKIE = 'F5_ST';
/** The end of the id, for people. */
export const LAST_COOKIE = 'LastMRH_Session';

/** Characters of a value. */
const MAX_VALUE_LENGTH = 1024;

export interface F5Session {
  readonly id: Secret;
  /** As the gateway wrote it; undefined where only the id is known. */
  readonly timing?: string;
}

/** As `--authenticate` prints it. */
export function renderSessionCookie({ id, timing }: F5Session): Secret {
  const session = `${SESSION_COOKIE}=${id.reveal()}`;
  return new Secret(timing === undefined ? session : `${session}; ${TIMING_COOKIE}=${timing}`);
}

/** Throws {@link MisuseError}, which does not show the text, if there is no session in it. */
export function parseSessionCookie(cookie: Secret): F5Session {
  const text = cookie.reveal().trim();
  const cookies = parseCookies(text);
  const valueNamed = (name: string) => cookies.find((each) => each.name === name)?.value;
  const id = valueNamed(SESSION_COOKIE) ?? (/^[^=;\s]+$/.test(text) ? text : '');
  const timing = valueNamed(TIMING_COOKIE);
  const isGood = (value: string) => value !== '' && value.length <= MAX_VALUE_LENGTH && isHeadText(value) && !/[;\s]/.test(value);
  if (!isGood(id)) throw new MisuseError(`The cookie has no session in it: expected ${SESSION_COOKIE}=VALUE.`);
  return { id: new Secret(id), ...(timing !== undefined && isGood(timing) && { timing }) };
}

/** When the session is over, in milliseconds since 1970; undefined if the value does not say. */
export function expiryOf(timing: string): Millis | undefined {
  const [, start, duration] = /^\d{1,15}z\d{1,15}z\d{1,15}z(\d{1,12})z(\d{1,12})(?:z|$)/.exec(timing) ?? [];
  return start === undefined || duration === undefined ? undefined : (Number(start) + Number(duration)) * 1000;
}

/** @param start in milliseconds since 1970 */
export function renderTiming(start: Millis, duration: Millis): string {
  return `1z1z1z${Math.floor(start / 1000)}z${Math.floor(duration / 1000)}`;
}
