/** What the engine's thread does from its start to its end: see {@link EngineLoop}. An error on the way surfaces in main as the worker's. */
import { parentPort, workerData } from 'node:worker_threads';
import { MisuseError } from '../../core/errors.ts';
import { plainError } from '../plain-error.ts';
import type { EngineLoop } from './engine-loop.ts';
import type { WorkerMessage, WorkerOptions } from './messages.ts';
import { SharedMemory, WORD } from './shared-memory.ts';

/** @param onWarm called once, when all of the engine's code has run and there is time for something else */
export async function runEngine(onWarm: () => void): Promise<void> {
  if (parentPort === null) throw new MisuseError('the engine runs in a worker thread only');
  const options = workerData as WorkerOptions;
  try {
    const loop = await startLoop(parentPort, options, onWarm);
    loop?.run();
  } finally {
    const { words } = new SharedMemory(options.memory);
    Atomics.store(words, WORD.workerLeft, 1);
    Atomics.notify(words, WORD.workerLeft);
  }
}

/** Undefined if it could not start: main knows why. An error that is thrown would lose its class on the way. */
async function startLoop(
  port: NonNullable<typeof parentPort>,
  options: WorkerOptions,
  onWarm: () => void,
): Promise<EngineLoop | undefined> {
  try {
    const { EngineLoop } = await import('./engine-loop.ts');
    return new EngineLoop(port, options, onWarm);
  } catch (error) {
    port.postMessage({ type: 'start-failed', error: plainError(error) } satisfies WorkerMessage);
    return undefined;
  }
}
