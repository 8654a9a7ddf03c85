/**
 * When a program has run what it mostly runs: then what was compiled of it is worth keeping (bin/code-cache.js).
 *
 * One a process, as compiled code is.
 */
import type { Millis } from '../core/tunnel/packet.ts';

/** What has just come up has more urgent things to do. */
const REST: Millis = 1_000;

let keepCode: (() => void) | undefined;

/** @param keep called once, when the program is warm */
export function keepWhenWarm(keep: () => void): void {
  keepCode = keep;
}

/** The program has run what it mostly runs. */
export function programIsWarm(): void {
  const keep = () => {
    keepCode?.();
    keepCode = undefined;
  };
  setTimeout(keep, REST).unref();
  process.once('exit', keep);
}
