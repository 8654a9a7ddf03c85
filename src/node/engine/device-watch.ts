/**
 * What epoll watches of the device: a descriptor, or one for each of its queues. Packets for which there is no way on wait in the kernel, which tells of
 * them only while it is asked to.
 */
import type { EventPoll } from '../ffi/event-poll.ts';
import { LINUX } from '../ffi/libc.ts';
import { MAX_DEVICE_QUEUES } from './shared-memory.ts';
import type { WorkerDevice } from './worker-device.ts';

/** Not what epoll watches: it is told anew, and has a look. */
const UNKNOWN = -1;

/** The first queue's bit. */
const FIRST_QUEUE = 1;

const GONE = LINUX.POLLERR | LINUX.POLLHUP;

export class DeviceWatch {
  readonly #events: EventPoll;
  readonly #firstToken: number;
  #device: WorkerDevice | undefined;
  #watched = 0;
  /** A bit for each queue that has something. */
  #ready = 0;
  /** Where the look for one begins. */
  #next = 0;
  #isGone = false;

  /** @param firstToken of the first queue; the others follow */
  constructor(events: EventPoll, firstToken: number) {
    this.#events = events;
    this.#firstToken = firstToken;
  }

  /** Watches this device, which may be read. */
  begin(device: WorkerDevice): void {
    this.#device = device;
    this.#watched = LINUX.POLLIN;
    for (const [i, fd] of device.queues.entries()) {
      const errno = this.#events.add(fd, this.#firstToken + i, LINUX.POLLIN);
      if (errno !== 0) device.fail(errno);
    }
  }

  /** Watches it no more. */
  end(): void {
    for (const fd of this.#device?.queues ?? []) this.#events.remove(fd);
    this.#device = undefined;
  }

  /** Before a sleep. */
  watch(mayRead: boolean): void {
    const wanted = mayRead ? LINUX.POLLIN : 0;
    const device = this.#device;
    if (device === undefined || device.hasFailed || wanted === this.#watched) return;
    this.#watched = wanted;
    for (let i = 0; i < device.queues.length; i++) this.#events.change(device.queues[i] ?? -1, this.#firstToken + i, wanted);
  }

  /** Nothing was told in a whole sleep. The kernel tells of a deleted device only those who wait for packets; others have to ask. */
  slept(): void {
    if (this.#watched === 0) this.#watched = UNKNOWN;
  }

  /** Nothing was heard yet. Who has no descriptor tells by itself. */
  beginPass(): void {
    this.#ready = this.#device?.hasPending === true ? FIRST_QUEUE : 0;
    this.#isGone = false;
  }

  /** By a token of the device's: what this queue has. */
  heard(token: number, events: number): void {
    this.#ready |= FIRST_QUEUE << (token - this.#firstToken);
    this.#isGone ||= (events & GONE) !== 0;
  }

  /** Something was heard since {@link beginPass} that was not taken. */
  get hasReady(): boolean {
    return this.#ready !== 0;
  }

  /** Of more than one queue. */
  get areSeveralReady(): boolean {
    return (this.#ready & (this.#ready - 1)) !== 0;
  }

  /** The next queue that has something, behind the one that was taken last, also in the pass before: none is always the first. -1: none. */
  takeReady(): number {
    if (this.#ready === 0) return -1;
    while (((this.#ready >> this.#next) & 1) === 0) this.#next = (this.#next + 1) % MAX_DEVICE_QUEUES;
    const queue = this.#next;
    this.#ready &= ~(FIRST_QUEUE << queue);
    this.#next = (queue + 1) % MAX_DEVICE_QUEUES;
    return queue;
  }

  /** Since {@link beginPass}: the device was said to be gone, by any of its queues. */
  get isGone(): boolean {
    return this.#isGone;
  }
}
