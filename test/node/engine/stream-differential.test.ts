/** The engine's stream path against the portable one: the same packets and the same bytes through both, and nothing differs. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { CSTP_TYPES } from '../../../src/core/protocols/anyconnect/cstp-frame.ts';
import { StreamChannel, streamTraffic } from '../../../src/core/protocols/anyconnect/stream-channel.ts';
import { Keepalive } from '../../../src/core/tunnel/keepalive.ts';
import { packetOf } from '../../../src/core/tunnel/packet.ts';
import { CollectingSink } from '../../support/collecting-sink.ts';
import { inNamespace } from '../../support/namespace.ts';
import { SeededRandom } from '../../support/seeded-random.ts';
import { HANG_LIMIT, sized } from '../../support/size.ts';
import { Arrivals } from '../../support/traffic-peer.ts';
import { FAR, isUdp, toInner } from './carry-scene.ts';
import { STREAM_KINDS } from './stream-kinds.ts';
import { frame, streamTunnel } from './stream-scene.ts';

const OPTIONS = { timeout: HANG_LIMIT };
const COUNT = sized(500, 20_000);
/** As many at once as the buffer of the socket behind the tunnel has room for. */
const ROUND = 500;

function channel(): StreamChannel {
  return new StreamChannel({ keepalive: new Keepalive({}, 0), compressor: undefined, log: { log: () => undefined } });
}

inNamespace('both ways of a stream', import.meta.filename, () => {
  it('put the same packets into the same bytes, a record each', OPTIONS, async () => {
    const random = new SeededRandom(11);
    await using t = await streamTunnel();
    await t.stream.carry(streamTraffic(new Uint8Array(0)));
    await t.engine.route(t.stream);
    t.readFrames();
    const before = t.records.applicationRecords;
    const [portable, sink] = [channel(), new CollectingSink()];
    let others = 0;
    for (let i = 0; i < COUNT; i++) {
      t.inner.send(Buffer.alloc(1 + Math.floor(random.fraction() * 1400), i), 7, FAR);
      let next = await t.frames.next();
      for (; !isUdp(next.payload); next = await t.frames.next()) others++;
      portable.send(packetOf(next.payload), 0, sink);
      assert.deepEqual(sink.records.pop(), new Uint8Array(frame(next.type, next.payload)));
    }
    assert.equal(t.records.applicationRecords - before - others, COUNT);
  });

  it('find the same packets and frames in the same bytes, however they are cut', OPTIONS, async () => {
    const random = new SeededRandom(12);
    await using t = await streamTunnel();
    await t.stream.carry(streamTraffic(new Uint8Array(0)));
    const kinds = [
      (i: number) => frame(CSTP_TYPES.data, toInner(t.inner, `packet ${i} ${'x'.repeat(random.fraction() * 1300)}`)),
      (i: number) => frame(CSTP_TYPES.dpdRequest, Buffer.alloc(random.fraction() * 1000, i)),
      () => frame(CSTP_TYPES.keepalive, Buffer.alloc(0)),
      () => frame(CSTP_TYPES.data, Buffer.from('not IP')),
      (i: number) => frame(0x77, Buffer.of(i)),
    ];
    const [portable, beside] = [channel(), channel()];
    for (let from = 0; from < COUNT; from += ROUND) {
      const frames = Array.from({ length: ROUND }, (_, i) => kinds[random.uint32() % kinds.length]?.(from + i) ?? Buffer.of());
      const all = Buffer.concat(frames);
      const [whole, rest] = [new CollectingSink(), new CollectingSink()];
      portable.receive(all, 0, whole);
      for (let at = 0, length = 0; at < all.length; at += length) {
        length = 1 + Math.floor(random.fraction() ** 3 * 5000);
        t.peer.write(all.subarray(at, at + length));
        if (random.fraction() < 0.3) await setImmediate(); // else the next write joins this one's record
      }
      for (const packet of whole.packets) assert.equal(await t.innerArrivals.next(), Buffer.from(packet.subarray(28)).toString('latin1'));
      const others = frames.filter((each) => !(each[6] === CSTP_TYPES.data && isUdp(each.subarray(8))));
      for (const expected of others) {
        const bytes = await t.received.next();
        assert.deepEqual(bytes, expected);
        beside.receive(bytes, 0, rest);
      }
      assert.deepEqual(rest.records, whole.records, 'and the machine answers them alike');
      assert.equal(rest.packets.length, 0);
    }
    assert.equal(beside.dropped, portable.dropped);
  });

  for (const kind of STREAM_KINDS) {
    it(`take packets of ${kind.name} past main, also where they come in one piece`, OPTIONS, async () => {
      await using t = await streamTunnel();
      await t.stream.carry(kind.traffic);
      await t.engine.route(t.stream);
      const bytes = new Arrivals<Buffer>();
      t.peer.on('data', (chunk: Buffer) => bytes.push(chunk));
      const texts = Array.from({ length: 100 }, (_, i) => `packet ${i} ${'x'.repeat(i)}`);
      const all = Buffer.concat(kind.frames(texts.map((text) => toInner(t.inner, text))));
      for (let at = 0; at < all.length; at += 1500) t.peer.write(all.subarray(at, at + 1500));
      for (const text of texts) assert.equal(await t.innerArrivals.next(), text);
      assert.equal(t.received.count, 0);

      t.inner.send('back', 7, FAR);
      const record = await bytes.next();
      const sink = new CollectingSink();
      kind.portable().send(packetOf(record.subarray(record.length - 32)), sink);
      assert.deepEqual(record, Buffer.concat(sink.records));
    });
  }

  it('leave a family that is not to be sent to main', OPTIONS, async () => {
    await using t = await streamTunnel();
    const traffic = streamTraffic(new Uint8Array(0));
    await t.stream.carry({ ...traffic, framing: { ...traffic.framing, sent: { ipv6: new Uint8Array(0) } } });
    await t.engine.route(t.stream);
    t.inner.send('other', 7, FAR);
    assert.equal((await t.devicePackets.next()).subarray(28).toString(), 'other');
  });
});
