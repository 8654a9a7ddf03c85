/**
 * Which process is meant, beyond its number: numbers are used again, a number and the moment the process started are not (until the next boot).
 *
 * Read first: proc(5), "/proc/pid/stat", field 22 (starttime).
 */
import { readFileSync } from 'node:fs';

export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks from boot to its start, in decimal; `0` where the system has no /proc. */
  readonly startTime: string;
}

/** The process that runs this. */
export function thisProcess(): ProcessIdentity {
  return identify(process.pid) ?? { pid: process.pid, startTime: '0' };
}

/** Whether that very process is still running. Where there is no /proc, a process with its number is taken for it: to be wrong then leaves things alone. */
export function isRunning(identity: ProcessIdentity): boolean {
  if (identity.startTime !== '0') return identify(identity.pid)?.startTime === identity.startTime;
  try {
    process.kill(identity.pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'; // it runs, and is another user's
  }
}

/** The process that has this number now; undefined if none has, or if it has ended and only waits to be collected. */
export function identify(pid: number): ProcessIdentity | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch {
    return undefined; // no such process, or no /proc
  }
  // pid (name) state ppid … : the name may hold blanks and parentheses, so count from the last one. State is field 3, starttime field 22.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const state = fields[0] ?? 'X';
  const startTime = fields[19];
  return startTime === undefined || 'ZXx'.includes(state) ? undefined : { pid, startTime };
}

/** Which run of the machine this is; empty where the system does not say. */
export function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
  } catch {
    return ''; // not Linux
  }
}
