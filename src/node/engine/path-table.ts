/**
 * The worker's paths by number, thousands of them, and what epoll watches of each.
 *
 * A path that is idle costs nothing. One that was used ("attended") has a look taken at it before the thread sleeps: perhaps it waits for something else
 * now. One that waits for main, which no descriptor tells of, stays attended until it need not any more.
 */
import type { Cidr } from '../../core/wire/ip-address.ts';
import type { EventPoll } from '../ffi/event-poll.ts';
import type { WorkerDevice } from './worker-device.ts';
import type { WorkerEnd } from './worker-end.ts';

/** A client's. To look through more in each pass would cost more than is gained by it. */
const FEW_PATHS = 8;

/** A path that was used so often in a row has the traffic to itself. */
const USES_OF_ONE = 8;

/** A path's place. Who keeps one finds out that the path is closed, even if its number is another's by then. */
export class PathSlot {
  readonly id: number;
  readonly end: WorkerEnd;
  isOpen = true;
  /** What epoll watches; 0: nothing, and not the descriptor either. */
  watched = 0;
  isAttended = false;
  /** Packets of the device to these leave by it: see {@link PacketSwitch.setNetworks}. */
  networks: readonly Cidr[] = [];

  constructor(id: number, end: WorkerEnd) {
    this.id = id;
    this.end = end;
  }

  /** What packets of the device leave by. */
  get carrier(): WorkerEnd | undefined {
    return this.isOpen && this.end.isCarried ? this.end : undefined;
  }
}

export class PathTable {
  readonly #events: EventPoll;
  readonly #firstToken: number;
  readonly #slots: (PathSlot | undefined)[] = [];
  /** The first {@link #attendedCount} of them: an array that is made shorter and longer again would be allocated anew. */
  readonly #attended: (PathSlot | undefined)[] = [];
  #attendedCount = 0;
  #lastUsed: PathSlot | undefined;
  /** Of that one, in a row; no more than {@link USES_OF_ONE}. */
  #uses = USES_OF_ONE;

  /** @param firstToken of the path with number 0 among the tokens of `events`; the others follow */
  constructor(events: EventPoll, firstToken: number) {
    this.#events = events;
    this.#firstToken = firstToken;
  }

  get(id: number): PathSlot | undefined {
    return this.#slots[id];
  }

  /** Puts a path in its place, or takes it away and closes it. */
  set(id: number, end: WorkerEnd | undefined): void {
    const before = this.#slots[id];
    if (before !== undefined) {
      before.isOpen = false;
      if (before.watched !== 0) this.#events.remove(before.end.fd);
      before.end.close();
    }
    while (this.#slots.length < id) this.#slots.push(undefined); // no holes: they would make it slow
    const slot = end === undefined ? undefined : new PathSlot(id, end);
    this.#slots[id] = slot;
    if (slot !== undefined) this.attend(slot);
  }

  /** It is about to be used. */
  attend(slot: PathSlot): void {
    if (slot !== this.#lastUsed) this.#uses = 0;
    else if (this.#uses < USES_OF_ONE) this.#uses++;
    this.#lastUsed = slot;
    if (slot.isAttended) return;
    slot.isAttended = true;
    this.#attended[this.#attendedCount] = slot;
    this.#attendedCount++;
  }

  /** Several have been used in turns just now. */
  get areSeveral(): boolean {
    return this.#uses < USES_OF_ONE;
  }

  /** Before the thread sleeps. True if a path that waits for main need not any more. */
  settle(): boolean {
    let mayProceed = false;
    let kept = 0;
    for (let i = 0; i < this.#attendedCount; i++) {
      const slot = this.#attended[i];
      if (slot === undefined) continue;
      if (slot.isOpen) this.#watch(slot);
      if (slot.isOpen && slot.end.isWaiting) {
        mayProceed ||= slot.end.mayProceed;
        this.#attended[kept] = slot;
        kept++;
      } else {
        slot.isAttended = false;
      }
    }
    for (let i = kept; i < this.#attendedCount; i++) this.#attended[i] = undefined;
    this.#attendedCount = kept;
    return mayProceed;
  }

  /** After a burst of main's: paths send what they gathered, and go on where they waited for main. */
  proceed(device: WorkerDevice | undefined): void {
    for (let i = 0; i < this.#attendedCount; i++) {
      const slot = this.#attended[i];
      if (slot?.isOpen === true) slot.end.proceed(device);
    }
  }

  /** After a burst of the device's: what was sealed leaves. */
  flush(): void {
    for (let i = 0; i < this.#attendedCount; i++) {
      const slot = this.#attended[i];
      if (slot?.isOpen === true) slot.end.flush();
    }
  }

  /** A path is open that carries nothing yet; or there have been so many that one may be. */
  get hasIdlePath(): boolean {
    return this.#slots.length > FEW_PATHS || this.#slots.some((slot) => slot?.end.isCarried === false);
  }

  /** Closes all of them. */
  close(): void {
    for (const id of this.#slots.keys()) this.set(id, undefined);
  }

  #watch(slot: PathSlot): void {
    const { end, watched } = slot;
    const wanted = end.pollEvents;
    if (wanted === watched) return;
    const token = this.#firstToken + slot.id;
    slot.watched = wanted;
    // A peer that has left would end each sleep, though nobody wants to hear of it: what is not waited for is not watched at all.
    if (wanted === 0) this.#events.remove(end.fd);
    else if (watched === 0) this.#added(slot, this.#events.add(end.fd, token, wanted));
    else this.#events.change(end.fd, token, wanted);
  }

  #added(slot: PathSlot, errno: number): void {
    if (errno === 0) return;
    slot.watched = 0;
    slot.end.fail(errno);
  }
}
