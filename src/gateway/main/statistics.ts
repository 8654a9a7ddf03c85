/**
 * What the gateway has done, in numbers: since its start, and in the current period, which begins anew from time to time.
 *
 * Read first: spec "Gateway contract", section 4 (`show status`). Times are milliseconds since 1970; sessions count when they end.
 */
import type { Millis } from '../../core/tunnel/packet.ts';
import type { DisconnectReason } from '../processes/auth-service.ts';

/** Answer times that median and deviation are made of: the newest ones. */
const LATENCY_SAMPLES = 1024;

/** A session that is over. */
export interface EndedSession {
  readonly reason: DisconnectReason;
  readonly duration: Millis;
  /** Bytes as the gateway sees them: `received` from the client. */
  readonly received: number;
  readonly sent: number;
  /** Of its tunnel, in bytes. */
  readonly mtu?: number;
}

export interface StatisticsSnapshot {
  readonly startedAt: number;
  readonly total: {
    /** Sessions that have ended. */
    readonly sessions: number;
    readonly logins: number;
    readonly loginFailures: number;
    readonly received: number;
    readonly sent: number;
    readonly sessionTime: Millis;
    readonly loginTime: Millis;
    readonly byReason: Readonly<Partial<Record<DisconnectReason, number>>>;
  };
  readonly period: PeriodSnapshot;
  /** Of the newest answers to clients; 0 where there were none. */
  readonly latency: { readonly median: Millis; readonly deviation: Millis };
}

export interface PeriodSnapshot {
  readonly startedAt: number;
  readonly sessions: number;
  readonly timedOut: number;
  readonly idleTimedOut: number;
  readonly failed: number;
  readonly loginFailures: number;
  readonly averageLoginTime: Millis;
  readonly maxLoginTime: Millis;
  readonly averageSessionTime: Millis;
  readonly maxSessionTime: Millis;
  /** Undefined until a session with a tunnel has ended. */
  readonly minMtu?: number;
  readonly maxMtu?: number;
  readonly received: number;
  readonly sent: number;
}

export class Statistics {
  readonly #startedAt: number;
  readonly #total = new Figures();
  readonly #byReason = new Map<DisconnectReason, number>();
  readonly #latencies: Millis[] = [];
  #latencyCount = 0;
  #periodLength: Millis;
  #periodStart: number;
  #period = new Figures();

  /** `periodLength`: `server-stats-reset-time`. */
  constructor(periodLength: Millis, now: number) {
    this.#periodLength = periodLength;
    this.#startedAt = now;
    this.#periodStart = now;
  }

  /** After a reload: the current period ends as the new length says. */
  configure(periodLength: Millis): void {
    this.#periodLength = periodLength;
  }

  /** A password, a certificate or a token was refused. */
  loginFailed(now: number): void {
    this.#current(now).loginFailures++;
    this.#total.loginFailures++;
  }

  /** `duration`: from the client's first request to its cookie. */
  loggedIn(duration: Millis, now: number): void {
    for (const figures of [this.#total, this.#current(now)]) figures.login(duration);
  }

  sessionEnded(session: EndedSession, now: number): void {
    for (const figures of [this.#total, this.#current(now)]) figures.session(session);
    this.#byReason.set(session.reason, (this.#byReason.get(session.reason) ?? 0) + 1);
  }

  /** How long a client waited for an answer. */
  answered(latency: Millis): void {
    this.#latencies[this.#latencyCount++ % LATENCY_SAMPLES] = latency;
  }

  snapshot(now: number): StatisticsSnapshot {
    const period = this.#current(now).snapshot();
    const { sessions, logins, loginFailures, received, sent, sessionTime, loginTime } = this.#total;
    return {
      startedAt: this.#startedAt,
      total: { sessions, logins, loginFailures, received, sent, sessionTime, loginTime, byReason: Object.fromEntries(this.#byReason) },
      period: { startedAt: this.#periodStart, ...period },
      latency: spreadOf(this.#latencies),
    };
  }

  /** The figures of the period that `now` is in. */
  #current(now: number): Figures {
    if (this.#periodLength > 0 && now >= this.#periodStart + this.#periodLength) {
      this.#periodStart = now;
      this.#period = new Figures();
    }
    return this.#period;
  }
}

class Figures {
  sessions = 0;
  logins = 0;
  loginFailures = 0;
  received = 0;
  sent = 0;
  sessionTime: Millis = 0;
  loginTime: Millis = 0;
  #timedOut = 0;
  #idleTimedOut = 0;
  #failed = 0;
  #maxLoginTime: Millis = 0;
  #maxSessionTime: Millis = 0;
  #minMtu = Number.POSITIVE_INFINITY;
  #maxMtu = 0;

  login(duration: Millis): void {
    this.logins++;
    this.loginTime += duration;
    this.#maxLoginTime = Math.max(this.#maxLoginTime, duration);
  }

  session({ reason, duration, received, sent, mtu }: EndedSession): void {
    this.sessions++;
    this.sessionTime += duration;
    this.received += received;
    this.sent += sent;
    this.#maxSessionTime = Math.max(this.#maxSessionTime, duration);
    if (reason === 'session timeout') this.#timedOut++;
    if (reason === 'idle timeout') this.#idleTimedOut++;
    // Assumed: a peer that has gone silent is what ocserv calls an error, as is one that broke the rules.
    if (reason === 'unspecified error' || reason === 'DPD timeout') this.#failed++;
    if (mtu === undefined) return;
    this.#minMtu = Math.min(this.#minMtu, mtu);
    this.#maxMtu = Math.max(this.#maxMtu, mtu);
  }

  snapshot(): Omit<PeriodSnapshot, 'startedAt'> {
    return {
      sessions: this.sessions,
      timedOut: this.#timedOut,
      idleTimedOut: this.#idleTimedOut,
      failed: this.#failed,
      loginFailures: this.loginFailures,
      averageLoginTime: this.logins === 0 ? 0 : this.loginTime / this.logins,
      maxLoginTime: this.#maxLoginTime,
      averageSessionTime: this.sessions === 0 ? 0 : this.sessionTime / this.sessions,
      maxSessionTime: this.#maxSessionTime,
      ...(this.#maxMtu > 0 && { minMtu: this.#minMtu, maxMtu: this.#maxMtu }),
      received: this.received,
      sent: this.sent,
    };
  }
}

function spreadOf(samples: readonly Millis[]): { readonly median: Millis; readonly deviation: Millis } {
  if (samples.length === 0) return { median: 0, deviation: 0 };
  const sorted = [...samples].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? 0;
  const median = sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? 0)) / 2;
  const mean = samples.reduce((sum, sample) => sum + sample, 0) / samples.length;
  const variance = samples.reduce((sum, sample) => sum + (sample - mean) ** 2, 0) / samples.length;
  return { median, deviation: Math.sqrt(variance) };
}
