/** The engine's worker thread where every module is a file of its own. In a bundle another file of this name takes its place: see tools/bundle.ts. */
import { runEngine } from './engine-thread.ts';

void runEngine(() => undefined); // an error on the way ends the thread
