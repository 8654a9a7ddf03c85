/**
 * HTTP requests of a log-in to a gateway: one connection kept while host and port stay the same, one request at a time.
 *
 * Read first: spec "AnyConnect", section 2.1 "HTTP dialect".
 */
import type { ConnectionFacts, LoginRequest, RequestManner, Target, UpgradedConnection } from '../core/auth/login-io.ts';
import type { HttpResponse } from '../core/http/message.ts';
import { formatUrl, isSameServer } from '../core/http/url.ts';
import type { Logger } from '../core/log.ts';
import type { Millis } from '../core/tunnel/packet.ts';
import type { TlsConnection } from '../node/tls-connection.ts';
import { pinOf } from '../node/trust/fingerprints.ts';
import { dumpRequest, dumpResponse, shownTarget } from './http-dump.ts';
import { KeptConnection } from './kept-connection.ts';
import { UpgradedStream } from './upgraded-stream.ts';

export interface GatewayHttpOptions {
  /** Opens a TLS connection to a gateway, its certificate judged. `patience`: as in {@link RequestManner}. */
  readonly dial: (target: Target, patience: Millis | undefined) => Promise<TlsConnection>;
  /** A connection that others have left, for the first request to its server. */
  readonly inherited?: () => { readonly target: Target; readonly connection: TlsConnection } | undefined;
  /** False: a new connection for each request. */
  readonly keepsAlive: boolean;
  /** DER of the certificate that is offered, if any. */
  readonly clientCertificate?: Uint8Array;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** How long closing a connection may take that nobody needs any more. */
const CLOSE_LIMIT_MS = 500;

export class GatewayHttp {
  readonly #options: GatewayHttpOptions;
  #kept: KeptConnection | undefined;
  #facts: ConnectionFacts | undefined;
  #hasInherited = false;
  /** What was upgraded, and left for the tunnel. */
  #left: TlsConnection | undefined;

  constructor(options: GatewayHttpOptions) {
    this.#options = options;
  }

  /** Facts of the connection that brought the last response. */
  get facts(): ConnectionFacts | undefined {
    return this.#facts;
  }

  get hasLeft(): boolean {
    return this.#left !== undefined;
  }

  /** Sends a request and waits for the whole response. A kept connection that fails before it answers is replaced, once. */
  async request(request: LoginRequest, how: RequestManner = {}): Promise<HttpResponse> {
    this.#options.log.log('info', 'http request', { method: request.method, url: formatUrl(shownTarget(request)) });
    this.#inherit();
    const kept = this.#kept;
    if (kept !== undefined && (how.fresh === true || !isSameServer(kept.target, request.target))) await this.close();
    if (this.#kept !== undefined) {
      const reused = this.#kept;
      try {
        return await this.#exchange(reused, request, how.patience);
      } catch (error) {
        if (!reused.mayRepeat) throw error;
        this.#options.log.log('debug', 'kept connection was closed');
        await this.close();
      }
    }
    this.#kept = new KeptConnection(request.target, await this.#options.dial(request.target, how.patience));
    return this.#exchange(this.#kept, request, how.patience);
  }

  /** Sends a request on a connection of its own, which has left HTTP if the answer says so. */
  async upgrade(request: LoginRequest): Promise<{ readonly response: HttpResponse; readonly stream?: UpgradedConnection }> {
    const { log, dial, signal } = this.#options;
    log.log('info', 'http request', { method: request.method, url: formatUrl(shownTarget(request)) });
    this.#inherit();
    await this.close();
    const kept = new KeptConnection(request.target, await dial(request.target, undefined));
    this.#kept = kept;
    const response = await this.#exchange(kept, request);
    if (response.status !== 101) {
      await this.close();
      return { response };
    }
    const leave = (connection: TlsConnection) => {
      this.#left = connection;
    };
    return { response, stream: new UpgradedStream(kept.connection, kept.takeRest(), signal, leave) };
  }

  /** Gives the kept connection to this server away, if there is one that has not been closed: for a protocol that goes on where HTTP ends. */
  async take(target: Target): Promise<TlsConnection | undefined> {
    const left = this.#left;
    this.#left = undefined;
    if (left !== undefined) return left;
    const kept = this.#kept;
    if (kept === undefined || !isSameServer(kept.target, target) || !kept.connection.release()) {
      await this.close();
      return undefined;
    }
    this.#kept = undefined;
    return kept.connection;
  }

  async close(): Promise<void> {
    const open = [this.#kept?.connection, this.#left];
    this.#kept = undefined;
    this.#left = undefined;
    await Promise.all(open.map((connection) => connection?.close(CLOSE_LIMIT_MS)));
  }

  #inherit(): void {
    if (this.#hasInherited) return;
    this.#hasInherited = true;
    const left = this.#options.inherited?.();
    if (left !== undefined) this.#kept = new KeptConnection(left.target, left.connection);
  }

  async #exchange(kept: KeptConnection, request: LoginRequest, patience?: Millis): Promise<HttpResponse> {
    const { log, clientCertificate, signal } = this.#options;
    const { connection } = kept;
    dumpRequest(log, request);
    const { response, isKept } = await kept.exchange(request, signal, patience);
    dumpResponse(log, response);
    const staysOpen = isKept && this.#options.keepsAlive;
    this.#facts = {
      local: connection.local,
      remote: connection.remote,
      peerCertificate: connection.peerCertificate,
      pin: pinOf(connection.peerCertificate),
      ...(clientCertificate !== undefined && { clientCertificate }),
      isKept: staysOpen,
    };
    if (response.status === 101)
      this.#kept = undefined; // whoever asked for it has it now
    else if (!staysOpen) await this.close();
    return response;
  }
}
