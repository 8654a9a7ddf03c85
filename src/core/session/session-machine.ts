/**
 * The session machine: from the first question of a log-in to the last line of the disconnect script. Inputs and time come in, effects go out;
 * the client performs them and reports back. It holds no tunnel, script or device.
 *
 *  idle ─start─► authenticating ─authenticated─► opening ─tunnel-up─► bringing-up ─brought-up─► up ◄──────────┐
 *                     │                             │                     │                      │ lost, renew │ tunnel-up
 *                     │                             │                     │                      ▼             │
 *                     └────────── failed ───────────┴────── stop ─────────┴──────────────► reconnecting ───────┘
 *                                   ▼                                                             │ refused, given up, stop
 *                                closing ◄────────────────────────────────────────────────────────┘
 *                                   ▼ torn-down
 *                                closed
 *
 * Read first: spec "AnyConnect", section 10 "Reconnect, roaming, shutdown"; spec "Client command line", section 8 "Signals".
 */
import { PeerRefusedError, type SallyportError } from '../errors.ts';
import type { CloseReason } from '../tunnel/machine.ts';
import type { Millis } from '../tunnel/packet.ts';
import { Reconnect, type ReconnectVerdict } from './reconnect.ts';

export type SessionState =
  | { readonly name: 'idle' }
  | { readonly name: 'authenticating' }
  /** `isSecond`: the first tunnel has found out how it is to be opened. */
  | { readonly name: 'opening'; readonly isSecond?: true }
  /** `lost`: the tunnel ended meanwhile, and why. */
  | { readonly name: 'bringing-up'; readonly lost?: CloseReason }
  | { readonly name: 'up' }
  /** `isOpening`: a tunnel is being opened; otherwise its script runs or the next try is waited for. */
  | { readonly name: 'reconnecting'; readonly isOpening: boolean }
  | { readonly name: 'closing'; readonly outcome: Outcome }
  | { readonly name: 'closed'; readonly outcome: Outcome };

/** How a session ended. `error`: what went wrong, where something did. */
export interface Outcome {
  readonly kind: 'logged-off' | 'detached' | 'refused' | 'ended-by-peer' | 'failed';
  /** For people. */
  readonly message: string;
  readonly error?: SallyportError;
}

export type SessionInput =
  | { readonly type: 'start'; readonly hasCredential: boolean }
  | { readonly type: 'authenticated' }
  /** An effect failed: `log-in`, `open` or `bring-up`. */
  | { readonly type: 'failed'; readonly error: SallyportError }
  /** The tunnel carries packets. */
  | { readonly type: 'tunnel-up' }
  /** The tunnel is over, or the gateway's configuration cannot be used: see {@link CloseReason}. */
  | { readonly type: 'tunnel-closed'; readonly reason: CloseReason }
  /** The effect `bring-up` is done. */
  | { readonly type: 'brought-up' }
  /** The effect `prepare-reconnect` is done. */
  | { readonly type: 'prepared' }
  | { readonly type: 'device-failed'; readonly error: SallyportError }
  | { readonly type: 'stop'; readonly how: 'log-off' | 'detach' }
  /** A person asks for a new connection. */
  | { readonly type: 'reconnect' }
  | { readonly type: 'network'; readonly is: 'lost' | 'back' | 'woken-up' }
  /** The effect `tear-down` is done. */
  | { readonly type: 'torn-down' };

export type SessionEffect =
  | { readonly type: 'log-in' }
  /** Open a tunnel with the credential. */
  | { readonly type: 'open' }
  /** First time up: script `pre-init`, device, script `connect`. */
  | { readonly type: 'bring-up' }
  /** Script `attempt-reconnect`. */
  | { readonly type: 'prepare-reconnect' }
  /** Script `reconnect`: the device has its tunnel back. */
  | { readonly type: 'resume' }
  /** Close the tunnel, to reconnect: `tunnel-closed` is to follow. */
  | { readonly type: 'drop-tunnel'; readonly reason: CloseReason }
  /** The next try is `wait` away; `left`: of the time for trying. For people. */
  | { readonly type: 'waiting'; readonly wait: Millis; readonly left: Millis }
  /** Cancel what runs, close the tunnel for this reason if it is open, run script `disconnect`, close the device. */
  | { readonly type: 'tear-down'; readonly reason: CloseReason }
  | { readonly type: 'closed'; readonly outcome: Outcome };

