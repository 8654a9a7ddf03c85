import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { PathDoubt } from '../../../src/core/tunnel/path-doubt.ts';

const s = (seconds: number) => seconds * 1000;

/** Runs the timer with nothing heard: what happened when, in seconds, and from when on there was doubt. */
function run(doubt: PathDoubt): { readonly seen: [at: number, action: string][]; readonly doubtedFrom: number | undefined } {
  const seen: [number, string][] = [];
  let doubtedFrom: number | undefined;
  for (let at = doubt.nextTimeout(); at !== undefined; at = doubt.nextTimeout()) {
    seen.push([at / 1000, doubt.handleTimeout(at)]);
    if (doubt.isDoubted) doubtedFrom ??= at / 1000;
    assert.ok(seen.length < 100, 'without end');
  }
  return { seen, doubtedFrom };
}

describe('PathDoubt', () => {
  it('never says a word while nothing is sent', () => {
    const doubt = new PathDoubt();
    assert.equal(doubt.nextTimeout(), undefined);
    doubt.heard(s(1));
    assert.equal(doubt.nextTimeout(), undefined);
    assert.equal(doubt.handleTimeout(s(1000)), 'none');
  });

  it('asks after five seconds without an answer, three times, then doubts, and gives up after half a minute', () => {
    const doubt = new PathDoubt();
    doubt.sent(s(10));
    const { seen, doubtedFrom } = run(doubt);
    assert.deepEqual(
      seen.map(([at]) => at),
      [15, 16, 17, 18, 20, 24, 32, 48],
    );
    assert.deepEqual(seen.at(-1), [48, 'give-up']);
    assert.equal(doubtedFrom, 18);
  });

  it('counts from the first packet that was not answered', () => {
    const doubt = new PathDoubt();
    doubt.sent(s(1));
    doubt.sent(s(4));
    assert.equal(doubt.nextTimeout(), s(6));
    doubt.heard(s(5));
    assert.equal(doubt.nextTimeout(), undefined);
    doubt.sent(s(7));
    assert.equal(doubt.nextTimeout(), s(12));
  });

  it('trusts again at once when anything is heard', () => {
    const doubt = new PathDoubt();
    doubt.sent(0);
    while (!doubt.isDoubted) doubt.handleTimeout(doubt.nextTimeout() ?? assert.fail());
    doubt.heard(s(9));
    assert.equal(doubt.isDoubted, false);
    assert.equal(doubt.nextTimeout(), undefined);
    doubt.sent(s(20));
    assert.equal(doubt.nextTimeout(), s(25), 'and is as patient as before');
  });

  it('asks a path that only sends no more than once in five seconds', () => {
    const doubt = new PathDoubt();
    let asked = 0;
    for (let now = 0; now < s(100); now += 100) {
      doubt.sent(now);
      if (doubt.handleTimeout(now) === 'ask') {
        asked++;
        doubt.heard(now + 50);
      }
    }
    assert.equal(asked, 19);
  });

  it('is told late of what was sent and heard, and does not take old news for new', () => {
    const doubt = new PathDoubt();
    doubt.heard(s(10));
    doubt.sent(s(8));
    assert.equal(doubt.nextTimeout(), undefined, 'answered already');
    doubt.sent(s(12));
    doubt.heard(s(10));
    assert.equal(doubt.nextTimeout(), s(17), 'heard before it was sent');
  });

  it('asks at once when there is reason to, but not again and again', () => {
    const doubt = new PathDoubt();
    doubt.suspect(s(3));
    assert.equal(doubt.handleTimeout(s(3)), 'ask');
    doubt.suspect(s(3));
    assert.equal(doubt.handleTimeout(s(3)), 'none');
    assert.equal(run(doubt).doubtedFrom, 6);
  });

  it('always comes to rest, whatever happens to it', () => {
    const step = fc.tuple(fc.constantFrom('sent' as const, 'heard' as const, 'suspect' as const, 'wait' as const), fc.nat(20_000));
    fc.assert(
      fc.property(fc.array(step), (steps) => {
        const doubt = new PathDoubt();
        let now = 0;
        for (const [what, time] of steps) {
          now += time;
          if (what === 'wait') doubt.handleTimeout(now);
          else doubt[what](now);
          const due = doubt.nextTimeout();
          assert.ok(!doubt.isDoubted || due !== undefined, 'doubt without a timer');
        }
        run(doubt);
      }),
    );
  });
});
