/** What a client sends once it has left HTTP: read piece by piece, and paused while nobody reads. */
import type { AcceptedStream } from '../../node/tls-acceptor.ts';

export class UpgradedBytes {
  readonly #connection: Pick<AcceptedStream, 'pause' | 'resume'>;
  #bytes: Uint8Array;
  #waiting: ((bytes: Uint8Array | undefined) => void) | undefined;
  #isOver = false;

  /** @param bytes what came behind the request */
  constructor(connection: Pick<AcceptedStream, 'pause' | 'resume'>, bytes: Uint8Array) {
    this.#connection = connection;
    this.#bytes = bytes;
  }

  push(bytes: Uint8Array): void {
    this.#bytes = joined(this.#bytes, bytes);
    if (this.#waiting === undefined) this.#connection.pause();
    else this.#give();
  }

  unread(bytes: Uint8Array): void {
    this.#bytes = joined(bytes, this.#bytes);
  }

  /** One at a time. Undefined: there is no more. */
  read(): Promise<Uint8Array | undefined> {
    const { promise, resolve } = Promise.withResolvers<Uint8Array | undefined>();
    this.#waiting = resolve;
    if (this.#bytes.length > 0 || this.#isOver) this.#give();
    else this.#connection.resume();
    return promise;
  }

  /** Everything that was not read. */
  take(): Uint8Array {
    const bytes = this.#bytes;
    this.#bytes = new Uint8Array(0);
    return bytes;
  }

  /** The connection is over: what has come can still be read. */
  end(): void {
    this.#isOver = true;
    if (this.#waiting !== undefined) this.#give();
  }

  #give(): void {
    const resolve = this.#waiting;
    this.#waiting = undefined;
    const bytes = this.take();
    resolve?.(bytes.length === 0 ? undefined : bytes);
  }
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(first.length + second.length);
  bytes.set(first);
  bytes.set(second, first.length);
  return bytes;
}
