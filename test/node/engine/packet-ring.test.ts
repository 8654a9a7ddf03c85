import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { MisuseError } from '../../../src/core/errors.ts';
import { PacketRing, ringSize } from '../../../src/node/engine/packet-ring.ts';
import { sized } from '../../support/size.ts';

function pair(capacity: number) {
  const memory = new SharedArrayBuffer(64 + ringSize(capacity));
  return { pusher: new PacketRing(memory, 64, capacity), taker: new PacketRing(memory, 64, capacity), memory };
}

function take(ring: PacketRing): { tag: number; bytes: number[] } | undefined {
  return ring.next() ? { tag: ring.tag, bytes: [...ring.data.subarray(ring.start, ring.end)] } : undefined;
}

const bytesOf = (length: number, seed = 1) => Uint8Array.from({ length }, (_, i) => (i * 7 + seed) & 0xff);

describe('packet ring', () => {
  it('hands over packets with their tags, in order, after publish', () => {
    const { pusher, taker } = pair(1024);
    assert.equal(take(taker), undefined);
    assert.ok(pusher.push(7, Uint8Array.of(9, 1, 2, 3, 9), 1, 4));
    assert.ok(pusher.push(0xffff_ffff, new Uint8Array(0), 0, 0));
    assert.ok(taker.isRead, 'nothing is seen before publish');
    assert.equal(take(taker), undefined);
    pusher.publish();
    assert.ok(!taker.isRead);
    assert.deepEqual(take(taker), { tag: 7, bytes: [1, 2, 3] });
    assert.deepEqual(take(taker), { tag: 0xffff_ffff, bytes: [] });
    assert.equal(take(taker), undefined);
    assert.ok(taker.isRead);
  });

  it('refuses what does not fit, and has room again only after release', () => {
    const { pusher, taker } = pair(128);
    assert.ok(pusher.push(1, bytesOf(56), 0, 56)); // 64 with its header
    assert.ok(pusher.push(2, bytesOf(56), 0, 56));
    assert.ok(!pusher.push(3, bytesOf(1), 0, 1));
    pusher.publish();
    assert.equal(take(taker)?.tag, 1);
    assert.ok(!pusher.push(3, bytesOf(1), 0, 1), 'taken, but its bytes may still be in use');
    taker.release();
    assert.ok(pusher.push(3, bytesOf(56), 0, 56));
    pusher.publish();
    assert.deepEqual([take(taker)?.tag, take(taker)?.tag, take(taker)], [2, 3, undefined]);
  });

  it('never cuts an entry at the end of its memory', () => {
    const { pusher, taker } = pair(128);
    assert.ok(pusher.push(1, bytesOf(80), 0, 80));
    pusher.publish();
    take(taker);
    taker.release();
    // 40 bytes are left before the end: this one starts again at the front.
    assert.ok(pusher.push(2, bytesOf(60, 5), 0, 60));
    pusher.publish();
    assert.deepEqual(take(taker), { tag: 2, bytes: [...bytesOf(60, 5)] });
    assert.equal(taker.start, 8);
  });

  it('keeps room free for entries that matter more', () => {
    const { pusher } = pair(256);
    assert.ok(pusher.push(1, bytesOf(120), 0, 120, 64));
    assert.ok(!pusher.push(1, bytesOf(120), 0, 120, 64));
    assert.ok(pusher.push(2, bytesOf(120), 0, 120));
  });

  it('promises with fits() no more than push() keeps', () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 100 }), { maxLength: 40 }), fc.nat({ max: 100 }), (lengths, length) => {
        const { pusher, taker } = pair(512);
        for (const each of lengths) {
          if (!pusher.push(1, bytesOf(each), 0, each)) break;
          pusher.publish();
          if (each % 3 !== 0) take(taker);
          taker.release();
        }
        if (pusher.fits(length)) assert.ok(pusher.push(2, bytesOf(length), 0, length));
      }),
    );
  });

  it('tells whether everything up to a position was taken', () => {
    const { pusher, taker } = pair(1024);
    const start = pusher.position;
    assert.ok(taker.hasReached(start));
    pusher.push(1, bytesOf(10), 0, 10);
    const after = pusher.position;
    pusher.push(2, bytesOf(10), 0, 10);
    pusher.publish();
    assert.ok(!taker.hasReached(after));
    take(taker);
    assert.ok(taker.hasReached(after));
    assert.ok(!taker.hasReached(taker.published));
    take(taker);
    assert.ok(taker.hasReached(taker.published));
  });

  it('behaves as a queue, whatever is pushed and taken', () => {
    const steps = fc.array(fc.oneof(fc.record({ push: fc.nat({ max: 300 }) }), fc.record({ take: fc.nat({ max: 8 }) })), {
      maxLength: 200,
    });
    fc.assert(
      fc.property(steps, (all) => {
        const { pusher, taker } = pair(1024);
        const model: { tag: number; bytes: number[] }[] = [];
        let tag = 0;
        for (const step of all) {
          if ('push' in step) {
            const bytes = bytesOf(step.push, tag);
            const fits = pusher.push(tag, bytes, 0, bytes.length);
            if (fits) model.push({ tag, bytes: [...bytes] });
            else assert.ok(model.length > 0, 'an empty ring takes anything up to half its size');
            tag++;
            pusher.publish();
          } else {
            for (let i = 0; i < step.take; i++) assert.deepEqual(take(taker), model.shift());
            taker.release();
          }
        }
        for (let entry = take(taker); entry !== undefined; entry = take(taker)) assert.deepEqual(entry, model.shift());
        assert.equal(model.length, 0);
      }),
      { numRuns: sized(100, 2000) },
    );
  });

  it('goes on when its 32-bit positions overflow', () => {
    const { memory } = pair(1024);
    // As after 2^32 - 512 bytes: both positions a moment before the overflow.
    new Int32Array(memory, 64, 1)[0] = -512;
    new Int32Array(memory, 128, 1)[0] = -512;
    const pusher = new PacketRing(memory, 64, 1024);
    const taker = new PacketRing(memory, 64, 1024);
    for (let i = 0; i < 100; i++) {
      assert.ok(pusher.push(i, bytesOf(100, i), 0, 100));
      pusher.publish();
      assert.deepEqual(take(taker), { tag: i, bytes: [...bytesOf(100, i)] });
      taker.release();
    }
  });

  it('refuses sizes that are no power of two, and memory that was overwritten', () => {
    assert.throws(() => new PacketRing(new SharedArrayBuffer(4096), 0, 1000), MisuseError);
    const { pusher, taker, memory } = pair(1024);
    pusher.push(1, bytesOf(10), 0, 10);
    pusher.publish();
    new Uint32Array(memory, 64 + 128, 1)[0] = 5000;
    assert.throws(() => taker.next(), MisuseError);
  });

  it('loses and alters nothing between two threads', async () => {
    const capacity = 4096;
    const entries = sized(50_000, 2_000_000);
    const memory = new SharedArrayBuffer(ringSize(capacity));
    const worker = new Worker(new URL('./ring-pusher.ts', import.meta.url), { workerData: { memory, capacity, entries } });
    const taker = new PacketRing(memory, 0, capacity);
    let taken = 0;
    while (taken < entries) {
      while (taker.next()) {
        assert.equal(taker.tag, taken);
        const length = (taken * 31) % 301;
        assert.equal(taker.end - taker.start, length);
        if (length > 0) {
          assert.equal(taker.data[taker.start], taken & 0xff);
          assert.equal(taker.data[taker.end - 1], taken & 0xff);
        }
        taken++;
      }
      taker.release();
    }
    await once(worker, 'exit');
    assert.ok(!taker.next());
  });
});
