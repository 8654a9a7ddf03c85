/** What a client holds in memory once its tunnel is up and nothing happens. */
import { readFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import type { Millis } from '../src/core/tunnel/packet.ts';
import type { BenchLab } from './bench-lab.ts';
import type { Figure } from './figures.ts';
import { measureInTurns } from './rounds.ts';

/** Long enough for what a start leaves behind. */
const IDLE: Millis = 5_000;

export function measureIdleMemory(bench: BenchLab, { rounds }: { rounds: number }): Promise<Figure[]> {
  return measureInTurns('memory', rounds, { resident: 'MiB', proportional: 'MiB' }, (client, transport) =>
    bench.withTunnel(client, transport, async ({ program }) => {
      await setTimeout(IDLE);
      return memoryOf(program.pid);
    }),
  );
}

/** MiB: what is resident, and that with each shared page divided by the number of those who share it. */
function memoryOf(pid: number): { resident: number; proportional: number } {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const mebibytes = (key: string) => {
    const [, kibibytes] = new RegExp(`^${key}: +(\\d+) kB$`, 'm').exec(rollup) ?? [];
    if (kibibytes === undefined) throw new Error(`the kernel does not say the ${key} of process ${pid}`);
    return Number(kibibytes) / 1024;
  };
  return { resident: mebibytes('Rss'), proportional: mebibytes('Pss') };
}
