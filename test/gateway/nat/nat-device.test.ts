/** The NAT's sockets: a client's stack in memory on one side, servers of this machine on the other. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import net, { type AddressInfo, type Server } from 'node:net';
import { networkInterfaces } from 'node:os';
import { afterEach, describe, it } from 'node:test';
import { silentLogger } from '../../../src/core/log.ts';
import { DEFAULT_NAT_LIMITS } from '../../../src/core/nat/limits.ts';
import { parseCidr, parseIp } from '../../../src/core/wire/ip-address.ts';
import type { InnerNetwork } from '../../../src/gateway/nat/inner-network.ts';
import { NatDevice } from '../../../src/gateway/nat/nat-device.ts';
import { sumOfFigures } from '../../../src/gateway/nat/nat-figures.ts';
import { StackDevice } from '../../../src/node/devices/stack-device.ts';
import { StackDatagram } from '../../../src/node/ip/stack-datagram.ts';
import { StackSocket } from '../../../src/node/ip/stack-socket.ts';

const ip = (text: string) => parseIp(text) ?? assert.fail(text);
const cidr = (text: string) => parseCidr(text) ?? assert.fail(text);
const NETWORKS = [cidr('10.77.0.2/32')];
const GATEWAY = '10.77.0.1';
const LOOPBACK = ip('127.0.0.1');

/** A client's stack, wired to a NAT. */
class Scene {
  readonly client: StackDevice;
  readonly device: NatDevice;

  constructor(network: Partial<InnerNetwork> = {}) {
    this.client = new StackDevice({ addresses: [ip('10.77.0.2')], mtu: 1400 });
    this.device = new NatDevice({
      ...{ mtu: 1400, limits: DEFAULT_NAT_LIMITS, log: silentLogger },
      network: { own: [ip(GATEWAY)], clients: [cidr('10.77.0.0/24')], resolvers: [], services: [], ...network },
    });
    this.device.start((packets) => this.client.write(packets));
    this.client.start((packets) => this.device.write(packets));
    this.device.enter(NETWORKS, { session: 'one' });
  }

  connect(port: number, host: string = GATEWAY): StackSocket {
    const socket = StackSocket.connect(this.client, { host, port, allowHalfOpen: true }, async (name) => [ip(name)]);
    return socket.on('error', () => undefined); // whoever waits for one hears of it
  }

  async close(): Promise<void> {
    await this.device.close();
    await this.client.close();
  }
}

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

function sceneOf(network: Partial<InnerNetwork> = {}): Scene {
  const scene = new Scene(network);
  closers.push(() => scene.close());
  return scene;
}

async function serve(onConnection: (socket: net.Socket) => void): Promise<{ readonly server: Server; readonly port: number }> {
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => undefined);
    onConnection(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closers.push(() => server.close());
  return { server, port: (server.address() as AddressInfo).port };
}

async function udpServer(
  onMessage: (bytes: Buffer, reply: (bytes: Uint8Array) => void) => void,
): Promise<{ readonly socket: UdpSocket; readonly port: number }> {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  socket.on('message', (bytes, from) => onMessage(bytes, (answer) => socket.send(answer, from.port, from.address)));
  closers.push(() => socket.close());
  return { socket, port: socket.address().port };
}

const tcpService = (port: number, targetPort: number) => ({
  protocol: 'tcp' as const,
  port,
  target: { address: LOOPBACK, port: targetPort },
});
const udpService = (port: number, targetPort: number) => ({
  protocol: 'udp' as const,
  port,
  target: { address: LOOPBACK, port: targetPort },
});

async function failure(socket: StackSocket): Promise<unknown> {
  const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException];
  return error.code;
}

/** A port where nobody listens. */
async function closedPort(): Promise<number> {
  const { server, port } = await serve(() => undefined);
  server.close();
  await once(server, 'close');
  return port;
}

