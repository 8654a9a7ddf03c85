import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type EndedSession, Statistics } from '../../../src/gateway/main/statistics.ts';

const START = Date.UTC(2026, 0, 1);
const WEEK = 604_800_000;

const SESSION: EndedSession = { reason: 'user disconnected', duration: 10_000, received: 100, sent: 1_000, mtu: 1_400 };

describe('statistics', () => {
  it('start at nothing', () => {
    const { total, period, latency } = new Statistics(WEEK, START).snapshot(START);
    assert.deepEqual(total, {
      sessions: 0,
      logins: 0,
      loginFailures: 0,
      received: 0,
      sent: 0,
      sessionTime: 0,
      loginTime: 0,
      byReason: {},
    });
    assert.equal(period.averageLoginTime, 0);
    assert.equal(period.averageSessionTime, 0);
    assert.equal('minMtu' in period, false);
    assert.deepEqual(latency, { median: 0, deviation: 0 });
  });

  it('count sessions by how they ended', () => {
    const statistics = new Statistics(WEEK, START);
    for (const reason of [
      'session timeout',
      'idle timeout',
      'idle timeout',
      'unspecified error',
      'DPD timeout',
      'user disconnected',
    ] as const)
      statistics.sessionEnded({ ...SESSION, reason }, START);
    const { total, period } = statistics.snapshot(START);
    assert.deepEqual([period.sessions, period.timedOut, period.idleTimedOut, period.failed], [6, 1, 2, 2]);
    assert.deepEqual(total.byReason, {
      'session timeout': 1,
      'idle timeout': 2,
      'unspecified error': 1,
      'DPD timeout': 1,
      'user disconnected': 1,
    });
  });

  it('know averages, extremes and sums', () => {
    const statistics = new Statistics(WEEK, START);
    statistics.loggedIn(1_000, START);
    statistics.loggedIn(4_000, START);
    statistics.loginFailed(START);
    statistics.sessionEnded(SESSION, START);
    statistics.sessionEnded({ reason: 'user disconnected', duration: 30_000, received: 1, sent: 2 }, START);
    statistics.sessionEnded({ ...SESSION, mtu: 1_300 }, START);
    const { total, period } = statistics.snapshot(START);
    assert.deepEqual(period, {
      startedAt: START,
      sessions: 3,
      timedOut: 0,
      idleTimedOut: 0,
      failed: 0,
      loginFailures: 1,
      averageLoginTime: 2_500,
      maxLoginTime: 4_000,
      averageSessionTime: 50_000 / 3,
      maxSessionTime: 30_000,
      minMtu: 1_300,
      maxMtu: 1_400,
      received: 201,
      sent: 2_002,
    });
    assert.deepEqual([total.logins, total.loginTime, total.sessionTime], [2, 5_000, 50_000]);
  });

  it('begin a new period when the old one is over, and keep the totals', () => {
    const statistics = new Statistics(WEEK, START);
    statistics.loginFailed(START);
    statistics.sessionEnded(SESSION, START + WEEK - 1);
    assert.equal(statistics.snapshot(START + WEEK - 1).period.sessions, 1);
    const { startedAt, total, period } = statistics.snapshot(START + WEEK + 5);
    assert.deepEqual([startedAt, period.startedAt], [START, START + WEEK + 5]);
    assert.deepEqual([period.sessions, period.loginFailures, period.received], [0, 0, 0]);
    assert.deepEqual([total.sessions, total.loginFailures, total.received], [1, 1, 100]);
    statistics.sessionEnded(SESSION, START + WEEK + 6);
    assert.equal(statistics.snapshot(START + WEEK + 6).period.sessions, 1);
  });

  it('never begin a new period where none was asked for', () => {
    const statistics = new Statistics(0, START);
    statistics.loginFailed(START);
    assert.equal(statistics.snapshot(START + 100 * WEEK).period.loginFailures, 1);
  });

  it('take the median of the newest answers', () => {
    const statistics = new Statistics(WEEK, START);
    for (const latency of [1, 3, 2]) statistics.answered(latency);
    assert.equal(statistics.snapshot(START).latency.median, 2);
    statistics.answered(8);
    assert.equal(statistics.snapshot(START).latency.median, 2.5);
    assert.ok(Math.abs(statistics.snapshot(START).latency.deviation - Math.sqrt(7.25)) < 1e-9);
    for (let i = 0; i < 1_024; i++) statistics.answered(5);
    assert.deepEqual(statistics.snapshot(START).latency, { median: 5, deviation: 0 });
  });
});
