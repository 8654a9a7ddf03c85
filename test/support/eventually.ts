import { setImmediate } from 'node:timers/promises';

/** Lets sockets, threads and timers work until the condition holds. A test's own deadline ends it otherwise. */
export async function eventually(condition: () => boolean): Promise<void> {
  while (!condition()) await setImmediate();
}
