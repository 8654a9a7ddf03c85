/**
 * A client's TLS connection while it speaks HTTP: requests come out one by one, answers leave as one write each, and a tunnel may take it over.
 *
 * Read first: spec "AnyConnect", sections 2.1, 3.21 and 12.2. Whatever a client sends or does not send, there is an end to it: each request has a time
 * of its own, all of them together have one, and what they may hold has limits.
 *
 *   open ── request, respond … ──┬─ run ─────► the tunnel's: this hears of the connection no more
 *                                └─ close, the client leaves, a limit ─► closed
 */
import type { InnerTlsServer } from '../../core/auth/inner-tls.ts';
import { SallyportError, UnsupportedError } from '../../core/errors.ts';
import { HTTP_LIMIT_CODE, type HttpLimits } from '../../core/http/limits.ts';
import { type HttpRequest, type HttpResponse, headerValue } from '../../core/http/message.ts';
import { renderResponse } from '../../core/http/render.ts';
import { RequestParser, type TunnelStart } from '../../core/http/request-parser.ts';
import type { Logger } from '../../core/log.ts';
import type { ClientFacts, GatewayConnection, GatewaySession, TunnelPlan, UpgradedStream } from '../../core/protocols/gateway-protocol.ts';
import type { Millis } from '../../core/tunnel/packet.ts';
import type { AcceptedStream } from '../../node/tls-acceptor.ts';
import { UpgradedBytes } from './upgraded-bytes.ts';

/** What a client may send before anyone has logged in (spec 12.2). */
export const REQUEST_LIMITS: HttpLimits = {
  lineBytes: 32 * 1024,
  headerCount: 100,
  headBytes: 64 * 1024,
  bodyBytes: 64 * 1024,
  chunkLineBytes: 256,
  interimResponses: 0,
};

/** How long a request may take from its first byte to its last: a form on a slow phone needs a second. */
const REQUEST_LIMIT_MS: Millis = 30_000;

/** Bytes of answers that a client may leave unread. */
const MAX_UNREAD_BYTES = 1024 * 1024;

/** How long the last answer may take to leave. */
const CLOSE_LIMIT_MS: Millis = 2_000;

const NO_BODY = new Uint8Array(0);

/** A tunnel and the connection that it is to run on. */
export interface TunnelHandOver {
  /** Released and paused: its new owner sets its listeners. */
  readonly connection: AcceptedStream;
  /** What came behind the request: the machine is to receive it first. */
  readonly early: Uint8Array;
  readonly session: GatewaySession;
  readonly plan: TunnelPlan;
}

export interface ServerConnectionOptions {
  readonly facts: ClientFacts;
  /** For all requests before the tunnel (`auth-timeout`); it counts from now. */
  readonly loginTime: Millis;
  readonly log: Logger;
  /** As `GatewayProtocol.startsTunnel`. Default: CONNECT alone does. */
  readonly startsTunnel?: TunnelStart | undefined;
  /** As `GatewayConnection.innerTls`. Default: there is none. */
  readonly innerTls?: () => InnerTlsServer;
  /** Takes the connection over. */
  readonly runs: (handOver: TunnelHandOver) => void;
}

export class ServerConnection implements GatewayConnection {
  readonly facts: ClientFacts;
  readonly innerTls?: () => InnerTlsServer;
  readonly #connection: AcceptedStream;
  readonly #options: ServerConnectionOptions;
  readonly #parser: RequestParser;
  readonly #loginTimer: NodeJS.Timeout;
  #requestTimer: NodeJS.Timeout | undefined;
  #first: Promise<HttpRequest | undefined> | undefined;
  #waiting: ((request: HttpRequest | undefined) => void) | undefined;
  #upgraded: UpgradedBytes | undefined;
  #state: 'open' | 'tunnel' | 'closed' = 'open';
  /** The last request wants no body in its answer. */
  #isHead = false;

