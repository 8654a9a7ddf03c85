/** Runs with one seed after the other for a fixed time, and what they leave in memory. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Millis } from '../../src/core/tunnel/packet.ts';

/** However slow the machine is: fewer would show nothing. */
const MIN_RUNS = 20;

/** How many there were. A failure says its seed. */
export async function runSeeds(duration: Millis, run: (seed: number) => void | Promise<void>): Promise<number> {
  const end = performance.now() + duration;
  let runs = 0;
  while (runs < MIN_RUNS || performance.now() < end) {
    runs++;
    try {
      await run(runs);
    } catch (cause) {
      throw new Error(`seed ${runs}: ${String(cause)}`, { cause });
    }
  }
  return runs;
}

/** Objects and what they hold outside of the heap, in bytes, after all that can be collected was: buffers go a little later, by another thread. */
export async function heldBytes(): Promise<number> {
  setFlagsFromString('--expose-gc');
  const collectGarbage: () => void = runInNewContext('gc');
  for (let i = 0; i < 5; i++) {
    collectGarbage();
    await new Promise((resolve) => setImmediate(resolve));
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
