/** Who is to be woken when: a binary heap of things with a deadline each, so that many thousand cost nothing while they wait. */
import type { Millis } from '../tunnel/packet.ts';

export interface Sleeper {
  /** When it is woken. Written by the heap only. */
  wakeAt: Millis;
  /** Its place in the heap; -1: it is not in it. Written by the heap only. */
  heapPlace: number;
}

export class DeadlineHeap<T extends Sleeper> {
  readonly #heap: T[] = [];

  get size(): number {
    return this.#heap.length;
  }

  /** The earliest deadline. */
  get next(): Millis | undefined {
    return this.#heap[0]?.wakeAt;
  }

  /** Sets the deadline of one; Infinity takes it out. */
  schedule(sleeper: T, deadline: Millis): void {
    if (deadline === Number.POSITIVE_INFINITY) {
      this.remove(sleeper);
      return;
    }
    if (sleeper.heapPlace < 0) {
      sleeper.heapPlace = this.#heap.length;
      this.#heap.push(sleeper);
      sleeper.wakeAt = deadline;
      this.#up(sleeper, sleeper.heapPlace);
      return;
    }
    const before = sleeper.wakeAt;
    sleeper.wakeAt = deadline;
    if (deadline < before) this.#up(sleeper, sleeper.heapPlace);
    else if (deadline > before) this.#down(sleeper, sleeper.heapPlace);
  }

  remove(sleeper: T): void {
    const place = sleeper.heapPlace;
    if (place < 0) return;
    sleeper.heapPlace = -1;
    const last = this.#heap.pop();
    if (last === undefined || last === sleeper) return;
    this.#put(last, place);
    this.#up(last, place);
    this.#down(last, last.heapPlace);
  }

  /** Takes out the next one that is due. */
  takeDue(now: Millis): T | undefined {
    const first = this.#heap[0];
    if (first === undefined || first.wakeAt > now) return undefined;
    this.remove(first);
    return first;
  }

  #up(sleeper: T, from: number): void {
    let place = from;
    while (place > 0) {
      const parentPlace = (place - 1) >>> 1;
      const parent = this.#heap[parentPlace] as T; // below the heap's length
      if (parent.wakeAt <= sleeper.wakeAt) break;
      this.#put(parent, place);
      place = parentPlace;
    }
    this.#put(sleeper, place);
  }

  #down(sleeper: T, from: number): void {
    let place = from;
    const { length } = this.#heap;
    for (;;) {
      let childPlace = 2 * place + 1;
      if (childPlace >= length) break;
      let child = this.#heap[childPlace] as T; // below the length
      const right = this.#heap[childPlace + 1];
      if (right !== undefined && right.wakeAt < child.wakeAt) {
        child = right;
        childPlace++;
      }
      if (child.wakeAt >= sleeper.wakeAt) break;
      this.#put(child, place);
      place = childPlace;
    }
    this.#put(sleeper, place);
  }

  #put(sleeper: T, place: number): void {
    this.#heap[place] = sleeper;
    sleeper.heapPlace = place;
  }
}
