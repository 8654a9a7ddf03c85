/** {@link TlsSession} for who has its bytes in JavaScript, in a thread that may have other uses of OpenSSL: node:crypto's. */
import { NOT_READ, type TlsHandle, type TlsSession } from './openssl-tls.ts';
import { MAX_RECORD, NETWORK_ROOM, type OpenSslTls } from './openssl-tls-calls.ts';

export class TlsBytes {
  readonly #tls: OpenSslTls;
  readonly #session: TlsSession;

  constructor(tls: OpenSslTls, session: TlsSession) {
    this.#tls = tls;
    this.#session = session;
  }

  /** Why something failed, in OpenSSL's words. */
  get failure(): string {
    return this.#session.failure;
  }

  /** Goes on with the handshake. What it wants sent is {@link takeUnsent}. */
  handshake(): 'done' | 'waiting' | 'failed' {
    this.#forgetErrors();
    return this.#session.handshake();
  }

  /** Bytes from the network. */
  feed(bytes: Uint8Array): void {
    const { arena, network } = this.#tls;
    for (let at = 0; at < bytes.length; at += NETWORK_ROOM) {
      const part = bytes.subarray(at, at + NETWORK_ROOM);
      arena.bytes.set(part, network);
      this.#session.feed(arena.address(network), part.length);
    }
  }

  /** The plaintext of the next record, lent until the next read of any connection of the thread; or one of {@link NOT_READ}. */
  read(): Uint8Array | number {
    const { arena, record } = this.#tls;
    this.#forgetErrors();
    const length = this.#session.read(arena.address(record), MAX_RECORD);
    return length > 0 ? arena.bytes.subarray(record, record + length) : length;
  }

  /** One record for each {@link MAX_RECORD} bytes. False: the connection is over. */
  write(bytes: Uint8Array): boolean {
    const { arena, scratch } = this.#tls;
    this.#forgetErrors();
    for (let at = 0; at < bytes.length; at += MAX_RECORD) {
      const part = bytes.subarray(at, at + MAX_RECORD);
      arena.bytes.set(part, scratch);
      const isWritten = this.#session.write(arena.address(scratch), part.length);
      arena.bytes.fill(0, scratch, scratch + part.length);
      if (!isWritten) return false;
    }
    return true;
  }

  /** How many bytes wait for the network. */
  get unsent(): number {
    return this.#session.unsent;
  }

  /** Takes them. */
  takeUnsent(): Uint8Array {
    const { arena, network } = this.#tls;
    const taken = Buffer.allocUnsafe(this.#session.unsent);
    for (let at = 0; at < taken.length; at += NETWORK_ROOM) {
      const length = Math.min(taken.length - at, NETWORK_ROOM);
      this.#session.sent(length); // it passes through the network room
      arena.bytes.copy(taken, at, network, network + length);
    }
    return taken;
  }

  /** As the method of {@link TlsSession}. */
  exportKeys(label: string, length: number): Uint8Array | undefined {
    this.#forgetErrors();
    return this.#session.exportKeys(label, length);
  }

  /** Tells the peer that nothing more comes (close_notify). */
  end(): void {
    this.#forgetErrors();
    this.#session.end();
  }

  /** Gives the connection up: whoever has the handle must adopt or free it. */
  detach(): TlsHandle {
    return this.#session.detach();
  }

  /** Frees the connection with its keys. Safe to call twice. */
  close(): void {
    this.#session.close();
  }

  /** What somebody else left in this thread's list of errors would be taken for ours. */
  #forgetErrors(): void {
    this.#tls.call.clearErrors();
  }
}
