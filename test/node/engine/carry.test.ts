/** Carried paths: the kernel's own UDP and ping on one side of a TUN, the reference's records on the other side of the engine. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import path from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Worker } from 'node:worker_threads';
import { packetOf } from '../../../src/core/tunnel/packet.ts';
import type { AeadCipher } from '../../../src/core/tunnel/traffic.ts';
import { eventually } from '../../support/eventually.ts';
import { inNamespace, ip } from '../../support/namespace.ts';
import { HANG_LIMIT, sized } from '../../support/size.ts';
import { ALERT, DATA, echoReply, ipv4Udp, TrafficPeer } from '../../support/traffic-peer.ts';
import { FAR, HOST, icmpTooBig, isUdp, nextPacket, outerTos, settled, toInner, tunnel } from './carry-scene.ts';

const run = promisify(execFile);
const CIPHERS: readonly AeadCipher[] = ['aes-128-gcm', 'aes-256-gcm', 'chacha20-poly1305'];

inNamespace('a carried path', import.meta.filename, () => {
  for (const [cipher, portableCrypto] of [...CIPHERS.map((each) => [each, false] as const), ['aes-256-gcm', true] as const]) {
    describe(`with ${cipher} by ${portableCrypto ? 'node:crypto' : 'OpenSSL'}`, { timeout: HANG_LIMIT }, () => {
      it('takes packets of the kernel to the peer and back, past main', async () => {
        await using t = await tunnel(cipher, { portableCrypto });
        assert.equal(t.engine.crypto, portableCrypto ? 'node' : 'openssl');
        await t.path.carry(t.peer.description());
        await t.engine.route(t.path);
        for (let i = 1; i <= 50; i++) {
          t.inner.send(`packet ${i} ${'x'.repeat(i * 20)}`, 7, FAR);
          const { plaintext } = await nextPacket(t.peer);
          assert.equal(plaintext.subarray(29).toString('latin1'), `packet ${i} ${'x'.repeat(i * 20)}`);
          t.peer.send(t.peer.sealPacket(toInner(t.inner, `answer ${i} ${'y'.repeat(i * 20)}`)));
          assert.equal(await t.innerArrivals.next(), `answer ${i} ${'y'.repeat(i * 20)}`);
        }
        assert.equal(t.packets.count, 0, 'main saw nothing of it');
        assert.equal(t.records.count, 0);
      });

      it('answers pings through the tunnel', async () => {
        await using t = await tunnel(cipher, { portableCrypto });
        t.peer.onDatagram = (datagram) => {
          const { plaintext } = t.peer.open(datagram);
          const reply = echoReply(plaintext.subarray(1));
          if (reply !== undefined) t.peer.send(t.peer.sealPacket(reply));
        };
        await t.path.carry(t.peer.description());
        await t.engine.route(t.path);
        const { stdout } = await run('ping', ['-c', '50', '-i', '0.005', '-s', '1300', FAR]);
        // On a busy machine ping leaves before its last answers come; the engine's own count knows better.
        assert.ok(Number(/ (\d+) received/.exec(stdout)?.[1]) >= 40, stdout);
        await eventually(() => t.path.counters().sent === 50);
      });

      it('seals what main commits, between the packets, under one sequence without gaps or repeats', async () => {
        await using t = await tunnel(cipher, { portableCrypto });
        await t.path.carry(t.peer.description());
        await t.engine.route(t.path);
        for (let i = 0; i < 100; i++) {
          if (i % 3 === 0) t.path.send(Buffer.of(DATA, 3, i));
          else if (i % 3 === 1) t.path.send(Buffer.of(ALERT, 1, i));
          else t.inner.send('data', 7, FAR);
        }
        const seen = new Map<number, number>();
        let [probes, alerts, data] = [0, 0, 0];
        while (probes + alerts + data < 100) {
          const record = await t.peer.nextRecord();
          seen.set(record.sequence, (seen.get(record.sequence) ?? 0) + 1);
          if (record.type === ALERT) alerts++;
          else if (record.plaintext[0] === 3) probes++;
          else if (isUdp(record.plaintext.subarray(1))) data++;
        }
        assert.deepEqual([probes, alerts, data], [34, 33, 33]);
        const numbers = [...seen.keys()].sort((a, b) => a - b);
        assert.deepEqual(
          numbers,
          numbers.map((_, i) => i + 1),
        );
        assert.ok([...seen.values()].every((times) => times === 1));
      });

      it('gives main what is not data, with its content type in front', async () => {
        await using t = await tunnel(cipher, { portableCrypto });
        await t.path.carry(t.peer.description());
        t.path.send(Buffer.of(DATA, 3)); // the peer learns our port
        await t.peer.nextRecord();
        t.peer.send(t.peer.seal(DATA, Buffer.from([4, 1, 2, 3])));
        t.peer.send(Buffer.concat([t.peer.seal(22, Buffer.from('hello')), t.peer.seal(ALERT, Buffer.of(1, 0))]));
        assert.deepEqual(await t.records.next(), Buffer.from([DATA, 4, 1, 2, 3]));
        assert.deepEqual(await t.records.next(), Buffer.concat([Buffer.of(22), Buffer.from('hello')]));
        assert.deepEqual(await t.records.next(), Buffer.of(ALERT, 1, 0));
      });

      it('counts what it refuses: altered, replayed, cut, of another epoch', async () => {
        await using t = await tunnel(cipher, { portableCrypto });
        await t.path.carry(t.peer.description());
        t.path.send(Buffer.of(DATA, 3));
        await t.peer.nextRecord();
        const good = t.peer.sealPacket(toInner(t.inner, 'once'));
        const altered = Buffer.from(good);
        altered[20] = (altered[20] ?? 0) ^ 1;
        const otherEpoch = Buffer.from(good);
        otherEpoch[4] = 9;
        const otherVersion = Buffer.from(good);
        otherVersion[2] = 0xff;
        for (const datagram of [
          altered,
          good,
          good,
          good,
          good.subarray(0, 30),
          otherEpoch,
          otherVersion,
          Buffer.of(),
          t.peer.seal(DATA, Buffer.of(4)),
        ]) {
          t.peer.send(datagram);
        }
        assert.deepEqual(await t.records.next(), Buffer.of(DATA, 4));
        assert.equal(await t.innerArrivals.next(), 'once');
        assert.equal(t.innerArrivals.count, 0);
        const { badTag, replayed, malformed, unknownEpoch, received } = t.path.counters();
        assert.deepEqual(
          { badTag, replayed, malformed, unknownEpoch, received },
          { badTag: 1, replayed: 2, malformed: 2, unknownEpoch: 1, received: 9 },
        );
      });
    });
  }

  it('starts where the machine stopped, and says at the end where it goes on', async () => {
    await using t = await tunnel('aes-256-gcm');
    assert.equal(await t.path.carry(undefined), undefined, 'nothing was carried');
    assert.equal(await t.path.carry(t.peer.description({}, 1000)), undefined);
    for (let i = 0; i < 10; i++) t.path.send(Buffer.of(DATA, 3, i));
    for (let i = 0; i < 10; i++) assert.equal((await t.peer.nextRecord()).sequence, 1000 + i);
    t.peer.send(t.peer.seal(DATA, Buffer.of(4), 77));
    await t.records.next();
    t.path.send(Buffer.of(ALERT, 1, 0)); // committed before, so still sealed
    const withdrawn = t.path.carry(undefined);
    t.path.send(Buffer.from('as it is')); // committed after, so not
    assert.deepEqual(await withdrawn, { seal: { id: 1, nextSequence: 1011 }, open: [{ id: 1, nextSequence: 78 }] });
    assert.equal((await t.peer.nextRecord()).sequence, 1010);
    assert.equal((await t.peer.datagrams.next()).toString(), 'as it is');
    const record = t.peer.seal(DATA, Buffer.of(4), 78);
    t.peer.send(record);
    assert.deepEqual(await t.datagrams.next(), record, 'and is delivered as it came');
    assert.equal(t.path.counters().notSealed, 0);
  });

  it('opens what arrived before it had the keys', async () => {
    await using t = await tunnel('aes-128-gcm');
    t.path.send(Buffer.from('hello'));
    await t.peer.datagrams.next();
    await t.peer.connect();
    t.peer.send(t.peer.seal(DATA, Buffer.of(3, 1)));
    t.peer.send(t.peer.sealPacket(toInner(t.inner, 'early')));
    // Main has not looked yet: the datagrams are in its ring when it publishes the keys.
    while (t.path.counters().received < 2);
    const carried = t.path.carry(t.peer.description());
    assert.deepEqual(await t.records.next(), Buffer.of(DATA, 3, 1));
    assert.equal(await t.innerArrivals.next(), 'early');
    assert.equal(t.datagrams.count, 0);
    await carried;
  });

  it('gives main the packets while it carries none, and those that are too large for it', async () => {
    await using t = await tunnel('aes-256-gcm');
    const payload = (packet: Buffer) => packet.subarray(28).toString('latin1');
    await t.engine.route(t.path);
    t.inner.send('one', 7, FAR);
    assert.equal(payload(await t.packets.next()), 'one');
    await t.path.carry(t.peer.description({ tunnelMtu: 100 }));
    t.inner.send('two', 7, FAR);
    assert.equal((await nextPacket(t.peer)).plaintext.subarray(29).toString(), 'two');
    t.inner.send('z'.repeat(72), 7, FAR);
    assert.equal((await nextPacket(t.peer)).plaintext.length, 101);
    t.inner.send('z'.repeat(73), 7, FAR);
    assert.equal(payload(await t.packets.next()), 'z'.repeat(73));
    await t.engine.route(undefined);
    t.inner.send('three', 7, FAR);
    assert.equal(payload(await t.packets.next()), 'three');
    t.peer.send(t.peer.sealPacket(toInner(t.inner, 'back')));
    assert.equal(await t.innerArrivals.next(), 'back', 'data on a carried path goes to the device, routed or not');
    await t.engine.route(t.path);
    await t.path.close();
    t.inner.send('four', 7, FAR);
    assert.equal(payload(await t.packets.next()), 'four');
  });

  it('keeps the order while packets take the way by main and the way past it in turn', async () => {
    await using t = await tunnel('aes-256-gcm', { sendsOn: true });
    await t.path.carry(t.peer.description());
    const count = sized(1_500, 60_000);
    const received: number[] = [];
    t.peer.onDatagram = (datagram) => {
      const packet = t.peer.open(datagram).plaintext.subarray(1);
      if (isUdp(packet)) received.push(packet.readUInt32BE(28));
    };
    const workerData = { count, port: 7, host: HOST, address: FAR };
    const sender = new Worker(path.join(import.meta.dirname, 'numbered-sender.ts'), { workerData });
    const busy = new Int32Array(new SharedArrayBuffer(4));
    let isOver = false;
    sender.once('exit', () => {
      isOver = true;
    });
    for (let turn = 0; !isOver; turn++) {
      await t.engine.route(undefined);
      await setTimeout(1);
      const routed = t.engine.route(t.path);
      Atomics.wait(busy, 0, 0, turn % 10 === 0 ? 60 : 2); // main has packets to send, and does not get to it: long on a busy machine
      await routed;
    }
    // Packets may be lost: the peer's socket is read by this thread too.
    assert.ok(received.length > count / 2, `${received.length} of ${count} arrived`);
    assert.deepEqual(
      received,
      received.toSorted((a, b) => a - b),
    );
  });

  it('gives main the data too where there is no device', async () => {
    await using t = await tunnel('aes-256-gcm');
    await t.path.carry(t.peer.description());
    await t.tun.close();
    t.path.send(Buffer.of(DATA, 3));
    await t.peer.nextRecord();
    const packet = ipv4Udp(FAR, HOST, 7, 7, Buffer.from('nobody home'));
    t.peer.send(t.peer.sealPacket(packet));
    assert.deepEqual(await t.records.next(), Buffer.concat([Buffer.of(DATA, 0), packet]));
  });

  it('takes new keys while the old ones still open', async () => {
    await using t = await tunnel('aes-256-gcm');
    const second = await TrafficPeer.listen('aes-256-gcm'); // for its keys
    await t.path.carry(t.peer.description());
    t.path.send(Buffer.of(DATA, 3, 1));
    await t.peer.nextRecord();
    const epoch2 = (key: { readonly id: number }) => ({ ...key, id: 2 });
    const [oldOpen] = t.peer.description().open;
    const next = second.description();
    assert.ok(oldOpen);
    const state = await t.path.carry({
      ...next,
      seal: epoch2(next.seal) as typeof next.seal,
      open: [...next.open.map((key) => epoch2(key) as typeof key), oldOpen],
    });
    assert.deepEqual(state, { seal: { id: 1, nextSequence: 2 }, open: [{ id: 1, nextSequence: 1 }] });
    t.path.send(Buffer.of(DATA, 3, 2));
    const sealed = await t.peer.datagrams.next();
    assert.equal(sealed.readUInt16BE(3), 2);
    t.peer.send(t.peer.seal(DATA, Buffer.of(4, 1)));
    assert.deepEqual(await t.records.next(), Buffer.of(DATA, 4, 1));
    second.close();
  });

  it('stops when the record numbers end, and says so', async () => {
    await using t = await tunnel('chacha20-poly1305');
    await t.path.carry(t.peer.description({}, 2 ** 48 - 2));
    t.path.send(Buffer.of(DATA, 3, 1));
    t.path.send(Buffer.of(DATA, 3, 2));
    t.path.send(Buffer.of(DATA, 3, 3));
    assert.deepEqual(await t.problems.next(), { type: 'key-used-up', direction: 'seal', isOver: false });
    assert.deepEqual(await t.problems.next(), { type: 'key-used-up', direction: 'seal', isOver: true });
    await settled(t.path, t.engine);
    assert.deepEqual([(await t.peer.nextRecord()).sequence, (await t.peer.nextRecord()).sequence], [2 ** 48 - 2, 2 ** 48 - 1]);
    assert.equal(t.path.counters().notSealed, 1);
    assert.equal(t.problems.count, 0);
  });

  it('tells each refused probe by its size, and what the interface takes', async () => {
    ip('link set lo mtu 1500');
    try {
      await using t = await tunnel('aes-256-gcm');
      assert.equal(t.path.pathMtu, 1500);
      await t.path.carry(t.peer.description());
      const overhead = 13 + 8 + 16;
      const largest = 1500 - 28 - overhead;
      for (const length of [largest + 1, largest, largest + 2]) t.path.send(Buffer.concat([Buffer.of(DATA), Buffer.alloc(length, 3)]));
      assert.deepEqual(await t.problems.next(), { type: 'too-big', length: 1473, pathMtu: 1500 });
      assert.deepEqual(await t.problems.next(), { type: 'too-big', length: 1474, pathMtu: 1500 });
      assert.equal((await t.peer.nextRecord()).plaintext.length, largest);
      const { sent, sendTooBig } = t.path.counters();
      assert.deepEqual([sent, sendTooBig], [1, 2]);
    } finally {
      ip('link set lo mtu 65536');
    }
  });

  it('tells a router\'s "too big" with what the kernel now believes, and sends the datagram that heard of it all the same', async () => {
    ip('addr add 10.77.0.1/32 dev lo');
    await using t = await tunnel('aes-256-gcm', { peerAddress: '10.77.0.1' });
    await t.path.carry(t.peer.description());
    t.path.send(Buffer.of(DATA, 3));
    await t.peer.nextRecord();
    t.tun.write([packetOf(icmpTooBig(t.path, 1200))]);
    t.path.send(Buffer.of(DATA, 3, 3));
    assert.deepEqual(await t.problems.next(), { type: 'too-big', length: undefined, pathMtu: 1200 });
    assert.equal((await t.peer.nextRecord()).plaintext.length, 2);
    ip('addr del 10.77.0.1/32 dev lo');
  });

  it('tells that the peer is gone once a second at most, and goes on', async () => {
    await using t = await tunnel('aes-256-gcm');
    await t.path.carry(t.peer.description());
    await t.engine.route(t.path);
    t.peer.close();
    for (let i = 0; i < 40; i++) {
      await new Promise<void>((resolve) => t.inner.send('anybody?', 7, FAR, () => resolve()));
      await settled(t.path, t.engine);
    }
    const problem = await t.problems.next();
    assert.ok(problem.type === 'unreachable');
    assert.equal(problem.error.code, 'ECONNREFUSED');
    assert.ok(t.problems.count <= 1, `${t.problems.count + 1} times`);
    assert.ok(t.path.counters().sent > 10); // a send that hears of an earlier one does not count
  });

  it('copies the DSCP of inner packets to the outer ones when it is told to, and never their congestion marks', async () => {
    await using t = await tunnel('aes-256-gcm', { copiesDscp: true });
    await t.path.carry(t.peer.description());
    await t.engine.route(t.path);
    const outer = outerTos(t.path);
    assert.equal(outer(), 0);
    const { stdout } = await run('ping', ['-c', '1', '-W', '0.1', '-Q', '0xbb', FAR]).catch((error: { stdout: string }) => error);
    assert.match(stdout, /1 packets transmitted/);
    assert.equal(outer(), 0xb8);
    t.inner.send('plain', 7, FAR);
    await nextPacket(t.peer);
    assert.equal(outer(), 0);
  });

  it('accounts for every packet of many, and keeps its memory', { timeout: sized(HANG_LIMIT, 600_000) }, async () => {
    await using t = await tunnel('aes-256-gcm');
    t.peer.onDatagram = (datagram) => {
      const { plaintext } = t.peer.open(datagram);
      const packet = plaintext.subarray(1);
      if (isUdp(packet)) t.peer.send(t.peer.sealPacket(toInner(t.inner, packet.subarray(28).toString('latin1'))));
    };
    await t.path.carry(t.peer.description());
    await t.engine.route(t.path);
    const rounds = async (count: number) => {
      for (let i = 0; i < count; i++) {
        for (let k = 0; k < 20; k++) t.inner.send(Buffer.alloc(1000, 65 + k), 7, FAR);
        for (let k = 0; k < 20; k++) assert.equal((await t.innerArrivals.next()).length, 1000);
      }
    };
    await rounds(250); // warm: compiled code, pools
    const before = process.memoryUsage().rss;
    const count = sized(250, 10_000);
    await rounds(count);
    const grown = process.memoryUsage().rss - before;
    assert.ok(grown < 24 * 2 ** 20, `grew by ${grown} bytes`);

    const path = t.path.counters();
    const device = t.engine.deviceCounters();
    const total = (250 + count) * 20;
    assert.equal(device.read, total);
    assert.equal(path.sent, total, 'each packet that was read left as a record');
    assert.equal(path.received, total);
    assert.equal(device.written, total, 'and each that came back reached the kernel');
    assert.equal(path.sentBytes, device.readBytes + device.read * (13 + 8 + 1 + 16));
    for (const cause of [
      'sendDropped',
      'sendTooBig',
      'sendFailed',
      'badTag',
      'replayed',
      'malformed',
      'unknownEpoch',
      'notSealed',
    ] as const) {
      assert.equal(path[cause], 0, cause);
    }
    assert.equal(device.writeRefused, 0);
  });
});
