import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { FakeClock } from './fake-clock.ts';
import { FaultyLink, type LinkConditions, LinkModel, PERFECT_LINK } from './link-model.ts';
import { SeededRandom } from './seeded-random.ts';

const link = (seed: number, conditions: Partial<LinkConditions>): LinkModel =>
  new LinkModel(new SeededRandom(seed), { ...PERFECT_LINK, ...conditions });

const conditions = fc.record({
  delay: fc.double({ min: 0, max: 500, noNaN: true }),
  jitter: fc.double({ min: 0, max: 500, noNaN: true }),
  loss: fc.double({ min: 0, max: 1, noNaN: true }),
  duplication: fc.double({ min: 0, max: 1, noNaN: true }),
  bandwidth: fc.oneof(fc.constant(Infinity), fc.double({ min: 1, max: 1e6, noNaN: true })),
  queue: fc.double({ min: 0, max: 500, noNaN: true }),
});

/** The fates of 1000 packets of 1000 bytes, one a millisecond. */
function fates(model: LinkModel): (readonly number[])[] {
  return Array.from({ length: 1_000 }, (_, i) => model.admit(1_000, i));
}

describe('LinkModel', () => {
  it('delivers at once, in order and once on a perfect link', () => {
    assert.deepEqual(
      fates(link(1, {})),
      Array.from({ length: 1_000 }, (_, i) => [i]),
    );
  });

  it('decides the same with the same seed, and otherwise with another', () => {
    fc.assert(
      fc.property(fc.integer(), conditions, (seed, how) => {
        assert.deepEqual(fates(link(seed, how)), fates(link(seed, how)));
      }),
      { numRuns: 20 },
    );
    const bad = { loss: 0.5, jitter: 10 };
    assert.notDeepEqual(fates(link(1, bad)), fates(link(2, bad)));
  });

  it('never delivers before the delay or after delay, jitter, queue and the packet itself', () => {
    fc.assert(
      fc.property(fc.integer(), conditions, (seed, how) => {
        for (const [sent, times] of fates(link(seed, how)).entries()) {
          for (const time of times) {
            const latest = how.queue + 1_000 / how.bandwidth + how.delay + how.jitter;
            assert.ok(time - sent >= how.delay - 1e-6 && time - sent <= latest + 1e-6, `${time - sent}`);
          }
        }
      }),
      { numRuns: 50 },
    );
  });

  it('loses and doubles as often as it is told', () => {
    const all = fates(link(5, { loss: 0.2, duplication: 0.1 }));
    const lost = all.filter((times) => times.length === 0).length;
    const doubled = all.filter((times) => times.length === 2).length;
    assert.ok(lost > 150 && lost < 250, `${lost} of 1000 lost`);
    assert.ok(doubled > 50 && doubled < 120, `${doubled} of 1000 doubled`);
    assert.ok(fates(link(5, { loss: 1 })).every((times) => times.length === 0));
  });

  it('lets packets overtake each other with jitter, and only then', () => {
    const overtakes = (model: LinkModel): boolean => fates(model).some(([time = 0], i, all) => time < (all[i - 1]?.[0] ?? 0));
    assert.equal(overtakes(link(3, { delay: 50 })), false);
    assert.equal(overtakes(link(3, { delay: 50, jitter: 10 })), true);
  });

  it('gives the nth packet the same luck whatever the link was like before', () => {
    const changed = link(9, { loss: 0.9, bandwidth: 1 });
    const steady = link(9, { loss: 0.3, jitter: 5 });
    for (let i = 0; i < 500; i++) {
      changed.admit(10, i);
      steady.admit(10, i);
    }
    changed.conditions = steady.conditions;
    const later = 100_000; // the slow line is free again
    for (let i = 0; i < 500; i++) assert.deepEqual(changed.admit(10, later + i), steady.admit(10, later + i));
  });

  it('sends packets one behind the other at its bandwidth, and loses those that would wait too long', () => {
    const slow = link(1, { bandwidth: 100, queue: 25 });
    const times = Array.from({ length: 5 }, () => slow.admit(1_000, 0));
    assert.deepEqual(times, [[10], [20], [30], [], []]);
    assert.deepEqual(slow.admit(1_000, 1_000), [1_010]);
  });
});

describe('FaultyLink', () => {
  it('delivers copies on the fake clock', () => {
    const clock = new FakeClock();
    const seen: string[] = [];
    const faulty = new FaultyLink(clock, link(1, { delay: 40, duplication: 1 }), (bytes, now) => seen.push(`${bytes} at ${now}`));
    const bytes = Uint8Array.of(1, 2);
    faulty.send(bytes);
    bytes.fill(0);
    clock.advance(39);
    assert.deepEqual(seen, []);
    clock.advance(1);
    assert.deepEqual(seen, ['1,2 at 40', '1,2 at 40']);
  });
});

describe('SeededRandom', () => {
  it('fills its range evenly', () => {
    const random = new SeededRandom(77);
    const counts = Array<number>(10).fill(0);
    for (let i = 0; i < 10_000; i++) {
      const cell = Math.floor(random.fraction() * 10);
      counts[cell] = (counts[cell] ?? 0) + 1;
    }
    assert.ok(Math.min(...counts) > 850 && Math.max(...counts) < 1_150, counts.join());
  });

  it('forks generators that do not depend on what others drew', () => {
    const [a, b] = [new SeededRandom(4), new SeededRandom(4)];
    const early = a.fork(1);
    b.fork(0).uint32();
    const late = b.fork(1);
    assert.equal(early.uint32(), late.uint32());
    assert.notEqual(a.fork(0).uint32(), a.fork(1).uint32());
  });
});
