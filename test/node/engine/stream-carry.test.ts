/** TLS in the engine: the kernel's own UDP on one side of a TUN, frames over node:tls on the other side. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { MisuseError } from '../../../src/core/errors.ts';
import { CSTP_TYPES, CstpDeframer } from '../../../src/core/protocols/anyconnect/cstp-frame.ts';
import { streamTraffic } from '../../../src/core/protocols/anyconnect/stream-channel.ts';
import { parseCidr } from '../../../src/core/wire/ip-address.ts';
import { inNamespace } from '../../support/namespace.ts';
import { SeededRandom } from '../../support/seeded-random.ts';
import { HANG_LIMIT, sized } from '../../support/size.ts';
import { ipv4Udp } from '../../support/traffic-peer.ts';
import { FAR, HOST, isUdp, toInner } from './carry-scene.ts';
import { certificate, control, frame, type PeerFrame, streamTunnel } from './stream-scene.ts';

type Scene = Awaited<ReturnType<typeof streamTunnel>>;
const NOTHING = new Uint8Array(0);
const OPTIONS = { timeout: HANG_LIMIT };

async function carried(options: Parameters<typeof streamTunnel>[0] = {}): Promise<Scene> {
  const t = await streamTunnel(options);
  t.readFrames();
  await t.stream.carry(streamTraffic(NOTHING));
  await t.engine.route(t.stream);
  return t;
}

/** The next frame of the peer that is not another program's packet. */
async function nextFrame({ frames }: Scene): Promise<PeerFrame> {
  for (;;) {
    const next = await frames.next();
    if (next.type !== CSTP_TYPES.data || isUdp(next.payload)) return next;
  }
}

const dataTo = (t: Scene, text: string) => frame(CSTP_TYPES.data, toInner(t.inner, text));

