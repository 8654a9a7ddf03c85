/**
 * A gateway whose clients log in as a browser would: requests of one connection, answered one by one until one of them starts a tunnel. What two vendors
 * have in common; the twin of `page-http.ts`.
 *
 * Read first: spec "Fortinet", section 1.1: every answer has a length.
 */
import { PeerMisbehavedError, PeerRefusedError, SallyportError } from '../errors.ts';
import { HTTP_LIMIT_CODE } from '../http/limits.ts';
import { type HttpHeaders, type HttpRequest, type HttpResponse, headerValue } from '../http/message.ts';
import { listMembers } from '../http/tokens.ts';
import type { Logger } from '../log.ts';
import type { SessionTerms } from '../tunnel/session-terms.ts';
import { utf8 } from '../wire/text.ts';
import type { GatewayConnection, GatewaySession, Visitor } from './gateway-protocol.ts';

export interface PageFront {
  /** Requests that a connection serves, and characters of a request's target. */
  readonly maxRequests: number;
  readonly maxTargetLength: number;
  /** `close`, `tunnel`: the connection has left HTTP, and nothing is answered. */
  readonly route: (request: HttpRequest) => Promise<HttpResponse | 'tunnel' | 'close'>;
}

/** As `GatewayProtocol.serve`. */
export async function servePages(connection: GatewayConnection, visitor: Visitor, front: PageFront): Promise<'close' | 'tunnel'> {
  for (let requests = 0; requests < front.maxRequests; requests++) {
    const request = await connection.request();
    if (request === undefined) return 'close';
    const answer = await answerTo(request, front, visitor.log);
    if (answer === 'tunnel' || answer === 'close') return answer;
    await connection.respond({ ...answer, headers: [...answer.headers, ...visitor.host.headers] });
    if (isLast(request, answer)) return 'close';
  }
  return 'close';
}

/** What fails on our side is told to the client in few words, and to the administrator in full. What the client does wrong is nobody else's business. */
async function answerTo(request: HttpRequest, front: PageFront, log: Logger): Promise<HttpResponse | 'tunnel' | 'close'> {
  try {
    return request.target.length > front.maxTargetLength ? notFound() : await front.route(request);
  } catch (error) {
    if (!(error instanceof SallyportError)) throw error;
    const isTheirs = error instanceof PeerMisbehavedError;
    const fields = { method: request.method, code: error.code, reason: error.message };
    log.log(isTheirs ? 'debug' : 'error', isTheirs ? 'request refused' : 'request failed', fields);
    return isTheirs ? refused(error) : failed();
  }
}

function isLast({ version, headers }: HttpRequest, answer: HttpResponse): boolean {
  const closes = (all: HttpHeaders) => listMembers([headerValue(all, 'Connection') ?? '']).includes('close');
  return version === '1.0' || closes(headers) || closes(answer.headers);
}

/** What a session is given; undefined where it is refused, which the log says. */
export async function granted(session: GatewaySession, ask: () => Promise<SessionTerms>, log: Logger): Promise<SessionTerms | undefined> {
  try {
    return await ask();
  } catch (error) {
    if (!(error instanceof PeerRefusedError)) throw error;
    log.log('warn', 'no lease', { user: session.user, reason: error.message });
    return undefined;
  }
}

// ---- answers

export const CLOSES: HttpHeaders = [['Connection', 'close']];

export function pageAnswer(status: number, reason: string, type: string, body: string, more: HttpHeaders = []): HttpResponse {
  const bytes = utf8(body);
  const headers: HttpHeaders = [...more, ['Content-Type', type], ['Content-Length', String(bytes.length)]];
  return { version: '1.1', status, reason, headers, body: bytes };
}

export function redirect(location: string, more: HttpHeaders = []): HttpResponse {
  return pageAnswer(302, 'Found', 'text/html', '', [['Location', location], ...more]);
}

export function notFound(): HttpResponse {
  return pageAnswer(404, 'Not Found', 'text/html', '<html><body>Not found</body></html>\n');
}

/** A header that takes a cookie away. Observed: a FortiGate's words. */
export function clearedCookie(name: string): HttpHeaders[number] {
  return ['Set-Cookie', `${name}=; path=/; expires=Sun, 11 Mar 1984 12:00:00 GMT; secure; httponly`];
}

function refused({ code }: PeerMisbehavedError): HttpResponse {
  return code === HTTP_LIMIT_CODE
    ? pageAnswer(413, 'Content Too Large', 'text/plain', 'Too large\n', CLOSES)
    : pageAnswer(400, 'Bad Request', 'text/plain', 'Bad request\n', CLOSES);
}

function failed(): HttpResponse {
  return pageAnswer(503, 'Service Unavailable', 'text/plain', 'Try again later\n', CLOSES);
}
