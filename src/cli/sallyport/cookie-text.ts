/** What `sallyport login` prints and `sallyport connect --cookie-stdin` reads: a session's cookie, by itself or with all that belongs to it. */
import type { Credential } from '../../core/auth/login-io.ts';
import { PROTOCOL_IDS } from '../../core/auth/protocol-id.ts';
import { MisuseError } from '../../core/errors.ts';
import { formatUrl, parseServer } from '../../core/http/url.ts';
import { Secret } from '../../core/secret.ts';
import { formatIp, parseIp } from '../../core/wire/ip-address.ts';
import { authenticateText, cookieText } from '../openconnect/authenticate-output.ts';
import type { CookieFormat } from './arguments.ts';

const COOKIE_VERSION = 1;

/** A cookie that was given. */
export interface GivenCookie {
  readonly cookie: Secret;
  /** Where it comes from and is valid, with the key that the log-in saw there, where that is known. */
  readonly from?: Omit<Credential, 'cookie'>;
}

export function renderCookie(credential: Credential, format: CookieFormat): string {
  switch (format) {
    case 'json': {
      const { protocol, gateway, address, pin, cookie } = credential;
      const place = { gateway: formatUrl(gateway), ...(address !== undefined && { address: formatIp(address) }), pin };
      return `${JSON.stringify({ v: COOKIE_VERSION, ...(protocol !== undefined && { protocol }), ...place, cookie: cookie.reveal() })}\n`;
    }
    case 'shell':
      return authenticateText(credential);
    case 'cookie':
      return cookieText(credential);
  }
}

/** Reads a line of either form. Throws {@link MisuseError}, which does not repeat it. */
export function parseCookie(line: string): GivenCookie {
  const text = line.trim();
  if (text === '') throw new MisuseError('Standard input is empty: a line with a cookie was expected.');
  if (!text.startsWith('{')) return { cookie: new Secret(text) };
  const { v, protocol, gateway, address, pin, cookie } = fieldsOf(text);
  if (v !== COOKIE_VERSION || typeof gateway !== 'string' || typeof pin !== 'string' || typeof cookie !== 'string') throw unreadable();
  const ip = typeof address === 'string' ? parseIp(address) : undefined;
  const known = PROTOCOL_IDS.find((id) => id === protocol);
  const from = {
    gateway: parseServer(gateway),
    pin,
    ...(known !== undefined && { protocol: known }),
    ...(ip !== undefined && { address: ip }),
  };
  return { cookie: new Secret(cookie), from };
}

function fieldsOf(text: string): Readonly<Record<string, unknown>> {
  try {
    return JSON.parse(text);
  } catch {
    throw unreadable(); // the cause would quote it
  }
}

function unreadable(): MisuseError {
  return new MisuseError('The line of standard input is not what "sallyport login" prints.');
}
