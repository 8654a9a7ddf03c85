/** What a TCP connection makes of what comes: RFC 9293 §3.4, §3.8.6; RFC 5681 §4.2; RFC 7323 §4, §5; RFC 2018, RFC 2883. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { PacketScript } from './packet-script.ts';

const MSS = { mss: 1460 };
const SACK = { mss: 1460, sackPermitted: true };

/** Past the acknowledgements that a new connection sends at once. */
function settled(script: PacketScript, options = MSS) {
  const connection = script.accepted(options);
  for (let i = 0; i < 20; i++) {
    script.send('A', { seq: 1 + i * 1_460, ack: 1, len: 1_460 });
    script.take();
  }
  const seq = 1 + 20 * 1_460;
  assert.equal(script.read(connection, 1), seq - 1);
  script.take();
  return { connection, seq };
}

describe('RFC 9293 and 5681, receiving', () => {
  it('§3.10.7.4: hands bytes over in their order', () => {
    const script = new PacketScript();
    const server = script.accepted(MSS);
    script.send('A', { seq: 1, ack: 1, len: 100 });
    script.send('PA', { seq: 101, ack: 1, len: 50 });
    assert.equal(script.read(server, 1), 150);
  });

  it('§3.10.7.4: keeps what comes early until the gap is filled', () => {
    const script = new PacketScript();
    const server = script.accepted(MSS);
    for (const seq of [301, 101, 201]) {
      script.send('A', { seq, ack: 1, len: 100 });
      script.expect('A', { ack: 1 });
    }
    assert.equal(server.readable, 0);
    script.send('A', { seq: 1, ack: 1, len: 100 });
    script.expect('A', { ack: 401 });
    assert.equal(script.read(server, 1), 400);
  });

  it('§3.4: takes of an overlapping segment what is new', () => {
    const script = new PacketScript();
    const server = script.accepted(MSS);
    script.send('A', { seq: 1, ack: 1, len: 100 });
    script.send('A', { seq: 51, ack: 1, len: 100 });
    script.send('A', { seq: 201, ack: 1, len: 50 });
    script.send('A', { seq: 101, ack: 1, len: 200 });
    assert.equal(script.read(server, 1), 300);
  });

  it('§3.10.7.4: acknowledges what comes a second time', () => {
    const script = new PacketScript();
    const server = script.accepted(MSS);
    script.send('A', { seq: 1, ack: 1, len: 100 });
    script.take();
    script.send('A', { seq: 1, ack: 1, len: 100 });
    script.expect('A', { ack: 101 });
    assert.equal(script.read(server, 1), 100);
  });

  it('§3.4: takes nothing beyond the window, and says where it is', () => {
    const script = new PacketScript();
    const server = script.accepted(MSS);
    script.send('A', { seq: 65_536 + 1, ack: 1, len: 100 });
    script.expect('A', { ack: 1 });
    script.send('A', { seq: -200, ack: 1, len: 100 });
    script.expect('A', { ack: 1 });
    assert.deepEqual([script.stack.counters.dropped['out-of-window'], script.stack.counters.dropped.duplicate], [1, 1]);
    assert.equal(server.readable, 0);
  });

  it('§3.10.7.4: drops a segment without ACK', () => {
    const script = new PacketScript();
    const server = script.accepted(MSS);
    script.send('', { seq: 1, len: 100 });
    script.silence();
    assert.equal(server.readable, 0);
  });

  it('§3.1: drops a segment with a wrong checksum', () => {
    const script = new PacketScript();
    const server = script.accepted(MSS);
    script.send('A', { seq: 1, ack: 1, len: 100, badChecksum: true });
    script.silence();
    assert.deepEqual([server.readable, script.stack.counters.dropped['bad-checksum']], [0, 1]);
  });

  it('RFC 5681 §4.2: acknowledges a single segment within 500 ms, not at once', () => {
    const script = new PacketScript();
    const { seq } = settled(script);
    script.send('A', { seq, ack: 1, len: 1_460 });
    script.silence(39);
    script.wait(1);
    script.expect('A', { ack: seq + 1_460 });
  });

  it('RFC 5681 §4.2: acknowledges every second full segment at once', () => {
    const script = new PacketScript();
    const { seq } = settled(script);
    script.send('A', { seq, ack: 1, len: 1_460 });
    script.silence();
    script.send('A', { seq: seq + 1_460, ack: 1, len: 1_460 });
    script.expect('A', { ack: seq + 2_920 });
  });

  it('RFC 5681 §4.2: acknowledges at once what comes too early, and what fills a gap', () => {
    const script = new PacketScript();
    const { seq } = settled(script);
    script.send('A', { seq: seq + 100, ack: 1, len: 100 });
    script.expect('A', { ack: seq });
    script.send('A', { seq, ack: 1, len: 100 });
    script.expect('A', { ack: seq + 200 });
  });

  it('RFC 1122 §4.2.3.2: an answer carries the acknowledgement', () => {
    const script = new PacketScript();
    const { connection, seq } = settled(script);
    script.send('A', { seq, ack: 1, len: 10 });
    script.write(connection, 5);
    script.expect('A', { ack: seq + 10, len: 5 });
    script.silence(100); // and none of its own follows
  });

  it('RFC 5681 §3.2: without SACK sends a duplicate for each early segment of a burst', () => {
    const script = new PacketScript();
    script.accepted(MSS);
    for (const seq of [101, 201, 301]) script.stack.receive(script.segment('A', { seq, ack: 1, len: 100 }), 0, 140, script.clock.now);
    assert.deepEqual(
      script.take().map(({ ack }) => ack),
      [1, 1, 1],
    );
  });

  it('§3.8.6: never takes back window, and closes it while nobody reads', () => {
    const script = new PacketScript({ limits: { initialReceiveBuffer: 4_000, receiveBuffer: 4_000 } });
    const server = script.accepted(MSS);
    let edge = 0;
    for (let seq = 1; seq < 4_001; seq += 1_000) {
      script.send('A', { seq, ack: 1, len: 1_000 });
      const { ack, win } = script.expect('A');
      assert.ok(ack + win >= edge);
      edge = ack + win;
    }
    assert.equal(edge, 4_001);
    assert.equal(server.readable, 4_000);
    script.silence(5_000);
  });

  it('§3.8.6.1: answers a probe of its closed window, and takes none of it', () => {
    const script = new PacketScript({ limits: { initialReceiveBuffer: 2_000, receiveBuffer: 2_000 } });
    const server = script.accepted(MSS);
    script.send('A', { seq: 1, ack: 1, len: 1_000 });
    script.send('A', { seq: 1_001, ack: 1, len: 1_000 });
    script.take();
    script.send('A', { seq: 2_001, ack: 1, len: 1 });
    script.expect('A', { ack: 2_001, win: 0 });
    assert.equal(server.readable, 2_000);
  });

  it('§3.8.6.1: hears the acknowledgement in a probe', () => {
    const script = new PacketScript({ limits: { initialReceiveBuffer: 2_000, receiveBuffer: 2_000 } });
    const server = script.accepted(MSS);
    script.write(server, 100);
    script.expect('A', { len: 100 });
    script.send('A', { seq: 1, ack: 1, len: 2_000 });
    script.take();
    script.send('A', { seq: 2_001, ack: 101, len: 1 });
    assert.equal(server.isFlushed, true);
  });

  it('§3.8.6.2.2: opens the window in steps worth telling, at once when it was closed', () => {
    const script = new PacketScript({ limits: { initialReceiveBuffer: 8_000, receiveBuffer: 8_000 } });
    const server = script.accepted(MSS);
    for (let seq = 1; seq < 8_001; seq += 1_000) script.send('A', { seq, ack: 1, len: 1_000 });
    script.take();
    assert.equal(script.read(server, 1), 8_000);
    script.expect('A', { ack: 8_001, win: 8_000 });
    script.silence();
  });

  it('RFC 7323 §2: grows the window of a reader that keeps up', () => {
    const script = new PacketScript();
    const server = script.accepted({ ...MSS, scale: 7 });
    const before = server.statistics().receiveWindow;
    let seq = 1;
    for (let round = 0; round < 40; round++) {
      for (let i = 0; i < 100; i++, seq += 1_460) script.send('A', { seq, ack: 1, len: 1_460 });
      script.take();
      script.read(server, seq - 146_000);
      script.take();
      script.wait(20);
    }
    assert.ok(server.statistics().receiveWindow > 2 * before);
  });
});

