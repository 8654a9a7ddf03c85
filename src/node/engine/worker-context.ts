/** What all parts of the engine's worker share: system calls, memory, and the ways to main. */
import type { MessagePort } from 'node:worker_threads';
import type { Millis } from '../../core/tunnel/packet.ts';
import { Arena } from '../ffi/arena.ts';
import { type Libc, libc } from '../ffi/libc.ts';
import { OpenSsl, TAG_LENGTH } from '../ffi/openssl.ts';
import { type CipherMaker, MAX_PREFIX_LENGTH } from './carried-traffic.ts';
import type { EngineCrypto, WorkerMessage, WorkerOptions } from './messages.ts';
import { makeRecordCipher } from './record-cipher.ts';
import { DATAGRAM_RESERVE, MAX_PACKET_LENGTH, monotonicMillis, SharedMemory, WORD } from './shared-memory.ts';

/** Two packets, each with room around it, and the poll table: that is all there is at a time. */
const ARENA_SIZE = 256 * 1024;

/** In front of a packet: what becomes a record around it, up to alignment. */
const PACKET_ROOM_BEFORE = Math.ceil(MAX_PREFIX_LENGTH / 64) * 64;

export class WorkerContext {
  readonly libc: Libc;
  readonly memory: SharedMemory;
  readonly arena: Arena;
  readonly crypto: EngineCrypto;
  readonly makeCipher: CipherMaker;
  /** Offset of the one packet on its way out, with room for a record around it. */
  readonly outgoing: number;
  /** Offset of the one datagram on its way in. */
  readonly incoming: number;
  readonly #port: MessagePort;
  /** Something was delivered that main has not been shown. */
  #hasNews = false;
  /** What performance.now() of this thread lacks to the system's clock. */
  readonly #clockOffset: Millis = monotonicMillis() - performance.now();
  #now: Millis | undefined;

  constructor(port: MessagePort, options: WorkerOptions) {
    this.#port = port;
    this.libc = libc('The packet engine');
    this.memory = new SharedMemory(options.memory);
    this.arena = new Arena(ARENA_SIZE);
    this.outgoing = this.#allocatePacket();
    this.incoming = this.#allocatePacket();
    const openssl = options.portableCrypto ? undefined : OpenSsl.bind(this.arena);
    this.crypto = openssl === undefined ? 'node' : 'openssl';
    this.makeCipher = (cipher, direction, key) => makeRecordCipher(openssl, this.arena, cipher, direction, key);
  }

  /** The system's monotonic clock as of the current pass: read when it is first asked for, which is after the first packet has left. */
  get now(): Millis {
    this.#now ??= performance.now() + this.#clockOffset;
    return this.#now;
  }

  /** A new pass of the loop begins: time has passed. */
  beginPass(): void {
    this.#now = undefined;
  }

  /** Puts bytes of the arena into the ring to main; {@link flush} shows them. False if it is full: the caller counts. */
  deliver(tag: number, start: number, end: number, keepFree = 0): boolean {
    const fits = this.memory.toMain.push(tag, this.arena.bytes, start, end, keepFree);
    this.#hasNews ||= fits;
    return fits;
  }

  /** Whether the ring to main has room for any packet of the device; if not, main wakes the worker when it has. */
  hasRoomForDevice(): boolean {
    const { toMain, words } = this.memory;
    if (toMain.fits(MAX_PACKET_LENGTH, DATAGRAM_RESERVE)) return true;
    Atomics.store(words, WORD.roomWanted, 1);
    return toMain.fits(MAX_PACKET_LENGTH, DATAGRAM_RESERVE);
  }

  /** Shows main what was delivered, and wakes it unless a message is on its way already. */
  flush(): void {
    if (!this.#hasNews) return;
    this.#hasNews = false;
    this.memory.toMain.publish();
    if (Atomics.exchange(this.memory.words, WORD.mainNotified, 1) === 0) this.#port.postMessage(null);
  }

  /** Tells main something by message. What was delivered before is seen before it. */
  report(message: WorkerMessage): void {
    this.#hasNews = false;
    this.memory.toMain.publish();
    this.#port.postMessage(message);
  }

  #allocatePacket(): number {
    return this.arena.allocate(PACKET_ROOM_BEFORE + MAX_PACKET_LENGTH + TAG_LENGTH) + PACKET_ROOM_BEFORE;
  }
}
