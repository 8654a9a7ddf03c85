/**
 * Two engines in two namespaces, joined by a veth pair, with nothing of a protocol between them: what the engine by itself costs. Needs root and iproute2.
 *
 *   namespace 1: TUN 10.89.0.1 ── engine ── 10.88.0.1 ════ veth ════ 10.88.0.2 ── engine ── TUN 10.89.0.2 :namespace 2
 *
 * Each end is this file's importer again, as a process of its own with `--end=N`: see {@link runEnd}.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { framingByMark, type RecordLayout, type TrafficDescription, type TrafficKey } from '../src/core/tunnel/traffic.ts';
import { parseIp } from '../src/core/wire/ip-address.ts';
import { TunDevice } from '../src/node/devices/tun-device.ts';
import { PacketEngine } from '../src/node/engine/packet-engine.ts';
import { HASH_LENGTHS } from '../src/node/ffi/openssl-hmac.ts';

/** Each end by number: 1 and 2. */
export const outer = (end: number): string => `10.88.0.${end}`;
export const inner = (end: number): string => `10.89.0.${end}`;
const PORT = 4500;
const IPV4_NEXT_HEADER = 4;

/** What the tunnel's interfaces carry. */
const MTU = 1400;

/** AEAD ciphers in DTLS, and ciphers with a MAC in ESP. */
const LAYOUTS: Readonly<Record<string, RecordLayout>> = {
  'aes-128-gcm': { kind: 'dtls-aead', cipher: 'aes-128-gcm' },
  'aes-256-gcm': { kind: 'dtls-aead', cipher: 'aes-256-gcm' },
  'chacha20-poly1305': { kind: 'dtls-aead', cipher: 'chacha20-poly1305' },
  'aes-128-cbc+sha1': { kind: 'esp', cipher: 'aes-128-cbc', mac: 'sha1' },
  'aes-256-cbc+sha256': { kind: 'esp', cipher: 'aes-256-cbc', mac: 'sha256' },
};

export interface EndOptions {
  /** One of those above. */
  readonly cipher: string;
  readonly portable: boolean;
}

function key(sender: number, layout: RecordLayout): TrafficKey {
  const bytes = (what: string) => createHash('sha256').update(`${what} of ${sender}`).digest();
  const iv = bytes('iv').subarray(0, layout.kind === 'esp' ? 0 : layout.cipher === 'chacha20-poly1305' ? 12 : 4);
  const mac = layout.kind === 'esp' && { mac: bytes('mac').subarray(0, HASH_LENGTHS[layout.mac]) };
  return { id: 1, key: bytes('key').subarray(0, layout.cipher.includes('128') ? 16 : 32), iv, ...mac, nextSequence: 1 };
}

/** Runs one end until it is killed; prints a line when it is up. */
export async function runEnd(end: number, { cipher, portable }: EndOptions): Promise<void> {
  const peer = 3 - end;
  const address = parseIp(outer(peer));
  if (address === undefined) throw new Error('no address');
  const started = performance.now();
  const engine = await PacketEngine.start({ portableCrypto: portable });
  const ready = performance.now();
  const tun = await TunDevice.open(engine);
  const opened = performance.now();
  await tun.setMtu(MTU);
  const path = await engine.openUdp({ remote: { address, port: PORT }, localPort: PORT });
  const record = LAYOUTS[cipher];
  if (record === undefined) throw new Error(`there is no ${cipher}; there are ${Object.keys(LAYOUTS).join(', ')}`);
  const description: TrafficDescription = {
    record,
    seal: key(end, record),
    open: [key(peer, record)],
    replayWindow: 64,
    framing: framingByMark(record.kind === 'esp' ? IPV4_NEXT_HEADER : 0),
    tunnelMtu: MTU,
  };
  await path.carry(description);
  await engine.route(path);
  execFileSync('ip', ['addr', 'add', `${inner(end)}/24`, 'dev', tun.name]);
  execFileSync('ip', ['link', 'set', tun.name, 'up']);
  process.on('SIGUSR2', () => process.stdout.write(`${JSON.stringify({ device: engine.deviceCounters(), path: path.counters() })}\n`));
  process.stdout.write(`${engine.crypto}: worker ${(ready - started).toFixed(1)} ms, TUN open after ${(opened - started).toFixed(1)} ms\n`);
}

export class EnginePair {
  readonly namespaces: readonly [string, string];
  readonly ends: readonly ChildProcess[];

  private constructor(namespaces: readonly [string, string], ends: readonly ChildProcess[]) {
    this.namespaces = namespaces;
    this.ends = ends;
  }

  /** @param program the file whose processes with `--end=N` are the ends, with the arguments that they take over */
  static async open(program: string, args: readonly string[], environment: Readonly<Record<string, string>> = {}): Promise<EnginePair> {
    const namespaces = [`engine-${process.pid}-1`, `engine-${process.pid}-2`] as const;
    const [first, second] = namespaces;
    const ends: ChildProcess[] = [];
    const pair = new EnginePair(namespaces, ends);
    try {
      for (const namespace of namespaces) ip(`netns add ${namespace}`);
      ip(`link add veth1 netns ${first} type veth peer name veth2 netns ${second}`);
      for (const [i, namespace] of namespaces.entries()) {
        ip(`-n ${namespace} addr add ${outer(i + 1)}/24 dev veth${i + 1}`);
        ip(`-n ${namespace} link set veth${i + 1} up`);
      }
      for (const [i, namespace] of namespaces.entries()) {
        const words = ['netns', 'exec', namespace, process.execPath, program, ...args, `--end=${i + 1}`];
        const end = spawn('ip', words, { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, ...environment } });
        ends.push(end);
        process.stdout.write(String((await once(end.stdout, 'data'))[0]));
      }
      return pair;
    } catch (error) {
      pair.close();
      throw error;
    }
  }

  /** Ends both processes and the namespaces. */
  close(): void {
    for (const end of this.ends) end.kill();
    for (const namespace of this.namespaces) ip(`netns del ${namespace}`);
  }
}

function ip(words: string): void {
  execFileSync('ip', words.split(' '));
}
