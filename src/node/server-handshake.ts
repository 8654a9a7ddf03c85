/** How a client's TLS handshake ends, whoever does it: OpenSSL's own functions or node:tls. */
import type { Socket } from 'node:net';
import { CancelledError, NetworkError, type SallyportError } from '../core/errors.ts';
import { type AcceptOptions, HANDSHAKE_LIMIT_MS } from './tls-acceptor.ts';
import { reasonOf } from './tls-connection.ts';
import { TLS_FAILED } from './tls-stream.ts';

/** It ends once: with what {@link succeed} is given, with undefined where there was no handshake at all, or with an error. */
export class ServerHandshake<T> {
  readonly promise: Promise<T | undefined>;
  readonly #raw: Socket;
  readonly #options: AcceptOptions;
  readonly #timer: NodeJS.Timeout;
  readonly #end: PromiseWithResolvers<T | undefined> = Promise.withResolvers<T | undefined>();
  readonly #onEnd: (value: T | undefined, error: SallyportError | undefined) => void;

  /** @param onEnd takes the listeners off, and closes what is of no use without a value */
  constructor(raw: Socket, options: AcceptOptions, onEnd: (value: T | undefined, error: SallyportError | undefined) => void) {
    this.promise = this.#end.promise;
    this.#raw = raw;
    this.#options = options;
    this.#onEnd = onEnd;
    this.#timer = setTimeout(() => this.fail(new NetworkError('The client took too long for its TLS handshake.')), HANDSHAKE_LIMIT_MS);
  }

  /** From here on it can be cancelled. */
  start(): void {
    const { signal } = this.#options;
    if (signal.aborted) this.#cancel();
    else signal.addEventListener('abort', this.#cancel, { once: true });
  }

  readonly #cancel = (): void => this.fail(new CancelledError());

  /** For the socket's `error`. */
  readonly broken = (error: Error): void =>
    this.#gone(new NetworkError(`The TLS handshake failed: ${reasonOf(error)}.`, { code: TLS_FAILED, cause: error }));

  /** For its end. */
  readonly closed = (): void => this.#gone(new NetworkError('The client left during the TLS handshake.', { code: TLS_FAILED }));

  succeed(value: T | undefined): void {
    this.#settle(value, undefined);
    this.#end.resolve(value);
  }

  fail(error: SallyportError): void {
    this.#settle(undefined, error);
    this.#end.reject(error);
  }

  #gone(error: SallyportError): void {
    if (this.#raw.bytesRead > (this.#options.bytesRead ?? 0)) this.fail(error);
    else this.succeed(undefined); // proxies that only look whether anyone is there often reset the connection
  }

  #settle(value: T | undefined, error: SallyportError | undefined): void {
    clearTimeout(this.#timer);
    this.#options.signal.removeEventListener('abort', this.#cancel);
    this.#onEnd(value, error);
  }
}
