/**
 * Network Connect as a gateway speaks it: log-ins, and the request for a tunnel. The twin of `client.ts`.
 *
 * Read first: spec "Juniper NC", sections 2, 3, 5.1, 9 and 11.
 *
 *   request ─┬─ /, …/welcome.cgi, …/login.cgi ─► log-in
 *            ├─ /dana/js?prot=1&svc=4 ─────────► the connection is oNCP's
 *            └─ /dana-na/auth/logout.cgi ──────► the session is over
 */
import { parseCookies } from '../../http/cookies.ts';
import { type HttpRequest, type HttpResponse, headerValue, headerValues } from '../../http/message.ts';
import { pathOf } from '../../http/request-target.ts';
import type { GatewayConnection, GatewayProtocol, GatewaySession, LeaseWishes, Visitor } from '../gateway-protocol.ts';
import { cookieOffWire } from '../hex-cookie.ts';
import { granted, notFound, type PageFront, servePages } from '../page-gateway.ts';
import { userAgentOf } from '../page-login.ts';
import type { PagedLogin } from '../paged-login.ts';
import { loggedOut, page, toWelcome, tunnelRefused } from './gateway-answer.ts';
import { gatewayLogin } from './gateway-login.ts';
import { NcGatewayTunnel } from './gateway-tunnel.ts';
import { PATHS } from './paths.ts';
import { SESSION_COOKIE } from './session-cookie.ts';

/** Requests that a connection serves, and characters of a request's target. */
const MAX_REQUESTS = 64;
const MAX_TARGET_LENGTH = 2048;

export const ncGateway: GatewayProtocol = {
  id: 'nc',
  claims: (first) => {
    // Pulse's clients ask for an upgrade; they may have the same cookie (spec 11).
    if (/^IF-T\/TLS\b/i.test(headerValue(first.headers, 'Upgrade') ?? '')) return 'no';
    const path = pathOf(first.target);
    if (/^\/dana(-na|-cached)?\//.test(path) || sessionOf(first) !== undefined) return 'certain';
    if (headerValue(first.headers, 'NCP-Version') !== undefined) return 'certain'; // its clients say so from their first request on
    return first.method === 'GET' && path === '/' ? 'likely' : 'no';
  },
  // Spec 5.1: it says that it has 256 bytes of body, and has none.
  startsTunnel: ({ method, target }) => method === 'POST' && pathOf(target) === PATHS.tunnel,
  serve: (connection, visitor) => servePages(connection, visitor, new Front(connection, visitor)),
};

class Front implements PageFront {
  readonly maxRequests = MAX_REQUESTS;
  readonly maxTargetLength = MAX_TARGET_LENGTH;
  readonly #connection: GatewayConnection;
  readonly #visitor: Visitor;
  readonly #login: PagedLogin;

  constructor(connection: GatewayConnection, visitor: Visitor) {
    this.#connection = connection;
    this.#visitor = visitor;
    this.#login = gatewayLogin(connection, visitor);
  }

  async route(request: HttpRequest): Promise<HttpResponse | 'tunnel'> {
    const path = pathOf(request.target);
    if (request.method === 'POST') {
      if (path === PATHS.tunnel) return this.#tunnel(request);
      return path === PATHS.login ? this.#login.answer(request) : notFound();
    }
    if (request.method !== 'GET') return notFound();
    switch (path) {
      case PATHS.welcome:
      case PATHS.login:
        return this.#login.firstPage(request);
      case PATHS.landing:
        return (await this.#session(request)) === undefined ? toWelcome() : page('<html><body>Welcome</body></html>\n');
      case PATHS.logOut:
        await (await this.#session(request))?.end({ kind: 'log-off', message: 'The user has left.' });
        return loggedOut();
      default:
        // A path of a sign-in policy's own, which an appliance would know (spec 3.1).
        return /^\/[\w-]*$/.test(path) ? toWelcome() : notFound();
    }
  }

  async #tunnel(request: HttpRequest): Promise<HttpResponse | 'tunnel'> {
    const session = await this.#session(request);
    const { crypto, log } = this.#visitor;
    const terms = session && (await granted(session, () => session.lease(wishesOf(request)), log));
    if (session === undefined || terms?.config.ipv4 === undefined) return tunnelRefused();
    const { family } = this.#connection.facts.remote.address;
    const machine = new NcGatewayTunnel({ crypto, log, terms, family });
    const { datagramId } = machine;
    this.#connection.run(session, { machine, takesEarlyBytes: true, ...(datagramId !== undefined && { datagramId }) });
    return 'tunnel';
  }

  async #session(request: HttpRequest): Promise<GatewaySession | undefined> {
    const id = sessionOf(request);
    const cookie = id === undefined ? undefined : cookieOffWire(id);
    return cookie === undefined ? undefined : this.#visitor.session(cookie);
  }
}

/** Spec 1: the protocol has no IPv6. */
function wishesOf({ headers }: HttpRequest): LeaseWishes {
  return { wantsIpv4: true, wantsIpv6: false, isMobile: false, userAgent: userAgentOf(headers) };
}

function sessionOf({ headers }: HttpRequest): string | undefined {
  return headerValues(headers, 'Cookie')
    .flatMap(parseCookies)
    .find(({ name }) => name === SESSION_COOKIE)?.value;
}