describe('RFC 7323, timestamps', () => {
  it('§3.2: puts a timestamp on every segment, and echoes the peer’s', () => {
    const script = new PacketScript();
    const server = script.accepted({ ...MSS, ts: [100, 0] });
    script.send('A', { seq: 1, ack: 1, len: 10, ts: [150, 'echo'] });
    script.expect('A', { hasTimestamps: true, ecr: 150 });
    script.write(server, 10);
    script.expect('A', { hasTimestamps: true, ecr: 150 });
  });

  it('§3.2: drops a segment without a timestamp once they are agreed on', () => {
    const script = new PacketScript();
    const server = script.accepted({ ...MSS, ts: [100, 0] });
    script.send('A', { seq: 1, ack: 1, len: 10 });
    script.silence();
    assert.equal(server.readable, 0);
  });

  it('§5.3: a reset needs no timestamp', () => {
    const script = new PacketScript();
    const server = script.accepted({ ...MSS, ts: [100, 0] });
    script.send('R', { seq: 1 });
    assert.equal(server.error, 'reset');
  });

  it('§5.3 (PAWS): drops a segment with an older timestamp, and acknowledges', () => {
    const script = new PacketScript();
    const server = script.accepted({ ...MSS, ts: [100, 0] });
    script.send('A', { seq: 1, ack: 1, len: 10, ts: [50, 'echo'] });
    script.expect('A', { ack: 1 });
    assert.deepEqual([server.readable, script.stack.counters.dropped['old-timestamp']], [0, 1]);
  });

  it('§5.5: believes an old-looking timestamp after 24 days of silence', () => {
    const script = new PacketScript();
    const server = script.accepted({ ...MSS, ts: [100, 0] });
    script.wait(24 * 24 * 3_600_000 + 1);
    script.send('A', { seq: 1, ack: 1, len: 10, ts: [50, 'echo'] });
    assert.equal(server.readable, 10);
  });

  it('§5.2: timestamps wrap around', () => {
    const script = new PacketScript();
    const server = script.accepted({ ...MSS, ts: [0xffff_fff0, 0] });
    script.send('A', { seq: 1, ack: 1, len: 10, ts: [5, 'echo'] });
    assert.equal(server.readable, 10);
  });

  it('§4.3: echoes of segments that wait for one acknowledgement the first', () => {
    const script = new PacketScript();
    script.accepted({ ...MSS, ts: [100, 0] });
    const segments = [
      script.segment('A', { seq: 1, ack: 1, len: 100, ts: [200, 'echo'] }),
      script.segment('A', { seq: 101, ack: 1, len: 100, ts: [250, 'echo'] }),
    ];
    for (const segment of segments) script.stack.receive(segment, 0, segment.length, script.clock.now);
    script.expect('A', { ack: 201, ecr: 200 });
  });

  it('§4.3: echoes of early segments the last that was in order', () => {
    const script = new PacketScript();
    script.accepted({ ...MSS, ts: [100, 0] });
    script.send('A', { seq: 1, ack: 1, len: 100, ts: [200, 'echo'] });
    script.expect('A', { ecr: 200 });
    script.send('A', { seq: 201, ack: 1, len: 100, ts: [210, 'echo'] });
    script.expect('A', { ack: 101, ecr: 200 });
    script.send('A', { seq: 101, ack: 1, len: 100, ts: [205, 'echo'] });
    script.expect('A', { ack: 301, ecr: 205 });
  });
});