inNamespace('a carried TLS stream', import.meta.filename, () => {
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    describe(`over ${maxVersion}`, OPTIONS, () => {
      it('takes packets of the kernel to the peer and back, past main, one frame a record', OPTIONS, async () => {
        await using t = await carried({ tls: { maxVersion } });
        const before = t.records.applicationRecords;
        for (let i = 1; i <= 50; i++) {
          const text = `packet ${i} ${'x'.repeat(i * 20)}`;
          t.inner.send(text, 7, FAR);
          const { type, payload } = await nextFrame(t);
          assert.equal(type, CSTP_TYPES.data);
          assert.equal(payload.subarray(28).toString('latin1'), text);
          t.peer.write(dataTo(t, `answer ${i} ${'y'.repeat(i * 20)}`));
          assert.equal(await t.innerArrivals.next(), `answer ${i} ${'y'.repeat(i * 20)}`);
        }
        assert.equal(t.records.applicationRecords - before, 50);
        assert.equal(t.devicePackets.count + t.received.count, 0, 'main saw nothing of it');
      });

      it('sends a burst as so many records, and takes frames however they are cut', OPTIONS, async () => {
        await using t = await carried({ tls: { maxVersion } });
        const count = 400;
        const before = t.records.applicationRecords;
        const lengths = [1000, 1000, 1000, 700, 700, 1300, 1300, 40]; // equal ones are written together
        for (let i = 0; i < count; i++) t.inner.send(`out ${i}`.padEnd(lengths[i % lengths.length] ?? 0), 7, FAR);
        for (let i = 0; i < count; i++) assert.equal((await nextFrame(t)).payload.subarray(28).toString().trim(), `out ${i}`);
        assert.equal(t.records.applicationRecords - before, count);
        const random = new SeededRandom(4);
        const batch = 100; // what the inner socket's buffer holds, though nobody reads it
        for (let start = 0; start < count; start += batch) {
          const all = Buffer.concat(Array.from({ length: batch }, (_, i) => [dataTo(t, `in ${start + i}`), control(start + i)]).flat());
          for (let at = 0; at < all.length; ) {
            const length = 1 + Math.floor(random.fraction() * 90);
            t.peer.write(all.subarray(at, at + length));
            at += length;
            if (at % 7 === 0) await setImmediate(); // writes of one turn become one record
          }
          for (let i = start; i < start + batch; i++) {
            assert.equal(await t.innerArrivals.next(), `in ${i}`);
            assert.deepEqual(await t.received.next(), control(i), 'what is not data comes to main, whole');
          }
        }
      });
    });
  }

  it("keeps main's frames and the device's packets apart, each a record", OPTIONS, async () => {
    await using t = await carried();
    for (let i = 0; i < 100; i++) {
      if (i % 2 === 0) t.stream.write(control(i));
      else t.inner.send(`data ${i}`, 7, FAR);
    }
    const seen: Record<'control' | 'data', number[]> = { control: [], data: [] };
    for (let i = 0; i < 100; i++) {
      const { type, payload } = await nextFrame(t);
      if (type === CSTP_TYPES.data) seen.data.push(Number(payload.subarray(33).toString()));
      else seen.control.push(payload.readUInt16BE());
    }
    for (const [start, numbers] of [
      [0, seen.control],
      [1, seen.data],
    ] as const) {
      assert.deepEqual(
        numbers,
        Array.from({ length: 50 }, (_, i) => start + 2 * i),
      );
    }
  });

  it('loses nothing of what comes while it begins to carry, and keeps the order', OPTIONS, async () => {
    for (let round = 0; round < sized(10, 100); round++) {
      await using t = await streamTunnel();
      const count = 300;
      const all = Buffer.concat(Array.from({ length: count }, (_, i) => control(i)));
      const got: Buffer[] = [];
      let carrying: Promise<void> | undefined;
      const { promise: done, resolve } = Promise.withResolvers<void>();
      t.stream.onData((bytes) => {
        // As a machine does it: in the turn in which it finds that frames begin.
        if (carrying === undefined) carrying = t.stream.carry(streamTraffic(bytes));
        else got.push(Buffer.from(bytes));
        if (got.length === count) resolve();
      });
      for (let at = 0; at < all.length; at += 97 + round) {
        t.peer.write(all.subarray(at, at + 97 + round));
        if (at % 3 === 0) await setImmediate();
      }
      await Promise.all([done, carrying]);
      assert.deepEqual(
        got.map((each) => each.readUInt16BE(8)),
        Array.from({ length: count }, (_, i) => i),
      );
    }
  });

  it('loses nothing, and keeps the order, however often and soon it is withdrawn and described again', OPTIONS, async () => {
    const random = new SeededRandom(23);
    const count = sized(3000, 30_000);
    await using t = await streamTunnel();
    // As a machine has it: what it has of a frame goes with the description, and comes again when that is withdrawn.
    const deframer = new CstpDeframer();
    const numbers: number[] = [];
    const turns: Promise<void>[] = [];
    let isCarried = false;
    const turn = () => {
      isCarried = !isCarried;
      turns.push(t.stream.carry(isCarried ? streamTraffic(deframer.takePartial()) : undefined));
    };
    const { promise: done, resolve, reject } = Promise.withResolvers<void>();
    t.stream.onData((bytes) => {
      try {
        deframer.push(Buffer.from(bytes));
        while (deframer.next()) numbers.push(Buffer.from(deframer.bytes).readUInt16BE(deframer.start));
        if (random.uint32() % 4 === 0) turn();
        // News of another path, in the same turn of main.
        if (random.uint32() % 8 === 0) turn();
        if (numbers.length >= count) resolve();
      } catch (error) {
        reject(error as Error);
      }
    });
    const all = Buffer.concat(Array.from({ length: count }, (_, i) => control(i)));
    for (let at = 0; at < all.length; ) {
      const length = 1 + (random.uint32() % 60);
      t.peer.write(all.subarray(at, at + length));
      at += length;
      if (random.uint32() % 10 === 0) await setImmediate();
      if (random.uint32() % 50 === 0) turn();
    }
    await done;
    await Promise.all(turns);
    assert.deepEqual(
      numbers,
      Array.from({ length: count }, (_, i) => i),
    );
  });

  it('leaves packets in the kernel while the peer does not read, and loses none that it took', OPTIONS, async () => {
    await using t = await carried();
    t.peer.pause();
    const size = 1300;
    let sent = 0;
    const read = () => t.engine.deviceCounters().read;
    // Until the engine stops: the sockets on the way are full.
    for (let last = -1; last !== read() || sent < 100; ) {
      last = read();
      for (let i = 0; i < 500; i++) {
        await new Promise((resolve) => t.inner.send(Buffer.alloc(size, 1), 7, FAR, resolve));
        sent++;
      }
    }
    t.stream.write(control(1)); // waits behind what the engine took
    assert.ok(read() < sent);
    t.peer.resume();
    let packets = 0;
    while ((await nextFrame(t)).type === CSTP_TYPES.data) packets++;
    while (packets < read()) if ((await nextFrame(t)).type === CSTP_TYPES.data) packets++;
    assert.equal(t.devicePackets.count, 0);
  });

  it('carries what main writes and reads, as much as it is, where nothing is described', OPTIONS, async () => {
    await using t = await streamTunnel({ device: false });
    const size = sized(8e6, 64e6);
    const there = pattern(size);
    let back = 0;
    const hashes = { sent: checksum(there), received: 0, echoed: 0 };
    t.peer.on('data', (bytes: Buffer) => {
      hashes.received = checksum(bytes, hashes.received);
      t.peer.write(bytes);
    });
    for (let at = 0; at < size; at += 16_000) {
      if (!t.stream.write(there.subarray(at, at + 16_000))) await new Promise<void>((resolve) => t.stream.onDrain(resolve));
    }
    while (back < size) {
      const bytes = await t.received.next();
      back += bytes.length;
      hashes.echoed = checksum(bytes, hashes.echoed);
    }
    assert.deepEqual(hashes, { sent: hashes.sent, received: hashes.sent, echoed: hashes.sent });
  });

  it('makes records of whatever main writes at once', OPTIONS, async () => {
    await using t = await streamTunnel({ device: false });
    const sent = pattern(2e6);
    const received: Buffer[] = [];
    let length = 0;
    t.peer.on('data', (bytes: Buffer) => {
      received.push(bytes);
      length += bytes.length;
    });
    t.stream.write(sent);
    while (length < sent.length) await once(t.peer, 'data');
    assert.ok(Buffer.concat(received).equals(sent));
  });

  it('gives main everything from the first bytes on that are no frame', OPTIONS, async () => {
    await using t = await carried();
    t.peer.write(Buffer.concat([control(1), Buffer.from('no frame at all'), dataTo(t, 'too late')]));
    assert.deepEqual(await t.received.next(), control(1));
    assert.match((await t.received.next()).toString('latin1'), /^no frame at all/);
    assert.equal(t.innerArrivals.count, 0);
  });

  it('gives main data that is no IP packet, and all data where there is no device', OPTIONS, async () => {
    await using t = await carried();
    const odd = frame(CSTP_TYPES.data, Buffer.from('not IP'));
    t.peer.write(odd);
    assert.deepEqual(await t.received.next(), odd);
    await t.tun?.close();
    const packet = frame(CSTP_TYPES.data, ipv4Udp(FAR, HOST, 7, 7, Buffer.from('nobody home')));
    t.peer.write(packet);
    assert.deepEqual(await t.received.next(), packet);
  });

  it('lets in only packets from where the peer may send, and counts what passes', OPTIONS, async () => {
    await using t = await streamTunnel();
    t.readFrames();
    await t.stream.carry({ ...streamTraffic(NOTHING), innerSources: [parseCidr(`${FAR}/32`) ?? assert.fail()] });
    await t.engine.routeNetworks(t.stream, [parseCidr(`${FAR}/32`) ?? assert.fail()]);
    const { port } = t.inner.address();
    const [own, spoofed] = ['10.9.0.2', '10.9.0.3'].map((from) => ipv4Udp(from, HOST, 7, port, Buffer.from(`from ${from}`)));
    for (const packet of [spoofed, own, spoofed, own]) t.peer.write(frame(CSTP_TYPES.data, packet ?? assert.fail()));
    for (let i = 0; i < 2; i++) assert.equal(await t.innerArrivals.next(), 'from 10.9.0.2');
    assert.equal(t.innerArrivals.count, 0);
    assert.equal(t.received.count, 0, 'main hears nothing of them');
    const { received, sent, at } = t.stream.use();
    assert.deepEqual([received, sent], [2 * (own?.length ?? 0), 0]);
    assert.ok(at > performance.now() - 60_000 && at <= performance.now());
    t.inner.send('back', 7, FAR);
    assert.equal((await nextFrame(t)).payload.subarray(28).toString(), 'back');
    assert.equal(t.stream.use().sent, 28 + 4);
    await t.stream.close(1000);
    assert.equal(t.stream.use().sent, 28 + 4, 'also when its place is another’s');
  });

  it('gives main the half of a frame that has come when it carries no more, and takes it again', OPTIONS, async () => {
    await using t = await carried();
    const bytes = dataTo(t, 'in two halves');
    t.peer.write(Buffer.concat([control(1), bytes.subarray(0, 20)]));
    assert.deepEqual(await t.received.next(), control(1));
    await t.stream.carry(undefined);
    assert.deepEqual(await t.received.next(), bytes.subarray(0, 20));
    t.peer.write(bytes.subarray(20, 30));
    assert.deepEqual(await t.received.next(), bytes.subarray(20, 30));
    await t.stream.carry(streamTraffic(bytes.subarray(0, 30)));
    t.peer.write(bytes.subarray(30));
    assert.equal(await t.innerArrivals.next(), 'in two halves');
  });

  it('knows the certificate, and what the connection agreed on', OPTIONS, async () => {
    await using t = await streamTunnel({ device: false });
    assert.deepEqual(Buffer.from(t.stream.peerCertificate), Buffer.from(certificate.der));
    assert.equal(t.stream.cipherSuite, 'TLSv1.3-TLS_AES_256_GCM_SHA384');
    assert.deepEqual(Buffer.from(t.stream.finished), t.peer.getPeerFinished());
    const exported = t.peer.exportKeyingMaterial(32, 'EXPORTER-x', undefined as unknown as Buffer);
    assert.deepEqual(Buffer.from(await t.stream.exportKeyingMaterial('EXPORTER-x', 32)), exported);
  });

  it('renews its keys in the middle of traffic, and loses nothing', OPTIONS, async () => {
    await using t = await carried();
    const count = 200;
    for (let i = 0; i < count; i++) {
      t.inner.send(`out ${i}`, 7, FAR);
      t.peer.write(dataTo(t, `in ${i}`));
      if (i % 20 === 0) await t.stream.updateKeys();
    }
    for (let i = 0; i < count; i++) {
      assert.equal((await nextFrame(t)).payload.subarray(28).toString(), `out ${i}`);
      assert.equal(await t.innerArrivals.next(), `in ${i}`);
    }
    await using older = await carried({ tls: { maxVersion: 'TLSv1.2' } });
    assert.equal(older.stream.updatesKeys, false);
    await assert.rejects(older.stream.updateKeys(), MisuseError);
  });

  it('tells when packets last passed', OPTIONS, async () => {
    await using t = await carried();
    const before = t.stream.times();
    const since = performance.now();
    t.inner.send('one', 7, FAR);
    await nextFrame(t);
    t.peer.write(control(1));
    await t.received.next();
    const { heardAt, sentAt } = t.stream.times();
    assert.ok(heardAt > before.heardAt && sentAt > before.sentAt);
    // The time of a pass is that of its start, from which a busy machine may keep the rest for a while.
    for (const at of [heardAt, sentAt]) assert.ok(at >= since - 500 && at <= performance.now() + 5, `${at} of ${since}`);
  });

  it('says why there is no connection', OPTIONS, async () => {
    await assert.rejects(streamTunnel({ device: false, tls: { ciphers: 'ECDHE+AESGCM', maxVersion: 'TLSv1.1', minVersion: 'TLSv1.1' } }), {
      name: 'NetworkError',
      code: 'ERR_TLS',
    });
  });
});

/** Bytes that repeat nowhere nearby. */
function pattern(size: number): Buffer {
  const bytes = Buffer.allocUnsafe(size);
  for (let at = 0; at + 4 <= size; at += 4) bytes.writeUInt32LE(at, at);
  return bytes;
}

/** Of bytes in any slices, in their order. */
function checksum(bytes: Uint8Array, before = 0): number {
  let sum = before;
  for (const byte of bytes) sum = (Math.imul(sum, 31) + byte) | 0;
  return sum;
}
