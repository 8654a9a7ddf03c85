/** The relays on loopback: what a bad link does to real sockets. */
import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { after, describe, it } from 'node:test';
import { eventually } from './eventually.ts';
import { PERFECT_LINK } from './link-model.ts';
import { PERFECT_CONDITIONS, type RelayConditions } from './relay-options.ts';
import { SeededRandom } from './seeded-random.ts';
import { HANG_LIMIT } from './size.ts';
import { TcpRelay } from './tcp-relay.ts';
import { UdpRelay } from './udp-relay.ts';

const HOST = '127.0.0.1';

/** Both directions the same. */
const both = (changes: Partial<RelayConditions['up']>): RelayConditions => ({
  up: { ...PERFECT_LINK, ...changes },
  down: { ...PERFECT_LINK, ...changes },
});

describe('UdpRelay', { timeout: HANG_LIMIT }, () => {
  const open: { close(): void }[] = [];
  after(() => {
    for (const socket of open) socket.close();
  });

  async function socketOn(port = 0): Promise<Socket> {
    const socket = createSocket('udp4');
    open.push(socket);
    socket.bind(port, HOST);
    await once(socket, 'listening');
    return socket;
  }

  /** Sends back what comes, behind the port it came from. */
  async function echoServer(): Promise<number> {
    const socket = await socketOn();
    socket.on('message', (bytes, { port }) => socket.send(`${port}:${bytes}`, port, HOST));
    return socket.address().port;
  }

  async function relayTo(port: number, seed = 1): Promise<UdpRelay> {
    const relay = await UdpRelay.open({
      listen: { host: HOST, port: 0 },
      target: { host: HOST, port },
      random: new SeededRandom(seed),
    });
    open.push(relay);
    return relay;
  }

  async function ask(client: Socket, relay: UdpRelay, text: string): Promise<string> {
    client.send(text, relay.port, HOST);
    const [bytes] = await once(client, 'message');
    return String(bytes);
  }

  it('gives each client a port of its own, the same until it rebinds', async () => {
    const relay = await relayTo(await echoServer());
    const [alice, bob] = [await socketOn(), await socketOn()];
    const [first, second, other] = [await ask(alice, relay, 'a'), await ask(alice, relay, 'a'), await ask(bob, relay, 'a')];
    assert.equal(second, first);
    assert.notEqual(other, first);
    relay.rebind();
    const third = await ask(alice, relay, 'a');
    assert.notEqual(third, first);
    assert.match(third, /^\d+:a$/);
    assert.deepEqual(relay.statistics, { flows: 2, received: 8, lost: 0, doubled: 0, overtaking: 0 });
  });

  it('loses, doubles and reorders the same datagrams with the same seed', async () => {
    const sink = await socketOn();
    const relays = await Promise.all([1, 1, 2].map((seed) => relayTo(sink.address().port, seed)));
    const client = await socketOn();
    const outcomes: unknown[] = [];
    for (const relay of relays) {
      relay.conditions = both({ loss: 0.3, duplication: 0.2, jitter: 30 });
      const seen: string[] = [];
      const onMessage = (bytes: Buffer): number => seen.push(String(bytes));
      sink.on('message', onMessage);
      for (let i = 0; i < 40; i++) client.send(String(i), relay.port, HOST);
      await eventually(() => {
        const { received, lost, doubled } = relay.statistics;
        return received === 40 && seen.length === 40 - lost + doubled;
      });
      sink.off('message', onMessage);
      assert.ok(relay.statistics.overtaking > 0);
      outcomes.push(seen.sort());
    }
    assert.deepEqual(outcomes[0], outcomes[1]);
    assert.notDeepEqual(outcomes[0], outcomes[2]);
  });

  it('delays by what it is told', async () => {
    const relay = await relayTo(await echoServer());
    relay.conditions = both({ delay: 30 });
    const start = performance.now();
    await ask(await socketOn(), relay, 'slow');
    assert.ok(performance.now() - start >= 58, `${performance.now() - start} ms there and back`); // timers may round down
  });
});

describe('TcpRelay', { timeout: HANG_LIMIT }, () => {
  const open: { close(): void }[] = [];
  after(() => {
    for (const one of open) one.close();
  });

  /** Echoes each connection until its end. */
  async function echoServer(): Promise<number> {
    const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
      socket.on('error', () => undefined); // reset by the relay: that is what a test wanted
      socket.pipe(socket);
    });
    open.push(server);
    server.listen(0, HOST);
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  }

  async function relayTo(port: number): Promise<TcpRelay> {
    const relay = await TcpRelay.open({ listen: { host: HOST, port: 0 }, target: { host: HOST, port }, random: new SeededRandom(5) });
    open.push(relay);
    return relay;
  }

  it('carries every byte in order and the end after the last, however bad the link', async () => {
    const relay = await relayTo(await echoServer());
    relay.conditions = both({ delay: 5, jitter: 20, loss: 0.02, bandwidth: 20_000, queue: 1_000 });
    const socket = connect({ host: HOST, port: relay.port, allowHalfOpen: true });
    const bytes = Buffer.alloc(1_000_000, 'abcdefghijk');
    socket.end(bytes);
    assert.deepEqual(await buffer(socket), bytes);
    assert.equal(relay.statistics.accepted, 1);
  });

  it('holds everything while the link loses everything, and delivers it afterwards', async () => {
    const relay = await relayTo(await echoServer());
    const socket = connect(relay.port, HOST);
    socket.write('before');
    await once(socket, 'data');
    relay.conditions = both({ loss: 1 });
    const answer = once(socket, 'data');
    socket.write('held');
    await eventually(() => relay.statistics.held === 4);
    relay.conditions = PERFECT_CONDITIONS;
    assert.equal(String((await answer)[0]), 'held');
    assert.equal(relay.statistics.held, 0);
    socket.destroy();
  });

  it('resets its connections at both ends', async () => {
    const relay = await relayTo(await echoServer());
    const socket = connect(relay.port, HOST);
    socket.write('hello');
    await once(socket, 'data');
    const error = once(socket, 'error');
    relay.reset();
    assert.equal(((await error)[0] as NodeJS.ErrnoException).code, 'ECONNRESET');
    assert.equal(relay.statistics.open, 0);
  });

  it('resets a client whose target does not listen', async () => {
    const relay = await relayTo(1); // tcpmux: nobody has it
    const [error] = await once(connect(relay.port, HOST), 'error');
    assert.equal((error as NodeJS.ErrnoException).code, 'ECONNRESET');
  });
});
