/**
 * A moment's sleep after a busy pass, so that the next one finds many packets too.
 *
 * A peer that sends datagrams one by one wakes the worker for each, if the worker is quick: a download then costs a wake-up a packet. So a pass that
 * moved some packets and then finds nothing sleeps before it asks again; after one that mostly received, it sleeps without asking first. A packet on an
 * idle tunnel never waits for it; one after a burst waits at most that long.
 *
 * The sleep is as long as the pass was: then the others who share the processor have had as much of it. A fixed one fits one machine only: 50 to
 * 100 µs are best where a pass takes that long (guide "data plane", section 5), and four times as much where all takes four times as long. After a pass
 * that has left something, the least will do: that is a turn for who is to take what came. And at a gateway after one that took long runs of a peer like
 * this one, too: they had gathered already, and what answers them, the acknowledgements of an upload, would only wait.
 *
 * Few packets that follow a burst at once are of the same stream: the acknowledgements of an upload, each of which would wake the thread, write to the
 * device and bring the next piece of data. They sleep too, and so more of them come together, and the pieces grow.
 *
 * Short passes would stay short then. At a client, whose peer then sends datagrams one by one, those that move few are followed by a sleep of four times
 * their length, in which the peer goes on with what it has. A stack in main has a thread woken for each of them, which writes to a socket, acknowledges and
 * wakes this thread, which wakes the peer: so there what came is followed by the longest sleep. And where many sessions share the device each is a part of
 * what passes move, and the packets of none come close enough to fill one: as long as passes move few, the sleep is the longest. A session that is alone
 * fills its window while the thread sleeps, and then waits; so for one fewer packets are enough.
 */
import type { Millis } from '../../core/tunnel/packet.ts';
import type { Arena } from '../ffi/arena.ts';
import { KeptAddress } from '../ffi/arena.ts';
import { LINUX, type Libc } from '../ffi/libc.ts';

/** From this many packets on a pass counts as busy. */
const BUSY_PACKETS = 4;

/** Packets that pass so soon after a burst are more of it. */
const STREAM_GAP: Millis = 1;

/** Shorter is not worth a system call. */
const MIN_SLEEP: Millis = 0.05;

/** What a packet behind a burst may have to wait. */
const MAX_SLEEP: Millis = 0.4;

/** Two of the system's words: seconds, nanoseconds. */
const TIMESPEC_LENGTH = 16;

/** Whose packets a thread gathers: those of a client's device, of one session of a gateway or of several, of main; nobody's where the peer has gathered. */
export type Gathered = 'client' | 'one' | 'several' | 'main' | 'nobody';

/** What passes are to move on average: while they move fewer, the sleeps are longer. Those that wake main never move enough. */
const ENOUGH: Readonly<Record<Exclude<Gathered, 'main'>, number>> = { client: 32, one: 8, several: 16, nobody: 0 };

/** A client's sleep after passes that move few, by the length of the last one. */
const CLIENT_SHARE = 4;

/** The part that the newest pass has in the average. */
const AVERAGE_SHARE = 1 / 8;

/** The kernel may round a thread's sleeps up by this; its own idea is a thousand times as much as our sleep's. */
const TIMER_SLACK_NANOSECONDS = 1;

export class Moderation {
  readonly #libc: Libc;
  readonly #arena: Arena;
  readonly #timespec: number;
  readonly #address: KeptAddress;
  #isWanted: boolean;
  /** 0: the pass before was not busy. */
  #sleep: Millis = 0;
  #mostlyCame = false;
  /** Packets that passes moved, of those that moved some. */
  #average = 0;
  /** When a pass moved {@link BUSY_PACKETS} last. */
  #burstAt: Millis = Number.NEGATIVE_INFINITY;

  /** Of the calling thread. */
  constructor(libc: Libc, arena: Arena, isWanted: boolean) {
    this.#libc = libc;
    this.#timespec = arena.allocate(TIMESPEC_LENGTH);
    this.#address = new KeptAddress(arena);
    this.#arena = arena;
    this.#isWanted = isWanted && libc.prctl(LINUX.PR_SET_TIMERSLACK, TIMER_SLACK_NANOSECONDS, 0, 0, 0) === 0;
  }

  get isOn(): boolean {
    return this.#isWanted;
  }

  /** The pass before moved enough for the next one to be worth waiting for. */
  get isDue(): boolean {
    return this.#sleep > 0;
  }

  /** It is due, and most of what the pass moved had come: a look before the sleep would find the next few already, and so none would gather. */
  get comesFirst(): boolean {
    return this.#sleep > 0 && this.#mostlyCame;
  }

  /**
   * A pass that took so long sent and received so many packets, at this time.
   *
   * @param took 0: it is not known, not all was taken, or what came had been gathered by the peer
   */
  moved(sent: number, received: number, took: Millis, gathered: Gathered, now: Millis): void {
    const moved = sent + received;
    if (moved >= BUSY_PACKETS) this.#burstAt = now;
    const isBusy = moved > 0 && now - this.#burstAt < STREAM_GAP;
    this.#mostlyCame = received > sent;
    if (moved > 0) this.#average += (moved - this.#average) * AVERAGE_SHARE;
    this.#sleep = this.#isWanted && isBusy ? Math.min(Math.max(this.#sleepFor(took, gathered), MIN_SLEEP), MAX_SLEEP) : 0;
  }

  #sleepFor(took: Millis, gathered: Gathered): Millis {
    const areFew = gathered === 'main' ? this.#mostlyCame : this.#average < ENOUGH[gathered];
    if (!areFew) return took;
    return gathered === 'client' ? took * CLIENT_SHARE : MAX_SLEEP;
  }

  /** Sleeps, once. */
  sleep(): void {
    this.#arena.view.setUint32(this.#timespec + 8, this.#sleep * 1e6, true);
    this.#sleep = 0;
    this.#libc.nanosleep(this.#address.of(this.#timespec), 0);
  }
}

/**
 * @param wakesMain what comes wakes this process's main thread, which pays for each time and not for each packet
 * @param isShared by many sessions
 * @param isBrief a long rest gains nothing: see {@link DatagramSlots.wantsBriefRest}
 * @param areSeveral sessions with traffic
 */
export function gatheredFor(wakesMain: boolean | undefined, isShared: boolean, isBrief: boolean, areSeveral: boolean): Gathered {
  if (wakesMain === true) return 'main';
  if (isBrief) return 'nobody';
  if (!isShared) return 'client';
  return areSeveral ? 'several' : 'one';
}
