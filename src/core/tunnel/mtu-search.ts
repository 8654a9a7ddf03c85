/**
 * Finds the largest packet that a path carries, by probes that the peer echoes.
 *
 * Read first: spec "AnyConnect", section 8.4. Whoever owns the path writes the probes (AnyConnect: a DPD request of `size` + 1 bytes: the type,
 * the tag, zeros) and reads the echoes; all other packets are not this machine's business and go their way meanwhile.
 *
 *   sizes    0 … floor … proven … last … ceiling        proven: the largest that came back; ceiling: the largest worth a try
 *
 *   echo of the ceiling      done
 *   echo above `proven`      that is proven now; next the middle of proven and ceiling, unless a smaller probe is out: then below that one
 *   50 ms without an echo    next the middle of proven and the last size, rounded up
 *   refused by the stack     that size is above the ceiling; next the one below it
 *   one size 7 times, or 10 s in all: done with what is proven; with nothing proven the MTU stays
 */
import { minTunnelMtu } from './mtu.ts';
import type { Millis } from './packet.ts';

const ECHO_WAIT: Millis = 50;
const MAX_DURATION: Millis = 10_000;
const MAX_SENDS_OF_A_SIZE = 7;

/** A probe to send: `size` is the tunnel packet it stands for, in bytes; `tag` 32 bits that the peer must echo with it. */
export interface MtuProbe {
  readonly size: number;
  readonly tag: number;
}

export interface MtuSearchOptions {
  /** The MTU so far: never exceeded, and kept if nothing is found. */
  readonly agreed: number;
  /** Whether the tunnel carries IPv6: nothing below 1280 is looked for then, else nothing below 576. */
  readonly hasIpv6: boolean;
  /** The largest tunnel packet that the local stack can send, where the path MTU is known. */
  readonly sendable?: number;
  /** 32 random bits, so that an echo of another search is not taken for one of this. */
  readonly id: number;
}

export class MtuSearch {
  readonly #agreed: number;
  readonly #floor: number;
  readonly #id: number;
  readonly #deadline: Millis;
  #proven: number;
  #ceiling: number;
  /** What to send at `#sendAt`. */
  #next: number;
  #sendAt: Millis;
  #last: number;
  #sendsOfLast = 0;
  /** The last probe's echo has not come, and nothing else has changed the plan. */
  #isWaiting = false;
  #result: number | undefined;

  /** The first probe is due at once: call {@link handleTimeout}. */
  constructor(options: MtuSearchOptions, now: Millis) {
    this.#agreed = options.agreed;
    this.#floor = minTunnelMtu(options.hasIpv6);
    this.#id = options.id;
    this.#deadline = now + MAX_DURATION;
    this.#proven = this.#floor - 1; // nothing yet; so the search goes down to the floor itself
    this.#ceiling = Math.min(options.agreed, options.sendable ?? options.agreed);
    this.#next = this.#ceiling;
    this.#last = this.#ceiling;
    this.#sendAt = now;
    if (this.#ceiling <= this.#floor) this.#result = this.#agreed;
  }

  /** The tunnel MTU when the search is over: a size that came back, or the MTU so far. Undefined while it goes on. */
  get result(): number | undefined {
    return this.#result;
  }

  /** Some probe has come back. */
  get isProven(): boolean {
    return this.#proven >= this.#floor;
  }

  /** What a probe of this size is tagged with, so that its echo is known. */
  tagOf(size: number): number {
    return (this.#id + size) >>> 0;
  }

  /** When {@link handleTimeout} wants to be called next; undefined: the search is over. */
  nextTimeout(): Millis | undefined {
    return this.#result === undefined ? Math.min(this.#sendAt, this.#deadline) : undefined;
  }

  /** The probe to send now, if one is due. */
  handleTimeout(now: Millis): MtuProbe | undefined {
    if (this.#result !== undefined) return undefined;
    if (now >= this.#deadline) return this.#finish();
    if (now < this.#sendAt) return undefined;
    if (this.#isWaiting) this.#next = middle(this.#proven, this.#last);
    if (this.#next !== this.#last) this.#sendsOfLast = 0;
    if (this.#sendsOfLast === MAX_SENDS_OF_A_SIZE) return this.#finish();
    this.#last = this.#next;
    this.#sendsOfLast++;
    this.#isWaiting = true;
    this.#sendAt = now + ECHO_WAIT;
    return { size: this.#last, tag: this.tagOf(this.#last) };
  }

  /** An echo of `size` came with `tag`, at whatever time: late ones count. Those that answer no probe of ours are ignored. */
  echoed(size: number, tag: number, now: Millis): void {
    if (this.#result !== undefined || tag !== this.tagOf(size) || size <= this.#proven || size > this.#ceiling) return;
    this.#proven = size;
    if (size === this.#ceiling) this.#finish();
    else this.#plan(size >= this.#last ? middle(size, this.#ceiling) : middle(size, this.#last), now);
  }

  /** The local stack refused to send the probe of `size` (EMSGSIZE). */
  refused(size: number, now: Millis): void {
    if (this.#result !== undefined || size > this.#ceiling) return;
    this.#ceiling = size - 1;
    if (this.#ceiling < this.#proven) this.#proven = this.#floor - 1; // the path has shrunk: what came back no longer would
    if (this.#ceiling < this.#floor || this.#ceiling === this.#proven) this.#finish();
    else this.#plan(this.#ceiling, now);
  }

  #plan(size: number, now: Millis): void {
    this.#next = size;
    this.#sendAt = now;
    this.#isWaiting = false;
  }

  #finish(): undefined {
    this.#result = this.isProven ? this.#proven : this.#agreed;
  }
}

/** Rounded up, so that it is above `low` while `high` is. */
function middle(low: number, high: number): number {
  return Math.ceil((low + high) / 2);
}
