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
import { PeerRefusedError, SallyportError } from '../../errors.ts';
import { parseCookies } from '../../http/cookies.ts';
import { encodeFormText, percentDecode } from '../../http/form-urlencoded.ts';
import { type HttpRequest, type HttpResponse, headerValue, headerValues } from '../../http/message.ts';
import { pathOf } from '../../http/request-target.ts';
import { listMembers } from '../../http/tokens.ts';
import type { SessionTerms } from '../../tunnel/session-terms.ts';
import type { GatewayConnection, GatewayProtocol, GatewaySession, LeaseWishes, Visitor } from '../gateway-protocol.ts';
import { USER_AGENT } from './client-http.ts';
import { renderConfiguration } from './configuration.ts';
import { failed, html, loggedOut, loginRefused, notFound, redirect, toLogin, tunnelRefused, xml } from './gateway-answer.ts';
import { GatewayLogin, userAgentOf } from './gateway-login.ts';
import { datagramFront, streamTunnel } from './gateway-tunnel.ts';
import { PATHS } from './paths.ts';
import { cookieOffWire, MAX_COOKIE_LENGTH, SESSION_COOKIE } from './session-cookie.ts';

/** Requests that a connection serves, and characters of a request's target. */
const MAX_REQUESTS = 32;
const MAX_TARGET_LENGTH = 1024;

export const fortinetGateway: GatewayProtocol = {
  id: 'fortinet',
  claims: (first) => {
    if (pathOf(first.target).startsWith('/remote/') || sessionCookieOf(first) !== undefined) return 'certain';
    if (first.method !== 'GET') return 'no';
    // The word by which portals know their clients: a tie-break, as the path is anybody's.
    return (headerValue(first.headers, 'User-Agent') ?? '').includes('SV1') ? 'certain' : 'likely';
  },
  serve: (connection, visitor) => new Front(connection, visitor).serve(),
  datagrams: datagramFront,
};

class Front {
  readonly #connection: GatewayConnection;
  readonly #visitor: Visitor;
  readonly #login: GatewayLogin;

  constructor(connection: GatewayConnection, visitor: Visitor) {
    this.#connection = connection;
    this.#visitor = visitor;
    this.#login = new GatewayLogin(connection, visitor);
  }

  async serve(): Promise<'close' | 'tunnel'> {
    for (let requests = 0; requests < MAX_REQUESTS; requests++) {
      const request = await this.#connection.request();
      if (request === undefined) return 'close';
      const answer = await this.#answer(request);
      if (answer === 'tunnel') return 'tunnel';
      await this.#connection.respond({ ...answer, headers: [...answer.headers, ...this.#visitor.host.headers] });
      if (isLast(request, answer)) return 'close';
    }
    return 'close';
  }

  /** What fails on our side is told to the client in few words, and to the administrator in full. */
  async #answer(request: HttpRequest): Promise<HttpResponse | 'tunnel'> {
    try {
      return request.target.length > MAX_TARGET_LENGTH ? notFound() : await this.#route(request);
    } catch (error) {
      if (!(error instanceof SallyportError)) throw error;
      this.#visitor.log.log('error', 'request failed', { method: request.method, code: error.code, reason: error.message });
      return failed();
    }
  }

  async #route(request: HttpRequest): Promise<HttpResponse | 'tunnel'> {
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
    const terms = session && (await this.#granted(session, () => session.preview(wishesOf(request))));
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
    const terms = await this.#granted(session, () => session.lease(wishesOf(request)));
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

  /** Undefined where it is refused, which the log says. */
  async #granted(session: GatewaySession, ask: () => Promise<SessionTerms>): Promise<SessionTerms | undefined> {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof PeerRefusedError)) throw error;
      this.#visitor.log.log('warn', 'no lease', { user: session.user, reason: error.message });
      return undefined;
    }
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

function isLast({ version, headers }: HttpRequest, answer: HttpResponse): boolean {
  const closes = (all: HttpRequest['headers']) => listMembers([headerValue(all, 'Connection') ?? '']).includes('close');
  return version === '1.0' || closes(headers) || closes(answer.headers);
}
