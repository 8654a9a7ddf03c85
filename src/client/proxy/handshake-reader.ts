/** Reads the first messages of a connection, each as far as it goes, and leaves what follows to whoever takes the connection over. */
import type { Socket } from 'node:net';
import { PeerMisbehavedError, TruncatedError } from '../../core/errors.ts';
import { ByteReader } from '../../core/wire/byte-reader.ts';

/** Of one message that is not complete. The longest are a password's 513 bytes and SOCKS 4A's 519. */
const MAX_INCOMPLETE = 600;

export class HandshakeReader {
  readonly #socket: Socket;
  #bytes: Buffer = Buffer.alloc(0);

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** One message. Rejects with what `decode` throws, but for {@link TruncatedError} only when nothing more can come. */
  async read<T>(decode: (reader: ByteReader) => T): Promise<T> {
    for (;;) {
      const reader = new ByteReader(this.#bytes);
      try {
        const value = decode(reader);
        this.#bytes = this.#bytes.subarray(reader.position);
        return value;
      } catch (error) {
        if (!(error instanceof TruncatedError)) throw error;
        if (this.#bytes.length > MAX_INCOMPLETE) throw new PeerMisbehavedError('a handshake that has no end', { cause: error });
        if (!(await this.#more())) throw error;
      }
    }
  }

  /** Puts back what was read too much. At once: when the client has ended its side, nothing can be put back any more. */
  release(): void {
    if (this.#bytes.length > 0 && !this.#socket.destroyed) this.#socket.unshift(this.#bytes);
    this.#bytes = Buffer.alloc(0);
  }

  /** False: the client has ended or gone. */
  async #more(): Promise<boolean> {
    for (;;) {
      const chunk: Buffer | null = this.#socket.read();
      if (chunk !== null) {
        this.#bytes = Buffer.concat([this.#bytes, chunk]);
        return true;
      }
      if (this.#socket.readableEnded || this.#socket.destroyed) return false;
      await readable(this.#socket);
    }
  }
}

/** Resolves when there is something to read, or no more to come. Errors are the business of whoever owns the socket: 'close' follows them. */
export function readable(socket: Socket): Promise<void> {
  const events = ['readable', 'end', 'close'] as const;
  return new Promise((resolve) => {
    const done = () => {
      for (const event of events) socket.off(event, done);
      resolve();
    };
    for (const event of events) socket.on(event, done);
  });
}
