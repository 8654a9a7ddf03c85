/**
 * The cookie that is handed from a log-in to a tunnel, also between processes: what `--authenticate` prints and `--cookie` takes.
 *
 * Read first: spec "AnyConnect", section 3.14; spec "Client command line", section 5.4.
 *
 *   openconnect_strapkey=<base64 of the private key>; webvpn=<value>        or webvpn=<value>, or the value alone
 */
import { MisuseError } from '../../errors.ts';
import { parseCookies } from '../../http/cookies.ts';
import { Secret } from '../../secret.ts';
import { fromBase64, toBase64 } from '../../wire/text.ts';

/** Holds the session from the end of a log-in on. */
export const SESSION_COOKIE = 'webvpn';
const STRAP_COOKIE = 'openconnect_strapkey';

export interface SessionCookie {
  /** Value of the cookie `webvpn`. */
  readonly session: Secret;
  /** DER of the private key that proves the cookie is ours. It is never sent. */
  readonly strapKey?: Uint8Array;
}

export function renderSessionCookie({ session, strapKey }: SessionCookie): Secret {
  const cookie = `${SESSION_COOKIE}=${session.reveal()}`;
  return new Secret(strapKey === undefined ? cookie : `${STRAP_COOKIE}=${toBase64(strapKey)}; ${cookie}`);
}

/** Throws {@link MisuseError}, which does not show it, if there is no session in it. */
export function parseSessionCookie(cookie: Secret): SessionCookie {
  const text = cookie.reveal().trim();
  const cookies = new Map(parseCookies(text).map(({ name, value }) => [name, value]));
  const strapKey = cookies.get(STRAP_COOKIE);
  // A bare value may end in base64's padding, which is no name and value.
  const session = cookies.get(SESSION_COOKIE) ?? (/^[^=;]+=*$/.test(text) ? text : undefined);
  if (session === undefined || session === '') throw new MisuseError('The cookie has no session in it: expected webvpn=VALUE.');
  return { session: new Secret(session), ...(strapKey !== undefined && { strapKey: keyOf(strapKey) }) };
}

function keyOf(base64: string): Uint8Array {
  try {
    return fromBase64(base64);
  } catch (error) {
    throw new MisuseError(`The cookie's ${STRAP_COOKIE} is not base64.`, { cause: error });
  }
}