  constructor(connection: AcceptedStream, options: ServerConnectionOptions) {
    this.facts = options.facts;
    if (options.innerTls !== undefined) this.innerTls = options.innerTls;
    this.#connection = connection;
    this.#options = options;
    this.#parser = new RequestParser(REQUEST_LIMITS, options.startsTunnel);
    this.#loginTimer = setTimeout(() => this.#abandon('log-in took too long'), options.loginTime);
    connection.onClose(() => this.#over());
    connection.onData((bytes) => this.#received(bytes));
  }

  /** The first request, for whoever decides whose it is; {@link request} gives it once more. */
  peek(): Promise<HttpRequest | undefined> {
    this.#first ??= this.#next();
    return this.#first;
  }

  request(): Promise<HttpRequest | undefined> {
    const first = this.#first;
    this.#first = undefined;
    return first ?? this.#next();
  }

  async respond(response: HttpResponse): Promise<void> {
    if (this.#state !== 'open') return;
    // RFC 9110 §9.3.2: its length is said, and nothing of it is sent: a client would take it for the next answer. Observed: ocserv 1.1.6 sends it all the
    // same with an answer that is its last, which nobody can mistake.
    const isLast = headerValue(response.headers, 'connection')?.toLowerCase() === 'close';
    this.#connection.write(renderResponse(this.#isHead && !isLast ? { ...response, body: NO_BODY } : response));
    this.#limitQueue();
  }

  allowBody(bodyBytes: number): void {
    this.#parser.allowBody(bodyBytes);
  }

  upgrade(response: HttpResponse): UpgradedStream {
    const upgraded = new UpgradedBytes(this.#connection, this.#parser.takeRest());
    this.#upgraded = upgraded;
    if (this.#state === 'open') this.#connection.write(renderResponse(response));
    else upgraded.end();
    return {
      read: () => upgraded.read(),
      unread: (bytes) => upgraded.unread(bytes),
      write: (bytes) => {
        if (this.#state !== 'open') return;
        this.#connection.write(bytes);
        this.#limitQueue();
      },
    };
  }

  run(session: GatewaySession, plan: TunnelPlan): void {
    const connection = this.#connection;
    // A client that has left meanwhile is handed over as well: the session, which has its lease by now, learns from the connection that it is gone.
    if (this.#state === 'open') connection.release();
    this.#state = 'tunnel';
    this.#stopTimers();
    const early = this.#upgraded?.take() ?? this.#parser.takeRest();
    this.#options.runs({ connection, early, session, plan });
  }

  /** Lets the last answer leave, says goodbye and closes. Safe to call twice; a tunnel's connection is not touched. */
  async close(): Promise<void> {
    if (this.#state !== 'open') return;
    this.#over();
    await this.#connection.close(CLOSE_LIMIT_MS);
  }

  async #next(): Promise<HttpRequest | undefined> {
    if (this.#state !== 'open') return undefined;
    const { promise, resolve } = Promise.withResolvers<HttpRequest | undefined>();
    this.#waiting = resolve;
    this.#read(); // it may have come with the one before
    if (this.#waiting !== undefined) this.#connection.resume();
    return promise;
  }

  #limitQueue(): void {
    if (this.#connection.queued > MAX_UNREAD_BYTES) this.#abandon('answers are not read');
  }

  #received(bytes: Uint8Array): void {
    if (this.#upgraded !== undefined) {
      this.#upgraded.push(bytes);
      return;
    }
    if (this.#state !== 'open') return; // it is about to be closed: nobody will read this
    this.#parser.push(bytes);
    if (this.#waiting === undefined)
      this.#connection.pause(); // one at a time: what is behind this request waits on the wire
    else this.#read();
  }

  #read(): void {
    try {
      const received = this.#parser.next();
      if (received !== undefined) this.#give(received.message);
      else if (this.#parser.hasBegun) this.#requestTimer ??= setTimeout(() => this.#abandon('request took too long'), REQUEST_LIMIT_MS);
    } catch (error) {
      this.#answerNonsense(error);
    }
  }

  #give(request: HttpRequest | undefined): void {
    clearTimeout(this.#requestTimer);
    this.#requestTimer = undefined;
    this.#isHead = request?.method === 'HEAD';
    this.#waiting?.(request);
    this.#waiting = undefined;
  }

  /** What is no request is answered in HTTP's words, which say nothing of what this is. */
  #answerNonsense(error: unknown): void {
    const { log } = this.#options;
    const message = error instanceof Error ? error.message : String(error);
    if (error instanceof SallyportError) log.log('debug', 'not a request', { reason: message });
    else log.log('error', 'connection failed', { reason: message }); // a bug, which is not worth a worker with everybody's sessions
    const [status, reason] = refusalOf(error);
    const headers = [
      ['Content-Length', '0'],
      ['Connection', 'close'],
    ] as const;
    this.#connection.write(renderResponse({ version: '1.1', status, reason, headers, body: NO_BODY }));
    this.#over();
    void this.#connection.close(CLOSE_LIMIT_MS);
  }

  #abandon(reason: string): void {
    if (this.#state !== 'open') return;
    this.#options.log.log('info', 'client given up', { reason });
    this.#over();
    this.#connection.destroy();
  }

  #over(): void {
    if (this.#state === 'open') this.#state = 'closed';
    this.#stopTimers();
    this.#give(undefined);
    this.#upgraded?.end();
  }

  #stopTimers(): void {
    clearTimeout(this.#loginTimer);
    clearTimeout(this.#requestTimer);
  }
}

function refusalOf(error: unknown): readonly [status: number, reason: string] {
  if (!(error instanceof SallyportError)) return [500, 'Internal Server Error'];
  if (error instanceof UnsupportedError) return [501, 'Not Implemented'];
  return error.code === HTTP_LIMIT_CODE ? [413, 'Content Too Large'] : [400, 'Bad Request'];
}
