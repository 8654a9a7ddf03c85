/** A log-in's connection that has left HTTP: read piece by piece, with an end to all waiting. */
import type { UpgradedConnection } from '../core/auth/login-io.ts';
import { CancelledError, NetworkError, PeerMisbehavedError, type SallyportError } from '../core/errors.ts';
import type { TlsConnection } from '../node/tls-connection.ts';

/** How long a gateway may say nothing: a second factor may wait for a person with a telephone. */
const READ_TIMEOUT_MS = 300_000;

/** How long closing may take. */
const CLOSE_LIMIT_MS = 500;

/** Bytes that nobody has read: a gateway waits for an answer to each of its questions. */
const MAX_UNREAD_BYTES = 256 * 1024;

export class UpgradedStream implements UpgradedConnection {
  readonly #connection: TlsConnection;
  readonly #signal: AbortSignal;
  #bytes: Uint8Array;
  #failure: SallyportError | undefined;
  #waiting: (() => void) | undefined;

  readonly #leave: (connection: TlsConnection) => void;

  /**
   * @param bytes what came behind the answer
   * @param leave told of the connection when it is left for the tunnel
   */
  constructor(connection: TlsConnection, bytes: Uint8Array, signal: AbortSignal, leave: (connection: TlsConnection) => void) {
    this.#connection = connection;
    this.#bytes = bytes;
    this.#signal = signal;
    this.#leave = leave;
    connection.onData((more) => this.#received(more));
    connection.onClose((error) => this.#fail(error ?? new NetworkError('The gateway closed the connection during the log-in.')));
  }

  async read(): Promise<Uint8Array> {
    if (this.#bytes.length === 0 && this.#failure === undefined) await this.#wait();
    const bytes = this.#bytes;
    this.#bytes = new Uint8Array(0);
    if (bytes.length === 0) throw this.#failure ?? new NetworkError('The gateway says nothing.');
    return bytes;
  }

  write(bytes: Uint8Array): void {
    if (this.#failure === undefined) this.#connection.write(bytes);
  }

  async close(): Promise<void> {
    await this.#connection.close(CLOSE_LIMIT_MS);
  }

  keep(): Uint8Array {
    if (this.#failure !== undefined || !this.#connection.release()) {
      throw this.#failure ?? new NetworkError('The gateway closed the connection after the log-in.');
    }
    this.#leave(this.#connection);
    return this.#bytes;
  }

  async #wait(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting = resolve;
    const timer = setTimeout(resolve, READ_TIMEOUT_MS);
    const cancel = () => this.#fail(new CancelledError());
    this.#signal.addEventListener('abort', cancel, { once: true });
    if (this.#signal.aborted) cancel();
    try {
      await promise;
    } finally {
      clearTimeout(timer);
      this.#signal.removeEventListener('abort', cancel);
      this.#waiting = undefined;
    }
  }

  #received(more: Uint8Array): void {
    const bytes = new Uint8Array(this.#bytes.length + more.length);
    bytes.set(this.#bytes);
    bytes.set(more, this.#bytes.length);
    this.#bytes = bytes;
    if (bytes.length > MAX_UNREAD_BYTES) {
      this.#fail(new PeerMisbehavedError('The gateway sends without being asked.'));
      this.#connection.destroy();
    }
    this.#waiting?.();
  }

  #fail(error: SallyportError): void {
    this.#failure ??= error;
    this.#waiting?.();
  }
}
