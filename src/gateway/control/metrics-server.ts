/**
 * Serves the figures over HTTP, to this machine only: `GET /metrics` for Prometheus, `GET /healthz` for whoever restarts what does not answer.
 *
 * No log-in and no TLS: that is why only a loopback address or a unix socket will do.
 */
import { chmodSync } from 'node:fs';
import { lstat, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { MisuseError, SallyportError } from '../../core/errors.ts';
import type { Millis } from '../../core/tunnel/packet.ts';
import { parseIp } from '../../core/wire/ip-address.ts';
import { systemErrorCode } from '../../node/system-error.ts';
import type { ControlConfig } from '../config/gateway-config.ts';
import type { ControlTarget } from './control-target.ts';
import { METRICS_CONTENT_TYPE, renderMetrics } from './metrics.ts';

const MAX_CONNECTIONS = 16;
const MAX_HEADER_BYTES = 4096;
/** For a request to arrive whole. */
const REQUEST_LIMIT: Millis = 5_000;
/** For the gateway to say how it is. */
const STATUS_LIMIT: Millis = 5_000;
/** Its owner and its group, where a scraper may be put. */
const SOCKET_MODE = 0o660;

type MetricsPlace = NonNullable<ControlConfig['metrics']>;

export class MetricsServer {
  readonly #server: Server;

  /**
   * Rejects with {@link MisuseError} for an address that others can reach, and with {@link SallyportError} if the port or the socket is taken.
   */
  static async listen(target: Pick<ControlTarget, 'status'>, place: MetricsPlace): Promise<MetricsServer> {
    if ('host' in place && !isLoopback(place.host)) {
      throw new MisuseError(
        `Metrics are for this machine only: ${place.host} is no loopback address. Use 127.0.0.1, ::1 or a unix socket.`,
      );
    }
    if ('unixSocket' in place) await removeSocket(place.unixSocket);
    const options = { maxHeaderSize: MAX_HEADER_BYTES, requestTimeout: REQUEST_LIMIT, headersTimeout: REQUEST_LIMIT };
    const server = createServer(options, (request, response) => void answer(target, request, response));
    server.maxConnections = MAX_CONNECTIONS;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const where = 'host' in place ? `${place.host} port ${place.port}` : place.unixSocket;
    server.once('error', (cause) => reject(new SallyportError('ERR_METRICS', `Metrics at ${where}: ${cause.message}`, { cause })));
    if ('host' in place) server.listen(place.port, place.host, resolve);
    else server.listen(place.unixSocket, resolve);
    await promise;
    if ('unixSocket' in place) chmodSync(place.unixSocket, SOCKET_MODE);
    server.on('error', () => undefined); // a connection that could not be accepted: its client sees it
    return new MetricsServer(server);
  }

  private constructor(server: Server) {
    this.#server = server;
  }

  /** Where it listens; undefined: at a unix socket. */
  get port(): number | undefined {
    const address = this.#server.address();
    return address === null || typeof address === 'string' ? undefined : (address satisfies AddressInfo).port;
  }

  /** Safe to call twice. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

async function answer(target: Pick<ControlTarget, 'status'>, request: IncomingMessage, response: ServerResponse): Promise<void> {
  request.resume(); // a body is not for us
  const say = (status: number, text: string, headers: Readonly<Record<string, string>> = {}) =>
    response.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8', 'Cache-Control': 'no-store', ...headers }).end(text);
  const path = (request.url ?? '').split('?')[0];
  if (path !== '/metrics' && path !== '/healthz') say(404, 'There is /metrics, and there is /healthz.\n');
  else if (request.method !== 'GET') say(405, 'GET, please.\n', { Allow: 'GET' });
  else {
    try {
      const text = await inTime(renderMetrics(target));
      if (path === '/metrics') say(200, text, { 'Content-Type': METRICS_CONTENT_TYPE });
      else say(200, 'ok\n');
    } catch {
      say(503, 'The gateway does not answer.\n'); // why is in its log, not for whoever asks here
    }
  }
}

async function inTime<T>(answering: Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new SallyportError('ERR_METRICS', 'The gateway takes too long.')), STATUS_LIMIT);
  try {
    return await Promise.race([answering, promise]);
  } finally {
    clearTimeout(timer);
  }
}

function isLoopback(host: string): boolean {
  if (host === 'localhost') return true;
  const address = parseIp(host);
  if (address?.family === 4) return address.bytes[0] === 127;
  return address?.bytes.every((byte, i) => byte === (i === 15 ? 1 : 0)) === true;
}

/** A socket that an earlier run left; anything else of that name stays, and the listening fails. */
async function removeSocket(file: string): Promise<void> {
  try {
    if ((await lstat(file)).isSocket()) await rm(file);
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT') throw error;
  }
}
