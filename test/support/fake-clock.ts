/**
 * Time for tests of machines that take it as an argument: it stands still until the test moves it, and jumps from one event to the next.
 *
 * @example
 * const clock = new FakeClock();
 * clock.attach({ nextTimeout: () => client.nextTimeout(), handleTimeout: (now) => client.handleTimeout(now, toServer) });
 * clock.runUntil(() => client.state.name === 'up', 60_000);
 */
import type { Millis } from '../../src/core/tunnel/packet.ts';

/** A machine with its sink bound: what the clock needs of it. */
export interface Timed {
  nextTimeout(): Millis | undefined;
  handleTimeout(now: Millis): void;
}

interface Action {
  readonly time: Millis;
  readonly run: () => void;
}

/** A machine that is due this often without time passing does not do what it is woken for. */
const MAX_EVENTS_AT_ONE_TIME = 100_000;

export class FakeClock {
  #now: Millis;
  /** The earliest first. */
  readonly #actions: Action[] = [];
  readonly #machines = new Set<Timed>();

  constructor(start: Millis = 0) {
    this.#now = start;
  }

  get now(): Millis {
    return this.#now;
  }

  /** Runs an action at a time; one that has passed means as soon as the clock runs. Equal times run in the order of the calls. */
  at(time: Millis, run: () => void): void {
    let i = this.#actions.length;
    while ((this.#actions[i - 1]?.time ?? -Infinity) > time) i--;
    this.#actions.splice(i, 0, { time, run });
  }

  /** Wakes a machine whenever it wants to be woken. */
  attach(machine: Timed): void {
    this.#machines.add(machine);
  }

  detach(machine: Timed): void {
    this.#machines.delete(machine);
  }

  /** When something happens next: an action or a machine's timeout. Undefined: never. */
  next(): Millis | undefined {
    const times = [...this.#machines].map((machine) => machine.nextTimeout());
    times.push(this.#actions[0]?.time);
    const known = times.filter((time) => time !== undefined);
    return known.length === 0 ? undefined : Math.max(this.#now, Math.min(...known));
  }

  /** Lets this much time pass, with all that happens in it. */
  advance(duration: Millis): void {
    const end = this.#now + duration;
    this.#run(end, () => false);
    this.#now = end;
  }

  /** Runs until the condition holds. Throws if it does not within `limit`, or if nothing is left to happen. */
  runUntil(condition: () => boolean, limit: Millis): void {
    if (this.#run(this.#now + limit, condition)) return;
    const next = this.next();
    throw new Error(
      `the condition did not hold within ${limit} ms; ${next === undefined ? 'nothing is left to happen' : `next event at ${next}`}`,
    );
  }

  /** Handles events up to a time, and tells whether the condition held before it was reached. */
  #run(end: Millis, condition: () => boolean): boolean {
    let eventsNow = 0;
    while (!condition()) {
      const next = this.next();
      if (next === undefined || next > end) return false;
      eventsNow = next === this.#now ? eventsNow + 1 : 0;
      if (eventsNow > MAX_EVENTS_AT_ONE_TIME) throw new Error(`time stands still at ${next}: something is due again and again`);
      this.#now = next;
      this.#handleOne();
    }
    return true;
  }

  /** The first action that is due, or the first machine. */
  #handleOne(): void {
    const action = this.#actions[0];
    if (action !== undefined && action.time <= this.#now) {
      this.#actions.shift();
      action.run();
      return;
    }
    for (const machine of this.#machines) {
      const timeout = machine.nextTimeout();
      if (timeout !== undefined && timeout <= this.#now) {
        machine.handleTimeout(this.#now);
        return;
      }
    }
  }
}
