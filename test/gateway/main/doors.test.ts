import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import net, { type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, describe, it } from 'node:test';
import type { MovedAssociation } from '../../../src/core/dtls/state.ts';
import { MisuseError } from '../../../src/core/errors.ts';
import { nextSpi, tunnelIdOf } from '../../../src/core/esp/spi.ts';
import { silentLogger } from '../../../src/core/log.ts';
import type { IpAddress } from '../../../src/core/wire/ip-address.ts';
import { parseIp } from '../../../src/core/wire/ip-address.ts';
import { Doors, type DoorsOptions } from '../../../src/gateway/main/doors.ts';
import type { LoginDesk } from '../../../src/gateway/main/login-desk.ts';
import { SessionTable, type Tunnel } from '../../../src/gateway/main/session-table.ts';
import { type Knock, TcpDoor } from '../../../src/gateway/main/tcp-door.ts';
import { type Flow, UdpDoor, type UdpDoorOptions } from '../../../src/gateway/main/udp-door.ts';
import type { WorkerPool } from '../../../src/gateway/main/worker-pool.ts';
import { dialTcp } from '../../../src/node/tcp-dial.ts';
import { PortableUdpSocket } from '../../../src/node/udp-socket.ts';
import { PSK_CAPTURE } from '../../core/dtls/captures.ts';
import { RecordedLog } from '../../support/forms.ts';
import { HANG_LIMIT } from '../../support/size.ts';

const LOOPBACK: IpAddress = parseIp('127.0.0.1') ?? assert.fail();

/** What a test has opened is closed after it, however it ends: the file would not end without. */
const opened: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of opened.splice(0)) await close();
});

function keptDoor<T extends { close(): void }>(door: T): T {
  opened.push(() => door.close());
  return door;
}

function kept<T extends net.Socket | Socket>(socket: T): T {
  opened.push(() => (socket instanceof net.Socket ? socket.destroy() : socket[Symbol.asyncDispose]()));
  return socket;
}

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

describe('the door for TCP', { timeout: HANG_LIMIT }, () => {
  it('hands on connections of which nothing was read, with their addresses', async () => {
    const { promise, resolve } = Promise.withResolvers<Knock>();
    const door = keptDoor(await TcpDoor.open({ host: '127.0.0.1', tcpPort: await freePort() }, resolve));
    const client = kept(net.connect(door.port ?? 0, '127.0.0.1'));
    client.write('hello');
    const { socket, remote, local } = await promise;
    kept(socket);
    assert.equal(remote?.port, client.localPort);
    assert.equal(local?.port, door.port);
    assert.equal(socket.isPaused(), true);
    socket.resume();
    const [bytes] = (await once(socket, 'data')) as [Buffer];
    assert.equal(bytes.toString(), 'hello');
  });

  const timersAreShown = process.platform === 'linux';
  it('lets TCP ask after a silent client, as does who dials: not every protocol has signs of life', {
    skip: !timersAreShown && 'the timers of TCP are read as Linux shows them',
  }, async () => {
    const { promise, resolve } = Promise.withResolvers<Knock>();
    const door = keptDoor(await TcpDoor.open({ host: '127.0.0.1', tcpPort: await freePort() }, resolve));
    const { signal } = new AbortController();
    const options = { log: silentLogger, signal, overrides: new Map(), host: '127.0.0.1', port: door.port ?? 0 };
    const client = kept(await dialTcp(options));
    kept((await promise).socket);
    // proc_tcp: the column `tr` of a connection with a keepalive timer is 02.
    const ports = [client.localPort, door.port].map((port) => (port ?? 0).toString(16).toUpperCase().padStart(4, '0'));
    const ends = readFileSync('/proc/net/tcp', 'utf8')
      .split('\n')
      .map((line) => line.trim().split(/\s+/))
      .filter(
        ([, local = '', remote = '', state]) => state === '01' && [local, remote].every((end) => ports.includes(end.split(':')[1] ?? '')),
      );
    assert.deepEqual(
      ends.map((columns) => columns[5]?.split(':')[0]),
      ['02', '02'],
    );
  });

  it('says which port is taken', async () => {
    const other = net.createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo;
    await assert.rejects(
      TcpDoor.open({ host: '127.0.0.1', tcpPort: port }, () => undefined),
      new RegExp(`Cannot listen on TCP port ${port} of 127.0.0.1`),
    );
    other.close();
  });

  it('listens on a unix socket as well, and takes it away', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'door-'));
    const unixSocket = path.join(folder, 'gateway.sock');
    const { promise, resolve } = Promise.withResolvers<Knock>();
    const door = keptDoor(await TcpDoor.open({ tcpPort: 0, unixSocket }, resolve));
    kept(net.connect(unixSocket));
    const knock = await promise;
    kept(knock.socket);
    assert.equal(knock.remote, undefined);
    door.close();
    assert.equal(existsSync(unixSocket), false);
    rmSync(folder, { recursive: true });
  });
});

