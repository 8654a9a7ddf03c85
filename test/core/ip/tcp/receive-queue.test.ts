import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { plainMemory } from '../../../../src/core/ip/memory.ts';
import { ReceiveQueue } from '../../../../src/core/ip/tcp/receive-queue.ts';
import { distance, plus } from '../../../../src/core/ip/tcp/sequence.ts';

const LENGTH = 400;
const byteAt = (offset: number) => (offset * 31 + 7) & 0xff;

/** Which of the bytes there are: the obvious version. */
class Reference {
  readonly has: boolean[] = new Array(LENGTH).fill(false);

  add(offset: number, length: number): void {
    for (let i = offset; i < offset + length; i++) if (i >= 0) this.has[i] = true;
  }

  get next(): number {
    const missing = this.has.indexOf(false);
    return missing < 0 ? LENGTH : missing;
  }

  get outOfOrder(): number {
    return this.has.slice(this.next).filter(Boolean).length;
  }
}

describe('receive queue', () => {
  for (const start of [0, 0x7fff_ff80 | 0, -100]) {
    it(`keeps what the obvious version keeps, from sequence number ${start} on`, () => {
      const segments = fc.array(fc.tuple(fc.integer({ min: -20, max: LENGTH - 1 }), fc.integer({ min: 1, max: 60 }), fc.boolean()), {
        maxLength: 60,
      });
      fc.assert(
        fc.property(segments, (list) => {
          const queue = new ReceiveQueue(start, plainMemory);
          const reference = new Reference();
          const read: number[] = [];
          for (const [offset, wanted, reads] of list) {
            const length = Math.min(wanted, LENGTH - offset);
            const data = Uint8Array.from({ length: length + 2 }, (_, i) => byteAt(offset + i - 1));
            const before = reference.next;
            reference.add(offset, length);
            const moved = queue.accept(plus(start, offset), data, 1, 1 + length, 1_000);
            data.fill(0xee); // it was only lent
            assert.equal(moved, reference.next - before);
            assert.equal(distance(queue.next, start), reference.next);
            assert.equal(queue.outOfOrder, reference.outOfOrder);
            assert.equal(queue.readable, reference.next - read.length);
            checkBlocks(queue, reference, start);
            if (reads) for (let chunk = queue.read(); chunk !== undefined; chunk = queue.read()) read.push(...chunk);
          }
          for (let chunk = queue.read(); chunk !== undefined; chunk = queue.read()) read.push(...chunk);
          assert.deepEqual(
            read,
            Array.from({ length: reference.next }, (_, i) => byteAt(i)),
          );
        }),
        { numRuns: 300 },
      );
    });
  }

  it('counts what pieces cost, and reads small ones out as few', () => {
    const queue = new ReceiveQueue(0, plainMemory);
    for (let i = 1_000; i > 0; i--) queue.accept(i, Uint8Array.of(i), 0, 1, 1_000);
    assert.equal(queue.held, 1_000 * 161);
    queue.accept(0, Uint8Array.of(0), 0, 1, 1_000);
    assert.equal(queue.held, 1_001);
    const read = [queue.read(), queue.read()];
    assert.deepEqual(
      read.map((chunk) => chunk && [...chunk]),
      [Array.from({ length: 1_001 }, (_, i) => i & 0xff), undefined],
    );
    assert.equal(queue.held, 0);
  });

  it('leaves no block behind that is mostly empty', () => {
    let allocated = 0;
    const queue = new ReceiveQueue(0, {
      ...plainMemory,
      allocate: (length) => {
        allocated += length;
        return new Uint8Array(length);
      },
    });
    const segment = new Uint8Array(600);
    for (let at = 0; at < 600_000; at += 601) {
      queue.accept(at + 1, segment, 0, 600, 10);
      queue.accept(at, segment, 0, 1, 10); // fills the gap
    }
    assert.ok(allocated < 2 * queue.readable, `${allocated} bytes for ${queue.readable}`);
  });

  it('takes no more pieces than it may', () => {
    const queue = new ReceiveQueue(0, plainMemory);
    for (let i = 1; i < 100; i++) queue.accept(2 * i, Uint8Array.of(1), 0, 1, 10);
    assert.deepEqual([queue.pieces, queue.outOfOrder], [10, 10]);
  });
});

/** Every block is a run of bytes that are there, and the first is not the duplicate's. */
function checkBlocks(queue: ReceiveQueue, reference: Reference, start: number): void {
  const edges = new Int32Array(8);
  const count = queue.sackBlocks(edges, 4);
  const hasDuplicate = queue.duplicateStart !== queue.duplicateEnd;
  for (let i = hasDuplicate ? 1 : 0; i < count; i++) {
    const from = distance(edges[2 * i] as number, start);
    const to = distance(edges[2 * i + 1] as number, start);
    assert.ok(from > reference.next && to > from);
    assert.ok(reference.has.slice(from, to).every(Boolean) && reference.has[from - 1] === false && reference.has[to] !== true);
  }
}
