/**
 * What a log-in yields, as openconnect prints and takes it, and the tail of every later request.
 *
 * Read first: spec "GlobalProtect", section 6.2.
 *
 *   authcookie=…&portal=…&user=…&domain=…&preferred-ip=…&preferred-ipv6=…&computer=…
 */
import { MisuseError } from '../../errors.ts';
import { encodeForm, parseForm } from '../../http/form-urlencoded.ts';
import { Secret } from '../../secret.ts';

/** In the order in which they are written. */
export const COOKIE_FIELDS = ['authcookie', 'portal', 'user', 'domain', 'preferred-ip', 'preferred-ipv6', 'computer'] as const;
export type CookieField = (typeof COOKIE_FIELDS)[number];

/** Values as people read them, not escaped. Of {@link Secret} nature: it holds the authcookie. */
export type CookieFields = ReadonlyMap<CookieField, string>;

const MAX_LENGTH = 4096;

/** Throws {@link MisuseError} for what is no cookie of this protocol. */
export function parseSessionCookie(cookie: Secret): CookieFields {
  const text = cookie.reveal();
  const pairs = text.length > MAX_LENGTH ? [] : parseForm(text);
  const fields = new Map(COOKIE_FIELDS.flatMap((name) => pairs.filter(([other]) => other === name).map(([, value]) => [name, value])));
  if (!fields.get('authcookie') || !fields.get('user')) {
    throw new MisuseError('The cookie is none of GlobalProtect: it has the form authcookie=…&portal=…&user=….');
  }
  return fields;
}

export function renderSessionCookie(fields: CookieFields): Secret {
  return new Secret(
    encodeForm(
      COOKIE_FIELDS.flatMap((name) => {
        const value = fields.get(name);
        return value === undefined ? [] : [[name, value] as const];
      }),
    ),
  );
}
