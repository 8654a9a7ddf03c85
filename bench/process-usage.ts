/** What processes have used: CPU time and memory, as /proc tells. A gateway is a tree of them: main, and whoever it has started. */
import { readdirSync, readFileSync } from 'node:fs';

/** A tick of /proc, whatever the kernel's own clock does. */
const TICKS_PER_SECOND = 100;

/** The process, its children, theirs, and so on. */
export function processTree(root: number): number[] {
  const parents = new Map(runningProcesses().map((pid) => [pid, Number(statFields(pid)?.[1])]));
  const tree = [root];
  for (const member of tree) tree.push(...[...parents].filter(([, parent]) => parent === member).map(([pid]) => pid)); // grows as it is gone through
  return tree;
}

/** What all threads of a process have used so far, those that have ended included; its children's time is not in it. */
export function cpuSeconds(pid: number): number {
  return ticks(pid, [11, 12]) / TICKS_PER_SECOND;
}

/** What a process and all below it have used so far, those that have ended included. */
export function treeCpuSeconds(root: number): number {
  return processTree(root).reduce((sum, pid) => sum + ticks(pid, [11, 12, 13, 14]), 0) / TICKS_PER_SECOND;
}

/** MiB: what is resident, and that with each shared page divided by the number of those who share it. A type alias, so that it is a record of numbers. */
export type Memory = { readonly resident: number; readonly proportional: number };

export function memoryOf(pid: number): Memory {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const mebibytes = (key: string) => {
    const [, kibibytes] = new RegExp(`^${key}: +(\\d+) kB$`, 'm').exec(rollup) ?? [];
    if (kibibytes === undefined) throw new Error(`the kernel does not say the ${key} of process ${pid}`);
    return Number(kibibytes) / 1024;
  };
  return { resident: mebibytes('Rss'), proportional: mebibytes('Pss') };
}

/** Of a process and all below it. A page that several of them share is resident in each of them; the proportional sum has it once. */
export function treeMemory(root: number): Memory {
  const all = processTree(root).map(memoryOf);
  const sum = (key: keyof Memory) => all.reduce((total, memory) => total + memory[key], 0);
  return { resident: sum('resident'), proportional: sum('proportional') };
}

/** @param fields Of {@link statFields}: 11 and 12 are utime and stime, 13 and 14 the same of children that have ended and were waited for. */
function ticks(pid: number, fields: readonly number[]): number {
  const stat = statFields(pid);
  if (stat === undefined) throw new Error(`process ${pid}, which was to be measured, has ended`);
  return fields.reduce((sum, field) => sum + Number(stat[field]), 0);
}

/**
 * proc_pid_stat(5): `pid (command) state ppid …`; what follows the command, which may hold blanks and parentheses itself: the state is 0.
 * Undefined: there is no such process any more.
 */
function statFields(pid: number): string[] | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(') ') + 2).split(' ');
  } catch {
    return undefined; // it has ended since it was listed
  }
}

function runningProcesses(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}
