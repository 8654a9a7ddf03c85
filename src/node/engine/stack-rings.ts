/**
 * The memory by which a userspace stack in main and the engine's worker exchange packets: a ring each way, beside those of shared-memory.ts, which carry
 * what must not wait for a path that is full.
 *
 *   entry:   virtio header (10) | packet      as a TUN with offloads has them: super-packets of TCP, and sums that are not finished
 *
 * Waking: what the stack pushes wakes the worker as any news of main's does, and what the worker pushes is announced by the message that announces
 * toMain. Main that found the first ring full sets {@link ROOM_WANTED} and looks once more; the worker that has read half of it looks at that word.
 */
import { PacketRing, ringSize } from './packet-ring.ts';
import { MAX_PACKET_LENGTH } from './shared-memory.ts';

/** Some 10 ms at 1.6 Gbit/s: more would be a queue that every packet waits in. */
const CAPACITY = 2 ** 21;

/** Largest entry: a packet with its header. */
export const MAX_ENTRY_LENGTH: number = MAX_PACKET_LENGTH + 10;

/** Place of {@link StackRings.words}. 1: main waits for room on the way to the worker. */
export const ROOM_WANTED = 0;

const WORDS_LENGTH = 64;

export class StackRings {
  readonly buffer: SharedArrayBuffer;
  readonly words: Int32Array;
  readonly toWorker: PacketRing;
  readonly toStack: PacketRing;

  /** @param buffer of the other thread's; absent: new memory */
  constructor(buffer: SharedArrayBuffer = new SharedArrayBuffer(WORDS_LENGTH + 2 * ringSize(CAPACITY))) {
    this.buffer = buffer;
    this.words = new Int32Array(buffer, 0, WORDS_LENGTH / 4);
    this.toWorker = new PacketRing(buffer, WORDS_LENGTH, CAPACITY);
    this.toStack = new PacketRing(buffer, WORDS_LENGTH + ringSize(CAPACITY), CAPACITY);
  }
}
