/**
 * What a carried path costs a packet on an idle tunnel, against the bare link below it: two engines in two namespaces, joined by a veth pair.
 *
 *   node bench/engine-latency.ts [--rounds=5] [--count=400] [--cipher=aes-256-gcm] [--portable]
 *
 * Needs root, iproute2 and ping. Rounds alternate between link and tunnel, so that what else runs on the machine meets both.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { parseArgs } from 'node:util';
import type { AeadCipher, TrafficDescription, TrafficKey } from '../src/core/tunnel/traffic.ts';
import { parseIp } from '../src/core/wire/ip-address.ts';
import { TunDevice } from '../src/node/devices/tun-device.ts';
import { PacketEngine } from '../src/node/engine/packet-engine.ts';

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    count: { type: 'string', default: '400' },
    cipher: { type: 'string', default: 'aes-256-gcm' },
    portable: { type: 'boolean', default: false },
    end: { type: 'string' },
  },
});

/** Each end by number: 1 and 2. */
const outer = (end: number) => `10.88.0.${end}`;
const inner = (end: number) => `10.89.0.${end}`;
const PORT = 4500;

function key(sender: number): TrafficKey {
  const bytes = (what: string) => createHash('sha256').update(`${what} of ${sender}`).digest();
  const isChaCha = options.cipher === 'chacha20-poly1305';
  const length = options.cipher === 'aes-128-gcm' ? 16 : 32;
  return { id: 1, key: bytes('key').subarray(0, length), iv: bytes('iv').subarray(0, isChaCha ? 12 : 4), nextSequence: 1 };
}

async function runEnd(end: number): Promise<void> {
  const peer = 3 - end;
  const address = parseIp(outer(peer));
  if (address === undefined) throw new Error('no address');
  const started = performance.now();
  const engine = await PacketEngine.start({ portableCrypto: options.portable });
  const ready = performance.now();
  const tun = await TunDevice.open(engine);
  const opened = performance.now();
  await tun.setMtu(1400);
  const path = await engine.openUdp({ remote: { address, port: PORT }, localPort: PORT });
  const description: TrafficDescription = {
    record: { kind: 'dtls-aead', cipher: options.cipher as AeadCipher },
    seal: key(end),
    open: [key(peer)],
    replayWindow: 64,
    header: Uint8Array.of(0),
    isData: { offset: 0, value: 0 },
    tunnelMtu: 1400,
  };
  await path.carry(description);
  await engine.route(path);
  execFileSync('ip', ['addr', 'add', `${inner(end)}/24`, 'dev', tun.name]);
  execFileSync('ip', ['link', 'set', tun.name, 'up']);
  process.stdout.write(`${engine.crypto}: worker ${(ready - started).toFixed(1)} ms, TUN open after ${(opened - started).toFixed(1)} ms\n`);
}

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
  const namespaces = [1, 2].map((end) => `latency-${process.pid}-${end}`);
  const [first = '', second = ''] = namespaces;
  const ends: ChildProcess[] = [];
  const ip = (words: string) => execFileSync('ip', words.split(' '));
  try {
    for (const namespace of namespaces) ip(`netns add ${namespace}`);
    ip(`link add veth1 netns ${first} type veth peer name veth2 netns ${second}`);
    for (const [i, namespace] of namespaces.entries()) {
      ip(`-n ${namespace} addr add ${outer(i + 1)}/24 dev veth${i + 1}`);
      ip(`-n ${namespace} link set veth${i + 1} up`);
    }
    for (const [i, namespace] of namespaces.entries()) {
      const words = ['netns', 'exec', namespace, process.execPath, import.meta.filename, ...process.argv.slice(2), `--end=${i + 1}`];
      const end = spawn('ip', words, { stdio: ['ignore', 'pipe', 'inherit'] });
      ends.push(end);
      process.stdout.write(String((await once(end.stdout, 'data'))[0]));
    }
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
    for (const end of ends) end.kill();
    for (const namespace of namespaces) execFileSync('ip', ['netns', 'del', namespace]);
  }
}

await (options.end === undefined ? main() : runEnd(Number(options.end)));
