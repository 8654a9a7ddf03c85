/** A TLS connection that HTTP requests go over, one after the other. */
import type { LoginRequest, Target } from '../core/auth/login-io.ts';
import { CancelledError, NetworkError, type SallyportError, TooLateError, UnansweredError } from '../core/errors.ts';
import type { HttpResponse } from '../core/http/message.ts';
import type { Received } from '../core/http/message-reader.ts';
import { renderRequest } from '../core/http/render.ts';
import { ResponseParser } from '../core/http/response-parser.ts';
import type { Millis } from '../core/tunnel/packet.ts';
import type { TlsConnection } from '../node/tls-connection.ts';

/** How long a gateway may take to answer: a second factor may wait for a person with a telephone. */
const RESPONSE_TIMEOUT: Millis = 300_000;

/** Largest piece of a request written at once: what fits one TLS record. */
const MAX_WRITE = 16_384;

export interface Exchange {
  readonly response: HttpResponse;
  /** The connection can carry another request. */
  readonly isKept: boolean;
}

export class KeptConnection {
  readonly target: Target;
  readonly connection: TlsConnection;
  readonly #parser = new ResponseParser();
  #waiting: PromiseWithResolvers<Received<HttpResponse>> | undefined;
  #isOpen = true;
  #hasAnswered = false;
  #mayRepeat = false;

  constructor(target: Target, connection: TlsConnection) {
    this.target = target;
    this.connection = connection;
    connection.onData((bytes) => this.#received(bytes));
    connection.onClose((error) => this.#closed(error));
  }

  /** The last request failed because the connection was over, and no byte of an answer had come: it may be sent again. */
  get mayRepeat(): boolean {
    return this.#mayRepeat;
  }

  /** Sends a request and waits for its response. One at a time. */
  async exchange(request: LoginRequest, signal: AbortSignal, patience: Millis = RESPONSE_TIMEOUT): Promise<Exchange> {
    const { host } = request.target;
    if (signal.aborted) throw new CancelledError();
    this.#hasAnswered = false;
    this.#mayRepeat = true;
    if (!this.#isOpen) throw unanswered(host, undefined);
    this.#parser.expect(request.method);
    const waiting = Promise.withResolvers<Received<HttpResponse>>();
    this.#waiting = waiting;
    const giveUp = (error: SallyportError) => {
      this.#mayRepeat = false; // the gateway may be at work on it
      waiting.reject(error);
    };
    const cancel = () => giveUp(new CancelledError());
    const tooLate = () => giveUp(new TooLateError(`${host} did not answer within ${patience / 1000} s.`));
    const timer = setTimeout(tooLate, patience);
    signal.addEventListener('abort', cancel, { once: true });
    try {
      const { target, method, headers, body = new Uint8Array(0) } = request;
      const bytes = renderRequest({ method, target: target.path, version: '1.1', headers, body });
      for (let at = 0; at < bytes.length; at += MAX_WRITE) this.connection.write(bytes.subarray(at, at + MAX_WRITE));
      const { message, connection } = await waiting.promise;
      return { response: message, isKept: connection === 'keep-alive' && this.#isOpen };
    } catch (error) {
      this.connection.destroy(); // in the middle of an exchange there is nothing to go on with
      throw error;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', cancel);
      this.#waiting = undefined;
    }
  }

  /** What has come behind the last response: of a connection that has left HTTP. */
  takeRest(): Uint8Array {
    return this.#parser.takeRest();
  }

  #received(bytes: Uint8Array): void {
    this.#hasAnswered = true;
    this.#mayRepeat = false;
    this.#parser.push(bytes);
    this.#deliver(() => this.#parser.next());
  }

  #closed(error: SallyportError | undefined): void {
    this.#isOpen = false;
    if (!this.#hasAnswered) this.#waiting?.reject(unanswered(this.target.host, error));
    else this.#deliver(() => this.#parser.finish());
  }

  #deliver(next: () => Received<HttpResponse> | undefined): void {
    try {
      const received = next();
      if (received !== undefined) this.#waiting?.resolve(received);
    } catch (error) {
      if (this.#waiting !== undefined) this.#waiting.reject(error);
      else this.connection.destroy(); // bytes that answer nothing: read on, they would be kept without a limit
    }
  }
}

function unanswered(host: string, cause: SallyportError | undefined): SallyportError {
  if (cause === undefined) return new UnansweredError(`${host} closed the connection before it answered.`);
  return cause instanceof NetworkError ? new UnansweredError(cause.message, { cause, code: cause.code }) : cause;
}
