import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { it } from 'node:test';
import { promisify } from 'node:util';
import { MisuseError, SallyportError } from '../../../src/core/errors.ts';
import { packetBytes, packetOf } from '../../../src/core/tunnel/packet.ts';
import { MemoryDevice } from '../../../src/node/devices/memory-device.ts';
import { TunDevice } from '../../../src/node/devices/tun-device.ts';
import { PacketEngine } from '../../../src/node/engine/packet-engine.ts';
import { libc } from '../../../src/node/ffi/libc.ts';
import { closeTun, NO_OFFLOADS, openTunQueues } from '../../../src/node/ffi/tun.ts';
import { eventually } from '../../support/eventually.ts';
import { inNamespace, ip } from '../../support/namespace.ts';
import { sized } from '../../support/size.ts';
import { Arrivals, echoReply, ipv4Udp } from '../../support/traffic-peer.ts';

const run = promisify(execFile);
const FIXTURE = path.join(import.meta.dirname, 'open-tun.ts');
const NOBODY = '65534';

/** Opens a TUN in another process, as told. What it printed: the interface's name, or the error. */
async function openElsewhere(name: string, before = ''): Promise<{ name?: string; code?: string; message?: string }> {
  const { stdout } = await run('unshare', ['--mount', '/bin/sh', '-c', `${before} exec "$0" "$1" "$2"`, process.execPath, FIXTURE, name]);
  return JSON.parse(stdout);
}

async function rejection(promise: Promise<unknown>): Promise<SallyportError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof SallyportError);
  return error;
}