export interface SessionOptions {
  /** How long to go on reconnecting; 0: give up after the first failure. */
  readonly reconnectBudget: Millis;
}

const DROP_TUNNEL: SessionEffect = { type: 'drop-tunnel', reason: { kind: 'renew', message: 'A new connection was asked for.' } };

export class SessionMachine {
  readonly #reconnect: Reconnect;
  #state: SessionState = { name: 'idle' };
  /** Why the last try to reconnect failed. */
  #lastFailure: Outcome = { kind: 'failed', message: 'The connection was lost.' };

  constructor(options: SessionOptions) {
    this.#reconnect = new Reconnect(options.reconnectBudget);
  }

  get state(): SessionState {
    return this.#state;
  }

  nextTimeout(): Millis | undefined {
    return this.#state.name === 'reconnecting' ? this.#reconnect.nextTimeout() : undefined;
  }

  handleTimeout(now: Millis): SessionEffect[] {
    if (this.#state.name !== 'reconnecting' || this.#reconnect.handleTimeout(now) === 'none') return [];
    return [{ type: 'prepare-reconnect' }];
  }

  /** What to do now. Inputs that make no sense in this state (an effect that ends after `stop`) are ignored. */
  handle(input: SessionInput, now: Millis): SessionEffect[] {
    const state = this.#state.name;
    switch (input.type) {
      case 'start':
        if (state !== 'idle') return [];
        this.#state = { name: input.hasCredential ? 'opening' : 'authenticating' };
        return [{ type: input.hasCredential ? 'open' : 'log-in' }];
      case 'authenticated':
        if (state !== 'authenticating') return [];
        this.#state = { name: 'opening' };
        return [{ type: 'open' }];
      case 'failed':
        return this.#failed(input.error, now);
      case 'tunnel-up':
        return this.#tunnelUp(now);
      case 'tunnel-closed':
        return this.#tunnelClosed(input.reason, now);
      case 'brought-up':
        return this.#broughtUp(now);
      case 'prepared':
        // Not twice for one try, and not after it was given up.
        if (this.#state.name !== 'reconnecting' || this.#state.isOpening || !this.#reconnect.isTrying) return [];
        this.#state = { name: 'reconnecting', isOpening: true };
        return [{ type: 'open' }];
      case 'device-failed':
        return this.#end({ kind: 'failed', message: input.error.message, error: input.error }, 'log-off');
      case 'stop':
        return this.#stop(input.how);
      case 'reconnect':
        return this.#reconnectNow(now);
      case 'network':
        return this.#network(input.is, now);
      case 'torn-down':
        if (this.#state.name !== 'closing') return [];
        this.#state = { name: 'closed', outcome: this.#state.outcome };
        return [{ type: 'closed', outcome: this.#state.outcome }];
      default:
        return input satisfies never;
    }
  }

  #failed(error: SallyportError, now: Millis): SessionEffect[] {
    const outcome: Outcome = { kind: 'failed', message: error.message, error };
    // Some gateways say that a cookie is no longer good before there is a tunnel that could be refused.
    const isRefused = error instanceof PeerRefusedError;
    switch (this.#state.name) {
      case 'authenticating':
      case 'bringing-up':
        return this.#end(outcome, 'log-off');
      case 'opening':
        return this.#end(isRefused ? { ...outcome, kind: 'refused' } : outcome, 'log-off');
      case 'reconnecting':
        return isRefused ? this.#end({ ...outcome, kind: 'refused' }, 'log-off') : this.#tryAgain(outcome, now);
      default:
        return []; // of no effect that still runs
    }
  }

  #tunnelUp(now: Millis): SessionEffect[] {
    switch (this.#state.name) {
      case 'opening':
        this.#state = { name: 'bringing-up' };
        return [{ type: 'bring-up' }];
      case 'reconnecting':
        if (!this.#state.isOpening) return [];
        this.#reconnect.succeeded(now);
        this.#state = { name: 'up' };
        return [{ type: 'resume' }];
      default:
        return []; // packets have moved to the other path
    }
  }

  #broughtUp(now: Millis): SessionEffect[] {
    if (this.#state.name !== 'bringing-up') return [];
    const { lost } = this.#state;
    this.#state = { name: 'up' };
    return lost === undefined ? [] : this.#tunnelClosed(lost, now);
  }

  #tunnelClosed(reason: CloseReason, now: Millis): SessionEffect[] {
    switch (this.#state.name) {
      case 'opening':
        if (reason.kind !== 'renew' || this.#state.isSecond === true) return this.#end(outcomeOf(reason), 'log-off');
        this.#state = { name: 'opening', isSecond: true };
        return [{ type: 'open' }];
      case 'bringing-up':
        this.#state = { name: 'bringing-up', lost: this.#state.lost ?? reason }; // not in the middle of a script
        return [];
      case 'up':
        if (!isWorthAnother(reason)) return this.#end(outcomeOf(reason), 'log-off');
        this.#lastFailure = outcomeOf(reason);
        this.#state = { name: 'reconnecting', isOpening: false };
        return this.#waitOrTry(this.#reconnect.lost(now), now);
      case 'reconnecting':
        if (!this.#state.isOpening) return []; // of the tunnel before
        return isWorthAnother(reason) ? this.#tryAgain(outcomeOf(reason), now) : this.#end(outcomeOf(reason), 'log-off');
      default:
        return [];
    }
  }

  /** A try to reconnect did not work. */
  #tryAgain(outcome: Outcome, now: Millis): SessionEffect[] {
    if (!this.#reconnect.isTrying) return [];
    this.#state = { name: 'reconnecting', isOpening: false };
    this.#lastFailure = outcome;
    return this.#waitOrTry(this.#reconnect.failed(now), now);
  }

  #waitOrTry(verdict: ReconnectVerdict, now: Millis): SessionEffect[] {
    switch (verdict.type) {
      case 'give-up':
        return this.#end(this.#lastFailure, 'log-off');
      case 'paused':
        return [];
      case 'wait':
        return verdict.wait > 0 ? [{ type: 'waiting', wait: verdict.wait, left: verdict.left }] : this.handleTimeout(now);
    }
  }

  #reconnectNow(now: Millis): SessionEffect[] {
    const state = this.#state;
    switch (state.name) {
      case 'bringing-up':
        return state.lost === undefined ? [DROP_TUNNEL] : []; // a new connection comes anyway
      case 'up':
        return [DROP_TUNNEL];
      case 'reconnecting':
        this.#reconnect.wokeUp(now);
        return this.handleTimeout(now);
      default:
        return []; // there is no connection yet, or no longer
    }
  }

  #network(is: 'lost' | 'back' | 'woken-up', now: Millis): SessionEffect[] {
    if (is === 'lost') this.#reconnect.networkLost(now);
    else if (is === 'back') this.#reconnect.networkBack(now);
    else this.#reconnect.wokeUp(now);
    return this.handleTimeout(now);
  }

  #stop(how: 'log-off' | 'detach'): SessionEffect[] {
    const outcome: Outcome =
      how === 'log-off'
        ? { kind: 'logged-off', message: 'The session was logged off.' }
        : { kind: 'detached', message: 'The session was left; its cookie stays valid.' };
    return this.#end(outcome, how);
  }

  #end(outcome: Outcome, how: 'log-off' | 'detach'): SessionEffect[] {
    if (this.#state.name === 'closing' || this.#state.name === 'closed') return [];
    this.#state = { name: 'closing', outcome };
    return [{ type: 'tear-down', reason: { kind: how, message: outcome.message } }];
  }
}

/** What the gateway ended for good is not tried again. */
function isWorthAnother(reason: CloseReason): boolean {
  return reason.kind === 'path-lost' || reason.kind === 'renew';
}

function outcomeOf(reason: CloseReason): Outcome {
  const { kind, message, error } = reason;
  const outcome = { message, ...(error !== undefined && { error }) };
  if (kind === 'refused' || kind === 'ended-by-peer') return { kind, ...outcome };
  return { kind: 'failed', ...outcome };
}