describe('TCP through the NAT’s sockets', () => {
  it('brings every byte, both ways, and the end of each side by itself', async () => {
    const { port } = await serve((socket) => {
      const chunks: Buffer[] = [];
      socket.on('data', (chunk) => chunks.push(chunk));
      socket.on('end', () => socket.end(Buffer.concat([Buffer.from('all: '), ...chunks])));
    });
    const socket = sceneOf({ services: [tcpService(80, port)] }).connect(80);
    const sent = randomBytes(3_000_000);
    socket.end(sent);
    const got: Buffer[] = [];
    for await (const chunk of socket) got.push(chunk as Buffer);
    const answer = Buffer.concat(got);
    assert.equal(answer.subarray(0, 5).toString(), 'all: ');
    assert.deepEqual(createHash('sha256').update(answer.subarray(5)).digest(), createHash('sha256').update(sent).digest());
  });

  it('tells the client what the server says first, and that it was refused or reset', async () => {
    const { port } = await serve((socket) => {
      socket.write('220 hello');
      socket.once('data', () => socket.resetAndDestroy());
    });
    const scene = sceneOf({ services: [tcpService(25, port), tcpService(26, await closedPort())] });
    const socket = scene.connect(25);
    assert.equal(String((await once(socket, 'data'))[0]), '220 hello');
    socket.write('QUIT');
    assert.equal(await failure(socket), 'ECONNRESET');
    assert.equal(await failure(scene.connect(26)), 'ECONNREFUSED');
    assert.equal(await failure(scene.connect(27)), 'ECONNREFUSED', 'no service');
    assert.equal(scene.device.nat.flows, 0);
  });

  it('resets the server’s connection when the client resets its own, or has no session any more', async () => {
    const resets: string[] = [];
    const arrived = Promise.withResolvers<void>();
    const gone = Promise.withResolvers<void>();
    let connections = 0;
    const { port } = await serve((socket) => {
      if (++connections === 2) arrived.resolve();
      socket.on('error', (error: NodeJS.ErrnoException) => {
        if (resets.push(error.code ?? '') === 2) gone.resolve();
      });
      socket.resume();
    });
    const scene = sceneOf({ services: [tcpService(80, port)] });
    const one = scene.connect(80);
    scene.connect(80);
    await arrived.promise;
    one.resetAndDestroy();
    scene.device.leave(NETWORKS, 0);
    await gone.promise;
    assert.deepEqual(resets, ['ECONNRESET', 'ECONNRESET']);
  });

  it('takes no more from a fast server than a slow client wants', async () => {
    let written = 0;
    const { port } = await serve((socket) => {
      const chunk = Buffer.alloc(1_000_000);
      const more = () => {
        do written += chunk.length;
        while (socket.write(chunk) && written < 500_000_000);
      };
      socket.on('drain', more);
      more();
    });
    const socket = sceneOf({ services: [tcpService(80, port)] }).connect(80);
    await once(socket, 'readable'); // and reads nothing
    for (let quiet = 0, before = 0; quiet < 1_000; quiet++) {
      await new Promise((resolve) => setImmediate(resolve));
      if (written !== before) quiet = 0;
      before = written;
    }
    assert.ok(written < 60_000_000, `${written} bytes were taken from the server`);
    const held = written;
    socket.resume();
    while (written < held + 60_000_000) await new Promise((resolve) => setImmediate(resolve)); // it goes on
    socket.destroy();
  });

  it('has hundreds at once, and forgets them all', async () => {
    const { port } = await serve((socket) => socket.pipe(socket));
    const scene = sceneOf({ services: [tcpService(7, port)] });
    const answers = await Promise.all(
      Array.from({ length: 500 }, async (_, i) => {
        const socket = scene.connect(7);
        socket.end(`number ${i}`);
        let text = '';
        for await (const chunk of socket) text += String(chunk);
        return text;
      }),
    );
    assert.deepEqual(
      answers,
      Array.from({ length: 500 }, (_, i) => `number ${i}`),
    );
    while (scene.device.nat.flows > 0) await new Promise((resolve) => setImmediate(resolve));
  });

  it('tries the next target when the first does not want it', async () => {
    const { port } = await serve((socket) => socket.end('second'));
    const resolvers = [
      { address: LOOPBACK, port: await closedPort() },
      { address: LOOPBACK, port },
    ];
    const socket = sceneOf({ resolvers }).connect(53);
    assert.equal(String((await once(socket, 'data'))[0]), 'second');
    socket.end();
  });

  it('leads nowhere on this host but to services', async () => {
    const own = Object.values(networkInterfaces()).flatMap((all) => all ?? []);
    const address = own.find((one) => one.family === 'IPv4' && !one.internal)?.address;
    if (address === undefined) return; // a machine without a network has nothing to protect here
    const { port } = await serve(() => assert.fail('it was reached'));
    assert.equal(await failure(sceneOf().connect(port, address)), 'EHOSTUNREACH');
  });
});

