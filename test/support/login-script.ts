/**
 * The script of an AnyConnect log-in: what a client asks of the world, step by step, and what it is told. A script is played in memory by
 * ScriptedLoginIo, and its requests over real TLS, to any client, by scripted-gateway.ts: so what our log-in is tested with is what the
 * real client was seen to do.
 *
 * In scripts the gateway is `vpn.example`; what it redirects to is `other.example`.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { AuthForm, FormAnswer } from '../../src/core/auth/form.ts';
import type { HostCheckRequest } from '../../src/core/auth/login-io.ts';
import { type HttpHeaders, type HttpResponse, headerValue } from '../../src/core/http/message.ts';
import { ResponseParser } from '../../src/core/http/response-parser.ts';
import { fromUtf8, utf8 } from '../../src/core/wire/text.ts';

export type Step = Exchange | Question | Pause | HostCheck;

export interface Exchange {
  readonly kind: 'exchange';
  readonly request: ExpectedRequest;
  readonly response: HttpResponse;
}

export interface ExpectedRequest {
  readonly method: 'GET' | 'POST';
  /** Default: vpn.example. */
  readonly host?: string;
  readonly path: string;
  /** The kind of XML document that the body is. */
  readonly document?: 'init' | 'auth-reply';
  /** The body; of an XML document what follows the capabilities, which differ between clients. Default: none. */
  readonly body?: string | RegExp;
  /** Default: none. */
  readonly cookie?: string;
  /** More headers that must have this value, or be absent (undefined). */
  readonly headers?: Readonly<Record<string, string | undefined>>;
  /** Whether it must be on a new connection. Default: either. */
  readonly isFresh?: boolean;
}

export interface Question {
  readonly kind: 'question';
  /** What the form must be, as far as it is said. */
  readonly form: Partial<AuthForm>;
  readonly answer: FormAnswer;
}

export interface Pause {
  readonly kind: 'pause';
  readonly ms: number;
}

export interface HostCheck {
  readonly kind: 'host-check';
  readonly request: HostCheckRequest;
}

/** A step that answers a request. */
export function on(request: ExpectedRequest, response: HttpResponse): Exchange {
  return { kind: 'exchange', request, response };
}

/** A step in which a form is answered. */
export function ask(form: Partial<AuthForm>, answer: FormAnswer): Question {
  return { kind: 'question', form, answer };
}

export function pause(ms: number): Pause {
  return { kind: 'pause', ms };
}

type RequestDetails = Partial<ExpectedRequest>;

/** `init` for a path; `rest` follows `group-access`. */
export function init(where: string, details: RequestDetails & { readonly access?: string; readonly rest?: string } = {}): ExpectedRequest {
  const { access = `https://${details.host ?? 'vpn.example'}${where}`, rest = '', ...others } = details;
  return { method: 'POST', path: where, document: 'init', body: `<group-access>${access}</group-access>${rest}`, ...others };
}

/** `auth-reply` with what follows the capabilities. */
export function reply(where: string, body: string | RegExp, details: RequestDetails = {}): ExpectedRequest {
  return { method: 'POST', path: where, document: 'auth-reply', body, ...details };
}

/** The first request without XML, which has an empty form for a body. */
export function legacyStart(where: string, details: RequestDetails = {}): ExpectedRequest {
  return { method: 'GET', path: where, ...details, headers: { ...FORM_HEADERS, 'Content-Length': '0', ...details.headers } };
}

export function legacyReply(where: string, body: string, details: RequestDetails = {}): ExpectedRequest {
  return { method: 'POST', path: where, body, ...details, headers: { ...FORM_HEADERS, ...details.headers } };
}

/** A GET beside the log-in. */
export function fetching(where: string, details: RequestDetails = {}): ExpectedRequest {
  return { method: 'GET', path: where, ...details, headers: { 'Content-Type': undefined, 'X-Pad': undefined, ...details.headers } };
}

const FORM_HEADERS = { 'Content-Type': 'application/x-www-form-urlencoded', 'X-Aggregate-Auth': undefined };

export interface ResponseDetails {
  readonly status?: number;
  readonly reason?: string;
  readonly headers?: HttpHeaders;
}

/** A response with a body of any kind. */
export function page(body: string | Uint8Array, { status = 200, reason = 'OK', headers = [] }: ResponseDetails = {}): HttpResponse {
  const bytes = typeof body === 'string' ? utf8(body) : body;
  return { version: '1.1', status, reason, headers: [['Content-Length', String(bytes.length)], ...headers], body: bytes };
}

/** A log-in document with this inside its root element. */
export function documentOf(inner: string, details: ResponseDetails & { readonly type?: string } = {}): HttpResponse {
  const { type = 'auth-request' } = details;
  const root = `<config-auth client="vpn" type="${type}">${inner}</config-auth>`;
  return page(`<?xml version="1.0" encoding="UTF-8"?>\n${root}`, details);
}

