/**
 * Array as a gateway speaks it: log-ins, the tunnel's request and the log-out. The twin of `client.ts`.
 *
 * Read first: spec "Array", sections 2, 3, 7 and 10.
 *
 *   request ─┬─ / ──────────────► to the login page, as appliances do
 *            ├─ POST …/login ───► log-in
 *            ├─ /vpntunnel ─────► the connection is the tunnel's
 *            └─ …/logout ───────► the session is over
 */
import type { CryptoProvider } from '../../crypto/provider.ts';
import { parseCookies } from '../../http/cookies.ts';
import { type HttpRequest, type HttpResponse, headerValue, headerValues } from '../../http/message.ts';
import { pathOf } from '../../http/request-target.ts';
import type { SessionTerms } from '../../tunnel/session-terms.ts';
import { utf8 } from '../../wire/text.ts';
import type { FlowFront, GatewayConnection, GatewayProtocol, GatewaySession, LeaseWishes, Visitor } from '../gateway-protocol.ts';
import { cookieOffWire } from '../hex-cookie.ts';
import { granted, notFound, redirect, servePages } from '../page-gateway.ts';
import { userAgentOf } from '../page-login.ts';
import { isClientId } from './client-id.ts';
import { loggedOut, loginPage, page, tunnelRefused } from './gateway-answer.ts';
import { answerLogin } from './gateway-login.ts';
import { ArrayGatewayTunnel } from './gateway-tunnel.ts';
import { OWN_PAGES, PATHS } from './paths.ts';
import { isSessionCookie, SESSION_COOKIE } from './session-cookie.ts';
import { parseHello } from './speed-tunnel.ts';

/** Requests that a connection serves, and characters of a request's target. */
const MAX_REQUESTS = 32;
const MAX_TARGET_LENGTH = 1024;

const MAX_HOSTNAME_LENGTH = 64;

const datagramFront: FlowFront = {
  kind: 'flow',
  speaksLegacy: true,
  greet: (record, crypto) => {
    const clientId = parseHello(record);
    return clientId === undefined ? undefined : greetingId(clientId, crypto);
  },
};

export const arrayGateway: GatewayProtocol = {
  id: 'array',
  claims: (first) => {
    const path = pathOf(first.target);
    if (path.startsWith(OWN_PAGES) || path === PATHS.tunnel || cookiesOf(first).some(({ name }) => isSessionCookie(name))) return 'certain';
    return first.method === 'GET' && path === '/' ? 'likely' : 'no';
  },
  serve: (connection, visitor) => {
    const route = (request: HttpRequest) => answer(request, connection, visitor);
    return servePages(connection, visitor, { maxRequests: MAX_REQUESTS, maxTargetLength: MAX_TARGET_LENGTH, route });
  },
  datagrams: datagramFront,
};

async function answer(request: HttpRequest, connection: GatewayConnection, visitor: Visitor): Promise<HttpResponse | 'tunnel'> {
  const path = pathOf(request.target);
  if (request.method === 'POST') return path === PATHS.login ? answerLogin(request, connection, visitor) : notFound();
  if (request.method !== 'GET') return notFound();
  switch (path) {
    case '/':
      return redirect(PATHS.login);
    case PATHS.login:
      return loginPage();
    case PATHS.welcome:
      return (await sessionOf(request, visitor)) === undefined ? redirect(PATHS.login) : page('Welcome');
    case PATHS.tunnel:
      return startTunnel(request, connection, visitor);
    case PATHS.logOut:
      await (await sessionOf(request, visitor))?.end({ kind: 'log-off', message: 'The user has left.' });
      return loggedOut();
    default:
      return notFound();
  }
}

async function startTunnel(request: HttpRequest, connection: GatewayConnection, visitor: Visitor): Promise<HttpResponse | 'tunnel'> {
  const { log, crypto } = visitor;
  const session = await sessionOf(request, visitor);
  const terms = session && (await granted(session, () => session.lease(wishesOf(request)), log));
  if (session === undefined || terms === undefined) return tunnelRefused();
  const clientId = headerValue(request.headers, 'clientid') ?? '';
  const port = isClientId(clientId) ? datagramPortOf(terms) : undefined;
  connection.run(session, {
    machine: new ArrayGatewayTunnel({ log, terms, ...(port !== undefined && { datagramPort: port }) }),
    ...(port !== undefined && { greetingId: greetingId(clientId, crypto) }),
    takesEarlyBytes: true,
  });
  return 'tunnel';
}

/** Its clients have nothing newer than DTLS 1.0, which an administrator has to want (spec 6.2). */
function datagramPortOf({ datagram }: SessionTerms): number | undefined {
  return datagram?.certificate === true && datagram.allowsLegacy ? datagram.port : undefined;
}

/** The id itself is what lets a client in: it stays where it was said. */
function greetingId(clientId: string, crypto: CryptoProvider): Uint8Array {
  return crypto.hash('sha256', utf8(clientId));
}

async function sessionOf(request: HttpRequest, visitor: Visitor): Promise<GatewaySession | undefined> {
  const value = cookiesOf(request).find(({ name }) => name === SESSION_COOKIE)?.value;
  const cookie = value === undefined ? undefined : cookieOffWire(value);
  return cookie && visitor.session(cookie);
}

function cookiesOf({ headers }: HttpRequest): ReturnType<typeof parseCookies> {
  return headerValues(headers, 'Cookie').flatMap(parseCookies);
}

/** IPv4 alone, as nobody knows how this protocol says the rest (spec 13). */
function wishesOf({ headers }: HttpRequest): LeaseWishes {
  const hostname = headerValue(headers, 'hostname');
  const isName = hostname !== undefined && hostname.length <= MAX_HOSTNAME_LENGTH && /^[\w.-]+$/.test(hostname);
  return { wantsIpv4: true, wantsIpv6: false, isMobile: false, userAgent: userAgentOf(headers), ...(isName && { hostname }) };
}
