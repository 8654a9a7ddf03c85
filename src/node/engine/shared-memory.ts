/**
 * The memory that the main thread and the engine's worker share: a few words, the counters, the worker's descriptors and one ring each way.
 *
 * ### Waking without losing a wake-up
 *
 * Each side may sleep only after it has said so and then looked once more; the other side first makes its news visible and then looks whether it must
 * wake. All four steps are sequentially consistent atomics, so they have one order: either the sleeper's second look sees the news, or the
 * other's look sees the sleeper.
 *
 *   worker, about to sleep:  workerSleeps = 1 → look at toWorker.head and commands → epoll_wait() (eventfd is among what it watches)
 *   main, with news:         publish, or count the command → was workerSleeps 1? → write eventfd   (a counter: the write waits for one still to come)
 *
 *   worker, with news:       publish → was mainNotified 0? then 1 → postMessage
 *   main, on the message:    mainNotified = 0 → take all of toMain                                  (what comes later notifies again)
 *
 *   worker, about to sleep:  workerSleeps = 1 → is the device paused? is toMain full? roomWanted = 1 → look once more → sleep without the device
 *   main, resuming:          devicePaused = 0 → wake as above
 *   main, after taking:      release → was roomWanted 1? → wake as above
 */
import { MisuseError } from '../../core/errors.ts';
import { DATAGRAM_COUNTERS, type DatagramCounter } from '../datagram-path.ts';
import { PacketRing, ringSize } from './packet-ring.ts';

/** Paths at a time. A gateway has some thousands of clients, each with a TLS connection and a UDP flow, and for a moment an old one of each. */
export const MAX_PATHS = 32_768;

/** Largest IP packet and UDP datagram: both have a 16-bit length. */
export const MAX_PACKET_LENGTH = 65_535;

/** Each ring holds some 700 full-sized packets: about 5 ms at 1.6 Gbit/s. What does not fit waits in the kernel, or is dropped and counted. */
const RING_CAPACITY = 1 << 20;

/** Of a ring, kept from the device's packets for datagrams, so that keepalives pass however busy the device is. */
export const DATAGRAM_RESERVE: number = 128 * 1024;

/** Places of {@link SharedMemory.words}. */
export const WORD = {
  /** 1: the worker is, or soon will be, in epoll_wait(). */
  workerSleeps: 0,
  /** 1: a message that says "look into the ring" is on its way to main. */
  mainNotified: 1,
  /** Commands that main has posted so far. */
  commands: 2,
  /** 1: the worker left packets in the kernel because toMain is full. */
  roomWanted: 3,
  /** 1: packets of the device wait in the kernel because main said so. */
  devicePaused: 4,
  /** 1: the process is ending; the worker leaves its loop at once. */
  abandoned: 5,
  /** The eventfd that wakes the worker, plus one; 0: it has none yet. Main closes it when the thread has ended, and not before. */
  eventfd: 6,
  /** 1: the worker is done, or could not start: it calls no native code any more. */
  workerLeft: 7,
} as const;

/** What is counted of the device. */
export const DEVICE_COUNTERS = [
  /** Packets from the host, bytes of them. */
  'read',
  'readBytes',
  /** Packets to the host, bytes of them. */
  'written',
  'writtenBytes',
  /** The device did not take the packet: it is down, full, or the bytes are no IP packet. */
  'writeRefused',
  /** No room on the way from main to the worker. */
  'writeDropped',
  /** No room on the way from the worker to main, or, where many share the device, to the packet's path. */
  'readDropped',
  /** A super-packet that contradicts itself. */
  'readMalformed',
  /** Bare acknowledgements for the host that a newer one of the same pass made needless. */
  'thinned',
] as const;

export type DeviceCounter = (typeof DEVICE_COUNTERS)[number];

/** Index of each counter among its device's or path's. A path's times are {@link monotonicMillis} here. */
export const DEVICE: Readonly<Record<DeviceCounter, number>> = indexes(DEVICE_COUNTERS);
export const PATH: Readonly<Record<DatagramCounter, number>> = indexes(DATAGRAM_COUNTERS);

function indexes<Name extends string>(names: readonly Name[]): Record<Name, number> {
  return Object.fromEntries(names.map((name, i) => [name, i])) as Record<Name, number>;
}

/** Queues that a device has at most: see the feature `flow-queues`. */
export const MAX_DEVICE_QUEUES = 8;

