/**
 * What a carried path costs a packet on an idle tunnel, against the bare link below it: two engines in two namespaces, joined by a veth pair.
 *
 *   node bench/engine-latency.ts [--rounds=5] [--count=400] [--cipher=aes-256-gcm] [--portable]
 *
 * Needs root, iproute2 and ping. Rounds alternate between link and tunnel, so that what else runs on the machine meets both.
 */
import { execFileSync } from 'node:child_process';
import { parseArgs } from 'node:util';
import { EnginePair, inner, outer, runEnd } from './engine-pair.ts';

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    count: { type: 'string', default: '400' },
    cipher: { type: 'string', default: 'aes-256-gcm' },
    portable: { type: 'boolean', default: false },
    end: { type: 'string' },
  },
});

/** Round-trip times in microseconds, in order. */
function ping(namespace: string, address: string, size: number): number[] {
  const words = ['netns', 'exec', namespace, 'ping', '-c', options.count, '-i', '0.005', '-s', String(size), address];
  const output = execFileSync('ip', words, { encoding: 'utf8' });
  return [...output.matchAll(/time=([\d.]+) ms/g)].map((match) => Number(match[1]) * 1000);
}

function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length * share)] ?? Number.NaN;
}

async function main(): Promise<void> {
  const pair = await EnginePair.open(import.meta.filename, process.argv.slice(2));
  const [first] = pair.namespaces;
  try {
    for (const size of [56, 1300]) {
      const [link, tunnel]: [number[], number[]] = [[], []];
      for (let round = 0; round < Number(options.rounds); round++) {
        link.push(...ping(first, outer(2), size));
        tunnel.push(...ping(first, inner(2), size));
      }
      const show = (name: string, values: number[]) =>
        `${name} ${[0.01, 0.25, 0.5, 0.75].map((share) => quantile(values, share).toFixed(0)).join(' / ')}`;
      // A round trip passes four engines: each direction leaves one and enters another.
      const cost = [0.01, 0.25, 0.5].map((share) => ((quantile(tunnel, share) - quantile(link, share)) / 4).toFixed(1)).join(' / ');
      console.log(`${size} bytes, round trip in µs (1 % / 25 % / 50 % / 75 %): ${show('link', link)}; ${show('tunnel', tunnel)}`);
      console.log(`  an engine adds (1 % / 25 % / 50 %): ${cost} µs a packet`);
    }
  } finally {
    pair.close();
  }
}

const { cipher, portable, end } = options;
await (end === undefined ? main() : runEnd(Number(end), { cipher, portable }));
