/** Whether memory has grown. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { growthOf, MemoryWatch } from './memory-watch.ts';

describe('growth of memory', () => {
  it('is the difference of two medians: the start does not count, nor does a peak', () => {
    const samples = Array.from({ length: 100 }, (_, i) => (i < 20 ? i : 50));
    samples[90] = 900;
    assert.deepEqual(growthOf('any', samples), { name: 'any', settled: 50, end: 50 });
  });

  it('is seen where memory goes up a little each time', () => {
    const { settled, end } = growthOf(
      'any',
      Array.from({ length: 1000 }, (_, i) => i),
    );
    assert.ok(end - settled > 550, `${settled} to ${end}`);
  });

  it('is known of one sample too', () => {
    assert.deepEqual(growthOf('any', [7]), { name: 'any', settled: 7, end: 7 });
  });

  it('is watched in processes that live', () => {
    const [growth] = new MemoryWatch({ 'this test': process.pid }).stop();
    assert.equal(growth?.name, 'this test');
    assert.ok((growth?.end ?? 0) > 10_000, `${growth?.end} KiB`);
    assert.throws(() => new MemoryWatch({ nobody: 2 ** 22 + 1 }).stop(), /nobody has ended/);
  });
});