/** The document that ends a log-in, with the session cookie `SESSION`. */
export function success(inner = '', headers: HttpHeaders = [['Set-Cookie', 'webvpn=SESSION; Secure; HttpOnly']]): HttpResponse {
  return documentOf(`<auth id="success"><title>SSL VPN Service</title></auth>${inner}`, { type: 'complete', headers });
}

export function redirect(location: string, headers: HttpHeaders = []): HttpResponse {
  return page('', { status: 302, reason: 'Found', headers: [['Location', location], ...headers] });
}

/** A response of ocserv 1.1.6 as it was captured. */
export function captured(name: string, method = 'POST'): HttpResponse {
  const parser = new ResponseParser();
  parser.expect(method);
  parser.push(readFileSync(path.resolve(import.meta.dirname, '../vectors/anyconnect', `ocserv-1.1.6-${name}.http`)));
  const received = parser.next();
  assert.ok(received !== undefined);
  return received.message;
}

/** A request as either side sees it. */
export interface SeenRequest {
  readonly method: string;
  /** As in `Host`. */
  readonly host: string;
  readonly path: string;
  readonly headers: HttpHeaders;
  readonly body: Uint8Array;
  readonly isFresh: boolean;
}

/** Order of the headers on the wire: openconnect 9.01, observed. */
const HEADER_ORDER: readonly string[] = [
  'Authorization',
  'Host',
  'User-Agent',
  'Cookie',
  'Accept',
  'Accept-Encoding',
  'X-Transcend-Version',
  'X-Aggregate-Auth',
  'X-Support-HTTP-Auth',
  'X-AnyConnect-STRAP-Pubkey',
  'X-AnyConnect-STRAP-DH-Pubkey',
  'X-AnyConnect-Identifier-ClientVersion',
  'X-AnyConnect-Identifier-Platform',
  'X-AnyConnect-Identifier-PlatformVersion',
  'X-AnyConnect-Identifier-DeviceType',
  'X-AnyConnect-Identifier-Device-UniqueID',
  'X-Pad',
  'Content-Type',
  'Content-Length',
];

const DOCUMENT =
  /^<\?xml version="1\.0" encoding="UTF-8"\?>\n<config-auth client="vpn" type="([a-z-]+)" aggregate-auth-version="2"><version who="vpn">[^<]*<\/version><device-id[^>]*>[^<]*<\/device-id><capabilities>(?:<auth-method>[^<]*<\/auth-method>)*<\/capabilities>(.*)<\/config-auth>\n$/s;

/**
 * Throws an AssertionError that shows the difference, and the step. `named` puts the script's names in place of what they stand for on a
 * network.
 */
export function assertRequest(actual: SeenRequest, expected: ExpectedRequest, step: number, named = (text: string) => text): void {
  assertHeaders(actual);
  const text = named(fromUtf8(actual.body));
  const [, document, content = text] = DOCUMENT.exec(text) ?? [];
  // XML has two ways to write an empty element.
  const body = content.replace(/<([a-z_-]+)><\/\1>/g, '<$1/>');
  if (expected.body instanceof RegExp) assert.match(body, expected.body, `step ${step}`);
  const names = Object.keys(expected.headers ?? {});
  assert.deepEqual(
    {
      step,
      method: actual.method,
      host: named(actual.host),
      path: actual.path,
      document,
      body,
      cookie: headerValue(actual.headers, 'Cookie'),
      headers: Object.fromEntries(names.map((name) => [name, headerValue(actual.headers, name)])),
      isFresh: expected.isFresh === undefined ? undefined : actual.isFresh,
    },
    {
      step,
      method: expected.method,
      host: expected.host ?? 'vpn.example',
      path: expected.path,
      document: expected.document,
      body: expected.body instanceof RegExp ? body : (expected.body ?? ''),
      cookie: expected.cookie,
      headers: { ...expected.headers },
      isFresh: expected.isFresh,
    },
  );
}

/** What holds for every request: the order, the pad, the length. */
function assertHeaders({ headers, body }: SeenRequest): void {
  const places = headers.map(([name]) => HEADER_ORDER.indexOf(name));
  assert.ok(!places.includes(-1), `unknown header among ${headers.map(([name]) => name).join(', ')}`);
  assert.deepEqual(
    places,
    places.toSorted((a, b) => a - b),
    'headers in the order of the reference client',
  );
  if (headerValue(headers, 'Content-Length') === undefined) return;
  assert.equal(headerValue(headers, 'Content-Length'), String(body.length));
  const pad = headerValue(headers, 'X-Pad') ?? '';
  assert.match(pad, /^0{1,64}$/);
  assert.equal((body.length + pad.length) % 64, 0, 'the pad fills a block');
}
