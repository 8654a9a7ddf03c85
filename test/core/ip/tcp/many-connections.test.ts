/** Ten thousand connections at once: none is lost, and what one costs has a limit. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { DEFAULT_LIMITS } from '../../../../src/core/ip/limits.ts';
import type { TcpConnection } from '../../../../src/core/ip/tcp/connection.ts';
import { StackPair } from '../stack-pair.ts';

const COUNT = 10_000;

/** Of one connection that is made and idle, at one end, as V8 counts it; with room for what it counts that is not ours. */
const MAX_IDLE_BYTES = 6_000;

it('carries ten thousand connections at once', () => {
  const pair = new StackPair({ link: { delay: 5, loss: 0.001 } });
  const listener = pair.right.stack.listen(80, { backlog: COUNT });
  const before = process.memoryUsage();
  const clients: TcpConnection[] = [];
  for (let i = 0; i < COUNT; i++) {
    clients.push(pair.connect(80));
    if (i % 200 === 0) pair.advance(1);
  }
  pair.runUntil(() => clients.every(({ isMade }) => isMade), 60_000);
  const servers: TcpConnection[] = [];
  const accept = () => {
    for (let server = listener.accept(); server !== undefined; server = listener.accept()) servers.push(server);
  };
  accept();
  pair.advance(30_000);
  accept();
  assert.equal(servers.length, COUNT);
  const after = process.memoryUsage();
  const each = (after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers) / (2 * COUNT);
  assert.ok(each < MAX_IDLE_BYTES, `${Math.round(each)} bytes each`);

  // Each echoes what it gets, and each gets something else.
  const byPort = new Map(clients.map((client) => [client.local.port, client]));
  assert.equal(byPort.size, COUNT);
  for (const server of servers) {
    server.onReady = () => {
      for (let chunk = server.read(); chunk !== undefined; chunk = server.read()) server.write(chunk);
      if (server.hasEnded) server.end();
    };
  }
  let right = 0;
  for (const client of clients) {
    const text = `connection ${client.local.port}`;
    let heard = '';
    client.onReady = () => {
      for (let chunk = client.read(); chunk !== undefined; chunk = client.read()) heard += Buffer.from(chunk).toString();
      if (client.hasEnded && heard === text) right++;
    };
    client.write(Buffer.from(text));
    client.end();
  }
  pair.runUntil(() => right === COUNT, 120_000);
  pair.advance(120_000);
  assert.deepEqual([pair.left.stack.connections, pair.right.stack.connections], [0, 0]);
  assert.ok(COUNT < DEFAULT_LIMITS.connections);
});
