import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { DeadlineHeap, type Sleeper } from '../../../src/core/ip/deadline-heap.ts';

describe('deadline heap', () => {
  it('wakes everyone at its last deadline, in order, whatever is changed meanwhile', () => {
    const changes = fc.array(fc.tuple(fc.nat(30), fc.oneof(fc.nat(1_000), fc.constant(Number.POSITIVE_INFINITY))), { maxLength: 300 });
    fc.assert(
      fc.property(changes, (steps) => {
        const heap = new DeadlineHeap<Sleeper & { id: number }>();
        const sleepers = Array.from({ length: 31 }, (_, id) => ({ id, wakeAt: 0, heapPlace: -1 }));
        const expected = new Map<number, number>();
        for (const [id, deadline] of steps) {
          const sleeper = sleepers[id];
          assert.ok(sleeper);
          heap.schedule(sleeper, deadline);
          if (Number.isFinite(deadline)) expected.set(id, deadline);
          else expected.delete(id);
          assert.equal(heap.next, expected.size === 0 ? undefined : Math.min(...expected.values()));
        }
        assert.equal(heap.takeDue(-1), undefined);
        let last = 0;
        for (let sleeper = heap.takeDue(1_000); sleeper !== undefined; sleeper = heap.takeDue(1_000)) {
          assert.ok(sleeper.wakeAt >= last);
          assert.equal(expected.get(sleeper.id), sleeper.wakeAt);
          expected.delete(sleeper.id);
          last = sleeper.wakeAt;
        }
        assert.deepEqual([expected.size, heap.size], [0, 0]);
      }),
    );
  });
});
