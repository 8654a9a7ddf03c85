import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FakeClock } from './fake-clock.ts';

/** Beats every `interval`, and writes down when. */
function metronome(interval: number): { nextTimeout(): number; handleTimeout(now: number): void; readonly beats: number[] } {
  const beats: number[] = [];
  let next = interval;
  return {
    beats,
    nextTimeout: () => next,
    handleTimeout(now) {
      beats.push(now);
      next = now + interval;
    },
  };
}

describe('FakeClock', () => {
  it('runs actions at their times and in the order of the calls, also those that actions add', () => {
    const clock = new FakeClock();
    const seen: string[] = [];
    clock.at(20, () => seen.push(`second at ${clock.now}`));
    clock.at(10, () => {
      seen.push(`first at ${clock.now}`);
      clock.at(5, () => seen.push(`late at ${clock.now}`));
    });
    clock.at(20, () => seen.push(`third at ${clock.now}`));
    clock.advance(19);
    assert.deepEqual(seen, ['first at 10', 'late at 10']);
    clock.advance(1);
    assert.deepEqual(seen.slice(2), ['second at 20', 'third at 20']);
    assert.equal(clock.now, 20);
  });

  it('wakes each machine when it wants to be woken', () => {
    const clock = new FakeClock(1_000);
    const [fast, slow] = [metronome(30), metronome(70)];
    clock.attach(fast);
    clock.attach(slow);
    clock.advance(100);
    assert.deepEqual(fast.beats, [1_000, 1_030, 1_060, 1_090]); // 30 had passed when the clock began
    assert.deepEqual(slow.beats, [1_000, 1_070]);
    clock.detach(fast);
    clock.advance(100);
    assert.equal(fast.beats.length, 4);
  });

  it('jumps to the moment when a condition holds', () => {
    const clock = new FakeClock();
    const machine = metronome(10);
    clock.attach(machine);
    clock.runUntil(() => machine.beats.length === 3, 1_000);
    assert.equal(clock.now, 30);
  });

  it('says so when the condition does not come true', () => {
    const clock = new FakeClock();
    assert.throws(() => clock.runUntil(() => false, 1_000), /nothing is left to happen/);
    clock.attach(metronome(600));
    assert.throws(() => clock.runUntil(() => false, 1_000), /did not hold within 1000 ms; next event at 1200/);
  });

  it('stops at a machine that does nothing about its timeout', () => {
    const clock = new FakeClock();
    clock.attach({ nextTimeout: () => 5, handleTimeout: () => undefined });
    assert.throws(() => clock.advance(10), /time stands still at 5/);
  });
});
