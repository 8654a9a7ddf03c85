/** The resident memory of processes while something goes on, and whether it has grown. */
import type { Millis } from '../../src/core/tunnel/packet.ts';
import { residentMemoryOf } from './process-view.ts';

/** KiB, once it has settled and at the end. */
export interface MemoryGrowth {
  readonly name: string;
  readonly settled: number;
  readonly end: number;
}

const INTERVAL: Millis = 500;

/** Shares of the whole time: what is before is the start, and what lies between is not looked at. */
const SETTLED = [0.25, 0.4] as const;
const END = [0.85, 1] as const;

export class MemoryWatch {
  readonly #pids: readonly (readonly [name: string, pid: number])[];
  readonly #samples: number[][];
  readonly #timer: NodeJS.Timeout;

  /** @param pids by what they are called */
  constructor(pids: Readonly<Record<string, number>>) {
    this.#pids = Object.entries(pids);
    this.#samples = this.#pids.map(() => []);
    this.#timer = setInterval(() => this.#look(), INTERVAL).unref();
    this.#look();
  }

  /** Throws if one of the processes is there no more. */
  stop(): MemoryGrowth[] {
    clearInterval(this.#timer);
    this.#look();
    for (const [name, pid] of this.#pids) if (residentMemoryOf(pid) === undefined) throw new Error(`${name} has ended`);
    return this.#pids.map(([name], i) => growthOf(name, this.#samples[i] ?? []));
  }

  #look(): void {
    for (const [i, [, pid]] of this.#pids.entries()) {
      const resident = residentMemoryOf(pid);
      if (resident !== undefined) this.#samples[i]?.push(resident);
    }
  }
}

/** Medians of the samples of two parts of the time: a moment's peak, before a collection, is no growth. */
export function growthOf(name: string, samples: readonly number[]): MemoryGrowth {
  const median = ([from, to]: readonly [number, number]) => {
    const part = samples.slice(Math.floor(from * samples.length), Math.max(Math.ceil(to * samples.length), 1)).sort((a, b) => a - b);
    return part[part.length >> 1] ?? Number.NaN;
  };
  return { name, settled: median(SETTLED), end: median(END) };
}
