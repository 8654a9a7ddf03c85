/** What leaves on a TLS connection of the engine: records that are made, wait in OpenSSL, and the socket that takes them. */
import { KeptAddress } from '../ffi/arena.ts';
import { ERRNO } from '../ffi/errno.ts';
import { LINUX } from '../ffi/libc.ts';
import type { TlsSession } from '../ffi/openssl-tls.ts';
import { notePackets } from './carried-packets.ts';
import type { RunWriter } from './frame-run.ts';
import { count, PATH } from './shared-memory.ts';
import { MAX_UNSENT } from './stream-messages.ts';
import type { WorkerContext } from './worker-context.ts';

export class StreamOutput implements RunWriter {
  readonly #context: WorkerContext;
  readonly #fd: number;
  readonly #session: TlsSession;
  readonly #counters: Float64Array;
  #isFull = false;
  #isUnread = false;
  #errno: number | undefined = undefined;
  #failure: string | undefined;
  readonly #address: KeptAddress;
  /** Something was written since the last look at what waits for the network. */
  hasUnsent = false;
  /** Packets of the device are among it. */
  hasPackets = false;

  constructor(context: WorkerContext, fd: number, session: TlsSession, counters: Float64Array) {
    this.#context = context;
    this.#fd = fd;
    this.#session = session;
    this.#counters = counters;
    this.#address = new KeptAddress(context.arena);
  }

  /** The socket takes nothing more now. */
  get isFull(): boolean {
    return this.#isFull;
  }

  /** The peer does not read: more than {@link MAX_UNSENT} waits for it. */
  get isUnread(): boolean {
    return this.#isUnread;
  }

  /** Why nothing can be sent any more. */
  get errno(): number | undefined {
    return this.#errno;
  }

  /** OpenSSL makes no records any more, in its words. */
  get failure(): string | undefined {
    return this.#failure;
  }

  /** The peer has left. Its last words may have come before. */
  get isPeerGone(): boolean {
    return this.#errno === ERRNO.EPIPE || this.#errno === ERRNO.ECONNRESET;
  }

  /** Makes a record of each frame. */
  writeFrames(start: number, length: number, frameLength: number, frames: number): void {
    if (this.#errno !== undefined || this.#failure !== undefined) {
      count(this.#counters, PATH.notSealed, frames);
      return;
    }
    this.hasUnsent = true;
    if (this.#session.write(this.#address.of(start), length, frameLength)) {
      count(this.#counters, PATH.sent, frames);
      count(this.#counters, PATH.sentBytes, length);
    } else {
      count(this.#counters, PATH.notSealed, frames);
      this.#failure = this.#session.failure;
    }
  }

  /** Sends what waits, as far as the socket takes it. True: it did, and nothing waits any more. */
  flush(): boolean {
    if (!this.hasUnsent || this.#errno !== undefined) return false;
    const { libc } = this.#context;
    for (let length = this.#session.unsent; length > 0; ) {
      const sent = libc.send(this.#fd, this.#session.unsentAddress, length, LINUX.MSG_NOSIGNAL);
      if (sent < 0) {
        const errno = libc.errno();
        if (errno === ERRNO.EINTR) continue;
        this.#isFull = errno === ERRNO.EAGAIN;
        this.#isUnread = this.#isFull && length > MAX_UNSENT;
        if (!this.#isFull) this.#errno = errno;
        return false;
      }
      this.#session.sent(sent);
      this.#counters[PATH.sentAt] = this.#context.now;
      length = sent < length ? this.#session.unsent : 0;
    }
    this.#isFull = false;
    this.#isUnread = false;
    this.hasUnsent = false;
    if (this.hasPackets) notePackets(this.#counters, this.#context.now);
    this.hasPackets = false;
    return true;
  }

  /** It is over: nothing waits for room any more. */
  end(): void {
    this.#failure ??= 'over';
    this.#isFull = false;
  }
}
