/**
 * A gateway's answers to requests, in ocserv's words: what is common to all, and the refusals.
 *
 * Read first: spec "AnyConnect", sections 3.8, 4.2, 11.1 and 12.2. Clients know these lines; bodies and capitals are as observed with ocserv 1.1.6.
 */
import type { HttpHeaders, HttpRequest, HttpResponse } from '../../http/message.ts';
import { utf8 } from '../../wire/text.ts';

/** An answer, and whether the connection ends with it. */
export interface GatewayAnswer {
  readonly response: HttpResponse;
  readonly closes: boolean;
}

const NO_BODY = new Uint8Array(0);

/** 200 with a body; `headers` are all there is in front of it. */
export function page({ version }: HttpRequest, headers: HttpHeaders, body: Uint8Array): GatewayAnswer {
  return { response: { version, status: 200, reason: 'OK', headers, body }, closes: false };
}

/** A file, or a stub of one, that Cisco's clients ask for. */
export function file(request: HttpRequest, type: string, body: Uint8Array, more: HttpHeaders): GatewayAnswer {
  const headers: HttpHeaders = [
    ['Connection', 'Keep-Alive'],
    ['Content-Type', type],
    ['X-Transcend-Version', '1'],
    ['Content-Length', String(body.length)],
    ...more,
  ];
  return page(request, headers, body);
}

/** An answer without a body that ends the connection. */
export function refusal({ version }: HttpRequest, status: number, reason: string, headers: HttpHeaders = []): GatewayAnswer {
  return { response: { version, status, reason, headers, body: NO_BODY }, closes: true };
}

const NOT_FOUND = utf8('<html><body><h1>404 Not Found</h1></body></html>\r\n');

export function notFound({ version }: HttpRequest): GatewayAnswer {
  const headers: HttpHeaders = [
    ['Content-length', String(NOT_FOUND.length)],
    ['Connection', 'close'],
  ];
  return { response: { version, status: 404, reason: 'Not found', headers, body: NOT_FOUND }, closes: true };
}

const EMPTY: HttpHeaders = [['Content-Length', '0']];

/** The log-in is over, for whatever reason: clients are not told which. */
export function loginRefused(request: HttpRequest, reason: 'Authentication failed' | 'No password' | 'No certificate'): GatewayAnswer {
  return refusal(request, 401, reason, EMPTY);
}

/** The session is not known, or not for this client. */
export function cookieRefused(request: HttpRequest): GatewayAnswer {
  return refusal(request, 401, 'Cookie is not acceptable');
}

/** There is no cookie, or none that a gateway could have made; with a reason, something of ours has failed. */
export function unavailable(request: HttpRequest, reason?: string): GatewayAnswer {
  return refusal(request, 503, 'Service Unavailable', reason === undefined ? [] : [['X-Reason', reason]]);
}

/** HTTP's own way to ask for a token. The client may answer on this connection. */
export function tokenWanted(request: HttpRequest, hasForms: boolean): GatewayAnswer {
  const fallback: HttpHeaders = hasForms ? [['X-HTTP-Auth-Support', 'fallback']] : [];
  return { ...refusal(request, 401, 'Unauthorized', [...EMPTY, ['WWW-Authenticate', 'Bearer'], ...fallback]), closes: false };
}
