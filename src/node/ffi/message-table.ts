/**
 * Datagrams for one call of sendmmsg or recvmmsg, as the table in the arena that both take.
 *
 * Read first: sendmmsg(2), udp(7), cmsg(3). Everything that stays the same is written once; a burst changes a length here and there.
 *
 *   0             8               16      24      32        40          48      56           64
 *   +-------------+---------------+-------+-------+---------+-----------+-------+------------+
 *   | name (8)    | name length   | pieces (8, 8) | control (8, 8)      | flags | msg length |    struct mmsghdr
 *   +-------------+---------------+---------------+---------------------+-------+------------+
 *   piece:    address (8) | length (8)                                                           struct iovec
 *   control:  length (8) | level (4) | type (4) | value (4) | padding (4)                        struct cmsghdr
 */
import { type Arena, KeptAddress } from './arena.ts';
import { ERRNO } from './errno.ts';
import { LINUX, type Libc } from './libc.ts';

const ENTRY_LENGTH = 64;
const PIECE_LENGTH = 16;
const CONTROL_LENGTH = 24;

const PIECES_AT = 16;
const CONTROL_AT = 32;
const CONTROL_LENGTH_AT = 40;
const MESSAGE_LENGTH_AT = 56;

/** CMSG_LEN of a 16-bit value, which UDP_SEGMENT takes, and where a value lies. */
const SEGMENT_CONTROL_LENGTH = 18;
const CONTROL_VALUE_AT = 16;

export class MessageTable {
  readonly #arena: Arena;
  readonly #libc: Libc;
  readonly #entries: number;
  readonly #pieces: number;
  readonly #controls: number;
  readonly #address: KeptAddress;
  /** Messages that the last {@link receive} filled. */
  #used: number;

  constructor(arena: Arena, libc: Libc, capacity: number) {
    this.#arena = arena;
    this.#libc = libc;
    this.#used = capacity;
    this.#entries = arena.allocate(capacity * ENTRY_LENGTH);
    this.#pieces = arena.allocate(capacity * PIECE_LENGTH);
    this.#controls = arena.allocate(capacity * CONTROL_LENGTH);
    this.#address = new KeptAddress(arena);
    for (let i = 0; i < capacity; i++) {
      const entry = this.#entries + i * ENTRY_LENGTH;
      const control = this.#controls + i * CONTROL_LENGTH;
      arena.writeAddress(entry + PIECES_AT, this.#pieces + i * PIECE_LENGTH);
      arena.view.setUint32(entry + PIECES_AT + 8, 1, true);
      arena.writeAddress(entry + CONTROL_AT, control);
      arena.view.setUint32(control, SEGMENT_CONTROL_LENGTH, true);
      arena.view.setInt32(control + 8, LINUX.SOL_UDP, true);
      arena.view.setInt32(control + 12, LINUX.UDP_SEGMENT, true);
    }
  }

  // Before a call.

  /** Message `index` is, or has room for, `length` bytes at `offset`. */
  set(index: number, offset: number, length: number): void {
    const piece = this.#pieces + index * PIECE_LENGTH;
    this.#arena.writeAddress(piece, offset);
    this.#arena.view.setUint32(piece + 8, length, true);
  }

  /** Message `index` is cut into datagrams of `size` bytes by the kernel; 0: it is one. */
  setSegmentSize(index: number, size: number): void {
    const { view } = this.#arena;
    view.setUint32(this.#entries + index * ENTRY_LENGTH + CONTROL_LENGTH_AT, size === 0 ? 0 : CONTROL_LENGTH, true);
    view.setUint16(this.#controls + index * CONTROL_LENGTH + CONTROL_VALUE_AT, size, true);
  }

  /** Sends messages `from` to `to`. How many left; -1: the first did not, see errno. */
  send(fd: number, from: number, to: number): number {
    return this.#libc.sendmmsg(fd, this.#address.of(this.#entries + from * ENTRY_LENGTH), to - from, 0);
  }

  /** Fills up to `most` messages with what has arrived. How many; -1: see errno. */
  receive(fd: number, most: number): number {
    const { view } = this.#arena;
    // The last call wrote how much it used.
    for (let i = 0; i < this.#used; i++) view.setUint32(this.#entries + i * ENTRY_LENGTH + CONTROL_LENGTH_AT, CONTROL_LENGTH, true);
    const received = this.#libc.recvmmsg(fd, this.#address.of(this.#entries), most, LINUX.MSG_DONTWAIT, 0);
    this.#used = Math.max(received, 0);
    return received;
  }

  // After a call of receive().

  length(index: number): number {
    return this.#arena.view.getUint32(this.#entries + index * ENTRY_LENGTH + MESSAGE_LENGTH_AT, true);
  }

  /** The length of each datagram in message `index`, but perhaps the last; 0: it is one. */
  segmentSize(index: number): number {
    const { view } = this.#arena;
    if (view.getUint32(this.#entries + index * ENTRY_LENGTH + CONTROL_LENGTH_AT, true) === 0) return 0;
    const control = this.#controls + index * CONTROL_LENGTH;
    return view.getInt32(control + 12, true) === LINUX.UDP_GRO ? view.getInt32(control + CONTROL_VALUE_AT, true) : 0;
  }
}

/** Whether this kernel has the two calls: an older one, or a sandbox, may not. */
export function hasMessageCalls(libc: Libc): boolean {
  const isThere = (result: number) => result >= 0 || libc.errno() !== ERRNO.ENOSYS;
  // There is no descriptor -1.
  return isThere(libc.sendmmsg(-1, 0, 0, 0)) && isThere(libc.recvmmsg(-1, 0, 0, 0, 0));
}
