/**
 * What epoll watches of the device: a descriptor, or one for each of its queues. Packets for which there is no way on wait in the kernel, which tells of
 * them only while it is asked to.
 */
import type { EventPoll } from '../ffi/event-poll.ts';
import { LINUX } from '../ffi/libc.ts';
import type { WorkerDevice } from './worker-device.ts';

/** Not what epoll watches: it is told anew, and has a look. */
const UNKNOWN = -1;

const GONE = LINUX.POLLERR | LINUX.POLLHUP;

export class DeviceWatch {
  readonly #events: EventPoll;
  readonly #firstToken: number;
  #device: WorkerDevice | undefined;
  #watched = 0;
  #ready = 0;
  #isGone = false;

  /** @param firstToken of the first queue; the others follow */
  constructor(events: EventPoll, firstToken: number) {
    this.#events = events;
    this.#firstToken = firstToken;
  }

  /** Watches this device, which may be read, and no other any more. */
  begin(device: WorkerDevice | undefined): void {
    this.end();
    this.#device = device;
    this.#watched = LINUX.POLLIN;
    for (let i = 0; device !== undefined && i < device.queues.length; i++) {
      const errno = this.#events.add(device.queues[i] ?? -1, this.#firstToken + i, LINUX.POLLIN);
      if (errno !== 0) device.fail(errno);
    }
  }

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

  /** Nothing was heard yet. */
  beginPass(): void {
    this.#ready = 0;
    this.#isGone = false;
  }

  /** By a token of the device's: what this queue has. */
  heard(token: number, events: number): void {
    this.#ready |= 1 << (token - this.#firstToken);
    this.#isGone ||= (events & GONE) !== 0;
  }

  /** Since {@link beginPass}: the queues that have something, the first one's bit the lowest. */
  get ready(): number {
    return this.#ready;
  }

  /** Since then: the device was said to be gone, by any of them. */
  get isGone(): boolean {
    return this.#isGone;
  }
}
