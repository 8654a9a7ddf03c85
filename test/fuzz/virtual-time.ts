/**
 * Time that does not pass while anything happens: the timers and clocks that our code uses (`setTimeout`, `performance.now`, `Date.now`) are
 * replaced, and when sockets, files and programs have come to rest the next timer is due at once. So a limit of five minutes costs milliseconds, and
 * whoever waits without any limit is found: nothing moves, and no timer is left that ever would.
 *
 * Sockets are real. Client and gateway live in this process and share this time; a worker or another process keeps its own.
 */
import { type AsyncHook, createHook } from 'node:async_hooks';
import { setImmediate as turn } from 'node:timers/promises';
import type { Millis } from '../../src/core/tunnel/packet.ts';

/** For so long (of real time) nothing happens before time moves on. Loopback delivers within the call that sends. */
const QUIET: Millis = 0.8;

/** Turns of the event loop without an event that it takes besides: what is passed on in memory is no event, and one turn may be long. */
const QUIET_TURNS = 25;

/** For so long nothing happens, and no timer is left, before that counts as waiting for ever. */
const STUCK: Millis = 400;

/** Beyond this Node takes a delay for one millisecond. */
const MAX_DELAY: Millis = 2 ** 31 - 1;

/** What is under way without a socket: files, names, programs. */
const BUSY = /^(?:FSReq|GetAddrInfo|ProcessWrap)/;

/** Jobs of node:crypto, which Node does not count among what is under way. */
const CRYPTO_JOB = /^[A-Z0-9]+REQUEST$/;

interface Timer {
  readonly due: Millis;
  readonly fire: () => void;
}

/** Whoever lets time pass. */
export interface Waiting {
  /** Resolves after so much time; at once when the signal fires. */
  sleep(ms: Millis, signal: AbortSignal): Promise<void>;
}

/** For so long (of real time) one run may go on without coming to rest or to its end. */
const BUSY_LIMIT: Millis = 30_000;

/** Nothing moves any more, or everything does for ever, and it is not over. */
export class StuckError extends Error {}

/** What Node gives for a timer, as far as anyone here uses it. */
class VirtualTimeout {
  ref(): this {
    return this;
  }
  unref(): this {
    return this;
  }
}

export class VirtualTime implements Disposable, Waiting {
  /** What is wrong with the use of timers. */
  readonly problems: string[] = [];
  readonly #timers = new Map<unknown, Timer>();
  readonly #real = { setTimeout: globalThis.setTimeout, clearTimeout: globalThis.clearTimeout, dateNow: Date.now };
  readonly #realNow = performance.now.bind(performance);
  readonly #epoch = Date.now();
  readonly #jobs = new Set<number>();
  readonly #hook: AsyncHook;
  #now: Millis = 0;

  constructor() {
    const set = (callback: (...args: unknown[]) => void, delay: Millis = 0, ...args: unknown[]) => this.#set(callback, delay, args);
    const clear = (timer: unknown) => void this.#timers.delete(timer);
    Object.assign(globalThis, { setTimeout: set, clearTimeout: clear });
    Object.assign(performance, { now: () => this.#now });
    Date.now = () => this.#epoch + this.#now;
    const over = (id: number) => void this.#jobs.delete(id);
    const begun = (id: number, type: string) => void (CRYPTO_JOB.test(type) && this.#jobs.add(id));
    const hooks = { init: begun, after: over, destroy: over, trackPromises: false };
    this.#hook = createHook(hooks).enable();
  }

  [Symbol.dispose](): void {
    const { setTimeout, clearTimeout, dateNow } = this.#real;
    Object.assign(globalThis, { setTimeout, clearTimeout });
    Object.assign(performance, { now: this.#realNow });
    Date.now = dateNow;
    this.#hook.disable();
  }

  get now(): Millis {
    return this.#now;
  }

  /** Timers that are set. */
  get pending(): number {
    return this.#timers.size;
  }

  /** Time that really passed, from an arbitrary start. */
  realNow(): Millis {
    return this.#realNow();
  }

  sleep(ms: Millis, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, ms);
    const wake = () => resolve();
    signal.addEventListener('abort', wake, { once: true });
    return promise.finally(() => {
      clearTimeout(timer);
      signal.removeEventListener('abort', wake);
    });
  }

  /** Lets time pass until `work` has settled. Rejects as it does, or with {@link StuckError}. */
  async run<T>(work: Promise<T>): Promise<T> {
    let isOver = false;
    const over = () => {
      isOver = true;
    };
    work.then(over, over);
    let events = countEvents();
    let restingSince = this.#realNow();
    let turns = 0;
    const deadline = restingSince + BUSY_LIMIT;
    while (!isOver) {
      await turn();
      const seen = countEvents();
      const now = this.#realNow();
      if (seen === events) turns++;
      else [restingSince, turns] = [now, 0];
      if (now > deadline)
        throw new StuckError(`it goes on and on: not over after ${BUSY_LIMIT} ms of real time, ${Math.round(this.#now)} of its own`);
      events = seen;
      if (now - restingSince < QUIET || turns < QUIET_TURNS) continue;
      if (this.#jobs.size > 0 || process.getActiveResourcesInfo().some((resource) => BUSY.test(resource))) continue;
      if (this.#moveOn()) [restingSince, turns] = [this.#realNow(), 0];
      else if (now - restingSince > STUCK) throw new StuckError('nothing happens any more, and no timer is set');
    }
    return work;
  }

  #set(callback: (...args: unknown[]) => void, delay: Millis, args: readonly unknown[]): VirtualTimeout {
    if (!(delay <= MAX_DELAY)) this.problems.push(`a timer of ${delay} ms, which Node would let fire at once`);
    const timer = new VirtualTimeout();
    const fire = () => callback(...args);
    this.#timers.set(timer, { due: this.#now + Math.max(1, delay > MAX_DELAY ? 1 : delay), fire });
    return timer;
  }

  /** Fires what is due next; false if nothing ever is. */
  #moveOn(): boolean {
    let next: readonly [unknown, Timer] | undefined;
    for (const entry of this.#timers) if (next === undefined || entry[1].due < next[1].due) next = entry;
    if (next === undefined) return false;
    const [timer, { due, fire }] = next;
    this.#timers.delete(timer);
    this.#now = Math.max(this.#now, due);
    fire();
    return true;
  }
}

/** Events that the system has handed to this process so far. */
function countEvents(): number {
  return performance.nodeTiming.uvMetricsInfo.events;
}
