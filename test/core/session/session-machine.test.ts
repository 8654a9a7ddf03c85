import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { NetworkError, PeerRefusedError } from '../../../src/core/errors.ts';
import { type SessionEffect, type SessionInput, SessionMachine } from '../../../src/core/session/session-machine.ts';
import type { CloseReason } from '../../../src/core/tunnel/machine.ts';
import { sized } from '../../support/size.ts';

const NOW = 7000;
const BUDGET = 300_000;

const ERROR = new NetworkError('no route');
const closed = (kind: CloseReason['kind']): SessionInput => ({ type: 'tunnel-closed', reason: { kind, message: `closed: ${kind}` } });

const INPUTS = {
  start: { type: 'start', hasCredential: false },
  'start with credential': { type: 'start', hasCredential: true },
  authenticated: { type: 'authenticated' },
  failed: { type: 'failed', error: ERROR },
  'tunnel-up': { type: 'tunnel-up' },
  'path-lost': closed('path-lost'),
  renew: closed('renew'),
  refused: closed('refused'),
  'ended-by-peer': closed('ended-by-peer'),
  misbehaved: closed('misbehaved'),
  'brought-up': { type: 'brought-up' },
  prepared: { type: 'prepared' },
  'device-failed': { type: 'device-failed', error: ERROR },
  'log-off': { type: 'stop', how: 'log-off' },
  detach: { type: 'stop', how: 'detach' },
  reconnect: { type: 'reconnect' },
  'network lost': { type: 'network', is: 'lost' },
  'network back': { type: 'network', is: 'back' },
  'woken up': { type: 'network', is: 'woken-up' },
  'torn-down': { type: 'torn-down' },
} as const satisfies Record<string, SessionInput>;

type InputName = keyof typeof INPUTS;

/** How each state is reached from the first, all at {@link NOW}. */
const WAY = {
  idle: [],
  authenticating: ['start'],
  opening: ['start with credential'],
  'opening again': ['start with credential', 'renew'],
  'bringing up': ['start with credential', 'tunnel-up'],
  'bringing up, the tunnel lost': ['start with credential', 'tunnel-up', 'path-lost'],
  up: ['start with credential', 'tunnel-up', 'brought-up'],
  'reconnecting: script': ['start with credential', 'tunnel-up', 'brought-up', 'path-lost'],
  'reconnecting: opening': ['start with credential', 'tunnel-up', 'brought-up', 'path-lost', 'prepared'],
  'reconnecting: waiting': ['start with credential', 'tunnel-up', 'brought-up', 'path-lost', 'prepared', 'failed'],
  'reconnecting: no network': ['start with credential', 'tunnel-up', 'brought-up', 'network lost', 'path-lost'],
  closing: ['start', 'log-off'],
  closed: ['start', 'log-off', 'torn-down'],
} as const satisfies Record<string, readonly InputName[]>;

type StateName = keyof typeof WAY;

function machineIn(state: StateName): SessionMachine {
  const machine = new SessionMachine({ reconnectBudget: BUDGET });
  for (const name of WAY[state]) machine.handle(INPUTS[name], NOW);
  return machine;
}

function summary(machine: SessionMachine, effects: readonly SessionEffect[]): string {
  const shown = effects.map((effect) => {
    switch (effect.type) {
      case 'tear-down':
      case 'drop-tunnel':
        return `${effect.type} (${effect.reason.kind})`;
      case 'closed':
        return `closed (${effect.outcome.kind})`;
      case 'waiting':
        return `waiting (${effect.wait / 1000} of ${effect.left / 1000} s)`;
      default:
        return effect.type;
    }
  });
  const { state } = machine;
  const detail =
    state.name === 'reconnecting'
      ? state.isOpening && ' opening'
      : state.name === 'closing' || state.name === 'closed'
        ? ` (${state.outcome.kind})`
        : state.name === 'opening'
          ? state.isSecond === true && ' again'
          : state.name === 'bringing-up' && state.lost !== undefined && ` (lost: ${state.lost.kind})`;
  return `${state.name}${detail || ''}: ${shown.join(', ') || '-'}`;
}

