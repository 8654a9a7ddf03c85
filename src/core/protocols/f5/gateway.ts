/**
 * F5 as a gateway speaks it: log-ins, the resource and its options, and the tunnel's request on one connection. The twin of `client.ts`.
 *
 * Read first: spec "F5", sections 1.2, 3, 4, 5, 6 and 7.
 *
 *   request ─┬─ /, /my.policy ─────────────────────► log-in
 *            ├─ /vdesk/vpn/index.php3, connect.php3 ► for who has the cookie
 *            ├─ /myvpn?sess=…&Z=… ──────────────────► the connection is PPP's
 *            └─ /vdesk/hangup.php3 ─────────────────► the session is over
 */
import { parseCookies } from '../../http/cookies.ts';
import { type HttpRequest, type HttpResponse, headerValue, headerValues } from '../../http/message.ts';
import { pathOf } from '../../http/request-target.ts';
import type { Secret } from '../../secret.ts';
import { formatIp } from '../../wire/ip-address.ts';
import { toHex } from '../../wire/text.ts';
import type { GatewayConnection, GatewayProtocol, GatewaySession, Visitor } from '../gateway-protocol.ts';
import { cookieOffWire, cookieOnWire } from '../hex-cookie.ts';
import { granted, notFound, type PageFront, servePages } from '../page-gateway.ts';
import type { PagedLogin } from '../paged-login.ts';
import { document, loggedOut, noSession, page, preliminaryCookies, toPolicy, tunnelRefused } from './gateway-answer.ts';
import { gatewayLogin, wishesOf } from './gateway-login.ts';
import { datagramFront, streamTunnel } from './gateway-tunnel.ts';
import { renderOptions } from './options-document.ts';
import { PATHS } from './paths.ts';
import { renderResources } from './resource-list.ts';
import { SESSION_COOKIE } from './session-cookie.ts';
import { authorised, tunnelWishes, zOf } from './tunnel-claim.ts';

/** Requests that a connection serves, and characters of a request's target. */
const MAX_REQUESTS = 64;
const MAX_TARGET_LENGTH = 2048;

/** The one resource that there is. */
const RESOURCE = '/Common/sallyport';

export const f5Gateway: GatewayProtocol = {
  id: 'f5',
  claims: (first) => {
    const path = pathOf(first.target);
    if (/^\/(my\.(policy|logout|logon)|vdesk\/|myvpn$)/.test(path) || sessionCookieOf(first) !== undefined) return 'certain';
    if (first.method !== 'GET' || path !== '/') return 'no';
    // openconnect calls itself here what it does with AnyConnect; then the host's default decides (spec 1.1).
    return /AnyConnect|F5|EdgeClient/.test(headerValue(first.headers, 'User-Agent') ?? '') ? 'named' : 'likely';
  },
  serve: (connection, visitor) => servePages(connection, visitor, new Front(connection, visitor)),
  datagrams: datagramFront,
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
    if (request.method === 'POST') return path === PATHS.policy ? this.#login.answer(request) : notFound();
    if (request.method !== 'GET') return notFound();
    switch (path) {
      case '/':
        return toPolicy(preliminaryCookies(toHex(this.#visitor.crypto.randomBytes(16))));
      case PATHS.policy:
        return this.#login.firstPage(request);
      case PATHS.logOutPage:
        return loggedOut();
      case PATHS.webtop:
        return (await this.#session(request)) === undefined ? toPolicy() : page('<html><body>Connected</body></html>\n');
      case PATHS.resources:
        return (await this.#session(request)) === undefined
          ? noSession()
          : document(renderResources([{ name: RESOURCE, params: `resourcename=${RESOURCE}` }]));
      case PATHS.options:
        return this.#options(request);
      case PATHS.tunnel:
        return this.#tunnel(request);
      case PATHS.hangUp:
        return this.#logOut(request);
      default:
        return notFound();
    }
  }

  /** Both families, whatever was asked: which of them a client speaks, it says where it asks for the tunnel. */
  async #options(request: HttpRequest): Promise<HttpResponse> {
    const session = await this.#session(request);
    const terms = session && (await granted(session, () => session.preview(wishesOf(request)), this.#visitor.log));
    const cookie = sessionCookieOf(request);
    if (terms === undefined || cookie === undefined) return noSession();
    const { local, host } = this.#connection.facts;
    return document(
      renderOptions({
        sessionId: cookieOnWire(cookie),
        z: zOf(this.#visitor.crypto, cookie),
        resource: RESOURCE,
        host: host ?? formatIp(local.address),
        port: local.port,
        config: terms.config,
        ...(terms.datagram?.certificate === true && { datagramPort: terms.datagram.port }),
      }),
    );
  }

  async #tunnel(request: HttpRequest): Promise<HttpResponse | 'tunnel'> {
    const known = authorised(request, this.#visitor.crypto);
    if (known === undefined) return tunnelRefused();
    const { wish, cookie } = known;
    const session = await this.#visitor.session(cookie);
    const terms = session && (await granted(session, () => session.lease(tunnelWishes(request, wish)), this.#visitor.log));
    if (session === undefined || terms === undefined) return tunnelRefused();
    const { crypto, log } = this.#visitor;
    this.#connection.run(session, { machine: streamTunnel({ crypto, log, terms, wish }) });
    return 'tunnel';
  }

  async #logOut(request: HttpRequest): Promise<HttpResponse> {
    await (await this.#session(request))?.end({ kind: 'log-off', message: 'The user has left.' });
    return loggedOut();
  }

  async #session(request: HttpRequest): Promise<GatewaySession | undefined> {
    const cookie = sessionCookieOf(request);
    return cookie === undefined ? undefined : this.#visitor.session(cookie);
  }
}

function sessionCookieOf({ headers }: HttpRequest): Secret | undefined {
  const value = headerValues(headers, 'Cookie')
    .flatMap(parseCookies)
    .find(({ name }) => name === SESSION_COOKIE)?.value;
  return value === undefined ? undefined : cookieOffWire(value);
}