inNamespace('TUN device', import.meta.filename, () => {
  it('carries pings and datagrams between the kernel and a memory device that echoes', async () => {
    await using engine = await PacketEngine.start();
    const tun = await TunDevice.open(engine);
    const memory = new MemoryDevice();
    assert.match(tun.name, /^tun\d+$/);
    ip(`addr add 10.9.0.1/24 dev ${tun.name}`);
    ip(`link set ${tun.name} up`);
    tun.start((packets) => memory.write(packets));
    memory.start((packets) => tun.write(packets));
    const echo = (async () => {
      for await (const packet of memory) {
        const reply = echoReply(packet);
        if (reply !== undefined) memory.send(reply);
        if (packet[9] === 17) {
          const at = Buffer.from(packet);
          memory.send(ipv4Udp('10.9.0.2', '10.9.0.1', at.readUInt16BE(22), at.readUInt16BE(20), at.subarray(28)));
        }
      }
    })();

    // With a deadline ping goes on until so many answers have come: without one it leaves before the last of them on a busy machine.
    const { stdout } = await run('ping', ['-c', '20', '-w', '20', '-i', '0.01', '-s', '1300', '10.9.0.2']);
    assert.ok(Number(/ (\d+) received/.exec(stdout)?.[1]) >= 20, stdout);
    const socket = createSocket('udp4');
    await new Promise<void>((resolve) => socket.bind(0, '10.9.0.1', resolve));
    const answer = once(socket, 'message');
    socket.send('anybody there?', 7, '10.9.0.2');
    assert.equal(String((await answer)[0]), 'anybody there?');
    socket.close();

    await eventually(() => engine.deviceCounters().written >= 21); // the answer is there before it is counted
    const { read, readBytes, ...losses } = engine.deviceCounters();
    assert.ok(read >= 21 && readBytes > 20 * 1300);
    assert.deepEqual([losses.writeRefused, losses.writeDropped, losses.readDropped], [0, 0, 0]);
    await memory.close();
    await echo;
  });

  it('has the name that was asked for, an MTU as told, and is gone when it is closed', async () => {
    await using engine = await PacketEngine.start();
    const tun = await TunDevice.open(engine, { name: 'vpn-test' });
    assert.equal(tun.name, 'vpn-test');
    await tun.setMtu(1311);
    assert.equal(readFileSync('/sys/class/net/vpn-test/mtu', 'latin1'), '1311\n');
    assert.equal((await rejection(tun.setMtu(10))).code, 'EINVAL');
    await tun.close();
    await tun.close();
    assert.ok(!existsSync('/sys/class/net/vpn-test'));
    const again = await TunDevice.open(engine, { name: 'vpn-test' });
    await again.close();
  });

  it('leaves packets in the kernel before it is started and while it is paused', async () => {
    await using engine = await PacketEngine.start();
    const tun = await TunDevice.open(engine, { name: 'tunp' });
    ip('addr add 10.9.0.1/24 dev tunp');
    ip('link set tunp up');
    const socket = createSocket('udp4');
    const send = (text: string) => new Promise<void>((resolve) => socket.send(text, 7, '10.9.0.2', () => resolve()));
    const arrived = new Arrivals<string>();
    await send('early');
    await tun.setMtu(1400); // the worker has been round its loop
    assert.equal(engine.deviceCounters().read, 0);
    tun.start((packets) => {
      for (const packet of packets)
        if (packetBytes(packet)[9] === 17) arrived.push(Buffer.from(packetBytes(packet).subarray(28)).toString());
    });
    assert.equal(await arrived.next(), 'early');
    tun.pause();
    const before = engine.deviceCounters().read;
    await send('late');
    await tun.setMtu(1400);
    assert.equal(engine.deviceCounters().read, before);
    tun.resume();
    assert.equal(await arrived.next(), 'late');
    socket.close();
  });

  it('is woken by each resume, however close to falling asleep it was', async () => {
    await using engine = await PacketEngine.start();
    const tun = await TunDevice.open(engine, { name: 'tunw' });
    ip('addr add 10.9.0.1/24 dev tunw');
    ip('link set tunw up');
    const socket = createSocket('udp4');
    await new Promise<void>((resolve) => socket.connect(7, '10.9.0.2', resolve));
    const arrived = new Arrivals<true>();
    tun.start((packets) => {
      for (const packet of packets) if (packetBytes(packet)[9] === 17) arrived.push(true);
    });
    let slowest = 0;
    for (let i = 0; i < sized(3000, 50_000); i++) {
      tun.pause();
      socket.send('x');
      // Keeps the worker going round its loop, so that the resume meets it at every point of it.
      tun.write([packetOf(ipv4Udp('10.9.0.2', '10.9.0.1', 7, 9, Buffer.of(1)))]);
      const resumeAt = performance.now() + (i % 400) / 10_000; // 0 to 40 µs later
      while (performance.now() < resumeAt);
      const started = performance.now();
      tun.resume();
      await arrived.next();
      slowest = Math.max(slowest, performance.now() - started);
    }
    socket.close();
    assert.ok(slowest < 900, `${slowest} ms: it slept until poll's time-out`);
  });

  it('keeps packets in the kernel while main is too busy to take them, and loses none', async () => {
    await using engine = await PacketEngine.start();
    const tun = await TunDevice.open(engine, { name: 'tunb' });
    ip('addr add 10.9.0.1/24 dev tunb');
    ip('link set tunb up');
    ip('link set tunb txqueuelen 2000');
    let arrived = 0;
    const all = new Arrivals<true>();
    const total = 960;
    tun.start((packets) => {
      for (const packet of packets) if (packetBytes(packet)[9] === 17 && ++arrived === total) all.push(true);
    });
    // One socket may have some 90 packets under way; Node hands each to the kernel at once.
    const sockets = Array.from({ length: 12 }, () => createSocket('udp4'));
    for (const socket of sockets) await new Promise<void>((resolve) => socket.connect(7, '10.9.0.2', resolve));
    for (let i = 0; i < total; i++) sockets[i % sockets.length]?.send(Buffer.alloc(1300));
    // Main does not take anything now: wait until the worker has nothing more to do.
    for (let read = -1, until = performance.now() + 100; performance.now() < until; ) {
      const now = engine.deviceCounters().read;
      if (now !== read) until = performance.now() + 100;
      read = now;
    }
    assert.ok(engine.deviceCounters().read < total, 'the ring holds less than this');
    await all.next();
    assert.equal(engine.deviceCounters().readDropped, 0);
    for (const socket of sockets) socket.close();
  });

  it('drops and counts what the interface does not take', async () => {
    await using engine = await PacketEngine.start();
    const tun = await TunDevice.open(engine, { name: 'tund' });
    tun.write([packetOf(ipv4Udp('10.9.0.2', '10.9.0.1', 7, 7, Buffer.of(1)))]); // it is down
    await tun.setMtu(1400);
    ip('link set tund up');
    tun.write([packetOf(Buffer.from('Xs are neither version 4 nor 6'))]);
    await tun.setMtu(1400);
    assert.deepEqual([engine.deviceCounters().writeRefused, engine.deviceCounters().written], [2, 0]);
    const flood = Array.from({ length: 2000 }, () => packetOf(Buffer.alloc(1400)));
    tun.write(flood);
    const { writeDropped } = engine.deviceCounters();
    assert.ok(writeDropped > 1000 && writeDropped < 2000, `${writeDropped} did not fit into the ring`);
  });

  it('fails when the interface is deleted under it, and can be opened again', async () => {
    await using engine = await PacketEngine.start();
    const tun = await TunDevice.open(engine, { name: 'tung' });
    ip('link set tung up');
    tun.start(() => undefined);
    ip('link del tung');
    const error = await tun.failed;
    assert.match(error.message, /^The device tung is gone: .*\(EBADFD\)$/);
    await tun.close();
    const again = await TunDevice.open(engine, { name: 'tung' });
    assert.ok(existsSync('/sys/class/net/tung'));
    await again.close();
  });

  it('fails when the interface is deleted while it is paused', async () => {
    await using engine = await PacketEngine.start();
    const tun = await TunDevice.open(engine, { name: 'tunq' });
    ip('link del tunq');
    assert.match((await tun.failed).message, /EBADFD/);
  });

  it('says in plain words why an interface cannot be had', async () => {
    await using engine = await PacketEngine.start();
    await using second = await PacketEngine.start();
    const tun = await TunDevice.open(engine, { name: 'tunx' });
    const busy = await rejection(TunDevice.open(second, { name: 'tunx' }));
    assert.equal(busy.code, 'EBUSY');
    assert.equal(busy.message, 'The interface tunx is in use by another program (EBUSY). Choose another name.');
    assert.match(
      (await rejection(TunDevice.open(second, { name: 'lo' }))).message,
      /exists and is not a TUN interface of one queue \(EINVAL\)/,
    );
    assert.equal(
      (await openElsewhere('tunx', 'mount -t tmpfs none /sys;')).message,
      'The interface tunx is in use by another program, or is not a TUN interface of one queue (EINVAL). Choose another name.',
      '/sys does not know it',
    );
    assert.ok((await rejection(TunDevice.open(second, { name: 'a b' }))) instanceof MisuseError);
    assert.ok((await rejection(TunDevice.open(engine, { name: 'tuny' }))) instanceof MisuseError, 'one device an engine');
    await tun.close();
    const free = await TunDevice.open(second, { name: 'tunx' }); // after all those refusals the place is free
    await free.close();

    const asNobody = `set -- "$1" "$2"; exec setpriv --reuid=${NOBODY} --regid=${NOBODY} --clear-groups "$0" "$@";`;
    assert.match(
      (await openElsewhere('tunz', asNobody)).message ?? '',
      /^This user may not make the TUN interface tunz \(EPERM\)\. Run as root, or /,
    );
    const none = await openElsewhere('tunz', 'mount -t tmpfs none /dev/net;');
    assert.match(none.message ?? '', /^There is no TUN device on this machine \(\/dev\/net\/tun, ENOENT\)\. Load /);
    const locked = await openElsewhere('tunz', `mount -t tmpfs none /dev/net; mknod -m 600 /dev/net/tun c 10 200; ${asNobody}`);
    assert.match(locked.message ?? '', /^This user may not open \/dev\/net\/tun \(EACCES\)\. Run as root\.$/);
  });

  it('opens an interface that was made for a user, without root', async () => {
    ip(`tuntap add tunu mode tun user ${NOBODY}`);
    const asNobody = `exec setpriv --reuid=${NOBODY} --regid=${NOBODY} --clear-groups "$0" "$1" "$2";`;
    assert.deepEqual(await openElsewhere('tunu', asNobody), { name: 'tunu' });
    assert.ok(existsSync('/sys/class/net/tunu'), 'and leaves it where it was');
  });

  /** The sender's port and the text of each datagram that the kernel gives to the device, from here on; other programs' packets are left out. */
  function datagramsOf(tun: TunDevice): Arrivals<{ readonly port: number; readonly text: string }> {
    const arrivals = new Arrivals<{ readonly port: number; readonly text: string }>();
    tun.start((packets) => {
      for (const packet of packets) {
        const bytes = Buffer.from(packetBytes(packet));
        if (bytes[0] !== 0x45 || bytes[9] !== 17) continue;
        arrivals.push({ port: bytes.readUInt16BE(20), text: bytes.toString('latin1', 28) });
        // An answer: where the kernel let a flow follow what is written for it, it would overtake itself now.
        tun.write([packetOf(ipv4Udp('10.9.0.2', '10.9.0.1', 7, bytes.readUInt16BE(20), Buffer.from('answer')))]);
      }
    });
    return arrivals;
  }

  async function boundSocket() {
    const socket = createSocket('udp4');
    await new Promise<void>((resolve) => socket.bind(0, '10.9.0.1', resolve));
    return socket;
  }

  it('does not let flows that send little wait for one that has sent much, and keeps the order of each', async () => {
    await using engine = await PacketEngine.start();
    const tun = await TunDevice.open(engine);
    ip(`addr add 10.9.0.1/24 dev ${tun.name}`);
    ip(`link set ${tun.name} up`);
    const [much, ...little] = await Promise.all(Array.from({ length: 25 }, boundSocket));
    const [count, rounds] = [400, 3];
    const send = (socket = much, text = '') => new Promise((sent) => socket?.send(text, 7, '10.9.0.2', sent));
    for (let i = 0; i < count; i++) await send(much, String(i)); // nobody reads yet
    for (let i = 0; i < rounds; i++) for (const socket of little) await send(socket, String(i));
    const arrivals = datagramsOf(tun);
    const order = [];
    for (let i = 0; i < count + rounds * little.length; i++) order.push(await arrivals.next());
    for (const socket of [much, ...little]) {
      const texts: string[] = order.filter(({ port }) => port === socket?.address().port).map(({ text }) => text);
      assert.deepEqual(
        texts,
        Array.from(texts, (_, i) => String(i)),
      );
      assert.equal(texts.length, socket === much ? count : rounds);
    }
    // One in eight shares the queue of the one that has sent much.
    const half = order.findIndex(({ port, text }) => port === much?.address().port && text === String(count / 2));
    const early = order.slice(0, half).filter(({ port }) => port !== much?.address().port).length;
    assert.ok(early >= (rounds * little.length) / 2, `${early} in front of ${half}`);
    for (const socket of [much, ...little]) socket?.close();
    assert.deepEqual(
      (await engine.features()).find(({ name }) => name === 'flow-queues'),
      { name: 'flow-queues', isOn: true },
    );
  });

  it('has one queue where the interface was made before, and says so', async () => {
    await using engine = await PacketEngine.start();
    ip('tuntap add tun1q mode tun');
    await TunDevice.open(engine, { name: 'tun1q' });
    const { isOn, why } = (await engine.features()).find(({ name }) => name === 'flow-queues') ?? {};
    assert.deepEqual({ isOn, why }, { isOn: false, why: 'tun1q has one queue' });
    ip('tuntap add tunmq mode tun multi_queue');
    await using second = await PacketEngine.start();
    assert.match((await rejection(TunDevice.open(second, { name: 'tunmq' }))).message, /is not a TUN interface of one queue \(EINVAL\)/);
  });

  it('adopts several queues, and writes each flow to one, by which the kernel answers', async () => {
    await using engine = await PacketEngine.start();
    const opened = openTunQueues(libc('The test'), 'tunm', 4);
    const queues = opened.fds.slice(0, 3);
    const tun = await TunDevice.adopt(engine, { writers: queues, queues }, opened.name);
    ip(`addr add 10.9.0.1/24 dev ${tun.name}`);
    ip(`link set ${tun.name} up`);
    const answers = new Arrivals<number>();
    tun.start((packets) => {
      for (const packet of packets) {
        const bytes = Buffer.from(packetBytes(packet));
        if (bytes[9] === 17) answers.push(bytes.readUInt16BE(22));
      }
    });
    const echo = await boundSocket();
    echo.on('message', (bytes, { address, port }) => echo.send(bytes, port, address));
    const ports = Array.from({ length: 60 }, (_, i) => 20_000 + i);
    for (const port of ports) tun.write([packetOf(ipv4Udp('10.9.0.2', '10.9.0.1', port, echo.address().port, Buffer.from('text')))]);
    const back = [];
    for (let i = 0; i < ports.length; i++) back.push(await answers.next());
    assert.deepEqual(back.sort(), ports, 'none by the queue that nobody reads');
    echo.close();
    closeTun(libc('The test'), opened.fds.slice(3));
    const many = Array.from({ length: 9 }, (_, i) => 100 + i);
    await using second = await PacketEngine.start();
    assert.ok((await rejection(TunDevice.adopt(second, { writers: many, queues: many }, 'tunz'))) instanceof MisuseError);
  });

  it('keeps the order of what two hosts behind it say to each other, by whichever queue it was written', async () => {
    const [one, other] = ['10.9.0.2', '10.9.0.3'];
    const count = 120;
    for (const wantsWriter of [false, true]) {
      await using engine = await PacketEngine.start();
      const { fds, writer, name } = openTunQueues(libc('The test'), 'tunf', 8, NO_OFFLOADS, wantsWriter);
      assert.equal(writer !== undefined, wantsWriter);
      const tun = await TunDevice.adopt(engine, { writers: writer === undefined ? fds : [writer], queues: fds }, name);
      writeFileSync('/proc/sys/net/ipv4/ip_forward', '1');
      ip(`addr add 10.9.0.1/24 dev ${name}`);
      ip(`link set ${name} up`);
      const there = new Arrivals<string>();
      tun.start((packets) => {
        for (const packet of packets) {
          const bytes = Buffer.from(packetBytes(packet));
          if (bytes[9] === 17 && bytes.readUInt16BE(22) === 443) there.push(bytes.toString('latin1', 28));
        }
      });
      const say = (text: string) => tun.write([packetOf(ipv4Udp(one, other, 40_000, 443, Buffer.from(text)))]);
      say('first'); // the kernel knows no queue of a flow before it has forwarded one packet of it
      assert.equal(await there.next(), 'first');
      tun.pause();
      for (let i = 0; i < count; i++) {
        say(String(i));
        if (i % 3 === 0) tun.write([packetOf(ipv4Udp(other, one, 443, 40_000, Buffer.from('answer')))]);
      }
      await eventually(() => engine.deviceCounters().written >= 1 + count + count / 3);
      tun.resume();
      const order = [];
      for (let i = 0; i < count; i++) order.push(await there.next());
      assert.deepEqual(
        order,
        Array.from(order, (_, i) => String(i)),
      );
      await tun.close();
    }
  });

  it('leaves no descriptor behind', async () => {
    const open = () => readdirSync('/proc/self/fd').length;
    const once = async () => {
      await using engine = await PacketEngine.start();
      await TunDevice.open(engine);
    };
    await once(); // what Node opens for good with the first worker
    const before = open();
    for (let i = 0; i < 3; i++) await once();
    assert.equal(open(), before);
  });
});
