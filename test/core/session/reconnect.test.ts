import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { MisuseError } from '../../../src/core/errors.ts';
import { Reconnect } from '../../../src/core/session/reconnect.ts';

const START = 5_000;

/** Lets every try fail after `tryTakes`; the times of the tries since the loss, in seconds. */
function triesOf(reconnect: Reconnect, tryTakes = 0): number[] {
  reconnect.lost(START);
  const tries: number[] = [];
  for (let at = reconnect.nextTimeout(); at !== undefined; at = reconnect.nextTimeout()) {
    assert.equal(reconnect.handleTimeout(at), 'try');
    tries.push((at - START) / 1000);
    reconnect.failed(at + tryTakes);
  }
  assert.equal(reconnect.state, 'given-up');
  return tries;
}

describe('Reconnect', () => {
  it('tries at once, then after 10, 20, 30 … seconds, and at the end of the budget for the last time', () => {
    assert.deepEqual(triesOf(new Reconnect(300_000)), [0, 10, 30, 60, 100, 150, 210, 280, 300]);
  });

  it('never waits longer than 100 seconds', () => {
    const tries = triesOf(new Reconnect(1_000_000));
    const waits = tries.slice(1).map((at, i) => at - (tries[i] ?? 0));
    assert.deepEqual(waits, [10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 100, 100, 100, 100, 50]);
  });

  it('cuts the last wait to the budget', () => {
    assert.deepEqual(triesOf(new Reconnect(12_000)), [0, 10, 12]);
  });

  it('gives up after the first failure with a budget of zero', () => {
    assert.deepEqual(triesOf(new Reconnect(0)), [0]);
  });

  it('counts the time that tries take', () => {
    assert.deepEqual(triesOf(new Reconnect(60_000), 15_000), [0, 25, 60]);
  });

  it('says how long it waits and what is left', () => {
    const reconnect = new Reconnect(12_000);
    reconnect.lost(START);
    assert.equal(reconnect.handleTimeout(START), 'try');
    assert.deepEqual(reconnect.failed(START), { type: 'wait', wait: 10_000, left: 12_000 });
    assert.equal(reconnect.handleTimeout(START + 9_999), 'none');
    assert.equal(reconnect.handleTimeout(START + 10_000), 'try');
    assert.deepEqual(reconnect.failed(START + 10_000), { type: 'wait', wait: 2_000, left: 2_000 });
    assert.equal(reconnect.handleTimeout(START + 12_000), 'try');
    assert.deepEqual(reconnect.failed(START + 12_000), { type: 'give-up' });
  });

  it('waits for a running try, however late it is', () => {
    const reconnect = new Reconnect(12_000);
    reconnect.lost(START);
    reconnect.handleTimeout(START);
    assert.equal(reconnect.nextTimeout(), undefined);
    assert.equal(reconnect.handleTimeout(START + 99_000), 'none');
    assert.deepEqual(reconnect.failed(START + 99_000), { type: 'give-up' });
  });

  it('starts anew after a success', () => {
    const reconnect = new Reconnect(300_000);
    reconnect.lost(START);
    reconnect.handleTimeout(START);
    reconnect.failed(START);
    reconnect.handleTimeout(START + 10_000);
    reconnect.succeeded(START + 10_000);
    assert.equal(reconnect.nextTimeout(), undefined);
    assert.equal(triesOf(reconnect)[1], 10);
  });

  it('waits, and longer each time, when the session is lost again and again as soon as it is back', () => {
    const reconnect = new Reconnect(300_000);
    let now = START;
    const waits = (lives: number, life: number) =>
      Array.from({ length: lives }, () => {
        const verdict = reconnect.lost(now);
        assert.ok(verdict.type === 'wait' && verdict.left === 300_000);
        const tryAt = now + verdict.wait;
        assert.equal(reconnect.nextTimeout(), tryAt);
        assert.equal(reconnect.handleTimeout(tryAt), 'try');
        reconnect.succeeded(tryAt);
        now = tryAt + life;
        return verdict.wait / 1000;
      });
    assert.deepEqual(waits(7, 499), [0, 0, 0, 0, 10, 20, 30]);
    assert.deepEqual(
      waits(20, 499).slice(-10),
      Array.from({ length: 10 }, () => 100),
      'no longer than others wait',
    );
    now += 1;
    assert.deepEqual(waits(8, 500), [0, 0, 0, 0, 0, 0, 0, 0], 'it was there for a while');
  });

  it('tries at once for who asks for it, however briefly the session was back', () => {
    const reconnect = new Reconnect(300_000);
    for (let i = 0; i < 5; i++) {
      reconnect.lost(START);
      reconnect.wokeUp(START);
      assert.equal(reconnect.handleTimeout(START), 'try');
      reconnect.succeeded(START);
    }
  });

  it('tries nothing while there is no network, and the budget stands still', () => {
    const reconnect = new Reconnect(60_000);
    reconnect.lost(START);
    reconnect.handleTimeout(START);
    reconnect.failed(START);
    reconnect.networkLost(START + 5_000);
    assert.equal(reconnect.state, 'paused');
    assert.equal(reconnect.nextTimeout(), undefined);
    reconnect.networkBack(START + 1_000_000);
    assert.equal(reconnect.handleTimeout(START + 1_000_000), 'try');
    assert.deepEqual(reconnect.failed(START + 1_000_000), { type: 'wait', wait: 10_000, left: 55_000 });
  });

  it('pauses at once when the connection is lost because the network is', () => {
    const reconnect = new Reconnect(60_000);
    reconnect.networkLost(START);
    reconnect.lost(START + 1);
    assert.equal(reconnect.state, 'paused');
    reconnect.networkBack(START + 2);
    assert.equal(reconnect.handleTimeout(START + 2), 'try');
  });

  it('never has two tries running: one that the network outlived is followed at once when it fails', () => {
    const reconnect = new Reconnect(60_000);
    reconnect.lost(START);
    reconnect.handleTimeout(START);
    reconnect.networkLost(START + 1_000);
    reconnect.networkBack(START + 2_000);
    assert.equal(reconnect.handleTimeout(START + 2_000), 'none');
    assert.deepEqual(reconnect.failed(START + 3_000), { type: 'wait', wait: 0, left: 58_000 });
    assert.equal(reconnect.handleTimeout(START + 3_000), 'try');
    assert.deepEqual(reconnect.failed(START + 3_000), { type: 'wait', wait: 10_000, left: 58_000 });
  });

  it('stays paused when a try fails after the network has gone', () => {
    const reconnect = new Reconnect(60_000);
    reconnect.lost(START);
    reconnect.handleTimeout(START);
    reconnect.networkLost(START + 1_000);
    assert.deepEqual(reconnect.failed(START + 2_000), { type: 'paused' });
    assert.equal(reconnect.nextTimeout(), undefined);
  });

  it('tries at once after a wake-up, with the whole budget', () => {
    const reconnect = new Reconnect(60_000);
    reconnect.lost(START);
    reconnect.handleTimeout(START);
    reconnect.failed(START);
    reconnect.wokeUp(START + 8_000_000);
    assert.equal(reconnect.handleTimeout(START + 8_000_000), 'try');
    assert.deepEqual(reconnect.failed(START + 8_000_000), { type: 'wait', wait: 10_000, left: 60_000 });
  });

  it('has the whole budget when the network comes back after a wake-up', () => {
    const reconnect = new Reconnect(60_000);
    reconnect.lost(START);
    reconnect.networkLost(START + 50_000);
    reconnect.wokeUp(START + 60_000);
    assert.equal(reconnect.nextTimeout(), undefined);
    reconnect.networkBack(START + 70_000);
    reconnect.handleTimeout(START + 70_000);
    assert.deepEqual(reconnect.failed(START + 70_000), { type: 'wait', wait: 10_000, left: 60_000 });
  });

  it('does not care for networks and sleep while nothing is lost', () => {
    const reconnect = new Reconnect(60_000);
    reconnect.networkLost(START);
    reconnect.networkBack(START);
    reconnect.wokeUp(START);
    assert.equal(reconnect.state, 'idle');
    assert.throws(() => reconnect.failed(START), MisuseError);
  });

  it('gives up within the budget and the last try, whatever the network does', () => {
    const step = fc.record({ after: fc.nat(40_000), what: fc.constantFrom('timeout', 'fail', 'lost', 'back') });
    fc.assert(
      fc.property(fc.nat(200_000), fc.array(step, { maxLength: 60 }), (budget, steps) => {
        const reconnect = new Reconnect(budget);
        let now = START;
        let online = 0;
        let hasNetwork = true;
        let isTrying = false;
        reconnect.lost(now);
        for (const { after, what } of steps) {
          now += after;
          if (hasNetwork) online += after;
          if (what === 'timeout') {
            const action = reconnect.handleTimeout(now);
            assert.ok(action === 'none' || (hasNetwork && !isTrying));
            if (action === 'try') isTrying = true;
          } else if (what === 'fail' && isTrying) {
            isTrying = false;
            const verdict = reconnect.failed(now);
            if (verdict.type === 'wait') assert.ok(online + verdict.wait <= budget);
            if (verdict.type === 'give-up') assert.ok(online >= budget);
            if (verdict.type === 'give-up') return;
          } else if (what === 'lost') {
            reconnect.networkLost(now);
            hasNetwork = false;
          } else if (what === 'back') {
            reconnect.networkBack(now);
            hasNetwork = true;
          }
        }
      }),
    );
  });

  it('knows whether a try is running, with or without a network', () => {
    const reconnect = new Reconnect();
    assert.equal(reconnect.isTrying, false);
    reconnect.lost(START);
    assert.equal(reconnect.isTrying, false);
    reconnect.handleTimeout(START);
    assert.equal(reconnect.isTrying, true);
    reconnect.networkLost(START);
    assert.equal(reconnect.isTrying, true);
    reconnect.failed(START);
    assert.equal(reconnect.isTrying, false);
  });
});