/** Where a ClientHello in one datagram has its session id. */
const SESSION_ID = { start: 60, end: 92 };

describe('the door for UDP', { timeout: HANG_LIMIT }, () => {
  const hello = PSK_CAPTURE.clientHello;

  async function scene(now = () => 0) {
    const flows: { readonly tunnel: number; readonly flow: Flow }[] = [];
    const onFlow = (tunnel: number, flow: Flow) => {
      kept(flow.socket);
      flows.push({ tunnel, flow });
    };
    const door = keptDoor(await UdpDoor.open({ port: 0, host: '127.0.0.1', now, onFlow }));
    const client = kept(createSocket('udp4'));
    client.bind(0, '127.0.0.1');
    await once(client, 'listening');
    const remote = { address: LOOPBACK, port: client.address().port };
    return { door, flows, client, remote };
  }

  const tunnel = { tunnel: 7, id: hello.slice(SESSION_ID.start, SESSION_ID.end), local: LOOPBACK, remote: LOOPBACK };

  it('makes a flow for a hello with a tunnel’s id, and only for that', async () => {
    const { door, flows, remote } = await scene();
    door.arrived(hello, remote);
    assert.equal(flows.length, 0, 'nobody has that id');
    door.admit(tunnel);
    door.arrived(hello, remote);
    assert.equal(flows[0]?.tunnel, 7);
    door.dismiss(tunnel);
    door.arrived(hello, { ...remote, port: remote.port ^ 1 });
    assert.equal(flows.length, 1);
  });

  it('answers from its own address where clients of a proxy have come to another', async () => {
    const { door, flows, remote } = await scene();
    door.admit({ ...tunnel, local: parseIp('192.0.2.9') ?? assert.fail() });
    door.arrived(hello, remote);
    assert.deepEqual(flows[0]?.flow.local.address, LOOPBACK);
  });

  it('makes a flow for ESP of a tunnel, whichever of its keys it is under', async () => {
    const { door, flows, remote } = await scene();
    const spi = 0xa1b2c3ff;
    const esp = (number: number) => {
      const bytes = Buffer.alloc(52);
      bytes.writeUInt32BE(number);
      return bytes;
    };
    door.admit({ ...tunnel, id: tunnelIdOf(spi), remote: { family: 4, bytes: Uint8Array.of(127, 0, 0, 2) } });
    door.arrived(esp(0xa1b2c4ff), remote);
    assert.equal(flows.length, 0, 'another tunnel’s');
    door.arrived(esp(nextSpi(spi)), remote);
    assert.equal(flows[0]?.tunnel, 7);
  });

  it('makes a flow for the worker that expects ESP under keys that it has told, and for the tunnel once there is one', async () => {
    const taken: unknown[] = [];
    const flows: Flow[] = [];
    const id = tunnelIdOf(0xa1b2c300);
    const options: UdpDoorOptions = {
      ...{ port: 0, host: '127.0.0.1', now: () => 0 },
      onFlow: (number, flow) => {
        taken.push(number);
        flows.push(flow);
        kept(flow.socket);
      },
      expected: {
        workerOf: (other) => (Buffer.compare(other, id) === 0 ? 3 : undefined),
        onFlow: (worker, datagramId, flow) => {
          taken.push([worker, Buffer.from(datagramId).toString('hex')]);
          flows.push(flow);
          kept(flow.socket);
        },
      },
    };
    const door = keptDoor(await UdpDoor.open(options));
    const esp = Buffer.alloc(52);
    esp.writeUInt32BE(0xa1b2c305);
    door.arrived(esp.fill(0x99, 0, 1), { address: LOOPBACK, port: 5000 });
    esp.writeUInt32BE(0xa1b2c305);
    door.arrived(esp.subarray(0, 20), { address: LOOPBACK, port: 5001 });
    assert.deepEqual(taken, [], 'nobody’s, and too short');
    door.arrived(esp, { address: LOOPBACK, port: 5002 });
    assert.equal(door.knows(id), false);
    door.admit({ ...tunnel, id });
    assert.equal(door.knows(id), true);
    door.arrived(esp, { address: LOOPBACK, port: 5003 });
    assert.deepEqual(taken, [[3, 'a1b2c3'], 7]);
    assert.deepEqual(flows[0]?.first, Uint8Array.from(esp));
  });

  it('gives a client’s datagrams to its flow, which answers from the same port, and those of others back', async () => {
    const { door, flows, client, remote } = await scene();
    door.admit(tunnel);
    door.arrived(hello, remote);
    const { flow } = flows[0] ?? assert.fail();
    const stray = Promise.withResolvers<string>();
    const other = kept(createSocket('udp4'));
    other.send('from another', door.port, '127.0.0.1'); // the flow's socket is the better match while it is not connected
    await once(other, 'listening');
    const flowPath = await PortableUdpSocket.adopt(flow.socket, remote, flow.first, (bytes) =>
      stray.resolve(Buffer.from(bytes).toString()),
    );
    const heard: Uint8Array[] = [];
    const second = Promise.withResolvers<void>();
    flowPath.start({
      datagram: (bytes) => {
        heard.push(Uint8Array.from(bytes));
        if (heard.length === 2) second.resolve();
      },
      record: () => assert.fail(),
      problem: () => assert.fail(),
    });
    assert.equal(await stray.promise, 'from another');
    client.send('again', door.port, '127.0.0.1');
    await second.promise;
    assert.deepEqual(heard[0], Uint8Array.from(hello));
    assert.equal(Buffer.from(heard[1] ?? []).toString(), 'again');
    flowPath.send(Buffer.from('answer'));
    const [answer, from] = (await once(client, 'message')) as [Buffer, { readonly port: number }];
    assert.deepEqual([answer.toString(), from.port], ['answer', door.port]);
    await flowPath.close();
  });

  it('takes other datagrams for a client’s whose address has one tunnel, and not more than one in a while', async () => {
    let time = 0;
    const { door, flows, remote } = await scene(() => time);
    const record = Uint8Array.of(23, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 5, 0, 0);
    door.admit(tunnel);
    door.arrived(record, remote);
    door.arrived(record, remote);
    assert.equal(flows.length, 1);
    time = 2000;
    door.arrived(record, remote);
    assert.equal(flows.length, 2);
    const second = { ...tunnel, tunnel: 8, id: undefined };
    door.admit(second);
    time = 4000;
    door.arrived(record, remote);
    assert.equal(flows.length, 2, 'whose it is cannot be known');
    door.dismiss(tunnel);
    door.arrived(record, remote);
    assert.deepEqual(
      flows.map((flow) => flow.tunnel),
      [7, 7, 8],
      'also of one whose client is known by an association alone',
    );
  });
});

