/** Which process a number means: numbers come round again, so a pid alone proves nothing about a process that may have ended. */
import { readFileSync } from 'node:fs';

/** Differs between two processes that had the same pid. Undefined: it has ended (a zombie too, whether its parent has noticed or not). */
export function processIdentity(pid: number): string | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return undefined; // there is no such process
  }
  // proc(5): pid (command) state … with the start time as field 22. The command may hold blanks and parentheses.
  const [state, ...fields] = stat.slice(stat.lastIndexOf(') ') + 2).split(' ');
  return state === 'Z' || state === 'X' ? undefined : `${pid} started at ${fields[18]}`;
}
