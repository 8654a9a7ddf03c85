/** What all parts of the engine's worker share: system calls, memory, and the ways to main. */
import type { MessagePort } from 'node:worker_threads';
import type { Millis } from '../../core/tunnel/packet.ts';
import { Arena, KeptAddresses } from '../ffi/arena.ts';
import { type Libc, libc } from '../ffi/libc.ts';
import { hasMessageCalls } from '../ffi/message-table.ts';
import { OpenSsl } from '../ffi/openssl.ts';
import { VIRTIO_HEADER_LENGTH } from '../ffi/tun.ts';
import { type CipherMaker, MAX_PREFIX_LENGTH } from './carried-traffic.ts';
import { CbcLanes } from './cbc-lanes.ts';
import { DatagramBurst } from './datagram-burst.ts';
import { DatagramSlots } from './datagram-slots.ts';
import { FeatureSet } from './features.ts';
import { makeRecordCipher } from './make-record-cipher.ts';
import type { EngineCrypto, WorkerMessage, WorkerOptions } from './messages.ts';
import { PacketKernels } from './packet-kernels.ts';
import { MAX_TRAILER_LENGTH } from './record-form.ts';
import { DATAGRAM_RESERVE, MAX_PACKET_LENGTH, monotonicMillis, SharedMemory, WORD } from './shared-memory.ts';

/** What is there at a time: the slots of datagrams (2.1 MiB), a burst on its way out, what comes from the device, plaintext of TLS, and tables. Only what is used costs memory. */
const ARENA_SIZE = 4 * 1024 * 1024;

/** Packets for the device that one burst lists at most. */
export const MAX_DEVICE_BURST = 1024;

const POINTER_PAIRS_LENGTH = 32;

/** In front of a packet: what becomes a record around it, up to alignment. */
const PACKET_ROOM_BEFORE = Math.ceil(MAX_PREFIX_LENGTH / 64) * 64;

/** A packet with what may stand around it. */
const MAX_RECORD_LENGTH = PACKET_ROOM_BEFORE + MAX_PACKET_LENGTH + MAX_TRAILER_LENGTH;

export class WorkerContext {
  readonly libc: Libc;
  readonly memory: SharedMemory;
  readonly arena: Arena;
  readonly crypto: EngineCrypto;
  readonly makeCipher: CipherMaker;
  readonly features: FeatureSet;
  readonly kernels: PacketKernels;
  /** Offset of what was read from the device, or is sent by itself; with room for a record around it. */
  readonly outgoing: number;
  /** Records on their way out. */
  readonly burst: DatagramBurst;
  /** Datagrams on their way in. */
  readonly slots: DatagramSlots;
  /** Offset of a virtio header that says nothing. */
  readonly zeroHeader: number;
  /** Offset of two struct iovec. */
  readonly singlePieces: number;
  readonly pieceAddresses: KeptAddresses;
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
    this.features = new FeatureSet(options.without);
    if (!hasMessageCalls(this.libc)) this.features.turnOff('bursts', 'this kernel has no recvmmsg and sendmmsg');
    this.features.turnOn('bursts');
    this.features.turnOn('ack-thinning');
    this.kernels = new PacketKernels(this.arena, MAX_DEVICE_BURST);
    this.outgoing = this.arena.allocate(MAX_RECORD_LENGTH) + PACKET_ROOM_BEFORE;
    const lanes = new CbcLanes(this.arena, this.kernels);
    this.burst = new DatagramBurst(this.libc, this.arena, MAX_RECORD_LENGTH, lanes);
    this.slots = new DatagramSlots(this.libc, this.arena, this.features.allows('bursts'));
    this.zeroHeader = this.arena.allocate(VIRTIO_HEADER_LENGTH);
    this.singlePieces = this.arena.allocate(POINTER_PAIRS_LENGTH);
    this.pieceAddresses = new KeptAddresses(this.arena);
    const openssl = options.portableCrypto ? undefined : OpenSsl.bind(this.arena, this.features.allows('multi-block'));
    this.crypto = openssl === undefined ? 'node' : 'openssl';
    this.makeCipher = (layout, direction, key) => {
      const cipher = makeRecordCipher(openssl, this.arena, layout, direction, key, lanes);
      if (layout.kind !== 'dtls-aead') noteMultiBlock(this.features, openssl);
      return cipher;
    };
  }

  /** The system's monotonic clock as of the current pass: read when it is first asked for, which is after the first packet has left. */
  get now(): Millis {
    this.#now ??= performance.now() + this.#clockOffset;
    return this.#now;
  }

  /** A new pass of the loop begins: time has passed. */
  beginPass(): void {
    this.#now = undefined;
    this.slots.leavesSome = false;
    this.slots.hasRuns = false;
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

  /** {@link flush} wakes main, for something that is not in the ring to it. */
  notify(): void {
    this.#hasNews = true;
  }

  /** The process ends: nobody is waited for. */
  get isAbandoned(): boolean {
    return Atomics.load(this.memory.words, WORD.abandoned) === 1;
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
}

function noteMultiBlock(features: FeatureSet, openssl: OpenSsl | undefined): void {
  if (openssl?.cbcMac?.many !== undefined) features.turnOn('multi-block');
  else features.turnOff('multi-block', "this processor has no AES instructions, or Node's OpenSSL no such functions");
}
