/**
 * Which of many descriptors have something, at a cost that does not grow with those that have nothing: Linux's epoll.
 *
 * Read first: epoll(7). Descriptors are level-triggered: what is left unread is told again, behind the others.
 *
 *   0        4        12        struct epoll_event: packed on x86, where 32-bit programs had it so first
 *   +--------+--------+
 *   | events | token  |         elsewhere the token is aligned to 8 bytes:  | events (4) | – (4) | token (8) |
 *   +--------+--------+
 */
import { type Arena, KeptAddress } from './arena.ts';
import { ERRNO, systemError } from './errno.ts';
import { LINUX, type Libc } from './libc.ts';

const IS_PACKED = process.arch === 'x64' || process.arch === 'ia32';
const ENTRY_LENGTH = IS_PACKED ? 12 : 16;
const TOKEN_AT = IS_PACKED ? 4 : 8;

export class EventPoll {
  readonly fd: number;
  readonly #libc: Libc;
  readonly #arena: Arena;
  readonly #capacity: number;
  /** What {@link wait} fills, and behind it what a change is said with. */
  readonly #entries: number;
  readonly #change: number;
  readonly #address: KeptAddress;

  /** @param capacity how many descriptors one {@link wait} tells of at most */
  constructor(libc: Libc, arena: Arena, capacity: number) {
    this.#libc = libc;
    this.#arena = arena;
    this.#capacity = capacity;
    this.#entries = arena.allocate((capacity + 1) * ENTRY_LENGTH);
    this.#change = this.#entries + capacity * ENTRY_LENGTH;
    this.#address = new KeptAddress(arena);
    this.fd = libc.epollCreate(LINUX.EPOLL_CLOEXEC);
    if (this.fd < 0) throw systemError('epoll', libc.errno());
  }

  /**
   * Watches a descriptor that was not watched. 0, or the error number. An error or the other end's leaving is told in any case.
   *
   * @param token what {@link token} says of it: up to 32 bits
   */
  add(fd: number, token: number, events: number): number {
    return this.#control(LINUX.EPOLL_CTL_ADD, fd, token, events);
  }

  /** The same for one that is watched. */
  change(fd: number, token: number, events: number): number {
    return this.#control(LINUX.EPOLL_CTL_MOD, fd, token, events);
  }

  /** Before it is closed: the kernel watches the file, which another process may have open as well. */
  remove(fd: number): void {
    this.#control(LINUX.EPOLL_CTL_DEL, fd, 0, 0);
  }

  /** How many descriptors have something. @param timeout in milliseconds */
  wait(timeout: number): number {
    const ready = this.#libc.epollWait(this.fd, this.#address.of(this.#entries), this.#capacity, timeout);
    if (ready >= 0) return ready;
    const errno = this.#libc.errno();
    if (errno !== ERRNO.EINTR) throw systemError('epoll', errno);
    return 0;
  }

  /** After {@link wait}: whose descriptor that is. */
  token(index: number): number {
    return this.#arena.view.getUint32(this.#entries + index * ENTRY_LENGTH + TOKEN_AT, true);
  }

  /** After {@link wait}: what it has. */
  events(index: number): number {
    return this.#arena.view.getUint32(this.#entries + index * ENTRY_LENGTH, true);
  }

  close(): void {
    this.#libc.close(this.fd);
  }

  #control(operation: number, fd: number, token: number, events: number): number {
    const { view } = this.#arena;
    view.setUint32(this.#change, events, true);
    view.setUint32(this.#change + TOKEN_AT, token, true);
    return this.#libc.epollControl(this.fd, operation, fd, this.#arena.address(this.#change)) < 0 ? this.#libc.errno() : 0;
  }
}
