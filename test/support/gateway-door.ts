/** A gateway's front in memory: connections that requests are put in at one end, and the answers taken from. */
import type { InnerTlsServer } from '../../src/core/auth/inner-tls.ts';
import { MisuseError, TruncatedError } from '../../src/core/errors.ts';
import { type HttpHeaders, type HttpRequest, type HttpResponse, headerValue } from '../../src/core/http/message.ts';
import { renderRequest, renderResponse } from '../../src/core/http/render.ts';
import { RequestParser } from '../../src/core/http/request-parser.ts';
import { ResponseParser } from '../../src/core/http/response-parser.ts';
import { anyconnectGateway } from '../../src/core/protocols/anyconnect/gateway.ts';
import type {
  ClientFacts,
  GatewayConnection,
  GatewayProtocol,
  GatewaySession,
  TunnelPlan,
  UpgradedStream,
  Visitor,
} from '../../src/core/protocols/gateway-protocol.ts';
import { fromUtf8, utf8 } from '../../src/core/wire/text.ts';

export const FACTS: ClientFacts = {
  local: { address: { family: 4, bytes: Uint8Array.of(192, 0, 2, 1) }, port: 443 },
  remote: { address: { family: 4, bytes: Uint8Array.of(192, 0, 2, 7) }, port: 50_000 },
  cipherSuite: 'TLSv1.3-TLS_AES_256_GCM_SHA384',
};

/** One connection, served from its first request on. */
export class Door implements GatewayConnection {
  readonly facts: ClientFacts;
  /** What `serve` came to: never rejects unseen, as whoever exchanges awaits it too. */
  readonly end: Promise<'close' | 'tunnel'>;
  ran: { readonly session: GatewaySession; readonly plan: TunnelPlan } | undefined;
  #pending: PromiseWithResolvers<HttpRequest | undefined> = Promise.withResolvers();
  #answered: PromiseWithResolvers<HttpResponse> = Promise.withResolvers();
  /** Who speaks once HTTP was left. Default: nobody leaves HTTP by this door. */
  upgraded: UpgradedStream | undefined;
  innerTls?: () => InnerTlsServer;

  constructor(visitor: Visitor, facts: Partial<ClientFacts> = {}, { serve }: Pick<GatewayProtocol, 'serve'> = anyconnectGateway) {
    this.facts = { ...FACTS, ...facts };
    this.end = serve(this, visitor);
    this.end.catch(() => undefined);
  }

  /** The answer; `tunnel` or `close` if there is none. */
  async exchange(request: HttpRequest): Promise<HttpResponse | 'close' | 'tunnel'> {
    this.#answered = Promise.withResolvers();
    const { resolve } = this.#pending;
    this.#pending = Promise.withResolvers();
    resolve(overTheWire(request));
    return Promise.race([this.#answered.promise, this.end]);
  }

  /** The answer's bytes as text. */
  async text(request: HttpRequest): Promise<string> {
    const answer = await this.exchange(request);
    return typeof answer === 'string' ? answer : fromUtf8(renderResponse(answer));
  }

  leave(): void {
    this.#pending.resolve(undefined);
  }

  async request(): Promise<HttpRequest | undefined> {
    return this.#pending.promise;
  }

  async respond(response: HttpResponse): Promise<void> {
    this.#answered.resolve(readBack(response));
  }

  /** What comes by this door has its size already. */
  allowBody(): void {
    // nothing to change
  }

  upgrade(response: HttpResponse): UpgradedStream {
    this.#answered.resolve(response);
    if (this.upgraded === undefined) throw new MisuseError('Nobody leaves HTTP by this door.');
    return this.upgraded;
  }

  run(session: GatewaySession, plan: TunnelPlan): void {
    this.ran = { session, plan };
  }
}

function overTheWire(request: HttpRequest): HttpRequest {
  const parser = new RequestParser();
  parser.push(renderRequest(request));
  const received = parser.next();
  if (received === undefined) throw new TruncatedError('the request is not whole');
  return received.message;
}

/** What is written must be readable, and is compared as it is read. Some refusals do not say how long they are: the connection ends with them. */
function readBack(response: HttpResponse): HttpResponse {
  if (headerValue(response.headers, 'Content-Length') === undefined) return response;
  const parser = new ResponseParser();
  parser.expect('POST');
  parser.push(renderResponse(response));
  const received = parser.next();
  if (received === undefined) throw new TruncatedError('the response is not whole');
  return received.message;
}

const UA = ['User-Agent', 'Open AnyConnect VPN Agent v9.01'] as const;

export function get(target: string, headers: HttpHeaders = [UA]): HttpRequest {
  return { method: 'GET', target, version: '1.1', headers, body: new Uint8Array(0) };
}

export function post(target: string, body: string, headers: HttpHeaders = [UA]): HttpRequest {
  const bytes = utf8(body);
  return { method: 'POST', target, version: '1.1', headers: [...headers, ['Content-Length', String(bytes.length)]], body: bytes };
}

export function connect(cookie: string | undefined, headers: HttpHeaders = [UA], target = '/CSCOSSLC/tunnel'): HttpRequest {
  const brought: HttpHeaders = cookie === undefined ? [] : [['Cookie', `webvpn=${cookie}`]];
  return { method: 'CONNECT', target, version: '1.1', headers: [...brought, ...headers], body: new Uint8Array(0) };
}

const documentOf = (type: string, inner: string) =>
  `<?xml version="1.0" encoding="UTF-8"?>\n<config-auth client="vpn" type="${type}" aggregate-auth-version="2"><version who="vpn">v9.01</version>` +
  `<device-id>linux-64</device-id>${inner}</config-auth>\n`;

export const initDocument = (inner = ''): string => documentOf('init', `<group-access>https://vpn.example</group-access>${inner}`);
export const replyDocument = (inner: string): string => documentOf('auth-reply', inner);
export const logoutDocument = (inner: string): string => documentOf('logout', inner);
export const named = (user: string, rest = ''): string => replyDocument(`<auth><username>${user}</username></auth>${rest}`);
export const withPassword = (password: string): string => replyDocument(`<auth><password>${password}</password></auth>`);

/** The value of a cookie that a response sets. */
export function cookieOf(response: HttpResponse | string, name: string): string | undefined {
  if (typeof response === 'string') return undefined;
  const set = response.headers.filter(([key]) => key === 'Set-Cookie').map(([, value]) => value);
  return set
    .findLast((value) => value.startsWith(`${name}=`))
    ?.slice(name.length + 1)
    .split(';', 1)[0];
}
