/** The engine's life: how it starts, how it ends, and what happens when it breaks. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { existsSync, readdirSync } from 'node:fs';
import { Socket } from 'node:net';
import path from 'node:path';
import { it } from 'node:test';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { MisuseError, NetworkError, SallyportError } from '../../../src/core/errors.ts';
import type { DatagramPath, DatagramProblem } from '../../../src/node/datagram-path.ts';
import { TunDevice } from '../../../src/node/devices/tun-device.ts';
import type { EngineLink } from '../../../src/node/engine/engine-link.ts';
import { PacketEngine } from '../../../src/node/engine/packet-engine.ts';
import { WORD } from '../../../src/node/engine/shared-memory.ts';
import { PortableUdpSocket } from '../../../src/node/udp-socket.ts';
import { inNamespace, ip } from '../../support/namespace.ts';
import { HANG_LIMIT, sized } from '../../support/size.ts';
import { Arrivals, endpoint, TrafficPeer } from '../../support/traffic-peer.ts';

const run = promisify(execFile);
const ROOT = path.resolve(import.meta.dirname, '../../..');

/** The worker sleeps in poll for a second at a time: what ends sooner was woken. */
const POLL_TIMEOUT = 1000;

const descriptors = () => readdirSync('/proc/self/fd').length;

/** Main's end of the engine, to break it. */
function linkOf(device: TunDevice): EngineLink {
  return (device as unknown as { readonly link: EngineLink }).link;
}

/** The quickest of up to three tells: a busy machine may keep one of them from its end. */
async function assertEndsAtOnce(how: string, expected: number): Promise<void> {
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 3 && least >= POLL_TIMEOUT * 0.8; i++) {
    const { status, millis } = await runFixture(how);
    assert.equal(status, expected);
    least = Math.min(least, millis);
  }
  assert.ok(least < POLL_TIMEOUT * 0.8, `${least} ms`);
}

/** How a program that uses the engine ends: its status, how long that took after its last word, and what it printed. */
async function runFixture(how: string): Promise<{ status: number; millis: number; output: string }> {
  const fixture = path.join(import.meta.dirname, 'engine-user.ts');
  const { status, output } = await run(process.execPath, [fixture, how], { timeout: 60_000 }).then(
    ({ stdout }) => ({ status: 0, output: stdout }),
    (error: { code: number; stdout: string }) => ({ status: error.code, output: error.stdout }),
  );
  const lastWord = Number(/ended at (\d+)/.exec(output)?.[1]);
  return { status, output, millis: Date.now() - lastWord };
}

