/**
 * GlobalProtect as a gateway speaks it: log-ins, the configuration and the tunnel's request on one connection. The twin of `client.ts`.
 *
 * Read first: spec "GlobalProtect", sections 2, 3, 5, 9, 10, 12 and 14. Where there is no portal clients are told so, and then come to the gateway.
 */
import { EspReceiver } from '../../esp/packet.ts';
import { tunnelIdOf } from '../../esp/spi.ts';
import { parseForm } from '../../http/form-urlencoded.ts';
import { type HttpRequest, type HttpResponse, headerValue } from '../../http/message.ts';
import { pathOf } from '../../http/request-target.ts';
import type { Millis } from '../../tunnel/packet.ts';
import type { SessionTerms } from '../../tunnel/session-terms.ts';
import { copyOf } from '../../wire/copy.ts';
import type { IpAddress } from '../../wire/ip-address.ts';
import type { GatewayConnection, GatewayProtocol, GatewaySession, LeaseWishes, Visitor } from '../gateway-protocol.ts';
import { cookieOffWire } from '../hex-cookie.ts';
import { granted, notFound, type PageFront, servePages } from '../page-gateway.ts';
import { type LoginFields, parseLoginForm, userAgentOf } from '../page-login.ts';
import { keysLife, NO_SESSION, renderConfiguration } from './configuration.ts';
import { failure, NO_ADDRESS, notByGet, reportNeeded, success, tunnelRefused, xml } from './gateway-answer.ts';
import { BrowserLogin, browserStart } from './gateway-browser.ts';
import { GpEspTunnel } from './gateway-esp-tunnel.ts';
import { MAX_REPORT_BODY, parseHostReport, parseReportForm } from './gateway-host-report.ts';
import { GatewayLogin } from './gateway-login.ts';
import { regionOf } from './gateway-portal.ts';
import { askedAddress, tunnelMtu } from './gateway-terms.ts';
import { GpGatewayTunnel } from './gateway-tunnel.ts';
import { chooseAlgorithms, type EspOffer, newOffer } from './ipsec.ts';
import { PATHS, USER_AGENT } from './paths.ts';
import { NO_PORTAL, renderPrelogin } from './prelogin.ts';

/** Requests that a connection serves, and characters of a request's target, which holds a cookie (spec 17). */
const MAX_REQUESTS = 32;
const MAX_TARGET_LENGTH = 4096;

/** Of a tunnel until it is opened anew, where an administrator has set none. */
const DEFAULT_TIMEOUT = 10_800_000;
const MAX_HOSTNAME = 64;

/** Observed: openconnect 9.01, which calls itself this, takes IPv6 networks behind the tunnel for ones outside. */
const WITHOUT_IPV6_ROUTES = '5.1.5-8';

/** Whose requests they are is certain. */
const OWN_PLACES = ['/ssl-vpn/', '/global-protect/', '/SAML20/SP/'];

export const gpGateway: GatewayProtocol = {
  id: 'gp',
  hasBrowserLogin: true,
  claims: (first) => {
    const path = pathOf(first.target);
    if (path === PATHS.tunnel || OWN_PLACES.some((place) => path.startsWith(place))) return 'certain';
    return (headerValue(first.headers, 'User-Agent') ?? '').startsWith(USER_AGENT) ? 'likely' : 'no';
  },
  serve: (connection, visitor) => servePages(connection, visitor, new Front(connection, visitor)),
};

class Front implements PageFront {
  readonly maxRequests = MAX_REQUESTS;
  readonly maxTargetLength = MAX_TARGET_LENGTH;
  readonly #connection: GatewayConnection;
  readonly #visitor: Visitor;
  readonly #login: GatewayLogin;
  readonly #browserLogin: BrowserLogin;

  constructor(connection: GatewayConnection, visitor: Visitor) {
    this.#connection = connection;
    this.#visitor = visitor;
    this.#login = new GatewayLogin(connection, visitor);
    this.#browserLogin = new BrowserLogin(connection, visitor);
  }

