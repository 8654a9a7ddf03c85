/**
 * One local port for programs that know proxies: SOCKS 4, 4A, 5 and HTTP, told apart by the first byte.
 *
 * Read first: socks5-visit.ts, socks4-visit.ts, http-proxy.ts; outward.ts for where connections go.
 *
 *   05 …  ─► SOCKS 5        04 …  ─► SOCKS 4        a letter  ─► HTTP        else ─► closed
 */
import { createServer, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { MisuseError, SallyportError } from '../../core/errors.ts';
import { type Logger, silentLogger } from '../../core/log.ts';
import { SOCKS4_VERSION } from '../../core/socks/socks4.ts';
import { SOCKS5_VERSION } from '../../core/socks/socks5.ts';
import type { Millis } from '../../core/tunnel/packet.ts';
import { formatEndpoint, parseIp } from '../../core/wire/ip-address.ts';
import { systemErrorText } from '../../node/system-error.ts';
import { readable } from './handshake-reader.ts';
import { type ProxyPages, serveClientError, serveRequest, serveTunnel } from './http-proxy.ts';
import { isLoopback } from './loopback.ts';
import type { Outward } from './outward.ts';
import { ProxyCounters } from './proxy-counters.ts';
import { ProxyCredentials, type ProxyLogin } from './proxy-credentials.ts';
import { serveSocks4 } from './socks4-visit.ts';
import { serveSocks5 } from './socks5-visit.ts';
import { Visit, type VisitContext } from './visit.ts';

export interface ProxyServerOptions {
  readonly outward: Outward;
  /** An IP address. Default: 127.0.0.1. One that others can reach needs a `login`, or `isOpen`. */
  readonly address?: string;
  /** 0: a free one. */
  readonly port: number;
  /** Who may use it. Default: everybody who reaches it. */
  readonly login?: ProxyLogin;
  /** Everybody may use it, though others than this machine's users reach it. Default: false. */
  readonly isOpen?: boolean;
  readonly counters?: ProxyCounters;
  readonly pages?: ProxyPages;
  readonly maxConnections?: number;
  /** For a client to say what it wants. */
  readonly handshakeLimit?: Millis;
  readonly log?: Logger;
}

/** Each takes two descriptors and some tens of kilobytes. */
const MAX_CONNECTIONS = 4_096;
const HANDSHAKE_LIMIT: Millis = 10_000;
/** Of an HTTP request. */
const MAX_HEADER_BYTES = 16_384;
/** An HTTP client that keeps its connection has this long for the next request. */
const KEEP_ALIVE_LIMIT: Millis = 60_000;

const noPages: ProxyPages = () => Promise.resolve(undefined);

export class ProxyServer implements AsyncDisposable {
  readonly counters: ProxyCounters;
  readonly #server: Server;
  readonly #context: VisitContext;
  readonly #pages: ProxyPages;
  /** node:http's own listener for connections. */
  readonly #serveHttp: (socket: Socket) => void;
  readonly #visits = new Map<Duplex, Visit>();

  /**
   * Rejects with {@link MisuseError} for an address that others can reach without a password, and with SallyportError (`ERR_LISTEN`) if the port
   * is taken.
   */
  static async listen(options: ProxyServerOptions): Promise<ProxyServer> {
    const { address = '127.0.0.1', port, login, isOpen = false } = options;
    if (login === undefined && !isOpen && !isLoopback(address)) {
      throw new MisuseError(`Others can reach ${address}: whoever does could use the VPN. Give the proxy a name and a password.`);
    }
    const proxy = new ProxyServer(options);
    await proxy.#listen(address, port);
    return proxy;
  }

  private constructor({
    outward,
    login,
    counters = new ProxyCounters(),
    pages = noPages,
    maxConnections = MAX_CONNECTIONS,
    handshakeLimit = HANDSHAKE_LIMIT,
    log = silentLogger,
  }: ProxyServerOptions) {
    this.counters = counters;
    this.#pages = pages;
    this.#context = { outward, counters, credentials: login && new ProxyCredentials(login), handshakeLimit, log };
    this.#server = createServer({
      keepAlive: true,
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: handshakeLimit,
      connectionsCheckingInterval: Math.min(handshakeLimit, 1_000),
      requestTimeout: 0, // an upload may take long
      keepAliveTimeout: KEEP_ALIVE_LIMIT,
      requireHostHeader: false, // of HTTP/1.0
    });
    this.#server.maxConnections = maxConnections;
    this.#server.on('drop', () => counters.dropped++);
    const [serveHttp] = this.#server.listeners('connection');
    if (serveHttp === undefined) throw new SallyportError('ERR_INTERNAL', 'node:http does not listen for connections.');
    this.#serveHttp = (socket) => serveHttp.call(this.#server, socket);
    this.#server.off('connection', serveHttp as (socket: Socket) => void); // as it was given
    this.#server.on('connection', (socket) => void this.#serve(socket));
    this.#followHttp();
  }

  /** Where it listens. */
  get address(): AddressInfo {
    return this.#server.address() as AddressInfo; // it listens, and not at a path
  }

  /** Ends all connections. Safe to call twice. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const { socket } of this.#visits.values()) socket.destroy();
    await closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #listen(address: string, port: number): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#server.once('error', (cause) => {
      reject(new SallyportError('ERR_LISTEN', `The proxy cannot listen at ${where(address, port)}: ${systemErrorText(cause)}.`, { cause }));
    });
    this.#server.listen(port, address, resolve);
    await promise;
    this.#server.on('error', () => undefined); // a connection that could not be accepted: its client sees it
  }

  async #serve(socket: Socket): Promise<void> {
    const visit = new Visit(socket, this.#context);
    this.#visits.set(socket, visit);
    this.counters.entered();
    socket.setNoDelay(true);
    socket.once('close', () => {
      this.#visits.delete(socket);
      this.counters.left();
    });
    const first = await firstByte(socket);
    if (first === undefined) socket.destroy();
    else if (first === SOCKS5_VERSION) await serveSocks5(visit);
    else if (first === SOCKS4_VERSION) await serveSocks4(visit);
    else if (isLetter(first)) this.#serveHttp(socket);
    else visit.refuse('unknown-protocol');
  }

  #followHttp(): void {
    const server = this.#server;
    const visitOf = ({ socket }: { readonly socket: Socket }) => this.#visits.get(socket);
    server.on('request', (request, response) => {
      const visit = visitOf(request);
      if (visit !== undefined) void serveRequest(visit, request, response, this.#pages);
    });
    server.on('connect', (request, _, head) => {
      const visit = visitOf(request);
      if (visit !== undefined) void serveTunnel(visit, request, head);
    });
    server.on('clientError', (_, socket) => serveClientError(this.#visits.get(socket), socket));
  }
}

/** Left in the socket; undefined: none came. */
async function firstByte(socket: Socket): Promise<number | undefined> {
  for (;;) {
    const chunk: Buffer | null = socket.read();
    if (chunk !== null) {
      socket.unshift(chunk);
      return chunk[0];
    }
    if (socket.readableEnded || socket.destroyed) return undefined;
    await readable(socket);
  }
}

function isLetter(byte: number): boolean {
  return (byte >= 0x41 && byte <= 0x5a) || (byte >= 0x61 && byte <= 0x7a);
}

function where(text: string, port: number): string {
  const address = parseIp(text);
  return address === undefined ? `${text} port ${port}` : formatEndpoint({ address, port });
}
