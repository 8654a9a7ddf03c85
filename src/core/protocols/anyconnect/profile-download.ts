/**
 * The client profile that a gateway may offer at the end of a log-in: fetched when it differs from the saved one.
 *
 * Read first: spec "AnyConnect", section 3.18. Nothing here is worth failing a log-in for.
 */
import type { LoginIo } from '../../auth/login-io.ts';
import { CancelledError, SallyportError } from '../../errors.ts';
import type { CookieJar } from '../../http/cookies.ts';
import type { HttpResponse } from '../../http/message.ts';
import { toHex } from '../../wire/text.ts';
import type { ProfileReference } from './gateway-document.ts';

/** Fetches the profile, by `get` from the gateway, if the user keeps one and it is another. Rejects only if the log-in is cancelled. */
export async function updateProfile(
  io: LoginIo,
  reference: ProfileReference | undefined,
  get: (url: string) => Promise<HttpResponse>,
): Promise<void> {
  if (io.profile === undefined || reference === undefined) return;
  const wanted = reference.sha1.toUpperCase();
  try {
    if ((await io.profile.sha1())?.toUpperCase() === wanted) return;
    const response = await get(reference.uri);
    const sha1 = toHex(io.crypto.hash('sha1', response.body)).toUpperCase();
    if (response.status !== 200 || sha1 !== wanted) {
      io.log.log('error', 'profile not updated', { status: response.status, sha1, wanted });
      return;
    }
    await io.profile.replace(response.body);
    io.log.log('info', 'profile updated', { bytes: response.body.length });
  } catch (error) {
    if (!(error instanceof SallyportError) || error instanceof CancelledError) throw error;
    io.log.log('error', 'profile not updated', { reason: error.message });
  }
}

/** What the cookie `webvpnc` says of the profile: `bu:` base URL, `fu:` file, `fh:` SHA-1, joined by `&`, the file's path percent-encoded. */
export function profileOfCookie(jar: CookieJar): ProfileReference | undefined {
  const parts = jar.get('webvpnc')?.reveal().split('&') ?? [];
  const values = new Map(parts.map((part) => [part.split(':', 1)[0], part.replace(/^[^:]*:?/, '')]));
  const [base, file, sha1] = [values.get('bu'), values.get('fu'), values.get('fh')];
  if (base === undefined || file === undefined || sha1 === undefined || sha1 === '') return undefined;
  return { uri: base + file.replace(/%2f/gi, '/'), sha1 };
}
