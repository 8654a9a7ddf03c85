/**
 * What a gateway without an interface moves: one TCP stream of a kernel each way, over DTLS and TLS, our client in front of it.
 *
 *   node bench/userspace-gateway.ts [--rounds=3] [--megabytes=200]
 *
 * Needs root, network namespaces and a built package. The gateway runs as nobody; CPU is its worker's, for a GB of payload.
 */
import assert from 'node:assert/strict';
import { parseArgs } from 'node:util';
import { OUTSIDE, UserspaceScene } from '../test/e2e/gateway/userspace-scene.ts';
import { COMMAND } from '../test/e2e/proxy-scene.ts';
import { ALICE } from '../test/support/ocserv.ts';
import { cpuSeconds, processTree } from './process-usage.ts';

const { values: options } = parseArgs({
  options: { rounds: { type: 'string', default: '3' }, megabytes: { type: 'string', default: '200' } },
});
const total = Number(options.megabytes) * 1e6;

const PORTS = { up: 5_001, down: 5_002 } as const;

/** Outside: takes everything at one port, and sends so many bytes at the other. */
const PEER = `
const net = require('node:net');
const chunk = Buffer.alloc(262144);
net.createServer({ allowHalfOpen: true }, (socket) => {
  socket.on('data', () => undefined).on('end', () => socket.end('done'));
}).listen(${PORTS.up});
net.createServer((socket) => {
  let left = ${total};
  const write = () => {
    while (left > 0) {
      const length = Math.min(left, chunk.length);
      left -= length;
      if (!socket.write(chunk.subarray(0, length))) return void socket.once('drain', write);
    }
    socket.end();
  };
  write();
}).listen(${PORTS.down}, () => console.log('ready'));
`;

/** Inside: prints milliseconds. */
const CLIENT = `
const net = require('node:net');
const [direction, host] = process.argv.slice(1);
const start = performance.now();
const socket = net.connect({ host, port: direction === 'up' ? ${PORTS.up} : ${PORTS.down}, allowHalfOpen: true });
socket.on('data', () => undefined).on('end', () => { console.log(performance.now() - start); socket.destroy(); });
if (direction === 'up') {
  const chunk = Buffer.alloc(262144);
  let left = ${total};
  const write = () => {
    while (left > 0) {
      const length = Math.min(left, chunk.length);
      left -= length;
      if (!socket.write(chunk.subarray(0, length))) return void socket.once('drain', write);
    }
    socket.end();
  };
  write();
}
`;

await using scene = await UserspaceScene.open();
const { lab } = scene;
const gateway = await scene.start();
const peer = await lab.router.start(process.execPath, ['-e', PEER]);
await peer.waitFor(/^ready$/m);
for (const transport of ['dtls', 'tls'] as const) {
  const words = ['connect', scene.url, '--user', ALICE.name, '--password-stdin', '--pin', scene.pin];
  const client = await lab.client.start(process.execPath, [COMMAND, ...words, ...(transport === 'tls' ? ['--no-udp'] : [])], {
    input: `${ALICE.password}\n`,
  });
  await client.waitFor(/^Connected/m);
  const worker = processTree(gateway.pid).at(-1) ?? 0;
  for (const direction of ['up', 'down'] as const) {
    for (let round = 1; round <= Number(options.rounds); round++) {
      const before = cpuSeconds(worker);
      const millis = Number(await lab.client.run(process.execPath, ['-e', CLIENT, direction, OUTSIDE.ipv4]));
      assert.ok(millis > 0);
      const cpu = (cpuSeconds(worker) - before) / (total / 1e9);
      console.log(`${transport} ${direction}: ${Math.round((8 * total) / millis / 1e3)} Mbit/s, ${cpu.toFixed(1)} CPU-s/GB of the worker`);
    }
  }
  client.signal('SIGINT');
  await client.finish();
}
