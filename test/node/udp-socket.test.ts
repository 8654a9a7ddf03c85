/** The portable socket and the engine's, where they agree. What only one of them does is tested beside it. */
import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import path from 'node:path';
import { describe, it } from 'node:test';
import { MisuseError, NetworkError, UnsupportedError } from '../../src/core/errors.ts';
import type { DatagramPath, DatagramProblem } from '../../src/node/datagram-path.ts';
import { PacketEngine } from '../../src/node/engine/packet-engine.ts';
import { interfaceMtu, interfaceOf } from '../../src/node/interface-mtu.ts';
import { openDatagramPath, PortableUdpSocket } from '../../src/node/udp-socket.ts';
import { HANG_LIMIT } from '../support/size.ts';
import { Arrivals, endpoint, TrafficPeer } from '../support/traffic-peer.ts';

const isLinux = process.platform === 'linux';

function listen(path: DatagramPath) {
  const [datagrams, problems] = [new Arrivals<string>(), new Arrivals<DatagramProblem>()];
  path.start({
    datagram: (bytes) => datagrams.push(Buffer.from(bytes).toString()),
    record: () => assert.fail('nothing is carried'),
    problem: (problem) => problems.push(problem),
  });
  return { datagrams, problems };
}

for (const kind of isLinux ? (['node:dgram', 'the engine'] as const) : (['node:dgram'] as const)) {
  describe(`UDP path of ${kind}`, { timeout: HANG_LIMIT }, () => {
    const withEngine = async (body: (engine: PacketEngine | undefined) => Promise<void>) => {
      if (kind === 'node:dgram') return body(undefined);
      await using engine = await PacketEngine.start();
      await body(engine);
    };

    for (const address of ['127.0.0.1', '::1']) {
      it(`sends and receives datagrams on ${address}, and counts them`, () =>
        withEngine(async (engine) => {
          const peer = await TrafficPeer.listen('aes-128-gcm', address);
          const path = await openDatagramPath({ remote: peer.endpoint }, engine);
          const { datagrams } = listen(path);
          assert.equal(path.kind, 'datagram');
          assert.deepEqual(path.local.address, peer.endpoint.address);
          if (isLinux) assert.ok((path.pathMtu ?? 0) >= 65_535, 'of loopback');
          const lent = Buffer.from('there');
          path.send(lent);
          lent.fill(0);
          assert.equal((await peer.datagrams.next()).toString(), 'there');
          peer.send(Buffer.from('and back'));
          assert.equal(await datagrams.next(), 'and back');
          const { sent, sentBytes, received, receivedBytes, sentAt, receivedAt } = path.counters();
          assert.deepEqual([sent, sentBytes, received, receivedBytes], [1, 5, 1, 8]);
          for (const at of [sentAt, receivedAt]) assert.ok(at > 0 && at <= performance.now() && at > performance.now() - 20_000, `${at}`);
          await path.close();
          await path.close();
          path.send(Buffer.from('late'));
          assert.equal(path.counters().sent, 1);
          peer.close();
        }));
    }

    it('keeps what arrives before it is started', () =>
      withEngine(async (engine) => {
        const peer = await TrafficPeer.listen('aes-128-gcm');
        const path = await openDatagramPath({ remote: peer.endpoint }, engine);
        path.send(Buffer.from('hello'));
        await peer.datagrams.next();
        peer.send(Buffer.from('one'));
        peer.send(Buffer.from('two'));
        // Something that comes behind them, so that they have come too.
        const other = await openDatagramPath({ remote: peer.endpoint }, engine);
        other.send(Buffer.from('me too'));
        await peer.datagrams.next();
        peer.send(Buffer.from('three'));
        const { datagrams } = listen(other);
        await datagrams.next();
        const { datagrams: early } = listen(path);
        assert.deepEqual([await early.next(), await early.next()], ['one', 'two']);
        assert.throws(() => listen(path), MisuseError);
        await path.close();
        await other.close();
        peer.close();
      }));

    it('takes the local port that is asked for', () =>
      withEngine(async (engine) => {
        const peer = await TrafficPeer.listen('aes-128-gcm');
        const first = await openDatagramPath({ remote: peer.endpoint }, engine);
        const { port } = first.local;
        await assert.rejects(openDatagramPath({ remote: peer.endpoint, localPort: port }, engine), { code: 'EADDRINUSE' });
        await first.close();
        const second = await openDatagramPath({ remote: peer.endpoint, localPort: port }, engine);
        assert.equal(second.local.port, port);
        await second.close();
        peer.close();
      }));

    it('tells that nobody listens, and works again when somebody does', () =>
      withEngine(async (engine) => {
        const gone = await TrafficPeer.listen('aes-128-gcm');
        const remote = gone.endpoint;
        gone.close();
        const path = await openDatagramPath({ remote }, engine);
        const { datagrams, problems } = listen(path);
        path.send(Buffer.from('anybody?'));
        const problem = await problems.next();
        assert.ok(problem.type === 'unreachable' && problem.error instanceof NetworkError);
        assert.equal(problem.error.code, 'ECONNREFUSED');
        const back = createSocket('udp4');
        await new Promise<void>((resolve) => back.bind(remote.port, '127.0.0.1', resolve));
        back.on('message', (bytes, from) => back.send(`${bytes}!`, from.port, from.address));
        path.send(Buffer.from('again'));
        assert.equal(await datagrams.next(), 'again!');
        await path.close();
        back.close();
      }));
  });
}

