/**
 * The time in which packets of the device wait where they are: this thread takes over what main did so far, main may still have packets under way that
 * came earlier, and those must leave first.
 */
import type { Millis } from '../../core/tunnel/packet.ts';

/**
 * The longest that packets wait for main after a path was given to this thread. Main needs a millisecond of it, on a busy machine a hundred. Order
 * comes first: what does not fit into the kernel's queues meanwhile is lost, as packets may be.
 */
const MAX_HOLD: Millis = 1000;

export class Hold {
  /** Undefined: there is none. On the clock of `performance.now()`. */
  #end: Millis | undefined;

  begin(): void {
    this.#end = performance.now() + MAX_HOLD;
  }

  get isOn(): boolean {
    return this.#end !== undefined && performance.now() < this.#end;
  }

  /** Main has no packets under way any more. */
  release(): void {
    this.#end = undefined;
  }
}