  async route(request: HttpRequest): Promise<HttpResponse | 'tunnel'> {
    const path = pathOf(request.target);
    switch (path) {
      case PATHS.portalPrelogin:
        return xml(
          this.#visitor.host.portal === undefined ? renderPrelogin({ type: 'refused', message: NO_PORTAL }) : this.#prelogin(request),
        );
      case PATHS.prelogin:
        return xml(this.#prelogin(request));
      case PATHS.tunnel:
        return request.method === 'GET' ? this.#tunnel(request) : notFound();
      case PATHS.browserLogin:
      case PATHS.assertion:
        return this.#browser(path, request);
      case PATHS.portalConfiguration:
        if (this.#visitor.host.portal === undefined) return notFound();
        return request.method === 'POST' ? this.#login.answer(request, 'portal') : notByGet();
      case PATHS.login:
        return request.method === 'POST' ? this.#login.answer(request, 'gateway') : notByGet();
      case PATHS.configuration:
      case PATHS.reportCheck:
      case PATHS.report:
      case PATHS.logOut:
        return request.method === 'POST' ? this.#post(path, request) : notByGet();
      default:
        return notFound();
    }
  }

  async #post(path: string, request: HttpRequest): Promise<HttpResponse> {
    const fields = path === PATHS.report ? parseReportForm(request) : parseLoginForm(request, ['authcookie', 'user']);
    const session = await this.#session(fields);
    if (session === undefined) return failure(NO_SESSION);
    switch (path) {
      case PATHS.configuration:
        return this.#configuration(session, wishesOf(request, fields), fields);
      case PATHS.logOut:
        await session.end({ kind: 'log-off', message: 'The user has left.' });
        return success();
      case PATHS.report:
        if (this.#wantsReports) this.#report(session, fields.get('report') ?? '');
        return success();
      default:
        if (this.#wantsReports) this.#connection.allowBody(MAX_REPORT_BODY);
        return reportNeeded(this.#wantsReports);
    }
  }

  get #wantsReports(): boolean {
    return this.#visitor.host.wantsHostReports === true;
  }

  /** For administrators to read: what a client says of its machine proves nothing. */
  #report({ user }: GatewaySession, text: string): void {
    const { os, hostname, clientVersion, products } = parseHostReport(text);
    this.#visitor.log.log('info', 'host report', { user, os, hostname, clientVersion, products: products.join(' ') });
  }

  async #configuration(session: GatewaySession, wishes: LeaseWishes, fields: LoginFields): Promise<HttpResponse> {
    const terms = await granted(session, () => session.preview(wishes), this.#visitor.log);
    if (terms === undefined) return failure(NO_ADDRESS);
    const { config } = terms;
    const timeout = keysLife(terms.times.rekey || DEFAULT_TIMEOUT);
    const saysIpv6Routes = fields.get('app-version') !== WITHOUT_IPV6_ROUTES;
    const asked = askedAddress(terms);
    const esp = asked && (await this.#esp(session, { terms, asked, wishes, fields, timeout }));
    return xml(
      renderConfiguration(
        {
          ...{ config, mtu: tunnelMtu(terms), timeout, user: session.user, saysIpv6Routes },
          ...(asked !== undefined && { asked }),
          ...(esp !== undefined && { esp }),
        },
        this.#visitor.now(),
      ),
    );
  }

  /** New keys each time, and whoever speaks under them next is this session's client. Undefined: TLS only. */
  async #esp(session: GatewaySession, { terms, asked, wishes, fields, timeout }: EspWishes): Promise<EspOffer | undefined> {
    const { crypto, log } = this.#visitor;
    const algorithms = chooseAlgorithms(fields.get('enc-algo') ?? '', fields.get('hmac-algo') ?? '');
    const cookie = cookieOffWire(fields.get('authcookie') ?? '');
    if (terms.datagram === undefined || algorithms === undefined || cookie === undefined) return undefined;
    const offer = newOffer(crypto, terms.datagram.port, algorithms);
    const isExpected = await session.expect({
      ...{ datagramId: tunnelIdOf(offer.toGateway.spi), cookie, wishes },
      opens: (datagram) => new EspReceiver(crypto, offer.toGateway).open(copyOf(datagram)),
      tunnel: (leased) => new GpEspTunnel({ crypto, log, terms: leased, offer, asked, keysLife: timeout }),
    });
    return isExpected ? offer : undefined;
  }

  async #tunnel(request: HttpRequest): Promise<HttpResponse | 'tunnel'> {
    const query = request.target.slice(request.target.indexOf('?') + 1);
    const fields = new Map(parseForm(query));
    const session = await this.#session(fields);
    const terms = session && (await granted(session, () => session.lease(wishesOf(request, fields)), this.#visitor.log));
    if (session === undefined || terms === undefined) return tunnelRefused();
    this.#connection.run(session, { machine: new GpGatewayTunnel(this.#visitor.log, terms) });
    return 'tunnel';
  }

  /** Whose cookie it is, if it comes with that user's name (spec 14). */
  async #session(fields: ReadonlyMap<string, string>): Promise<GatewaySession | undefined> {
    const cookie = cookieOffWire(fields.get('authcookie') ?? '');
    const session = cookie && (await this.#visitor.session(cookie));
    return session?.user === fields.get('user') ? session : undefined;
  }

  #prelogin(request: HttpRequest): string {
    const { preLoginBanner = 'Enter login credentials', portal, browserLogin } = this.#visitor.host;
    const { facts } = this.#connection;
    const region = portal && regionOf(portal, facts.remote.address);
    return renderPrelogin({
      ...{ type: 'ready', banner: preLoginBanner, ...LABELS },
      ...(region !== undefined && { region }),
      ...(browserLogin !== undefined && { browser: browserStart(browserLogin, request, facts), leadsBack: true }),
    });
  }

  /** As an identity provider of its own. */
  async #browser(path: string, request: HttpRequest): Promise<HttpResponse> {
    if (this.#visitor.host.browserLogin === undefined) return notFound();
    if (path === PATHS.browserLogin) return this.#browserLogin.begin();
    return request.method === 'POST' ? this.#browserLogin.answer(request) : notByGet();
  }
}

interface EspWishes {
  readonly terms: SessionTerms;
  readonly asked: IpAddress;
  readonly wishes: LeaseWishes;
  readonly fields: LoginFields;
  readonly timeout: Millis;
}

const LABELS = { usernameLabel: 'Username', passwordLabel: 'Password' } as const;

function wishesOf({ headers }: HttpRequest, fields: ReadonlyMap<string, string>): LeaseWishes {
  const hostname = fields.get('computer');
  const isName = hostname !== undefined && /^[A-Za-z0-9._-]+$/.test(hostname) && hostname.length <= MAX_HOSTNAME;
  return {
    ...{ wantsIpv4: true, wantsIpv6: true, isMobile: false, userAgent: userAgentOf(headers) || USER_AGENT },
    ...(isName && { hostname }),
  };
}
