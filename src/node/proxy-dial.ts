/**
 * A connection to a host through a proxy: HTTP CONNECT (RFC 9110 §9.3.6) or SOCKS5 (RFC 1928), with credentials where the proxy wants them.
 */
import type { Socket } from 'node:net';
import type { CryptoProvider } from '../core/crypto/provider.ts';
import {
  CancelledError,
  MisuseError,
  NetworkError,
  PeerMisbehavedError,
  PeerRefusedError,
  TooLateError,
  UnsupportedError,
} from '../core/errors.ts';
import { HttpAuthenticator } from '../core/http/auth/authenticator.ts';
import type { AuthSchemeName, Credentials } from '../core/http/auth/scheme.ts';
import type { HttpResponse } from '../core/http/message.ts';
import type { Received } from '../core/http/message-reader.ts';
import { renderRequest } from '../core/http/render.ts';
import { ResponseParser } from '../core/http/response-parser.ts';
import { authority } from '../core/http/url.ts';
import type { Millis } from '../core/tunnel/packet.ts';
import { systemErrorText } from './system-error.ts';
import { type DialOptions, dialTcp, UnreachableError } from './tcp-dial.ts';

export interface ProxySettings {
  readonly kind: 'http' | 'socks5';
  readonly host: string;
  readonly port: number;
  readonly credentials?: Credentials;
  /** For HTTP proxies: the schemes that may be used. */
  readonly schemes: readonly AuthSchemeName[];
}

/** How long a proxy may take to connect on, where nobody has less patience. */
const PROXY_TIMEOUT: Millis = 30_000;

/** Bytes of a name or a password: RFC 1929 has one byte for their length. */
const MAX_SOCKS_CREDENTIAL = 255;

/** Bytes of a proxy's answer that are read: it is only a head, and perhaps a page for people. */
const MAX_PROXY_BODY = 1024 * 1024;

/** Resolves with a stream to `host:port` as they are: the proxy resolves the name. Rejects with NetworkError, PeerRefusedError, MisuseError or CancelledError. */
export async function dialThroughProxy(proxy: ProxySettings, crypto: CryptoProvider, options: DialOptions): Promise<Socket> {
  const { overrides, signal, log, patience } = options;
  const dialProxy = async () => {
    try {
      return await dialTcp({ host: proxy.host, port: proxy.port, overrides, signal, log, patience });
    } catch (error) {
      if (!(error instanceof UnreachableError)) throw error;
      throw new UnreachableError(`The proxy cannot be reached. ${error.message}`, { cause: error });
    }
  };
  if (proxy.kind === 'socks5') {
    checkLengths(proxy);
    return dialSocks(proxy, await dialProxy(), options);
  }
  return new HttpTunnel(proxy, crypto, options, dialProxy).open();
}

/** The package would write no length, and throw where nobody catches it. */
function checkLengths({ credentials }: ProxySettings): void {
  const texts = credentials === undefined ? [] : [credentials.username, credentials.password.reveal()];
  if (texts.some((text) => Buffer.byteLength(text) > MAX_SOCKS_CREDENTIAL))
    throw new MisuseError(`Username and password for SOCKS authentication have at most ${MAX_SOCKS_CREDENTIAL} bytes each.`);
}

async function dialSocks(
  proxy: ProxySettings,
  socket: Socket,
  { host, port, signal, log, patience = PROXY_TIMEOUT }: DialOptions,
): Promise<Socket> {
  log.log('info', 'proxy request', { kind: 'SOCKS', target: authority({ host, port }) });
  const cancel = () => socket.destroy();
  signal.addEventListener('abort', cancel, { once: true });
  let late: TooLateError | undefined;
  let timer: NodeJS.Timeout | undefined;
  try {
    const { SocksClient } = await import('socks'); // 16 ms that only its users pay
    timer = setTimeout(() => {
      late = new TooLateError('Proxy connection timed out');
      socket.destroy();
    }, patience);
    const { credentials } = proxy;
    const connected = await SocksClient.createConnection({
      proxy: {
        host: proxy.host,
        port: proxy.port,
        type: 5,
        ...(credentials !== undefined && { userId: credentials.username, password: credentials.password.reveal() }),
      },
      command: 'connect',
      destination: { host, port },
      timeout: 2 * patience, // the time that counts is taken above
      existing_socket: socket,
      set_tcp_nodelay: true,
    });
    return connected.socket;
  } catch (error) {
    socket.destroy();
    if (signal.aborted) throw new CancelledError();
    const cause = late ?? error;
    throw new NetworkError(`The SOCKS proxy ${proxy.host} does not connect to ${host} port ${port}: ${systemErrorText(cause)}.`, { cause });
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', cancel);
  }
}

