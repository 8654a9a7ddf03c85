/**
 * When to try the datagram path, and which path carries data: use the datagram once it is proven, fall back to the stream at once,
 * try again on a schedule.
 *
 * Read first: spec "AnyConnect", section 7.9 "Client DTLS state machine".
 *
 *   resting ──(retry time)──► trying ──proven──► proven
 *      ▲                        │                  │ lost: try again at once
 *      └── failed or too long ──┘ ◄────────────────┘
 *
 *   disabled: final
 */
import type { Millis } from './packet.ts';

/** From the end of one attempt to the start of the next (spec 7.9). */
export const RETRY_PERIOD: Millis = 60_000;

/** How long one attempt may take (spec 7.9; observed: openconnect 9.01 gives up after exactly 12 s). */
export const ATTEMPT_LIMIT: Millis = 12_000;

export type DataPathState =
  | { readonly name: 'disabled' }
  | { readonly name: 'resting'; readonly until: Millis }
  | { readonly name: 'trying'; readonly since: Millis }
  /** `since`: when the attempt began. */
  | { readonly name: 'proven'; readonly since: Millis };

export type DataPathAction = 'none' | 'try' | 'give-up';

export class DataPath {
  #state: DataPathState = { name: 'disabled' };

  get state(): DataPathState {
    return this.#state;
  }

  /** The gateway offers a datagram path: the next timeout says to try it. */
  offered(now: Millis): void {
    this.#state = { name: 'resting', until: now };
  }

  /** Never try it (again). */
  disable(): void {
    this.#state = { name: 'disabled' };
  }

  /** The attempt that is under way has succeeded. */
  proven(): void {
    if (this.#state.name === 'trying') this.#state = { name: 'proven', since: this.#state.since };
  }

  /**
   * The attempt failed, or the path that was proven is dead. A path that worked is tried again at once; one that broke right after its proof not
   * sooner than an attempt may take, or a peer that accepts and then hangs up would be asked without end.
   */
  lost(now: Millis): void {
    switch (this.#state.name) {
      case 'trying':
        this.#state = { name: 'resting', until: now + RETRY_PERIOD };
        break;
      case 'proven':
        this.#state = { name: 'resting', until: Math.max(now, this.#state.since + ATTEMPT_LIMIT) };
        break;
      case 'disabled':
      case 'resting':
        break;
    }
  }

  nextTimeout(): Millis | undefined {
    switch (this.#state.name) {
      case 'resting':
        return this.#state.until;
      case 'trying':
        return this.#state.since + ATTEMPT_LIMIT;
      case 'disabled':
      case 'proven':
        return undefined;
    }
  }

  /** 'try': open the path now; 'give-up': close what was tried, {@link lost} has been applied. */
  handleTimeout(now: Millis): DataPathAction {
    const due = this.nextTimeout();
    if (due === undefined || now < due) return 'none';
    if (this.#state.name === 'resting') {
      this.#state = { name: 'trying', since: now };
      return 'try';
    }
    this.lost(now);
    return 'give-up';
  }
}
