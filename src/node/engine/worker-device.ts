/** The worker's end of a device: a TUN, or the socket of a script. Both give and take one IP packet a call. */
import { KeptAddress } from '../ffi/arena.ts';
import { ERRNO, systemError } from '../ffi/errno.ts';
import { plainError } from '../plain-error.ts';
import { count, DEVICE, MAX_PACKET_LENGTH } from './shared-memory.ts';
import type { WorkerContext } from './worker-context.ts';

export class WorkerDevice {
  readonly fd: number;
  readonly #context: WorkerContext;
  /** For people: `tun0`. */
  readonly #name: string;
  readonly #counters: Float64Array;
  readonly #readAddress: KeptAddress;
  readonly #writeAddress: KeptAddress;
  #hasFailed = false;

  /** @param fd from here on this object's */
  constructor(context: WorkerContext, fd: number, name: string, counters: Float64Array) {
    this.#context = context;
    this.fd = fd;
    this.#name = name;
    this.#counters = counters;
    this.#readAddress = new KeptAddress(context.arena);
    this.#writeAddress = new KeptAddress(context.arena);
  }

  /** The device ended by itself; main knows, and nothing is read or written any more. */
  get hasFailed(): boolean {
    return this.#hasFailed;
  }

  /** Reads one packet to {@link WorkerContext.outgoing}. Its length; 0 if there is none now. */
  read(): number {
    const { libc, outgoing } = this.#context;
    for (;;) {
      const length = libc.read(this.fd, this.#readAddress.of(outgoing), MAX_PACKET_LENGTH);
      if (length > 0) {
        count(this.#counters, DEVICE.read);
        count(this.#counters, DEVICE.readBytes, length);
        return length;
      }
      if (length === 0) continue; // an empty datagram of a script's program: no packet
      const errno = libc.errno();
      if (errno === ERRNO.EINTR) continue;
      if (errno !== ERRNO.EAGAIN) this.fail(errno);
      return 0;
    }
  }

  /** Writes one packet from the arena to the host. */
  write(packet: number, length: number): void {
    const { libc } = this.#context;
    if (libc.write(this.fd, this.#writeAddress.of(packet), length) === length) {
      count(this.#counters, DEVICE.written);
      count(this.#counters, DEVICE.writtenBytes, length);
      return;
    }
    const errno = libc.errno();
    count(this.#counters, DEVICE.writeRefused);
    // EINVAL: no IP packet. EIO: the interface is down. EAGAIN, ENOBUFS, ENOMEM: full. All of that passes; these do not:
    if (errno === ERRNO.ECONNREFUSED || errno === ERRNO.ECONNRESET || errno === ERRNO.ENOTCONN || errno === ERRNO.EBADF) this.fail(errno);
  }

  /** Tells main that the device is gone, once. */
  fail(errno: number): void {
    if (this.#hasFailed) return;
    this.#hasFailed = true;
    this.#context.report({ type: 'device-failed', error: plainError(systemError(`The device ${this.#name} is gone`, errno)) });
  }

  close(): void {
    this.#context.libc.close(this.fd);
  }
}
