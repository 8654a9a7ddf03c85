/**
 * A gateway's log-in, in the pages of an F5's policy.
 *
 * Read first: spec "F5", sections 2.3, 2.7 and 9.
 */
import { PeerRefusedError } from '../../errors.ts';
import type { HttpRequest, HttpResponse } from '../../http/message.ts';
import { queryValue } from '../../http/request-target.ts';
import type { Secret } from '../../secret.ts';
import type { Millis } from '../../tunnel/packet.ts';
import { toHex } from '../../wire/text.ts';
import type { GatewayConnection, LeaseWishes, Visitor } from '../gateway-protocol.ts';
import { redirect } from '../page-gateway.ts';
import { userAgentOf } from '../page-login.ts';
import { PagedLogin } from '../paged-login.ts';
import { page, preliminaryCookies, sessionCookies } from './gateway-answer.ts';
import { DOMAIN_FIELD, FORM_ID, type PageField, renderLoginPage } from './login-page.ts';
import { PATHS } from './paths.ts';
import { renderTiming } from './session-cookie.ts';

const TITLE = 'Secure Logon';

/** Where who is in is sent on to. What is there, no client reads. */
const WEBTOP = `${PATHS.webtop}?webtop=/Common/sallyport&webtop_type=webtop_full`;

/** How long a session lasts where nobody has set a limit: a week. */
const DEFAULT_DURATION: Millis = 604_800_000;

const PRELIMINARY_ID_LENGTH = 16;

export function wishesOf(request: HttpRequest): LeaseWishes {
  return { wantsIpv4: true, wantsIpv6: true, isMobile: false, userAgent: userAgentOf(request.headers) };
}

export function gatewayLogin(connection: GatewayConnection, visitor: Visitor): PagedLogin {
  const form = (fields: readonly PageField[], message: string | undefined): HttpResponse => {
    const html = renderLoginPage({ id: FORM_ID, title: TITLE, ...(message !== undefined && { message }), action: PATHS.policy, fields });
    return page(html, preliminaryCookies(toHex(visitor.crypto.randomBytes(PRELIMINARY_ID_LENGTH))));
  };
  return new PagedLogin(connection, visitor, {
    names: { username: 'username', password: 'password', group: DOMAIN_FIELD, reply: 'password' },
    first: (fields, message) => form([...fields, { kind: 'hidden', name: 'vhost', value: 'standard' }], message),
    question: form,
    admitted: (request, cookie) => admitted(request, cookie, visitor),
  });
}

/** Spec 2.7: simple clients take a redirect for a failure where they have asked for XML. */
async function admitted(request: HttpRequest, cookie: Secret, visitor: Visitor): Promise<HttpResponse> {
  const cookies = sessionCookies(cookie, renderTiming(visitor.timeOfDay(), await durationOf(request, cookie, visitor)));
  if (queryValue(request.target, 'outform') !== undefined) return page('<html><body>Welcome</body></html>\n', cookies);
  return redirect(WEBTOP, cookies);
}

async function durationOf(request: HttpRequest, cookie: Secret, visitor: Visitor): Promise<Millis> {
  try {
    const session = await visitor.session(cookie);
    return (await session?.preview(wishesOf(request)))?.sessionTimeout ?? DEFAULT_DURATION;
  } catch (error) {
    if (error instanceof PeerRefusedError) return DEFAULT_DURATION; // there is no address: the client hears of it where it asks for one
    throw error;
  }
}
