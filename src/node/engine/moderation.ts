/**
 * A moment's sleep after a busy pass, so that the next one finds many packets too.
 *
 * A peer that sends datagrams one by one wakes the worker for each, if the worker is quick: a download then costs a wake-up a packet. So a pass that
 * moved some packets and then finds nothing sleeps before it asks again. A packet on an idle tunnel never waits for it; one after a burst waits
 * at most that long. Longer sleeps cost uploads more than they bring (guide "data plane", section 5).
 */
import type { Arena } from '../ffi/arena.ts';
import { KeptAddress } from '../ffi/arena.ts';
import { LINUX, type Libc } from '../ffi/libc.ts';

/** From this many packets on a pass counts as busy. */
const BUSY_PACKETS = 4;

const SLEEP_NANOSECONDS = 50_000;

/** Two of the system's words: seconds, nanoseconds. */
const TIMESPEC_LENGTH = 16;

/** The kernel may round a thread's sleeps up by this; its own idea is a thousand times as much as our sleep's. */
const TIMER_SLACK_NANOSECONDS = 1;

export class Moderation {
  readonly #libc: Libc;
  readonly #timespec: number;
  readonly #address: KeptAddress;
  #isWanted: boolean;
  #wasBusy = false;

  /** Of the calling thread. */
  constructor(libc: Libc, arena: Arena, isWanted: boolean) {
    this.#libc = libc;
    this.#timespec = arena.allocate(TIMESPEC_LENGTH);
    this.#address = new KeptAddress(arena);
    arena.view.setUint32(this.#timespec + 8, SLEEP_NANOSECONDS, true);
    this.#isWanted = isWanted && libc.prctl(LINUX.PR_SET_TIMERSLACK, TIMER_SLACK_NANOSECONDS, 0, 0, 0) === 0;
  }

  get isOn(): boolean {
    return this.#isWanted;
  }

  /** The pass before moved enough for the next one to be worth waiting for. */
  get isDue(): boolean {
    return this.#wasBusy;
  }

  /** A pass moved so many packets. */
  moved(packets: number): void {
    this.#wasBusy = this.#isWanted && packets >= BUSY_PACKETS;
  }

  /** Sleeps, once. */
  sleep(): void {
    this.#wasBusy = false;
    this.#libc.nanosleep(this.#address.of(this.#timespec), 0);
  }
}
