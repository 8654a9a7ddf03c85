/** The engine's worker thread: see {@link EngineLoop}. Ends when the loop does; an error on the way surfaces in main as the worker's. */
import { enableCompileCache } from 'node:module';
import { parentPort, workerData } from 'node:worker_threads';
import { MisuseError } from '../../core/errors.ts';
import { plainError } from '../plain-error.ts';
import type { EngineLoop } from './engine-loop.ts';
import type { WorkerMessage, WorkerOptions } from './messages.ts';
import { SharedMemory, WORD } from './shared-memory.ts';

if (parentPort === null) throw new MisuseError('engine-worker runs in a worker thread only');
const options = workerData as WorkerOptions;
if (options.codeCache !== undefined) enableCompileCache(options.codeCache); // a thread does not take it over from its process
void run(parentPort); // an error on the way ends the thread

async function run(port: NonNullable<typeof parentPort>): Promise<void> {
  try {
    const loop = await startLoop(port);
    loop?.run();
  } finally {
    const { words } = new SharedMemory(options.memory);
    Atomics.store(words, WORD.workerLeft, 1);
    Atomics.notify(words, WORD.workerLeft);
  }
}

/** Undefined if it could not start: main knows why. An error that is thrown would lose its class on the way. */
async function startLoop(port: NonNullable<typeof parentPort>): Promise<EngineLoop | undefined> {
  try {
    const { EngineLoop } = await import('./engine-loop.ts');
    return new EngineLoop(port, options);
  } catch (error) {
    port.postMessage({ type: 'start-failed', error: plainError(error) } satisfies WorkerMessage);
    return undefined;
  }
}
