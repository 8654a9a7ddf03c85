/**
 * Fortinet as a gateway speaks it: log-ins, the configuration and the tunnel's request on one connection. The twin of `client.ts`.
 *
 * Read first: spec "Fortinet", sections 1.3, 3, 4, 6 and 7.
 *
 *   request ─┬─ /, /<realm>, /remote/login ────► pages that lead to the log-in
 *            ├─ POST /remote/logincheck ───────► log-in
 *            ├─ /remote/fortisslvpn_xml, … ────► for who has the cookie
 *            └─ /remote/sslvpn-tunnel ─────────► the connection is PPP's
 */
import { parseCookies } from '../../http/cookies.ts';
import { encodeFormText, percentDecode } from '../../http/form-urlencoded.ts';
import { type HttpRequest, type HttpResponse, headerValue, headerValues } from '../../http/message.ts';
import { pathOf } from '../../http/request-target.ts';
import { cookieOffWire } from '../base64url-cookie.ts';
import type { GatewayConnection, GatewayProtocol, GatewaySession, LeaseWishes, Visitor } from '../gateway-protocol.ts';
import { granted, notFound, type PageFront, redirect, servePages } from '../page-gateway.ts';
import { userAgentOf } from '../page-login.ts';
import { USER_AGENT } from './client-http.ts';
import { renderConfiguration } from './configuration.ts';
import { html, loggedOut, loginRefused, toLogin, tunnelRefused, xml } from './gateway-answer.ts';
import { GatewayLogin } from './gateway-login.ts';
import { datagramFront, streamTunnel } from './gateway-tunnel.ts';
import { PATHS } from './paths.ts';
import { MAX_COOKIE_LENGTH, SESSION_COOKIE } from './session-cookie.ts';

/** Requests that a connection serves, and characters of a request's target. */
const MAX_REQUESTS = 32;
const MAX_TARGET_LENGTH = 1024;

export const fortinetGateway: GatewayProtocol = {
  id: 'fortinet',
  claims: (first) => {
    if (pathOf(first.target).startsWith('/remote/') || sessionCookieOf(first) !== undefined) return 'certain';
    if (first.method !== 'GET') return 'no';
    // The word by which portals know their clients: a tie-break, as the path is anybody's.
    return (headerValue(first.headers, 'User-Agent') ?? '').includes('SV1') ? 'named' : 'likely';
  },
  serve: (connection, visitor) => servePages(connection, visitor, new Front(connection, visitor)),
  datagrams: datagramFront,
};

class Front implements PageFront {
  readonly maxRequests = MAX_REQUESTS;
  readonly maxTargetLength = MAX_TARGET_LENGTH;
  readonly #connection: GatewayConnection;
  readonly #visitor: Visitor;
  readonly #login: GatewayLogin;

  constructor(connection: GatewayConnection, visitor: Visitor) {
    this.#connection = connection;
    this.#visitor = visitor;
    this.#login = new GatewayLogin(connection, visitor);
  }

  async route(request: HttpRequest): Promise<HttpResponse | 'tunnel'> {
    const path = pathOf(request.target);
    if (request.method === 'POST') return path === PATHS.loginCheck ? this.#login.answer(request) : notFound();
    if (request.method !== 'GET') return notFound();
    switch (path) {
      case '/':
        return toLogin();
      case PATHS.login:
        return html(LOGIN_PAGE);
      case PATHS.loginCheck:
        return loginRefused();
      case PATHS.index:
      case PATHS.portal:
      case PATHS.webPortal:
      case PATHS.legacyConfiguration:
        return (await this.#session(request)) === undefined ? toLogin() : html('<html><body>Connected</body></html>\n');
      case PATHS.configuration:
        return this.#configuration(request);
      case PATHS.tunnel:
        return this.#tunnel(request);
      case PATHS.logOut:
        return this.#logOut(request);
      default:
        return path.startsWith('/remote/') || path.slice(1).includes('/') ? notFound() : toRealm(path.slice(1));
    }
  }

  /** Both families, whatever was asked: openconnect 9.01 takes both, and asks for neither (spec 3.1). The cookie is not set again, or it would crash. */
  async #configuration(request: HttpRequest): Promise<HttpResponse> {
    const session = await this.#session(request);
    const terms = session && (await granted(session, () => session.preview(wishesOf(request)), this.#visitor.log));
    if (session === undefined || terms === undefined) return toLogin();
    const { host } = this.#visitor;
    const { datagram, times } = terms;
    return xml(
      renderConfiguration(
        {
          config: terms.config,
          // There is no way to tell another port than that of TLS (spec 1).
          hasDatagrams: datagram?.certificate === true && datagram.port === this.#connection.facts.local.port,
          heartbeat: times.dpd ?? DEFAULT_HEARTBEAT,
          reconnectsWithin: host.cookieTimeout,
        },
        this.#visitor.now(),
      ),
    );
  }

  async #tunnel(request: HttpRequest): Promise<HttpResponse | 'tunnel'> {
    const session = await this.#session(request);
    if (session === undefined) return tunnelRefused('No session');
    const terms = await granted(session, () => session.lease(wishesOf(request)), this.#visitor.log);
    if (terms === undefined) return tunnelRefused('No tunnel for this session');
    const { crypto, log } = this.#visitor;
    this.#connection.run(session, { machine: streamTunnel({ crypto, log, terms }), takesEarlyBytes: true });
    return 'tunnel';
  }

  async #logOut(request: HttpRequest): Promise<HttpResponse> {
    const session = await this.#session(request);
    if (session === undefined) return toLogin();
    await session.end({ kind: 'log-off', message: 'The user has left.' });
    return loggedOut();
  }

  async #session(request: HttpRequest): Promise<GatewaySession | undefined> {
    const cookie = sessionCookieOf(request);
    return cookie === undefined ? undefined : this.#visitor.session(cookieOffWire(cookie));
  }
}

/** Of an administrator who has set none. */
const DEFAULT_HEARTBEAT = 10_000;

/** What it says is for people and for who asks what this is: clients make the form themselves. */
const LOGIN_PAGE = `<html><head><title>Login</title></head><body><!-- ${PATHS.loginCheck} -->A VPN client is needed here.</body></html>\n`;

/** Spec 1.3: whether there is such a realm is not said. */
function toRealm(realm: string): HttpResponse {
  return redirect(`${PATHS.login}?realm=${encodeFormText(percentDecode(realm))}&lang=en`);
}

function sessionCookieOf({ headers }: HttpRequest): string | undefined {
  const value = headerValues(headers, 'Cookie')
    .flatMap(parseCookies)
    .find(({ name }) => name === SESSION_COOKIE)?.value;
  return value === undefined || value === '' || value.length > MAX_COOKIE_LENGTH ? undefined : value;
}

function wishesOf({ headers }: HttpRequest): LeaseWishes {
  return { wantsIpv4: true, wantsIpv6: true, isMobile: false, userAgent: userAgentOf(headers) || USER_AGENT };
}