class HttpTunnel {
  readonly #proxy: ProxySettings;
  readonly #options: DialOptions;
  readonly #dialProxy: () => Promise<Socket>;
  readonly #authenticator: HttpAuthenticator;

  constructor(proxy: ProxySettings, crypto: CryptoProvider, options: DialOptions, dialProxy: () => Promise<Socket>) {
    this.#proxy = proxy;
    this.#options = options;
    this.#dialProxy = dialProxy;
    this.#authenticator = new HttpAuthenticator({
      side: 'proxy',
      crypto,
      allowed: proxy.schemes,
      ...(proxy.credentials !== undefined && { credentials: proxy.credentials }),
    });
  }

  async open(): Promise<Socket> {
    let socket: Socket | undefined;
    try {
      for (;;) {
        if (socket === undefined) {
          socket = await this.#dialProxy();
          this.#authenticator.connectionOpened();
        }
        const { message, connection } = await this.#ask(socket);
        if (message.status >= 200 && message.status < 300) return socket;
        this.#decide(message, connection === 'keep-alive');
        if (connection === 'keep-alive') continue;
        socket.destroy();
        socket = undefined;
      }
    } catch (error) {
      socket?.destroy();
      throw error instanceof PeerMisbehavedError || error instanceof UnsupportedError ? this.#unreadable(error) : error;
    }
  }

  /** Throws unless the request is to be sent again. */
  #decide(response: HttpResponse, isKept: boolean): void {
    const { host, port, log } = this.#options;
    const step = this.#authenticator.receive(response, isKept);
    const where = `The proxy ${this.#proxy.host} does not connect to ${host} port ${port}`;
    switch (step.type) {
      case 'again':
        return;
      case 'ask':
        throw new PeerRefusedError(
          `${where}: it wants a user name and password. Write them into the proxy's URL: http://USER:PASSWORD@HOST:PORT.`,
        );
      case 'refused':
        throw new PeerRefusedError(`${where}: ${step.message}`);
      case 'passed':
        log.log('error', 'proxy refused', { status: response.status });
        throw new PeerRefusedError(`${where}: HTTP ${response.status} ${response.reason}.`);
      default:
        step satisfies never;
    }
  }

  /** It is the way to the gateway that is wrong, not the gateway. */
  #unreadable(cause: PeerMisbehavedError | UnsupportedError): NetworkError {
    return new NetworkError(`The proxy ${this.#proxy.host} does not answer as a proxy does: ${cause.message}.`, { cause });
  }

  #ask(socket: Socket): Promise<Received<HttpResponse>> {
    const { host, port, signal, log, patience = PROXY_TIMEOUT } = this.#options;
    const target = authority({ host, port });
    log.log('info', 'proxy request', { kind: 'HTTP', target });
    const authorization = this.#authenticator.authorization({ method: 'CONNECT', target }, Date.now());
    if (authorization !== undefined) log.log('info', 'proxy login', { method: authorization[1].replace(/ .*/s, '') });
    const headers = [['Host', target] as const, ...(authorization === undefined ? [] : [authorization])];
    const parser = new ResponseParser({ bodyBytes: MAX_PROXY_BODY });
    const { promise, resolve, reject } = Promise.withResolvers<Received<HttpResponse>>();
    const deliver = (next: () => Received<HttpResponse> | undefined) => {
      try {
        const received = next();
        if (received !== undefined) resolve(received);
      } catch (error) {
        reject(error);
      }
    };
    const data = (bytes: Uint8Array) => {
      parser.push(bytes);
      deliver(() => parser.next());
    };
    const closed = () => {
      deliver(() => parser.finish());
      reject(new NetworkError(`The proxy ${this.#proxy.host} closed the connection.`));
    };
    const failed = (error: Error) =>
      reject(new NetworkError(`The connection to the proxy ${this.#proxy.host} failed: ${systemErrorText(error)}.`));
    const cancel = () => reject(new CancelledError());
    const timer = setTimeout(() => reject(new TooLateError(`The proxy ${this.#proxy.host} does not answer.`)), patience);
    socket.on('data', data).once('close', closed).once('error', failed);
    signal.addEventListener('abort', cancel, { once: true });
    parser.expect('CONNECT');
    socket.resume(); // it was paused after the last answer
    socket.write(renderRequest({ method: 'CONNECT', target, version: '1.1', headers, body: new Uint8Array(0) }));
    return promise.finally(() => {
      clearTimeout(timer);
      signal.removeEventListener('abort', cancel);
      socket.off('data', data).off('close', closed).off('error', failed);
      socket.pause(); // what comes next is for the TLS connection
    });
  }
}
