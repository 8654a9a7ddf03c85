/**
 * The part of the proxy that speaks HTTP: CONNECT, requests with the whole URL in them, and pages of the proxy itself.
 *
 * Read first: RFC 9110 §7.6 (what a proxy passes on) and §9.3.6 (CONNECT); RFC 9112 §3.2 (forms of the target).
 *
 *   CONNECT host:port     ─► a connection, joined
 *   GET http://host/path  ─► a connection of its own for each request, whose head is written anew
 *   GET /proxy.pac        ─► a page
 *
 * node:http reads and writes the messages. A request to upgrade is passed on without that wish, as RFC 9110 §7.8 allows: browsers use CONNECT for
 * WebSockets.
 */
import { request as httpRequest, type IncomingMessage, type RequestOptions, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { type Duplex, pipeline } from 'node:stream';
import { CancelledError, PeerMisbehavedError } from '../../core/errors.ts';
import type { SocksDestination } from '../../core/socks/socks5.ts';
import { forwardedHeaders } from './forwarded-head.ts';
import { destinationOf, type HttpTarget, parseAuthority } from './http-target.ts';
import { failureCode } from './outward.ts';
import type { OutwardSocket } from './outward-network.ts';
import { leave, type Visit } from './visit.ts';

/** What the proxy says itself; undefined: nothing of that name. */
export type ProxyPages = (path: string, host: string | undefined) => Promise<ProxyPage | undefined>;

export interface ProxyPage {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

interface Failure {
  readonly status: number;
  readonly text: string;
}

const BAD_REQUEST: Failure = { status: 400, text: 'What should be reached? Expected CONNECT HOST:PORT, or a request for http://HOST/…\n' };
const PROXY_LOGIN: Failure = { status: 407, text: 'This proxy wants a name and a password.\n' };

/** A request with the whole URL in it, or for a page. Never rejects. */
export async function serveRequest(visit: Visit, request: IncomingMessage, response: ServerResponse, pages: ProxyPages): Promise<void> {
  visit.understood();
  const target = request.url ?? '';
  if (target.startsWith('/')) {
    await servePage(request, response, pages);
    return;
  }
  const url = destinationOf(target);
  const denied = url === undefined ? BAD_REQUEST : admit(visit, request);
  if (denied !== undefined || url === undefined) {
    visit.context.counters.failed(denied === PROXY_LOGIN ? 'bad-password' : 'bad-request');
    fail(request, response, denied ?? BAD_REQUEST);
    return;
  }
  try {
    const { socket } = await visit.connect('http', url.destination);
    forward(visit, request, response, socket, url);
  } catch (error) {
    fail(request, response, failureOf(error, url.destination));
  }
}

/** CONNECT. Never rejects. */
export async function serveTunnel(visit: Visit, request: IncomingMessage, head: Buffer): Promise<void> {
  visit.understood();
  const { socket } = visit;
  // Now: once the client has ended its side, nothing can be put back any more.
  if (head.length > 0) socket.unshift(head);
  const destination = parseAuthority(request.url ?? '');
  const denied = destination === undefined ? BAD_REQUEST : admit(visit, request);
  if (denied !== undefined || destination === undefined) {
    visit.refuse(denied === PROXY_LOGIN ? 'bad-password' : 'bad-request', rawAnswer(denied ?? BAD_REQUEST));
    return;
  }
  try {
    const { socket: far } = await visit.connect('http', destination);
    socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
    await visit.join(far);
  } catch (error) {
    leave(socket, rawAnswer(failureOf(error, destination)));
  }
}

/** What node:http cannot read. */
export function serveClientError(visit: Visit | undefined, socket: Duplex): void {
  visit?.context.counters.failed('bad-request');
  if (socket.writable) socket.end(rawAnswer({ status: 400, text: 'That is no request that this proxy understands.\n' }));
  else socket.destroy();
}

function admit({ credentials }: Visit, request: IncomingMessage): Failure | undefined {
  if (credentials === undefined || credentials.acceptsBasic(request.headers['proxy-authorization'])) return undefined;
  return PROXY_LOGIN;
}

/** RFC 9110 §15: three digits, the first of which says the class. node:http reads smaller ones and throws when it is to write them. */
const LEAST_STATUS = 100;
/** RFC 9112 §4: what a reason phrase may not have in it, as LEAST_STATUS. */
const NOT_OF_REASONS = /[^\t\x20-\x7e\x80-\xff]/g;

function forward(visit: Visit, request: IncomingMessage, response: ServerResponse, far: OutwardSocket, url: HttpTarget): void {
  const { counters } = visit.context;
  const options: RequestOptions = {
    method: request.method ?? 'GET',
    path: url.path,
    headers: forwardedHeaders(request.rawHeaders, { host: url.host }),
    setDefaultHeaders: false,
    // Of a Socket it is only used what every Duplex has: node:http takes those too.
    createConnection: () => far as unknown as Socket,
  };
  const onward = httpRequest(options);
  const failed = (error: unknown) => {
    far.destroy();
    if (response.headersSent) response.destroy();
    else fail(request, response, failureOf(error, url.destination));
  };
  onward.on('error', failed);
  onward.once('response', (answer: IncomingMessage) => {
    const { statusCode = 0, statusMessage = '' } = answer;
    if (statusCode < LEAST_STATUS) {
      failed(new PeerMisbehavedError('a status that is none'));
      return;
    }
    response.writeHead(statusCode, statusMessage.replace(NOT_OF_REASONS, '?'), forwardedHeaders(answer.rawHeaders, {}));
    answer.on('data', (chunk: Buffer) => {
      counters.bytes.toClients += chunk.length;
    });
    pipeline(answer, response, () => far.destroy()); // an answer that is cut short cuts short
  });
  response.once('close', () => far.destroy());
  request.on('data', (chunk: Buffer) => {
    counters.bytes.fromClients += chunk.length;
  });
  request.on('error', failed);
  request.pipe(onward);
}

async function servePage(request: IncomingMessage, response: ServerResponse, pages: ProxyPages): Promise<void> {
  const { method, url = '/', headers } = request;
  request.resume();
  const page = await pages(url.replace(/\?.*/s, ''), headers.host);
  const { status, type, body }: ProxyPage = page ?? { status: 404, type: 'text/plain', body: 'Not found.\n' };
  if (method !== 'GET' && method !== 'HEAD') response.writeHead(405, { Allow: 'GET, HEAD' }).end();
  else response.writeHead(status, { ...describing(type, body), ...OF_PAGES }).end(method === 'HEAD' ? undefined : body);
}

/** Web sites that the user visits may ask for the pages: they are not theirs to read (Fetch standard, cross-origin resource policy). */
const OF_PAGES = {
  'Cache-Control': 'no-store',
  'X-Content-Type-Options': 'nosniff',
  'Cross-Origin-Resource-Policy': 'same-origin',
} as const;

function describing(type: string, body: string): Record<string, string | number> {
  return { 'Content-Type': type, 'Content-Length': Buffer.byteLength(body) };
}

function failureOf(error: unknown, { host }: SocksDestination): Failure {
  const reason = failureCode(error);
  if (error instanceof CancelledError) return { status: 503, text: 'Stopped.\n' };
  if (reason === 'EACCES') return { status: 403, text: `This proxy does not connect to ${host}.\n` };
  return { status: reason === 'ETIMEDOUT' ? 504 : 502, text: `${host} cannot be reached: ${reason}.\n` };
}

const CHALLENGE = { 'Proxy-Authenticate': 'Basic realm="sallyport"' } as const;

/** The rest of the request is not read: the connection ends. */
function fail(request: IncomingMessage, response: ServerResponse, { status, text }: Failure): void {
  if (response.destroyed) return;
  request.unpipe();
  request.resume();
  const headers = { ...describing('text/plain', text), Connection: 'close', ...(status === PROXY_LOGIN.status && CHALLENGE) };
  response.writeHead(status, headers).end(text);
}

function rawAnswer({ status, text }: Failure): string {
  const lines = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`,
    ...Object.entries(describing('text/plain', text)).map(([name, value]) => `${name}: ${value}`),
    'Connection: close',
    ...(status === PROXY_LOGIN.status ? [`Proxy-Authenticate: ${CHALLENGE['Proxy-Authenticate']}`] : []),
  ];
  return `${lines.join('\r\n')}\r\n\r\n${text}`;
}
