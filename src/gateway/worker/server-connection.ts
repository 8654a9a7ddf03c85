/**
 * A client's TLS connection while it speaks HTTP: one request after the other, within limits, and then perhaps a tunnel.
 *
 * Read first: spec "AnyConnect", sections 2.1 and 12.2 (limits).
 */
import { SallyportError } from '../../core/errors.ts';
import type { HttpLimits } from '../../core/http/limits.ts';
import type { HttpRequest, HttpResponse } from '../../core/http/message.ts';
import { renderResponse } from '../../core/http/render.ts';
import { RequestParser } from '../../core/http/request-parser.ts';
import type { ClientFacts, GatewayConnection, GatewaySession, TunnelPlan } from '../../core/protocols/gateway-protocol.ts';
import type { Millis } from '../../core/tunnel/packet.ts';
import type { TlsConnection } from '../../node/tls-connection.ts';

/** Before anyone has logged in: enough for a certificate chain in base64, and not for a denial of service. */
const LIMITS: Partial<HttpLimits> = { lineBytes: 8 * 1024, headerCount: 64, headBytes: 32 * 1024, bodyBytes: 64 * 1024 };

/** One request may dribble in for so long. */
const REQUEST_LIMIT: Millis = 20_000;

/** How long a last answer may take to leave. */
const CLOSE_LIMIT: Millis = 5_000;

/** Bytes of answers that a client has not taken: it asks and does not read. */
const MAX_QUEUED = 1024 * 1024;

export interface ServerConnectionOptions {
  readonly facts: ClientFacts;
  /** The whole of a log-in on this connection may take so long. */
  readonly loginTime: Millis;
  readonly run: (session: GatewaySession, plan: TunnelPlan, rest: Uint8Array) => void;
}

export class ServerConnection implements GatewayConnection {
  readonly facts: ClientFacts;
  readonly #connection: TlsConnection;
  readonly #options: ServerConnectionOptions;
  readonly #parser = new RequestParser(LIMITS);
  readonly #deadline: NodeJS.Timeout;
  #waiting: PromiseWithResolvers<HttpRequest | undefined> | undefined;
  #requestTimer: NodeJS.Timeout | undefined;
  #isOver = false;
  #isHandedOver = false;

  constructor(connection: TlsConnection, options: ServerConnectionOptions) {
    this.facts = options.facts;
    this.#connection = connection;
    this.#options = options;
    connection.onData((bytes) => this.#received(bytes));
    connection.onClose(() => this.#ended());
    this.#deadline = setTimeout(() => this.destroy(), options.loginTime);
  }

  async request(): Promise<HttpRequest | undefined> {
    const waiting = Promise.withResolvers<HttpRequest | undefined>();
    this.#waiting = waiting;
    this.#look();
    return waiting.promise;
  }

  async respond(response: HttpResponse): Promise<void> {
    if (this.#isOver) return;
    this.#connection.write(renderResponse(response));
    if (this.#connection.queued > MAX_QUEUED) this.destroy();
  }

  run(session: GatewaySession, plan: TunnelPlan): void {
    this.#isHandedOver = true;
    this.#stop();
    if (!this.#connection.release()) {
      this.#connection.destroy();
      return;
    }
    this.#options.run(session, plan, this.#parser.takeRest());
  }

  /** Says what is left to say, and closes. Nothing if a tunnel has it. */
  async close(): Promise<void> {
    this.#stop();
    if (!this.#isHandedOver) await this.#connection.close(CLOSE_LIMIT);
  }

  destroy(): void {
    this.#stop();
    if (this.#isHandedOver) return;
    this.#connection.destroy();
    this.#ended();
  }

  #received(bytes: Uint8Array): void {
    try {
      this.#parser.push(bytes);
    } catch (error) {
      if (!(error instanceof SallyportError)) throw error;
      this.destroy();
      return;
    }
    this.#requestTimer ??= setTimeout(() => this.destroy(), REQUEST_LIMIT);
    this.#look();
  }

  /** Hands a whole request to whoever waits for one. */
  #look(): void {
    const waiting = this.#waiting;
    if (waiting === undefined) return;
    try {
      const received = this.#parser.next();
      if (received === undefined && !this.#isOver) return;
      clearTimeout(this.#requestTimer);
      this.#requestTimer = undefined;
      this.#waiting = undefined;
      waiting.resolve(received?.message);
    } catch (error) {
      if (!(error instanceof SallyportError)) throw error;
      this.#waiting = undefined;
      waiting.resolve(undefined); // what is no HTTP gets no answer
      this.destroy();
    }
  }

  #ended(): void {
    this.#isOver = true;
    this.#stop();
    this.#waiting?.resolve(undefined);
    this.#waiting = undefined;
  }

  #stop(): void {
    clearTimeout(this.#deadline);
    clearTimeout(this.#requestTimer);
  }
}
