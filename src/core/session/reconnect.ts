/**
 * When to try again after a session's connection was lost, and when to give up.
 *
 * Read first: spec "AnyConnect", section 10.1. Every vendor's session uses it.
 *
 *   idle ── lost ──► reconnecting: try, wait 10 s, try, wait 20 s, … 100 s, try ── budget used ──► given-up
 *     ▲                │      ▲
 *     └── succeeded ───┤      │ network back: try at once
 *                      └► paused: no network, the budget stands still
 *
 * A session that is lost again as soon as it is back, time after time, waits before it tries, too: 10 s, 20 s, … 100 s.
 *
 * The budget is time since the loss, tries included; the last wait is cut to what is left of it. A try that is running is not interrupted:
 * whoever makes it bounds it.
 */
import { MisuseError } from '../errors.ts';
import type { Millis } from '../tunnel/packet.ts';

const WAIT_GROWTH: Millis = 10_000;
const MAX_WAIT: Millis = 100_000;

/** A session that is lost so soon after it was back was hardly there: some so in a row are chance, and each further one waits longer. */
const BRIEF_LIFE: Millis = 500;
const MAX_BRIEF_LIVES = 3;

/** What openconnect takes without `--reconnect-timeout`. */
export const DEFAULT_RECONNECT_BUDGET: Millis = 300_000;

type ReconnectState =
  | { readonly name: 'idle' }
  | { readonly name: 'given-up' }
  /** `wait`: the one after the next failure. */
  | { readonly name: 'reconnecting'; readonly isTrying: boolean; readonly tryAt: Millis; readonly wait: Millis; readonly deadline: Millis }
  | { readonly name: 'paused'; readonly isTrying: boolean; readonly left: Millis };

/** What a loss or a failed try leads to. `wait`: 0 if the next try is due at once. `left`: of the budget, before the wait. */
export type ReconnectVerdict =
  | { readonly type: 'wait'; readonly wait: Millis; readonly left: Millis }
  | { readonly type: 'paused' }
  | { readonly type: 'give-up' };

export class Reconnect {
  readonly #budget: Millis;
  #hasNetwork = true;
  /** When the session was back last. */
  #backAt: Millis = Number.NEGATIVE_INFINITY;
  /** In a row. */
  #briefLives = 0;
  #state: ReconnectState = { name: 'idle' };

  /** `budget`: how long to go on; 0: give up after the first failure. Default {@link DEFAULT_RECONNECT_BUDGET}. */
  constructor(budget: Millis = DEFAULT_RECONNECT_BUDGET) {
    this.#budget = budget;
  }

  get state(): ReconnectState['name'] {
    return this.#state.name;
  }

  /** Between a `try` of {@link handleTimeout} and what became of it. */
  get isTrying(): boolean {
    const state = this.#state;
    return (state.name === 'reconnecting' || state.name === 'paused') && state.isTrying;
  }

  /** The connection is gone: the first try is due at once, or after a wait if the session was back too briefly too often. */
  lost(now: Millis): ReconnectVerdict {
    const left = this.#budget;
    this.#briefLives = now - this.#backAt < BRIEF_LIFE ? this.#briefLives + 1 : 0;
    if (!this.#hasNetwork) {
      this.#state = { name: 'paused', isTrying: false, left };
      return { type: 'paused' };
    }
    const wait = Math.min(Math.max(this.#briefLives - MAX_BRIEF_LIVES, 0) * WAIT_GROWTH, MAX_WAIT);
    this.#state = { name: 'reconnecting', isTrying: false, tryAt: now + wait, wait: WAIT_GROWTH, deadline: now + left };
    return { type: 'wait', wait, left };
  }

  /** The try that {@link handleTimeout} asked for did not work. Throws {@link MisuseError} if there was none. */
  failed(now: Millis): ReconnectVerdict {
    const state = this.#state;
    if (state.name === 'idle' || state.name === 'given-up' || !state.isTrying) throw new MisuseError('no reconnection was being tried');
    if (state.name === 'paused') {
      this.#state = { ...state, isTrying: false };
      return { type: 'paused' };
    }
    const left = state.deadline - now;
    if (left <= 0) {
      this.#state = { name: 'given-up' };
      return { type: 'give-up' };
    }
    const wait = Math.min(state.wait, left);
    this.#state = { ...state, isTrying: false, tryAt: now + wait, wait: Math.min(state.wait + WAIT_GROWTH, MAX_WAIT) };
    return { type: 'wait', wait, left };
  }

  /** The session is back. */
  succeeded(now: Millis): void {
    this.#backAt = now;
    this.#state = { name: 'idle' };
  }

  /** The machine has lost its network: nothing is tried until {@link networkBack}. */
  networkLost(now: Millis): void {
    this.#hasNetwork = false;
    const state = this.#state;
    if (state.name === 'reconnecting') this.#state = { name: 'paused', isTrying: state.isTrying, left: state.deadline - now };
  }

  /** There is a network again: a try is due at once, and waits are short again. */
  networkBack(now: Millis): void {
    this.#hasNetwork = true;
    const state = this.#state;
    if (state.name === 'paused') this.#tryAtOnce(now, state.isTrying, now + state.left);
  }

  /** The machine woke up from sleep: what was tried before says nothing about now, so the budget is whole again. */
  wokeUp(now: Millis): void {
    const state = this.#state;
    if (state.name === 'reconnecting') this.#tryAtOnce(now, state.isTrying, now + this.#budget);
    else if (state.name === 'paused') this.#state = { ...state, left: this.#budget };
  }

  /** When {@link handleTimeout} wants to be called next; undefined: nothing to wait for. */
  nextTimeout(): Millis | undefined {
    const state = this.#state;
    return state.name === 'reconnecting' && !state.isTrying ? state.tryAt : undefined;
  }

  /** `try`: connect now, then say {@link succeeded} or {@link failed}. */
  handleTimeout(now: Millis): 'try' | 'none' {
    const state = this.#state;
    if (state.name !== 'reconnecting' || state.isTrying || now < state.tryAt) return 'none';
    this.#state = { ...state, isTrying: true };
    return 'try';
  }

  /** A try that is still running comes first; when it fails the next one follows without a wait. */
  #tryAtOnce(now: Millis, isTrying: boolean, deadline: Millis): void {
    this.#state = { name: 'reconnecting', isTrying, tryAt: now, wait: isTrying ? 0 : WAIT_GROWTH, deadline };
  }
}
