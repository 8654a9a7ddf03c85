import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { Keepalive, type KeepaliveAction } from '../../../src/core/tunnel/keepalive.ts';

const s = (seconds: number) => seconds * 1000;

/** Runs the timer for `seconds` with nothing heard: what happened when, in seconds. */
function run(keepalive: Keepalive, seconds: number, isStalled = false): [at: number, action: KeepaliveAction][] {
  const seen: [number, KeepaliveAction][] = [];
  for (;;) {
    const at = keepalive.nextTimeout(isStalled);
    if (at === undefined || at > s(seconds)) return seen;
    const action = keepalive.handleTimeout(at, isStalled);
    seen.push([at / 1000, action]);
    if (action === 'dead') return seen;
  }
}

describe('Keepalive', () => {
  it('asks a silent peer after the DPD time, then every half of it, and gives it up after twice', () => {
    assert.deepEqual(run(new Keepalive({ dpd: s(30) }, 0), 1000), [
      [30, 'send-dpd'],
      [45, 'send-dpd'],
      [60, 'send-dpd'],
      [61, 'dead'],
    ]);
  });

  it('counts half the DPD time in whole seconds, and never asks twice a second', () => {
    assert.deepEqual(
      run(new Keepalive({ dpd: s(5) }, 0), 1000).map(([at]) => at),
      [5, 7, 9, 11],
    );
    assert.deepEqual(
      run(new Keepalive({ dpd: s(1) }, 0), 1000).map(([at]) => at),
      [1, 2, 3],
    );
  });

  it('believes in a peer again that answers', () => {
    const keepalive = new Keepalive({ dpd: s(30) }, 0);
    assert.equal(keepalive.handleTimeout(s(30)), 'send-dpd');
    keepalive.heard(s(31));
    assert.equal(keepalive.nextTimeout(), s(61));
    assert.equal(keepalive.handleTimeout(s(60)), 'none');
  });

  it('is told late of what was heard and sent, and does not take old news for new', () => {
    const keepalive = new Keepalive({ dpd: s(30), keepalive: s(20) }, 0);
    keepalive.heard(s(40));
    keepalive.heard(s(25));
    assert.equal(keepalive.nextTimeout(), s(20));
    keepalive.sent(s(60));
    keepalive.sent(s(50));
    assert.equal(keepalive.nextTimeout(), s(70), 'asks 30 s after 40');
    assert.equal(keepalive.handleTimeout(s(70)), 'send-dpd');
    keepalive.heard(s(65));
    assert.equal(keepalive.handleTimeout(s(84)), 'none', 'what was heard before the question does not answer it, but counts');
    assert.equal(keepalive.handleTimeout(s(85)), 'send-dpd');
    assert.equal(keepalive.handleTimeout(s(100)), 'send-dpd');
    assert.equal(keepalive.handleTimeout(s(125)), 'send-dpd');
    assert.equal(keepalive.handleTimeout(s(126)), 'dead', 'twice 30 s after 65');
  });

  it('says something when nothing was sent for the keepalive time', () => {
    const keepalive = new Keepalive({ keepalive: s(20) }, 0);
    keepalive.sent(s(15));
    assert.equal(keepalive.handleTimeout(s(34)), 'none');
    assert.equal(keepalive.handleTimeout(s(35)), 'send-keepalive');
    assert.equal(keepalive.nextTimeout(), s(55));
  });

  it('takes a DPD request for something said', () => {
    assert.deepEqual(run(new Keepalive({ dpd: s(4), keepalive: s(3) }, 0), 100), [
      [3, 'send-keepalive'],
      [4, 'send-dpd'],
      [6, 'send-dpd'],
      [8, 'send-dpd'],
      [9, 'dead'],
    ]);
  });

  it('changes keys first, then gives up, then asks, then says something', () => {
    const keepalive = new Keepalive({ dpd: s(10), keepalive: s(10), rekey: s(10) }, 0);
    assert.equal(keepalive.handleTimeout(s(10)), 'rekey');
    assert.equal(keepalive.handleTimeout(s(10)), 'send-dpd');
    assert.equal(keepalive.handleTimeout(s(10)), 'none');
    assert.equal(keepalive.handleTimeout(s(21)), 'rekey');
    assert.equal(keepalive.handleTimeout(s(21)), 'dead');
  });

  it('counts the age of keys from their last change, for whatever reason', () => {
    const keepalive = new Keepalive({ rekey: s(3600) }, 0);
    assert.equal(keepalive.rekeyAt, s(3600));
    keepalive.rekeyed(s(1000));
    assert.equal(keepalive.rekeyAt, s(4600));
    assert.equal(keepalive.handleTimeout(s(4600)), 'rekey');
    assert.equal(keepalive.rekeyAt, s(8200));
  });

  it('asks and says nothing while writing is stalled, but changes keys and gives up', () => {
    assert.deepEqual(run(new Keepalive({ dpd: s(30), keepalive: s(5), rekey: s(40) }, 0), 1000, true), [
      [40, 'rekey'],
      [61, 'dead'],
    ]);
  });

  it('asks at once when a stall ends late', () => {
    const keepalive = new Keepalive({ dpd: s(30) }, 0);
    assert.equal(keepalive.handleTimeout(s(55), true), 'none');
    assert.equal(keepalive.handleTimeout(s(55)), 'send-dpd');
  });

  it('does nothing, ever, when everything is off', () => {
    const keepalive = new Keepalive({ dpd: 0, keepalive: 0, rekey: 0 }, 0);
    assert.equal(keepalive.nextTimeout(), undefined);
    assert.equal(keepalive.rekeyAt, undefined);
    assert.equal(keepalive.handleTimeout(Number.MAX_SAFE_INTEGER), 'none');
    assert.equal(new Keepalive({}, 0).nextTimeout(), undefined);
  });

  it('has something to do exactly when its timeout says so, and then does not ask for the same moment for ever', () => {
    const times = fc.record({ dpd: fc.nat(100), keepalive: fc.nat(100), rekey: fc.nat(300) });
    const event = fc.tuple(fc.constantFrom('heard', 'sent', 'timer'), fc.nat(60_000));
    fc.assert(
      fc.property(times, fc.array(event, { maxLength: 40 }), fc.boolean(), ({ dpd, keepalive, rekey }, events, isStalled) => {
        const machine = new Keepalive({ dpd: s(dpd), keepalive: s(keepalive), rekey: s(rekey) }, 0);
        let now = 0;
        for (const [what, after] of events) {
          now += after;
          if (what === 'heard') machine.heard(now);
          if (what === 'sent') machine.sent(now);
          for (let calls = 0; ; calls++) {
            const isDue = (machine.nextTimeout(isStalled) ?? Number.POSITIVE_INFINITY) <= now;
            const action = machine.handleTimeout(now, isStalled);
            assert.equal(action !== 'none', isDue);
            if (action === 'dead' || action === 'none') break;
            assert.ok(calls < 4);
          }
        }
      }),
    );
  });
});