describe('RFC 2018 and 2883, selective acknowledgements', () => {
  it('RFC 2018 §4: reports what came early, the most recent first', () => {
    const script = new PacketScript();
    script.accepted(SACK);
    script.send('A', { seq: 101, ack: 1, len: 100 });
    script.expect('A', { ack: 1, sack: [[101, 201]] });
    script.send('A', { seq: 501, ack: 1, len: 100 });
    script.expect('A', {
      sack: [
        [501, 601],
        [101, 201],
      ],
    });
    script.send('A', { seq: 301, ack: 1, len: 100 });
    script.expect('A', {
      sack: [
        [301, 401],
        [501, 601],
        [101, 201],
      ],
    });
  });

  it('RFC 2018 §4: the first block is the range that the last segment has grown', () => {
    const script = new PacketScript();
    script.accepted(SACK);
    script.send('A', { seq: 101, ack: 1, len: 100 });
    script.send('A', { seq: 501, ack: 1, len: 100 });
    script.take();
    script.send('A', { seq: 201, ack: 1, len: 100 });
    script.expect('A', {
      sack: [
        [101, 301],
        [501, 601],
      ],
    });
    script.send('A', { seq: 301, ack: 1, len: 200 });
    script.expect('A', { sack: [[101, 601]] });
  });

  it('RFC 2018 §3: never sends it to a peer that has not said that it may', () => {
    const script = new PacketScript();
    script.accepted(MSS);
    script.send('A', { seq: 101, ack: 1, len: 100 });
    script.expect('A', { ack: 1, sack: [] });
  });

  it('RFC 2018 §3: has room for four blocks, and for three beside timestamps', () => {
    for (const [options, blocks] of [
      [SACK, 4],
      [{ ...SACK, ts: [1, 0] as const }, 3],
    ] as const) {
      const script = new PacketScript();
      script.accepted(options);
      const ts = 'ts' in options ? { ts: [5, 'echo'] as const } : {};
      for (let i = 0; i < 6; i++) script.send('A', { seq: 101 + 200 * i, ack: 1, len: 100, ...ts });
      const last = script.take().at(-1);
      assert.deepEqual([last?.sack.length, last?.sack[0]], [blocks, [1_101, 1_201]]);
    }
  });

  it('RFC 2018 §4: stops when the gap is filled', () => {
    const script = new PacketScript();
    script.accepted(SACK);
    script.send('A', { seq: 101, ack: 1, len: 100 });
    script.take();
    script.send('A', { seq: 1, ack: 1, len: 100 });
    script.expect('A', { ack: 201, sack: [] });
  });

  it('RFC 2883 §4.1: reports a segment that came twice, once', () => {
    const script = new PacketScript();
    script.accepted(SACK);
    script.send('A', { seq: 1, ack: 1, len: 100 });
    script.take();
    script.send('A', { seq: 1, ack: 1, len: 100 });
    script.expect('A', { ack: 101, sack: [[1, 101]] });
    script.send('A', { seq: 101, ack: 1, len: 100 });
    script.expect('A', { ack: 201, sack: [] });
  });

  it('RFC 2883 §4.1.2: reports a duplicate of what is kept, with the range that it is in', () => {
    const script = new PacketScript();
    script.accepted(SACK);
    script.send('A', { seq: 101, ack: 1, len: 200 });
    script.take();
    script.send('A', { seq: 151, ack: 1, len: 50 });
    script.expect('A', {
      ack: 1,
      sack: [
        [151, 201],
        [101, 301],
      ],
    });
  });

  it('drops what comes early beyond its limit of pieces', () => {
    const script = new PacketScript({ limits: { outOfOrderPieces: 10 } });
    const server = script.accepted(SACK);
    for (let i = 0; i < 40; i++) script.send('A', { seq: 3 + 2 * i, ack: 1, len: 1 });
    script.take();
    script.send('A', { seq: 1, ack: 1, len: 2 });
    assert.equal(server.readable, 3); // and the ten others wait behind their gaps
  });

  it('drops what comes early when all connections together hold too much', () => {
    const script = new PacketScript({ limits: { receiveMemory: 5_000 } });
    script.accepted(SACK);
    for (let i = 0; i < 10; i++) script.send('A', { seq: 1_461 * (i + 1), ack: 1, len: 1_460 });
    assert.ok(script.stack.counters.dropped['memory-limit'] > 0);
  });
});