describe('UDP through the NAT’s sockets', () => {
  function datagrams(scene: Scene): StackDatagram {
    const socket = new StackDatagram(scene.client, {});
    closers.push(() => socket.close());
    return socket;
  }

  it('brings datagrams and their answers, of any size', async () => {
    const { port } = await udpServer((bytes, reply) => reply(bytes));
    const socket = datagrams(sceneOf({ services: [udpService(7, port)] }));
    for (const length of [0, 1, 1_300, 5_000, 30_000]) {
      const sent = randomBytes(length);
      socket.send(sent, 7, GATEWAY);
      const [got, from] = (await once(socket, 'message')) as [Buffer, { address: string; port: number }];
      assert.deepEqual(got, sent);
      assert.deepEqual([from.address, from.port], [GATEWAY, 7]);
    }
  });

  it('says that nobody listens', async () => {
    const { socket: server, port } = await udpServer(() => undefined);
    server.close();
    closers.pop();
    const scene = sceneOf({ services: [udpService(7, port)] });
    const socket = datagrams(scene);
    socket.send(Buffer.from('hello'), 7, GATEWAY);
    const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException];
    assert.equal(error.code, 'ECONNREFUSED');
    socket.send(Buffer.from('hello'), 8, GATEWAY);
    assert.equal(((await once(socket, 'error')) as [NodeJS.ErrnoException])[0].code, 'ECONNREFUSED', 'no service');
  });

  it('asks the next name server when the first refuses', async () => {
    const { port } = await udpServer((bytes, reply) => reply(Buffer.concat([Buffer.from('answer to '), bytes])));
    const dead = await udpServer(() => undefined);
    dead.socket.close();
    closers.pop();
    const resolvers = [
      { address: LOOPBACK, port: dead.port },
      { address: LOOPBACK, port },
    ];
    const socket = datagrams(sceneOf({ resolvers }));
    socket.send(Buffer.from('question'), 53, GATEWAY);
    assert.equal(String((await once(socket, 'message'))[0]), 'answer to question');
  });

  it('is counted, and so is what went no further, by cause', async () => {
    const { port } = await udpServer((bytes, reply) => reply(bytes));
    const scene = sceneOf({ services: [udpService(7, port)] });
    const socket = datagrams(scene).on('error', () => undefined);
    socket.send(Buffer.from('x'), 7, GATEWAY);
    await once(socket, 'message');
    socket.send(Buffer.from('x'), 8, GATEWAY);
    socket.send(Buffer.from('x'), 7, '169.254.169.254');
    socket.send(Buffer.from('behind them'), 7, GATEWAY);
    await new Promise((resolve) => socket.once('message', resolve)); // errors come before it
    const figures = sumOfFigures([scene.device.figures, undefined, { flows: 'many', dropped: { closed: -1, 'hop-limit': 2, other: 1 } }]);
    const { dropped, ...flows } = figures ?? assert.fail();
    assert.deepEqual(flows, { flows: 1, tcp: 0, udp: 1 });
    assert.deepEqual(Object.fromEntries(Object.entries(dropped).filter(([, count]) => count > 0)), {
      ...{ closed: 1, 'special-address': 1, 'hop-limit': 2 },
    });
    assert.deepEqual(
      Object.keys(scene.device.figures.dropped).filter((cause) => !Object.hasOwn(dropped, cause)),
      [],
      'none is forgotten on the way',
    );
    assert.equal(sumOfFigures([undefined]), undefined);
  });

  it('has no sockets left when the session is over', async () => {
    const { port } = await udpServer((bytes, reply) => reply(bytes));
    const scene = sceneOf({ services: [udpService(7, port)] });
    const socket = datagrams(scene);
    socket.send(Buffer.from('x'), 7, GATEWAY);
    await once(socket, 'message');
    assert.equal(scene.device.nat.flows, 1);
    scene.device.leave(NETWORKS, 0);
    assert.equal(scene.device.nat.flows, 0);
  });
});
