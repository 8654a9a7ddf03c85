/** Preloaded by the test command: keeps what is compiled of TypeScript for the next of the several hundred processes, which all load the same modules. */
import { enableCompileCache } from 'node:module';
import path from 'node:path';

enableCompileCache(path.resolve(import.meta.dirname, '../../node_modules/.cache/compile'));