const open = async (options: DoorsOptions) => keptDoor(await Doors.make(options));

describe('the doors of a gateway that starts', { timeout: HANG_LIMIT }, () => {
  it('let a client wait that comes too early, and ask nothing of parts that are not there yet', async () => {
    const handed: number[] = [];
    const { promise, resolve } = Promise.withResolvers<void>();
    let parts: Pick<DoorsOptions, 'limits' | 'logins' | 'pool'> | undefined;
    const tcpPort = await freePort();
    const doors = await open({
      ...{ listen: { host: '127.0.0.1', tcpPort, proxyProtocol: false }, table: new SessionTable(), log: silentLogger, now: Date.now },
      limits: () => (parts ?? assert.fail('too early')).limits(),
      logins: () => (parts ?? assert.fail('too early')).logins(),
      greetStranger: () => undefined,
      pool: () => (parts ?? assert.fail('too early')).pool(),
    });
    const client = kept(net.connect(tcpPort, '127.0.0.1'));
    await once(client, 'connect');
    const late = kept(net.connect(tcpPort, '127.0.0.1'));
    await once(late, 'connect');
    const connect: WorkerPool['connect'] = (worker, _, socket) => {
      kept(socket);
      handed.push(worker);
      if (handed.length === 2) resolve();
    };
    parts = {
      limits: () => ({ maxClients: 0, acceptInterval: 0, loginTime: 0, drain: 0 }),
      logins: () => ({ underWay: 0, mayKnock: () => true }) as unknown as LoginDesk,
      pool: () => ({ choose: () => 7, connect }) as unknown as WorkerPool,
    };
    doors.open();
    await promise;
    assert.deepEqual(handed, [7, 7]);
  });

  it('expect nobody for a worker that has ended: the one in its place has not the keys', async () => {
    const id = Uint8Array.of(0xa1, 0xb2, 0xc3);
    const handed = Promise.withResolvers<number>();
    const expected: WorkerPool['expected'] = (worker, _arrival, _id, { socket }) => {
      socket.close();
      handed.resolve(worker);
    };
    const doors = await open({
      ...{
        listen: { host: '127.0.0.1', tcpPort: 0, udpPort: 0, proxyProtocol: false },
        table: new SessionTable(),
        log: silentLogger,
        now: Date.now,
      },
      limits: () => assert.fail('not asked'),
      logins: () => ({ mayKnock: () => true }) as unknown as LoginDesk,
      greetStranger: () => undefined,
      pool: () => ({ expected }) as unknown as WorkerPool,
    });
    const esp = Buffer.alloc(52);
    esp.set(id);
    const remote = (port: number) => ({ address: LOOPBACK, port });
    assert.equal(doors.expect('alice', 3, id), true);
    doors.workerGone(3);
    doors.strayed(esp, remote(40_001));
    assert.equal(doors.expect('bob', 4, id), true, 'the id is free');
    doors.workerGone(3);
    doors.strayed(esp, remote(40_002));
    assert.equal(await handed.promise, 4);
  });

  it('give a flow to the tunnel that its client has named, whoever shook hands with it, and to the older of two of a name', async () => {
    const table = new SessionTable();
    const log = new RecordedLog();
    const given: [worker: number, tunnel: number, port: number][] = [];
    let told = Promise.withResolvers<void>();
    const greeted: WorkerPool['greeted'] = (worker, tunnel, { socket, remote }) => {
      given.push([worker, tunnel, remote.port]);
      socket.close();
      told.resolve();
    };
    const doors = await open({
      ...{ listen: { host: '127.0.0.1', tcpPort: 0, udpPort: 0, proxyProtocol: false }, table, log, now: Date.now },
      limits: () => assert.fail('not asked'),
      logins: () => assert.fail('not asked'),
      greetStranger: () => undefined,
      pool: () => ({ greeted }) as unknown as WorkerPool,
    });
    const remote = { address: LOOPBACK, port: 40_000 };
    const elsewhere = { address: parseIp('127.0.0.2') ?? assert.fail(), port: 40_000 };
    const greetingId = new Uint8Array(32).fill(1);
    const tunnelOn = (worker: number, denyRoaming: boolean, at = remote) => {
      const connection = table.connect(worker, at, undefined, 0);
      return { id: connection.id, connection, session: { user: 'alice' }, policy: { denyRoaming }, greetingId } as unknown as Tunnel;
    };
    const [older, newer] = [tunnelOn(3, false), tunnelOn(4, true)];
    const [stranger, far] = [table.connect(5, remote, undefined, 0), table.connect(5, elsewhere, undefined, 0)];
    const dtls = {} as MovedAssociation;
    assert.equal(doors.greeted(5, stranger.id, greetingId, dtls), false);
    doors.admit(older);
    doors.admit(newer);
    assert.match(log.lines.join(), /has the name of another/);
    assert.equal(doors.greeted(5, far.id, greetingId, dtls), true);
    await told.promise;
    told = Promise.withResolvers();
    doors.dismiss(older);
    assert.equal(doors.greeted(5, far.id, greetingId, dtls), false, 'it may not roam');
    assert.equal(doors.greeted(5, stranger.id, greetingId, dtls), true);
    await told.promise;
    // The one at that address, though another came first and may roam.
    told = Promise.withResolvers();
    const there = tunnelOn(6, false, elsewhere);
    doors.admit(older);
    doors.admit(there);
    assert.equal(doors.greeted(5, far.id, greetingId, dtls), true);
    await told.promise;
    for (const tunnel of [older, there]) doors.dismiss(tunnel);
    assert.deepEqual(given, [
      [3, older.id, 40_000],
      [4, newer.id, 40_000],
      [6, there.id, 40_000],
    ]);
    assert.throws(() => doors.greeted(4, stranger.id, greetingId, dtls), MisuseError, 'not its connection');
    doors.dismiss(newer);
    assert.equal(doors.greeted(5, stranger.id, greetingId, dtls), false);
  });
});