const END_LOGGED_OFF = 'closing (logged-off): tear-down (log-off)';
const END_DETACHED = 'closing (detached): tear-down (detach)';
const END_FAILED = 'closing (failed): tear-down (log-off)';
const END_REFUSED = 'closing (refused): tear-down (log-off)';
const END_BY_PEER = 'closing (ended-by-peer): tear-down (log-off)';

/** What ends the session wherever it is. */
const STOPS = { 'device-failed': END_FAILED, 'log-off': END_LOGGED_OFF, detach: END_DETACHED };
const TRY_FAILED = 'reconnecting: waiting (10 of 300 s)';
const TRY_NOW = 'reconnecting: prepare-reconnect';

/** What each input does in each state; all others do nothing. */
const TRANSITIONS: Readonly<Record<StateName, Partial<Record<InputName, string>>>> = {
  idle: { ...STOPS, start: 'authenticating: log-in', 'start with credential': 'opening: open' },
  authenticating: { ...STOPS, authenticated: 'opening: open', failed: END_FAILED },
  opening: {
    ...STOPS,
    'tunnel-up': 'bringing-up: bring-up',
    failed: END_FAILED,
    // A first connection is not tried again.
    'path-lost': END_FAILED,
    // But where the vendor has found out that it is to be opened in another way: once.
    renew: 'opening again: open',
    refused: END_REFUSED,
    'ended-by-peer': END_BY_PEER,
    misbehaved: END_FAILED,
  },
  'opening again': {
    ...STOPS,
    'tunnel-up': 'bringing-up: bring-up',
    failed: END_FAILED,
    'path-lost': END_FAILED,
    renew: END_FAILED,
    refused: END_REFUSED,
    'ended-by-peer': END_BY_PEER,
    misbehaved: END_FAILED,
  },
  'bringing up': {
    ...STOPS,
    'brought-up': 'up: -',
    failed: END_FAILED,
    // Not in the middle of a script.
    'path-lost': 'bringing-up (lost: path-lost): -',
    renew: 'bringing-up (lost: renew): -',
    refused: 'bringing-up (lost: refused): -',
    'ended-by-peer': 'bringing-up (lost: ended-by-peer): -',
    misbehaved: 'bringing-up (lost: misbehaved): -',
    reconnect: 'bringing-up: drop-tunnel (renew)',
  },
  'bringing up, the tunnel lost': {
    ...STOPS,
    'brought-up': TRY_NOW,
    failed: END_FAILED,
  },
  up: {
    ...STOPS,
    'path-lost': TRY_NOW,
    renew: TRY_NOW,
    refused: END_REFUSED,
    'ended-by-peer': END_BY_PEER,
    misbehaved: END_FAILED,
    reconnect: 'up: drop-tunnel (renew)',
  },
  'reconnecting: script': { ...STOPS, prepared: 'reconnecting opening: open', failed: TRY_FAILED },
  'reconnecting: opening': {
    ...STOPS,
    'tunnel-up': 'up: resume',
    failed: TRY_FAILED,
    'path-lost': TRY_FAILED,
    renew: TRY_FAILED,
    refused: END_REFUSED,
    'ended-by-peer': END_BY_PEER,
    misbehaved: END_FAILED,
  },
  'reconnecting: waiting': { ...STOPS, reconnect: TRY_NOW, 'woken up': TRY_NOW },
  'reconnecting: no network': { ...STOPS, 'network back': TRY_NOW },
  closing: { 'torn-down': 'closed (logged-off): closed (logged-off)' },
  closed: {},
};

