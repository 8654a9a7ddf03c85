/**
 * The handshake messages so far, as Finished and the extended master secret see them.
 *
 * Read first: RFC 6347 §4.2.6 (each message as if it had come in one fragment; no HelloVerifyRequest, nor the hello that it answers); spec "AnyConnect",
 * section 7.5 (the pre-RFC dialect leaves the headers out).
 */
import { encodeHandshakeMessage, type HandshakeMessage } from '../tls-messages/handshake-fragment.ts';
import { ByteWriter } from '../wire/byte-writer.ts';
import type { Dialect } from './dialect.ts';

export class Transcript {
  readonly #dialect: Dialect;
  #messages = new ByteWriter();

  constructor(dialect: Dialect) {
    this.#dialect = dialect;
  }

  add(message: HandshakeMessage): void {
    this.#messages.bytes(this.#dialect.hashesMessageHeaders ? encodeHandshakeMessage(message) : message.body);
  }

  /** A copy of all messages so far. */
  bytes(): Uint8Array {
    return this.#messages.finish();
  }

  clear(): void {
    this.#messages = new ByteWriter();
  }
}
