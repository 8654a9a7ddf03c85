/** Which processes have a file open. Linux only, and as far as /proc shows it to us: as root, all. */
import { readdirSync, type Stats, statSync } from 'node:fs';

/** The processes other than this one that have the file open, under whatever name they know it. */
export function holdersOf(file: string): readonly number[] {
  const wanted = statOf(file);
  if (wanted === undefined) return [];
  const isWanted = (link: string) => {
    const found = statOf(link);
    return found?.ino === wanted.ino && found.dev === wanted.dev;
  };
  return entriesOf('/proc')
    .filter((entry) => /^\d+$/.test(entry) && entry !== String(process.pid))
    .filter((pid) => entriesOf(`/proc/${pid}/fd`).some((fd) => isWanted(`/proc/${pid}/fd/${fd}`)))
    .map(Number);
}

function entriesOf(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return []; // gone meanwhile, or not ours to look into
  }
}

function statOf(file: string): Stats | undefined {
  try {
    return statSync(file);
  } catch {
    return undefined; // gone meanwhile
  }
}
