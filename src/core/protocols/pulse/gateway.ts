/**
 * Pulse as a gateway speaks it: a connection leaves HTTP at once, and the log-in and the tunnel are on it.
 *
 * Read first: spec "Pulse", sections 2, 4, 6.8, 11 and 14.
 *
 *   request ─┬─ Upgrade: IF-T/TLS ──► opening ─► log-in ─► the connection is the tunnel's
 *            ├─ /dana-na/auth/logout.cgi ─► ends the session of the cookie
 *            └─ everything else ──────────► a page for people
 */
import { SallyportError } from '../../errors.ts';
import type { EspAlgorithms } from '../../esp/algorithms.ts';
import { newSpi, tunnelIdOf } from '../../esp/spi.ts';
import { parseCookies } from '../../http/cookies.ts';
import { percentDecode } from '../../http/form-urlencoded.ts';
import { type HttpRequest, type HttpResponse, headerValues } from '../../http/message.ts';
import { pathOf } from '../../http/request-target.ts';
import { toHex } from '../../wire/text.ts';
import { cookieOffWire } from '../base64url-cookie.ts';
import type { GatewayConnection, GatewayProtocol, LeaseWishes, Visitor } from '../gateway-protocol.ts';
import { granted, notFound, pageAnswer, servePages } from '../page-gateway.ts';
import type { ClientInformation } from './auth-payload.ts';
import { AVP_CODES, textAvp } from './avp.ts';
import { ClientLeft, GatewayConversation } from './gateway-conversation.ts';
import { type Admission, GatewayLogin } from './gateway-login.ts';
import { GatewayTunnel } from './gateway-tunnel.ts';
import { LOG_OUT_PATH } from './paths.ts';
import { MAX_COOKIE_LENGTH, SESSION_COOKIE } from './session-cookie.ts';
import { isUpgrade, SWITCHING } from './upgrade.ts';

/** Requests that a connection serves, and characters of a request's target. */
const MAX_REQUESTS = 16;
const MAX_TARGET_LENGTH = 1024;

export const pulseGateway: GatewayProtocol = {
  id: 'pulse',
  claims: (first) => (isUpgrade(first) ? 'certain' : pathOf(first.target) === LOG_OUT_PATH ? 'likely' : 'no'),
  serve: (connection, visitor) => {
    const route = (request: HttpRequest) => routed(request, connection, visitor);
    return servePages(connection, visitor, { maxRequests: MAX_REQUESTS, maxTargetLength: MAX_TARGET_LENGTH, route });
  },
};

async function routed(request: HttpRequest, connection: GatewayConnection, visitor: Visitor): Promise<HttpResponse | 'tunnel' | 'close'> {
  if (isUpgrade(request)) return serveUpgraded(request, connection, visitor);
  const path = pathOf(request.target);
  if (path === LOG_OUT_PATH) return logOut(request, visitor);
  return request.method === 'GET' && path === '/' ? page('A VPN client is needed here.') : notFound();
}

async function serveUpgraded(request: HttpRequest, connection: GatewayConnection, visitor: Visitor): Promise<'tunnel' | 'close'> {
  const { log } = visitor;
  const stream = connection.upgrade({ ...SWITCHING, headers: [...SWITCHING.headers, ...visitor.host.headers] });
  const conversation = new GatewayConversation(stream);
  try {
    const information = await conversation.open();
    const admission = await new GatewayLogin({ connection, visitor, conversation, group: groupOf(request) }).run();
    if (admission === undefined) return 'close';
    return await openTunnel(admission, information, conversation, connection, visitor);
  } catch (error) {
    if (!(error instanceof SallyportError)) throw error;
    const { code, message } = error;
    log.log('debug', error instanceof ClientLeft ? 'client left' : 'log-in failed', { code, reason: message });
    return 'close';
  } finally {
    conversation.close();
  }
}

/** Spec 6.8: the cookie, the client's nod, and all is well; where it is not, the client hears so before. */
async function openTunnel(
  { session, cookie, userAgent }: Admission,
  information: ClientInformation,
  conversation: GatewayConversation,
  connection: GatewayConnection,
  visitor: Visitor,
): Promise<'tunnel' | 'close'> {
  const { crypto, host, log } = visitor;
  const digest = toHex(crypto.hash('md5', host.certificate)); // no more than a hint: clients only warn
  await conversation.ask([textAvp(AVP_CODES.cookie, cookie), textAvp(AVP_CODES.certificateDigest, digest)]);
  const terms = await granted(session, () => session.lease(wishesOf(userAgent, information)), log);
  if (terms === undefined) {
    conversation.fail();
    return 'close';
  }
  conversation.succeed();
  const datagram = terms.datagram && { crypto, algorithms: algorithmsFor(conversation.version), spi: newSpi(crypto) };
  const machine = new GatewayTunnel({ log, terms, writer: conversation.writer, ...(datagram !== undefined && { datagram }) });
  const id = datagram && { datagramId: tunnelIdOf(datagram.spi) };
  connection.run(session, { machine, takesEarlyBytes: true, ...id });
  return 'tunnel';
}

/** Spec 4: SHA-256 is for who takes the second version. */
function algorithmsFor(version: number): EspAlgorithms {
  return version === 1 ? { cipher: 'aes-128-cbc', mac: 'sha1' } : { cipher: 'aes-256-cbc', mac: 'sha256' };
}

async function logOut(request: HttpRequest, visitor: Visitor): Promise<HttpResponse> {
  const cookie = headerValues(request.headers, 'Cookie')
    .flatMap(parseCookies)
    .find(({ name }) => name === SESSION_COOKIE)?.value;
  const session = cookie !== undefined && cookie.length <= MAX_COOKIE_LENGTH ? await visitor.session(cookieOffWire(cookie)) : undefined;
  await session?.end({ kind: 'log-off', message: 'The user has left.' });
  return page('Bye.');
}

function page(text: string): HttpResponse {
  return pageAnswer(200, 'OK', 'text/html', `<html><body>${text}</body></html>\n`);
}

/** Of the path's one part: whether there is such a group is not said. */
function groupOf({ target }: HttpRequest): string {
  const name = percentDecode(pathOf(target).slice(1));
  return name.includes('/') ? '' : name;
}

const MAX_HOSTNAME_LENGTH = 63;

function wishesOf(userAgent: string, { hostname }: ClientInformation): LeaseWishes {
  const isName = hostname !== undefined && hostname.length <= MAX_HOSTNAME_LENGTH && /^[\w.-]+$/.test(hostname);
  return { wantsIpv4: true, wantsIpv6: true, isMobile: false, userAgent, ...(isName && { hostname }) };
}
