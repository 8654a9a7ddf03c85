/**
 * What the userspace stack moves against the kernel's: one TCP stream each way, in turns.
 *
 *   node bench/stack-throughput.ts [--way=carried] [--rounds=3] [--megabytes=1000] [--mtu=1400]
 *
 *   --way=carried   through two engines as a client's and a gateway's, which seal and open every packet, and a TUN; the default
 *   --way=main      packet by packet through the main thread, one engine and a TUN, nothing sealed
 *
 * Needs root, iproute2 and util-linux. The stack runs in this process, the kernel's end in another; both are in a network namespace of their own. CPU is
 * this process's, all threads, for a GB of payload: on a busy machine look at that, not at the rate.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { parseArgs } from 'node:util';
import type { StackDevice } from '../src/node/devices/stack-device.ts';
import { StackSocket } from '../src/node/ip/stack-socket.ts';
import { ipOf } from '../test/core/ip/stack-pair.ts';
import { CarriedLink } from '../test/node/ip/carried-link.ts';
import { KERNEL, KernelLink } from '../test/node/ip/kernel-link.ts';

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    megabytes: { type: 'string', default: '1000' },
    mtu: { type: 'string', default: '1400' },
    way: { type: 'string', default: 'carried' },
    inside: { type: 'boolean', default: false },
  },
});

type Direction = 'up' | 'down';

const PORTS: Readonly<Record<Direction, number>> = { up: 5_001, down: 5_002 };
const CHUNK = 256 * 1024;

/** The kernel's end: takes everything at one port and answers with how much it was; sends so many bytes at the other. */
const PEER = `
const net = require('node:net');
const chunk = Buffer.alloc(${CHUNK});
const [host, total] = process.argv.slice(1);
net.createServer({ allowHalfOpen: true }, (socket) => {
  let bytes = 0;
  socket.on('data', ({ length }) => { bytes += length; });
  socket.on('end', () => socket.end(String(bytes)));
}).listen(${PORTS.up}, host);
net.createServer((socket) => {
  let left = Number(total);
  const write = () => {
    while (left > 0) {
      const length = Math.min(left, chunk.length);
      left -= length;
      if (!socket.write(chunk.subarray(0, length))) return void socket.once('drain', write);
    }
    socket.end();
  };
  write();
}).listen(${PORTS.down}, host, () => console.log('ready'));
`;

async function upload(socket: StackSocket, total: number): Promise<number> {
  const chunk = Buffer.alloc(CHUNK);
  let answer = '';
  socket.on('data', (bytes: Buffer) => {
    answer += bytes.toString();
  });
  const ended = once(socket, 'end');
  for (let left = total; left > 0; left -= CHUNK) {
    if (!socket.write(chunk.subarray(0, Math.min(left, CHUNK)))) await once(socket, 'drain');
  }
  socket.end();
  await ended;
  return Number(answer);
}

async function download(socket: StackSocket): Promise<number> {
  let bytes = 0;
  socket.on('data', ({ length }: Buffer) => {
    bytes += length;
  });
  await once(socket, 'end');
  return bytes;
}

async function measure(device: StackDevice, direction: Direction, total: number): Promise<string> {
  const target = { host: KERNEL, port: PORTS[direction], allowHalfOpen: direction === 'up' };
  const socket = StackSocket.connect(device, target, (host) => Promise.resolve([ipOf(host)]));
  await once(socket, 'connect');
  const { retransmissions } = device.stack.counters;
  const [start, cpu] = [performance.now(), process.cpuUsage()];
  const moved = direction === 'up' ? await upload(socket, total) : await download(socket);
  const seconds = (performance.now() - start) / 1_000;
  const { user, system } = process.cpuUsage(cpu);
  if (moved !== total) throw new Error(`${direction}: ${moved} bytes arrived of ${total}`);
  const again = device.stack.counters.retransmissions - retransmissions;
  const rate = `${((total * 8) / seconds / 1e6).toFixed(0)} Mbit/s`;
  return `${direction.padEnd(6)}${rate.padEnd(14)}${((user + system) / 1e6 / (total / 1e9)).toFixed(2)} CPU-s/GB   ${again} segments sent again`;
}

async function inside(): Promise<void> {
  const total = Number(options.megabytes) * 1e6;
  const mtu = Number(options.mtu);
  await using link = options.way === 'main' ? await KernelLink.open({ mtu }) : await CarriedLink.open({ mtu });
  const peer: ChildProcess = spawn(process.execPath, ['-e', PEER, KERNEL, String(total)], { stdio: ['ignore', 'pipe', 'inherit'] });
  if (peer.stdout === null) throw new Error('unreachable: it was asked for');
  try {
    await once(peer.stdout, 'data');
    for (let round = 0; round < Number(options.rounds); round++) {
      for (const direction of ['up', 'down'] as const) console.log(await measure(link.device, direction, total));
    }
  } finally {
    peer.kill();
  }
}

if (options.inside) {
  await inside();
} else {
  const script = 'mount -t sysfs sysfs /sys && ip link set lo up && exec "$0" "$@"';
  const words = ['--net', '--mount', '/bin/sh', '-c', script, process.execPath, import.meta.filename, '--inside', ...process.argv.slice(2)];
  const child = spawn('unshare', words, { stdio: 'inherit' });
  const [status] = (await once(child, 'close')) as [number | null];
  process.exitCode = status ?? 1;
}
