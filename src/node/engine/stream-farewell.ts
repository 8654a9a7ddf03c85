/**
 * The end of a TLS connection that we close. A socket that is closed while something of the peer's waits in it, or comes later, answers with a reset, and
 * that takes with it what the peer has not read yet (RFC 1122 §4.2.2.13): our last words. So the connection is closed one way, and the other is read,
 * for nothing, until the peer closes it too.
 */
import type { KeptAddress } from '../ffi/arena.ts';
import { ERRNO } from '../ffi/errno.ts';
import { LINUX, type Libc } from '../ffi/libc.ts';

export class StreamFarewell {
  readonly #libc: Libc;
  readonly #fd: number;
  readonly #room: KeptAddress;
  readonly #place: number;
  readonly #length: number;
  #hasLeft = false;
  #hasPeerLeft = false;

  /** @param room of bytes that are not looked at, from `place` on */
  constructor(libc: Libc, fd: number, room: KeptAddress, place: number, length: number) {
    this.#libc = libc;
    this.#fd = fd;
    this.#room = room;
    this.#place = place;
    this.#length = length;
  }

  get pollEvents(): number {
    return this.#hasPeerLeft ? 0 : LINUX.POLLIN;
  }

  /** Both ends have said all. */
  get isOver(): boolean {
    return this.#hasLeft && this.#hasPeerLeft;
  }

  /** Bytes that the peer's system has not acknowledged yet. */
  get unacknowledged(): number {
    const { scratch } = this.#libc;
    const isKnown = this.#libc.ioctl(this.#fd, LINUX.SIOCOUTQ, scratch.address(0)) >= 0;
    return isKnown ? scratch.view.getInt32(0, true) : 0;
  }

  /** All that was to be said has left. False: that was known. */
  left(): boolean {
    if (this.#hasLeft) return false;
    this.#hasLeft = true;
    this.#libc.shutdown(this.#fd, LINUX.SHUT_WR);
    return true;
  }

  /** Reads what there is; poll says if there is more. */
  hear(): void {
    const length = this.#libc.recv(this.#fd, this.#room.of(this.#place), this.#length, 0);
    if (length > 0) return;
    const errno = length === 0 ? 0 : this.#libc.errno();
    this.#hasPeerLeft = errno !== ERRNO.EAGAIN && errno !== ERRNO.EINTR;
  }
}
