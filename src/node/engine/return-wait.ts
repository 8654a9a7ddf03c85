/**
 * Waits until main has given back all that it had not used when the worker began to carry a path.
 *
 * It goes by places in the two rings, not by their being empty: on a busy gateway they never are, and every other path's traffic would hold this one up.
 * Main pushes what it gives back before it gives back the room of what it was made of; so once main has taken what lay before our place, all of it
 * lies before the place that main's ring has reached then.
 */
import { type SharedMemory, WORD } from './shared-memory.ts';

export class ReturnWait {
  readonly #memory: SharedMemory;
  /** In the ring to main: behind what may come back. */
  readonly #delivered: number;
  /** In main's ring: behind what came back. Undefined while main has not taken all that may. */
  #returned: number | undefined;

  constructor(memory: SharedMemory) {
    this.#memory = memory;
    this.#delivered = memory.toMain.position;
  }

  /** Asked again until it is true; main wakes the worker when it has taken more. */
  get isOver(): boolean {
    const { toMain, toWorker, words } = this.#memory;
    if (this.#returned === undefined) {
      Atomics.store(words, WORD.roomWanted, 1); // before the look: what main takes after it wakes us
      if (!toMain.hasTaken(this.#delivered)) return false;
      this.#returned = toWorker.published;
    }
    return toWorker.hasReached(this.#returned);
  }
}
