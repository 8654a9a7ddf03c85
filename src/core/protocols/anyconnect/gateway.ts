/**
 * AnyConnect as a gateway speaks it: log-ins, downloads and the tunnel's CONNECT on one connection. The twin of `client.ts`.
 *
 * Read first: spec "AnyConnect", sections 2.1, 3.21, 11.1 and 11.11.
 *
 *   request ─► camouflage ─┬─ CONNECT ─────────────► tunnel
 *                          ├─ /, /auth, /VPN ──────► log-in
 *                          └─ everything else ─────► profile, stubs, 404
 */
import { SallyportError } from '../../errors.ts';
import { type HttpRequest, headerValue } from '../../http/message.ts';
import { listMembers } from '../../http/tokens.ts';
import type { GatewayConnection, GatewayProtocol, Visitor } from '../gateway-protocol.ts';
import { Camouflage } from './camouflage.ts';
import { clientFamily } from './client-family.ts';
import { TUNNEL_PATH } from './connect-request.ts';
import { file, type GatewayAnswer, notFound, refusal, unavailable } from './gateway-answer.ts';
import { openTunnel, sessionOf } from './gateway-connect.ts';
import { GatewayLogin } from './gateway-login.ts';
import { isLoginPath, isProfilePath, serveFile } from './gateway-paths.ts';

/** Requests that a connection serves, as with ocserv. */
const MAX_REQUESTS = 16;

/** Characters of a request's target (spec 12.2). */
const MAX_TARGET_LENGTH = 255;

export const anyconnectGateway: GatewayProtocol = {
  id: 'anyconnect',
  claims: (first) => {
    if (leavesHttp(first)) return 'no';
    if (saysWhatOthersDoNot(first)) return 'certain';
    if (clientFamily(headerValue(first.headers, 'User-Agent') ?? '') !== 'unknown') return 'named';
    return isLoginPath(first) ? 'likely' : 'no';
  },
  serve: (connection, visitor) => new Front(connection, visitor).serve(),
};

/** No client of this vendor does, whatever its name says: openconnect has the same for several. */
function leavesHttp({ headers }: HttpRequest): boolean {
  return headerValue(headers, 'Upgrade') !== undefined;
}

function saysWhatOthersDoNot({ method, target, headers }: HttpRequest): boolean {
  if (method === 'CONNECT' && target === TUNNEL_PATH) return true;
  return ['X-Transcend-Version', 'X-Aggregate-Auth'].some((name) => headerValue(headers, name) !== undefined);
}

class Front {
  readonly #connection: GatewayConnection;
  readonly #visitor: Visitor;
  readonly #login: GatewayLogin;
  readonly #camouflage: Camouflage;

  constructor(connection: GatewayConnection, visitor: Visitor) {
    this.#connection = connection;
    this.#visitor = visitor;
    this.#login = new GatewayLogin(connection, visitor);
    this.#camouflage = new Camouflage(visitor.host.camouflage);
  }

  async serve(): Promise<'close' | 'tunnel'> {
    for (let requests = 0; requests < MAX_REQUESTS; requests++) {
      const request = await this.#connection.request();
      if (request === undefined) return 'close';
      const answer = await this.#answer(request);
      if (answer === 'tunnel') return 'tunnel';
      await this.#connection.respond(answer.response);
      if (answer.closes || isLast(request)) return 'close';
    }
    return 'close';
  }

  /** What fails on our side is told to the client in two words, and to the administrator in full. */
  async #answer(request: HttpRequest): Promise<GatewayAnswer | 'tunnel'> {
    try {
      if (request.target.length > MAX_TARGET_LENGTH) return refusal(request, 414, 'URI Too Long', [['Content-Length', '0']]);
      return request.method === 'CONNECT' ? await this.#connect(request) : await this.#fetch(request);
    } catch (error) {
      if (!(error instanceof SallyportError)) throw error;
      this.#visitor.log.log('error', 'request failed', { method: request.method, code: error.code, reason: error.message });
      return unavailable(request, 'Server error');
    }
  }

  async #connect(request: HttpRequest): Promise<GatewayAnswer | 'tunnel'> {
    const session = await sessionOf(request, this.#visitor);
    if ('response' in session) return this.#camouflage.isOn ? this.#camouflage.connectRefused(request) : session;
    return openTunnel(request, session, this.#connection, this.#visitor);
  }

  async #fetch(given: HttpRequest): Promise<GatewayAnswer> {
    const request = this.#camouflage.admitted(given) ?? (await this.#known(given));
    if (request === undefined) return this.#camouflage.refused(given);
    if (isLoginPath(request)) return this.#login.answer(request);
    return isProfilePath(request) ? this.#profile(request) : serveFile(request, this.#visitor.host);
  }

  /** A form's answer or a download on another connection than the first has no secret in its path, but a cookie that only a log-in gives. */
  async #known(request: HttpRequest): Promise<HttpRequest | undefined> {
    const isKnown = isLoginPath(request) ? await this.#login.knows(request) : !('response' in (await sessionOf(request, this.#visitor)));
    if (!isKnown) return undefined;
    this.#camouflage.open();
    return request;
  }

  /** Spec 11.1: for who has logged in. */
  async #profile(request: HttpRequest): Promise<GatewayAnswer> {
    const session = await sessionOf(request, this.#visitor);
    if ('response' in session) return session;
    const { profile, headers } = this.#visitor.host;
    return profile === undefined ? notFound(request) : file(request, 'text/xml', profile.bytes, headers);
  }
}

/** Spec 2.1: HTTP/1.0 is answered once. */
function isLast({ version, headers }: HttpRequest): boolean {
  return version === '1.0' || listMembers([headerValue(headers, 'Connection') ?? '']).includes('close');
}
