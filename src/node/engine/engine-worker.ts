/** The engine's worker thread: see {@link EngineLoop}. Ends when the loop does; an error on the way surfaces in main as the worker's. */
import { parentPort, workerData } from 'node:worker_threads';
import { MisuseError } from '../../core/errors.ts';
import { EngineLoop } from './engine-loop.ts';
import { plainError, type WorkerMessage, type WorkerOptions } from './messages.ts';

if (parentPort === null) throw new MisuseError('engine-worker runs in a worker thread only');
startLoop(parentPort)?.run();

/** Undefined if it could not start: main knows why. An error that is thrown would lose its class on the way. */
function startLoop(port: NonNullable<typeof parentPort>): EngineLoop | undefined {
  try {
    return new EngineLoop(port, workerData as WorkerOptions);
  } catch (error) {
    port.postMessage({ type: 'start-failed', error: plainError(error) } satisfies WorkerMessage);
    return undefined;
  }
}