describe('UDP path of node:dgram', () => {
  it('says what it cannot do', async () => {
    const peer = await TrafficPeer.listen('aes-128-gcm');
    await assert.rejects(PortableUdpSocket.open({ remote: peer.endpoint, copiesDscp: true }), UnsupportedError);
    const path = await PortableUdpSocket.open({ remote: peer.endpoint });
    assert.equal(path.canCarry, false);
    await assert.rejects(path.carry(), UnsupportedError);
    await path.close();
    peer.close();
  });

  it('refuses what is larger than the interface takes, and says so after the call', { skip: !isLinux }, async () => {
    const path = await PortableUdpSocket.open({ remote: endpoint('127.0.0.1', 9) });
    const { problems } = listen(path);
    path.send(new Uint8Array(65_536 - 27));
    assert.equal(problems.count, 0);
    assert.deepEqual(await problems.next(), { type: 'too-big', length: 65_536 - 27, pathMtu: path.pathMtu });
    assert.equal(path.counters().sendTooBig, 1);
    await path.close();
  });
});

describe('a UDP socket that came from another process', { timeout: HANG_LIMIT }, () => {
  for (const address of ['127.0.0.1', '::1']) {
    it(`is connected to its peer at ${address} and speaks to it`, async () => {
      const type = address === '::1' ? 'udp6' : 'udp4';
      const [peer, shared] = [createSocket(type), createSocket(type)];
      await Promise.all([peer, shared].map((socket) => new Promise<void>((resolve) => socket.bind(0, address, resolve))));
      const child = fork(path.join(import.meta.dirname, 'adopt-program.ts'), [], { serialization: 'advanced' });
      const { port } = shared.address();
      child.send(endpoint(address, peer.address().port), shared, () => shared.close());
      const [first] = (await once(peer, 'message')) as [Buffer];
      assert.equal(first.toString(), 'I was given: first');
      peer.send('and then', port, address);
      const [answer] = (await once(peer, 'message')) as [Buffer];
      assert.equal(answer.toString(), 'I was given: and then');
      child.disconnect();
      await once(child, 'exit');
      peer.close();
    });
  }

  it('gives what came first to who listens, when the call that says so is over', async () => {
    const socket = createSocket('udp4');
    await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
    const adopted = await PortableUdpSocket.adopt(socket, endpoint('127.0.0.1', 9), Buffer.from('first'), () => undefined);
    const { datagrams } = listen(adopted);
    assert.equal(datagrams.count, 0);
    assert.equal(await datagrams.next(), 'first');
    await adopted.close();
  });

  it('is refused where its peer cannot be: nothing is sent by a socket that goes nowhere', async () => {
    const socket = createSocket('udp4');
    await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
    // From loopback no way leads to another machine.
    await assert.rejects(
      PortableUdpSocket.adopt(socket, endpoint('192.0.2.1', 9), new Uint8Array(0), () => undefined),
      NetworkError,
    );
  });
});

describe('MTU of an interface', { skip: isLinux ? false : 'only Linux tells it in a file' }, () => {
  it('is found by the local address', () => {
    const { address } = endpoint('127.0.0.1', 0);
    assert.equal(interfaceOf(address), 'lo');
    assert.ok((interfaceMtu(address) ?? 0) > 0);
    assert.equal(interfaceMtu(endpoint('::1', 0).address), interfaceMtu(address));
    assert.equal(interfaceMtu(endpoint('192.0.2.77', 0).address), undefined);
  });
});