describe('session machine', () => {
  for (const state of Object.keys(WAY) as StateName[]) {
    it(`does in the state "${state}" what its inputs say, and nothing for those that make no sense`, () => {
      const unchanged = summary(machineIn(state), []);
      for (const input of Object.keys(INPUTS) as InputName[]) {
        const machine = machineIn(state);
        const effects = machine.handle(INPUTS[input], NOW);
        assert.equal(summary(machine, effects), TRANSITIONS[state][input] ?? unchanged, input);
      }
    });
  }

  it('goes from a log-in through a loss to the end', () => {
    const machine = new SessionMachine({ reconnectBudget: BUDGET });
    const did = (input: InputName) => summary(machine, machine.handle(INPUTS[input], NOW));
    assert.deepEqual(
      (['start', 'authenticated', 'tunnel-up', 'brought-up', 'path-lost', 'prepared', 'tunnel-up', 'log-off', 'torn-down'] as const).map(
        did,
      ),
      [
        'authenticating: log-in',
        'opening: open',
        'bringing-up: bring-up',
        'up: -',
        'reconnecting: prepare-reconnect',
        'reconnecting opening: open',
        'up: resume',
        END_LOGGED_OFF,
        'closed (logged-off): closed (logged-off)',
      ],
    );
  });

  it('tries again when the wait is over, and gives up with the last reason when the budget is used', () => {
    const machine = machineIn('reconnecting: script');
    const tries: number[] = [];
    let now = NOW;
    for (let tryNumber = 0; machine.state.name === 'reconnecting'; tryNumber++) {
      assert.equal(machine.nextTimeout(), undefined, 'nothing is due while a try runs');
      assert.equal(summary(machine, machine.handle(INPUTS.prepared, now)), 'reconnecting opening: open');
      machine.handle({ type: 'tunnel-closed', reason: { kind: 'path-lost', message: `try ${tryNumber}` } }, now);
      const due = machine.nextTimeout();
      if (due === undefined) break;
      assert.deepEqual(machine.handleTimeout(due - 1), []);
      now = due;
      tries.push((now - NOW) / 1000);
      assert.deepEqual(machine.handleTimeout(now), [{ type: 'prepare-reconnect' }]);
      assert.deepEqual(machine.handleTimeout(now), [], 'once');
    }
    assert.deepEqual(tries, [10, 30, 60, 100, 150, 210, 280, 300]);
    assert.ok(machine.state.name === 'closing');
    assert.deepEqual(machine.state.outcome, { kind: 'failed', message: 'try 8' });
    assert.equal(machine.nextTimeout(), undefined);
  });

  it('gives up after the first failure without a budget', () => {
    const machine = new SessionMachine({ reconnectBudget: 0 });
    for (const name of WAY['reconnecting: opening']) machine.handle(INPUTS[name], NOW);
    assert.equal(summary(machine, machine.handle(INPUTS.failed, NOW)), END_FAILED);
  });

  it('says that it waits when the session is lost as soon as it is back, time after time', () => {
    const machine = machineIn('up');
    const seen = Array.from({ length: 5 }, () => {
      const effects = machine.handle(INPUTS['path-lost'], NOW);
      for (const name of ['prepared', 'tunnel-up'] as const) machine.handle(INPUTS[name], NOW);
      return effects;
    });
    assert.deepEqual(
      seen.slice(0, 4),
      Array.from({ length: 4 }, () => [{ type: 'prepare-reconnect' }]),
    );
    assert.deepEqual(seen[4], [{ type: 'waiting', wait: 10_000, left: 300_000 }]);
    assert.equal(machine.nextTimeout(), NOW + 10_000);
    assert.deepEqual(machine.handle({ type: 'reconnect' }, NOW), [{ type: 'prepare-reconnect' }], 'who asks does not wait');
  });

  it('begins a new budget with each loss', () => {
    const machine = machineIn('reconnecting: waiting');
    machine.handleTimeout(NOW + 10_000);
    for (const name of ['prepared', 'tunnel-up', 'path-lost', 'prepared'] as const) machine.handle(INPUTS[name], NOW + 250_000);
    assert.equal(summary(machine, machine.handle(INPUTS.failed, NOW + 250_000)), TRY_FAILED);
  });

  it('keeps the first reason of a tunnel that is lost while the script runs, and acts on it then', () => {
    const machine = machineIn('bringing up');
    machine.handle(INPUTS['ended-by-peer'], NOW);
    machine.handle(INPUTS['path-lost'], NOW);
    assert.equal(summary(machine, machine.handle(INPUTS['brought-up'], NOW)), END_BY_PEER);
  });

  it('waits without a network, also when that goes while a try runs', () => {
    const machine = machineIn('reconnecting: opening');
    machine.handle(INPUTS['network lost'], NOW);
    assert.equal(summary(machine, machine.handle(INPUTS.failed, NOW + 60_000)), 'reconnecting: -');
    assert.equal(machine.nextTimeout(), undefined);
    assert.equal(summary(machine, machine.handle(INPUTS['network back'], NOW + 600_000)), TRY_NOW);
  });

  it('ends with what went wrong, for people and for programs', () => {
    const error = new PeerRefusedError('no more', { code: 'ERR_COOKIE_REFUSED' });
    const machine = machineIn('up');
    const effects = machine.handle({ type: 'tunnel-closed', reason: { kind: 'refused', message: 'cookie refused', error } }, NOW);
    assert.deepEqual(effects, [{ type: 'tear-down', reason: { kind: 'log-off', message: 'cookie refused' } }]);
    assert.deepEqual(machine.handle(INPUTS['torn-down'], NOW), [
      { type: 'closed', outcome: { kind: 'refused', message: 'cookie refused', error } },
    ]);
    const failing = machineIn('opening');
    failing.handle(INPUTS.failed, NOW);
    assert.deepEqual(failing.state, { name: 'closing', outcome: { kind: 'failed', message: 'no route', error: ERROR } });
  });

  it('never leaves the end, tears down once, and has no effect after it', () => {
    const step = fc.oneof(
      { weight: 3, arbitrary: fc.constantFrom(...(Object.keys(INPUTS) as InputName[]).filter((name) => name !== 'torn-down')) },
      { weight: 1, arbitrary: fc.constant<'timeout'>('timeout') },
      { weight: 1, arbitrary: fc.constant<InputName>('torn-down') },
    );
    // Mostly what can go on, so that sequences do not end at once.
    const likely = fc.constantFrom<InputName | 'timeout'>(
      'start',
      'authenticated',
      'tunnel-up',
      'brought-up',
      'path-lost',
      'prepared',
      'failed',
      'timeout',
      'network lost',
      'network back',
    );
    fc.assert(
      fc.property(
        fc.array(
          fc.tuple(fc.oneof({ weight: 4, arbitrary: likely }, { weight: 1, arbitrary: step }), fc.integer({ min: 0, max: 30_000 })),
          { maxLength: 60 },
        ),
        fc.constantFrom(0, 12_000, BUDGET),
        (steps, reconnectBudget) => {
          const machine = new SessionMachine({ reconnectBudget });
          const effects: SessionEffect[] = [];
          let now = NOW;
          for (const [name, wait] of steps) {
            const before = machine.state;
            now = name === 'timeout' ? Math.max(now, machine.nextTimeout() ?? now) : now + wait;
            const made = name === 'timeout' ? machine.handleTimeout(now) : machine.handle(INPUTS[name], now);
            effects.push(...made);
            if (before.name === 'closed') assert.deepEqual([machine.state, made], [before, []]);
            if (before.name === 'closing') assert.ok(machine.state.name === 'closing' || machine.state.name === 'closed');
            assert.ok(made.length <= 1, 'one thing at a time');
          }
          const count = (type: SessionEffect['type']) => effects.filter((effect) => effect.type === type).length;
          const { name } = machine.state;
          assert.equal(count('tear-down'), name === 'closing' || name === 'closed' ? 1 : 0);
          assert.equal(count('closed'), name === 'closed' ? 1 : 0);
          assert.ok(count('log-in') <= 1 && count('bring-up') <= 1);
          assert.ok(count('resume') <= count('prepare-reconnect'), 'only what was prepared resumes');
          assert.equal(
            effects.findIndex((effect) => effect.type === 'closed'),
            count('closed') === 0 ? -1 : effects.length - 1,
          );
        },
      ),
      { numRuns: sized(2000, 100_000) },
    );
  });
});
