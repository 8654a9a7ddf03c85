/**
 * What a carried path moves, and what it costs: two engines (engine-pair.ts), one TCP stream through them, with and without single features, in turns.
 *
 *   node bench/engine-throughput.ts [--rounds=3] [--seconds=3] [--cipher=aes-256-gcm|aes-128-cbc+sha1|…] [--portable] [--without='' --without=udp-gro,tcp-join …]
 *                                   [--iperf='-u -b 0 -l 64']
 *
 * Needs root, iproute2 and iperf3. CPU is what the scheduler counted for each end, the kernel's work in their calls included, for a GB of payload:
 * on a busy machine look at that, not at the rate.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { EnginePair, inner, runEnd } from './engine-pair.ts';

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '3' },
    cipher: { type: 'string', default: 'aes-256-gcm' },
    portable: { type: 'boolean', default: false },
    without: { type: 'string', multiple: true, default: [''] },
    iperf: { type: 'string', default: '' },
    counters: { type: 'boolean', default: false },
    end: { type: 'string' },
  },
});

interface Run {
  readonly megabits: number;
  readonly sender: number;
  readonly receiver: number;
}

/** CPU-seconds of a process, all of its threads. */
function cpuOf({ pid }: ChildProcess): number {
  const tasks = `/proc/${pid}/task`;
  return readdirSync(tasks).reduce((sum, task) => sum + Number(readFileSync(`${tasks}/${task}/schedstat`, 'utf8').split(' ')[0]), 0) / 1e9;
}

async function measure(without: string): Promise<Run> {
  const pair = await EnginePair.open(import.meta.filename, process.argv.slice(2), { SALLYPORT_ENGINE_WITHOUT: without });
  const [first, second] = pair.namespaces;
  const server = spawn('ip', ['netns', 'exec', second, 'iperf3', '-s', '-1', '--forceflush'], { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    await once(server.stdout, 'data');
    const before = pair.ends.map(cpuOf);
    const words = [
      'netns',
      'exec',
      first,
      'iperf3',
      '-J',
      '-c',
      inner(2),
      '-t',
      options.seconds,
      ...options.iperf.split(' ').filter(Boolean),
    ];
    const client = spawn('ip', words, { stdio: ['ignore', 'pipe', 'inherit'] });
    let output = '';
    client.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
    await once(client, 'close');
    const [sender = 0, receiver = 0] = pair.ends.map((end, i) => cpuOf(end) - (before[i] ?? 0));
    if (options.counters) for (const end of pair.ends) await printCounters(end);
    const { end } = JSON.parse(output);
    const { bytes, bits_per_second: rate } = end.sum_received ?? end.sum;
    return { megabits: rate / 1e6, sender: (sender / bytes) * 1e9, receiver: (receiver / bytes) * 1e9 };
  } finally {
    server.kill();
    pair.close();
  }
}

async function printCounters(end: ChildProcess): Promise<void> {
  end.kill('SIGUSR2');
  if (end.stdout !== null) console.log(String((await once(end.stdout, 'data'))[0]));
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

async function main(): Promise<void> {
  const runs = new Map<string, Run[]>();
  for (let round = 0; round < Number(options.rounds); round++) {
    for (const without of options.without) {
      const name = without === '' ? 'everything' : `without ${without}`;
      runs.set(name, [...(runs.get(name) ?? []), await measure(without)]);
    }
  }
  const load = execFileSync('cat', ['/proc/loadavg'], { encoding: 'utf8' }).trim();
  console.log(`${new Date().toISOString()}, load ${load}`);
  for (const [name, all] of runs) {
    const of = (pick: (run: Run) => number) => median(all.map(pick));
    const rate = of((run) => run.megabits).toFixed(0);
    console.log(
      `${name}: ${rate} Mbit/s, CPU-s/GB sender ${of((run) => run.sender).toFixed(2)}, receiver ${of((run) => run.receiver).toFixed(2)}`,
    );
  }
}

const { cipher, portable, end } = options;
await (end === undefined ? main() : runEnd(Number(end), { cipher, portable }));