inNamespace('packet engine', import.meta.filename, () => {
  it('ends while it is busy, and nothing of it is left', async () => {
    const peer = await TrafficPeer.listen('aes-256-gcm');
    const before = descriptors();
    const engine = await PacketEngine.start();
    const tun = await TunDevice.open(engine, { name: 'tunbusy' });
    ip('addr add 10.9.0.1/24 dev tunbusy');
    ip('link set tunbusy up');
    tun.start(() => undefined);
    const udp = await engine.openUdp({ remote: peer.endpoint });
    await udp.carry(peer.description());
    await engine.route(udp);
    const socket = createSocket('udp4').unref(); // where a check fails
    await new Promise<void>((resolve) => socket.connect(7, '10.9.0.2', resolve));
    let isFlooding = true;
    const flood = () => {
      if (!isFlooding) return;
      for (let i = 0; i < 20; i++) {
        socket.send(Buffer.alloc(1000));
        udp.send(Buffer.of(23, 3));
      }
      setImmediate(flood);
    };
    flood();
    while (udp.counters().sent < 500) await new Promise((resolve) => setImmediate(resolve));
    const { words } = linkOf(tun).memory;
    await Promise.all([engine.close(), engine.close()]);
    isFlooding = false;
    assert.equal(Atomics.load(words, WORD.workerLeft), 1, 'its thread has left by itself');
    assert.ok(!existsSync('/sys/class/net/tunbusy'));
    await engine.close();
    await udp.close();
    await tun.close();
    udp.send(Buffer.of(23, 3));
    await assert.rejects(udp.carry(undefined), SallyportError);
    await assert.rejects(engine.openUdp({ remote: peer.endpoint }), SallyportError);
    socket.close();
    await new Promise((resolve) => socket.once('close', resolve));
    assert.equal(descriptors(), before);
    peer.close();
  });

  it('sends what was given before it is closed', async () => {
    const peer = await TrafficPeer.listen('aes-256-gcm');
    const engine = await PacketEngine.start();
    const udp = await engine.openUdp({ remote: peer.endpoint });
    for (let i = 0; i < 20; i++) udp.send(Buffer.of(i));
    await udp.close();
    const second = await engine.openUdp({ remote: peer.endpoint });
    for (let i = 20; i < 40; i++) second.send(Buffer.of(i));
    await engine.close();
    for (let i = 0; i < 40; i++) assert.deepEqual(await peer.datagrams.next(), Buffer.of(i));
    peer.close();
  });

  it('fails with its device and paths when its thread breaks, and leaves nothing open', async () => {
    const peer = await TrafficPeer.listen('aes-256-gcm');
    await (await PacketEngine.start()).close(); // what Node opens for good with the first worker
    const before = descriptors();
    const engine = await PacketEngine.start();
    const tun = await TunDevice.open(engine, { name: 'tunbreak' });
    const udp = await engine.openUdp({ remote: peer.endpoint });
    const problems = new Arrivals<DatagramProblem>();
    udp.start({ datagram: () => undefined, record: () => undefined, problem: (problem) => problems.push(problem) });
    const { memory } = linkOf(tun);
    memory.toWorker.push(0, new Uint8Array(8), 0, 8);
    new Uint32Array(memory.toWorker.data.buffer, memory.toWorker.data.byteOffset, 1)[0] = 2 ** 30;
    memory.toWorker.publish();
    linkOf(tun).wake();
    const error = await engine.failed;
    assert.match(error.message, /^The packet engine failed: packet ring: .*overwritten$/);
    assert.equal(await tun.failed, error);
    const problem = await problems.next();
    assert.ok(problem.type === 'failed' && problem.error === error);
    await assert.rejects(udp.carry(undefined), (reason) => reason === error);
    await Promise.all([udp.close(), tun.close(), engine.close()]);
    assert.ok(!existsSync('/sys/class/net/tunbreak'));
    assert.equal(descriptors(), before);
    peer.close();
  });

  it('leaves nothing open when its thread had to be ended by force', async () => {
    await (await PacketEngine.start()).close();
    const before = descriptors();
    const engine = await PacketEngine.start();
    const tun = await TunDevice.open(engine, { name: 'tunforce' });
    linkOf(tun).terminate();
    assert.match((await tun.failed).message, /has ended/);
    assert.ok(!existsSync('/sys/class/net/tunforce'));
    await engine.close();
    assert.equal(descriptors(), before);
  });

  it('lets a program end at once that exits without closing it', async () => {
    await assertEndsAtOnce('exit', 7);
  });

  it('lets a program end at any moment of the start, native code or not', async () => {
    for (let i = 0; i < sized(10, 100); i++) {
      const { status, millis } = await runFixture('exit-early');
      assert.equal(status, 7, 'a process that aborts has none');
      assert.ok(millis < POLL_TIMEOUT * 0.8, `${millis} ms`);
    }
  });

  it('lets a program end at once whose main thread throws', async () => {
    await assertEndsAtOnce('throw', 1);
    assert.ok(!existsSync('/sys/class/net/tunuser'));
  });

  it('does not keep a program alive that has closed it', async () => {
    const { status, output } = await runFixture('close');
    assert.equal(status, 0);
    assert.match(output, /closed/);
  });

  it('has thousands of paths, each of which hears its own peer and nobody else', { timeout: HANG_LIMIT }, async () => {
    await using engine = await PacketEngine.start();
    const peer = await TrafficPeer.listen('aes-256-gcm');
    const count = sized(1500, 8000);
    const open = () => engine.openUdp({ remote: peer.endpoint });
    const paths = await Promise.all(Array.from({ length: count }, open));
    const heard = new Arrivals<readonly [path: number, text: string]>();
    const listen = (path: DatagramPath, number: number) =>
      path.start({
        datagram: (bytes) => heard.push([number, Buffer.from(bytes).toString()]),
        record: () => undefined,
        problem: () => undefined,
      });
    for (const [number, path] of paths.entries()) listen(path, number);
    const tell = (path: DatagramPath, text: string) => peer.send(Buffer.from(text), path.local.port);
    for (const number of [0, 1, 700, count - 1, 700]) {
      const path = paths[number];
      assert.ok(path);
      tell(path, `for ${number}`);
      assert.deepEqual(await heard.next(), [number, `for ${number}`]);
    }
    assert.deepEqual(
      [0, 1, 2, 700].map((number) => paths[number]?.counters().received),
      [1, 1, 0, 2],
    );
    // Numbers are given out again; who had one before is not heard through it.
    const [old, kept] = [paths[700], paths[701]];
    assert.ok(old && kept);
    await old.close();
    const next = await open();
    listen(next, -1);
    assert.equal(next.counters().received, 0);
    assert.equal(old.counters().received, 2, 'what a closed path has counted stays');
    tell(next, 'new');
    assert.deepEqual(await heard.next(), [-1, 'new']);
    // All at once: more than one pass takes.
    for (const [number, path] of paths.slice(0, 400).entries()) tell(path, `${number}`);
    const numbers = new Set<number>();
    for (let i = 0; i < 400; i++) numbers.add((await heard.next())[0]);
    assert.equal(numbers.size, 400);
    peer.close();
  });

  it('opens TLS connections unless that is switched off', async () => {
    for (const without of [[], ['tls']] as const) {
      await using engine = await PacketEngine.start({ without });
      assert.equal(await engine.canOpenStreams(), without.length === 0);
    }
  });

  it('refuses what cannot be, and goes on', async () => {
    await using engine = await PacketEngine.start();
    const socket = new Socket();
    const identity = { chain: [], key: Buffer.from('a key') };
    const stream = {
      host: 'localhost',
      tls: { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.3', ciphers: 'ECDHE+AESGCM', identity } as const,
      signal: new AbortController().signal,
    };
    await assert.rejects(engine.openStream(socket, stream), { name: 'NetworkError', message: /closed before its TLS handshake/ });
    assert.ok(socket.destroyed && identity.key.every((byte) => byte === 0));
    const peer = await TrafficPeer.listen('aes-256-gcm');
    await assert.rejects(engine.openUdp({ remote: endpoint('192.0.2.1', 443) }), (error: NetworkError) => {
      assert.ok(error instanceof NetworkError);
      assert.equal(error.code, 'ENETUNREACH');
      return true;
    });
    const udp = await engine.openUdp({ remote: peer.endpoint });
    await assert.rejects(udp.carry(peer.description({ replayWindow: 3 })), MisuseError);
    assert.throws(() => udp.send(new Uint8Array(20_000)), MisuseError);
    udp.send(Buffer.from('still a datagram'));
    assert.equal((await peer.datagrams.next()).toString(), 'still a datagram');
    const portable = await PortableUdpSocket.open({ remote: peer.endpoint });
    await assert.rejects(engine.route(portable), MisuseError);
    await portable.close();
    peer.close();
  });

  it('works from the compiled package', {
    skip: existsSync(path.join(ROOT, 'dist/node')) ? false : 'run "npm run build" first',
  }, async () => {
    const built = (await import(
      pathToFileURL(path.join(ROOT, 'dist/node/engine/packet-engine.js')).href
    )) as typeof import('../../../src/node/engine/packet-engine.ts');
    const engine = await built.PacketEngine.start();
    assert.equal(engine.crypto, 'openssl');
    await engine.close();
  });
});