/** Neighbours among {@link SharedMemory.descriptors}. */
interface Places {
  readonly first: number;
  readonly count: number;
}

/** Places of {@link SharedMemory.descriptors}: epoll's, the device's and those of its queues, the five of the warm-up, and one for each path. */
export const EPOLL_DESCRIPTOR = 0;
export const DEVICE_DESCRIPTORS: Places = { first: 1, count: 1 + MAX_DEVICE_QUEUES };
export const WARM_UP_DESCRIPTORS: Places = { first: DEVICE_DESCRIPTORS.first + DEVICE_DESCRIPTORS.count, count: 5 };
export const FIRST_PATH_DESCRIPTOR: number = WARM_UP_DESCRIPTORS.first + WARM_UP_DESCRIPTORS.count;

const WORDS_AT = 0;
const WORDS_LENGTH = 8;
const DESCRIPTORS_AT = WORDS_AT + WORDS_LENGTH * 4;
const DESCRIPTORS_LENGTH = FIRST_PATH_DESCRIPTOR + MAX_PATHS;
const DEVICE_COUNTERS_AT = nextLine(DESCRIPTORS_AT + DESCRIPTORS_LENGTH * 4);
const PATH_COUNTERS_AT = nextLine(DEVICE_COUNTERS_AT + DEVICE_COUNTERS.length * 8);
const PATH_COUNTERS_LENGTH = nextLine(DATAGRAM_COUNTERS.length * 8);
const TO_WORKER_AT = PATH_COUNTERS_AT + MAX_PATHS * PATH_COUNTERS_LENGTH;
const TO_MAIN_AT = TO_WORKER_AT + ringSize(RING_CAPACITY);
/** Most of it is of paths that never are: the system gives a page when it is first written to. */
const TOTAL = TO_MAIN_AT + ringSize(RING_CAPACITY);

export class SharedMemory {
  readonly buffer: SharedArrayBuffer;
  readonly words: Int32Array;
  /** Descriptors that the worker holds, each plus one (0: none), so that main can close them should the worker die without doing so. */
  readonly descriptors: Int32Array;
  /** Each counter is written by one thread only; a float counts exactly to 2^53 and is read and written whole. */
  readonly deviceCounters: Float64Array;
  readonly #pathCounters: (Float64Array | undefined)[] = [];
  readonly toWorker: PacketRing;
  readonly toMain: PacketRing;

  /** @param buffer of the other thread's SharedMemory; absent: new memory */
  constructor(buffer: SharedArrayBuffer = new SharedArrayBuffer(TOTAL)) {
    this.buffer = buffer;
    this.words = new Int32Array(buffer, WORDS_AT, WORDS_LENGTH);
    this.descriptors = new Int32Array(buffer, DESCRIPTORS_AT, DESCRIPTORS_LENGTH);
    this.deviceCounters = new Float64Array(buffer, DEVICE_COUNTERS_AT, DEVICE_COUNTERS.length);
    this.toWorker = new PacketRing(buffer, TO_WORKER_AT, RING_CAPACITY);
    this.toMain = new PacketRing(buffer, TO_MAIN_AT, RING_CAPACITY);
  }

  /** What is counted of a path. Throws {@link MisuseError} for a number that no path has. */
  pathCounters(id: number): Float64Array {
    if (id >= MAX_PATHS) throw new MisuseError(`path ${id}: the packet engine has ${MAX_PATHS}`);
    let counters = this.#pathCounters[id];
    if (counters === undefined) {
      counters = new Float64Array(this.buffer, PATH_COUNTERS_AT + id * PATH_COUNTERS_LENGTH, DATAGRAM_COUNTERS.length);
      this.#pathCounters[id] = counters;
    }
    return counters;
  }
}

/** The next cache line's offset. */
function nextLine(offset: number): number {
  return Math.ceil(offset / 64) * 64;
}

/** Adds to one counter. The counter belongs to the calling thread. */
export function count(counters: Float64Array, index: number, amount = 1): void {
  counters[index] = (counters[index] ?? 0) + amount;
}

/** The system's monotonic clock in milliseconds: the same in every thread, unlike performance.now(). */
export function monotonicMillis(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + nanoseconds / 1e6;
}

/** A time of {@link monotonicMillis} on this thread's performance.now(); 0, which stands for never, stays. */
export function localTime(at: number): number {
  return at === 0 ? 0 : at + performance.now() - monotonicMillis();
}
