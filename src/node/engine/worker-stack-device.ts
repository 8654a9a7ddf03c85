/**
 * The worker's end of a userspace stack in main: what a TUN is to the kernel's, with rings instead of a descriptor.
 *
 * Read first: worker-device.ts, stack-rings.ts.
 */
import { ERRNO } from '../ffi/errno.ts';
import { VIRTIO_HEADER_LENGTH } from '../ffi/tun.ts';
import { JOIN_ENTRY } from './packet-kernels.ts';
import type { StackRings } from './stack-rings.ts';
import { MAX_ENTRY_LENGTH, ROOM_WANTED } from './stack-rings.ts';
import type { WorkerContext } from './worker-context.ts';
import { WorkerDevice } from './worker-device.ts';

/** Steps in which this thread waits for main to make room, and how many: main may be busy for a moment, and lost packets cost more than that. Milliseconds. */
const WAIT_STEP = 5;
const MAX_WAITS = 10;

/** All offloads: there is a header, and both ends are ours. */
const OFFLOADS = { hasHeader: true, hasUdp: true } as const;

export class WorkerStackDevice extends WorkerDevice {
  readonly #rings: StackRings;
  /** The address of the arena's start, as struct iovec has it: the low half says where a piece lies. */
  readonly #base: number;
  /** Main has made no room in all the time that it had: nobody waits again before it has made some. */
  #isStalled = false;

  constructor(context: WorkerContext, rings: StackRings, counters: Float64Array) {
    super(context, { writers: [], queues: [] }, 'of the stack', counters, OFFLOADS, 'stack');
    this.#rings = rings;
    this.#base = context.arena.address(0) % 2 ** 32;
  }

  override get wakesMain(): boolean {
    return true;
  }

  override get hasPending(): boolean {
    return !this.#rings.toWorker.isRead;
  }

  override read(): number {
    const { toWorker, words } = this.#rings;
    const { arena, outgoing } = this.context;
    const hasFound = toWorker.next();
    if (hasFound) {
      toWorker.data.copy(arena.bytes, outgoing - VIRTIO_HEADER_LENGTH, toWorker.start, toWorker.end);
      toWorker.release();
    }
    if (Atomics.load(words, ROOM_WANTED) === 1 && toWorker.isHalfRead && Atomics.exchange(words, ROOM_WANTED, 0) === 1)
      this.context.notify();
    return hasFound ? toWorker.end - toWorker.start - VIRTIO_HEADER_LENGTH : 0;
  }

  protected override writeOne(start: number, length: number): number {
    const at = this.#reserve(length);
    if (at < 0) return ERRNO.ENOBUFS;
    this.context.arena.bytes.copy(this.#rings.toStack.data, at, start, start + length);
    this.#commit(length);
    return 0;
  }

  protected override writePieces(first: number, count: number): number {
    const { view, bytes } = this.context.arena;
    const { data } = this.#rings.toStack;
    const start = this.#reserve(MAX_ENTRY_LENGTH);
    if (start < 0) return ERRNO.ENOBUFS;
    let at = start;
    for (let i = 0; i < count; i++) {
      const piece = first + i * JOIN_ENTRY.pieces;
      const offset = (view.getUint32(piece, true) - this.#base) >>> 0;
      const length = view.getUint32(piece + 8, true);
      bytes.copy(data, at, offset, offset + length);
      at += length;
    }
    this.#commit(at - start);
    return 0;
  }

  /** -1: main makes no room. */
  #reserve(length: number): number {
    const { toStack } = this.#rings;
    let at = toStack.reserve(length);
    const waits = this.#isStalled ? 0 : MAX_WAITS;
    for (let i = 0; at < 0 && i < waits && !this.context.isAbandoned; i++) {
      this.context.flush(); // it takes nothing that it was not shown
      toStack.waitForRoom(WAIT_STEP);
      at = toStack.reserve(length);
    }
    this.#isStalled = at < 0;
    return at;
  }

  #commit(length: number): void {
    const { toStack } = this.#rings;
    toStack.commit(0, length);
    toStack.publish();
    this.context.notify();
  }
}
