/** What a TCP connection sends, and when: RFC 9293 §3.7.4, §3.8; RFC 6298; RFC 5681; RFC 6928. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { PacketScript, type Seen } from './packet-script.ts';

const MSS = { mss: 1460 };
const FULL = 1_460;

const starts = (segments: readonly Seen[]) => segments.filter(({ len }) => len > 0).map(({ seq }) => (seq - 1) / FULL);

describe('RFC 9293, sending', () => {
  it('§3.7.4: keeps a small segment back while a small one is on its way (Nagle)', () => {
    const script = new PacketScript();
    const server = script.accepted(MSS);
    script.write(server, 10);
    script.expect('A', { seq: 1, len: 10 });
    script.write(server, 10);
    script.write(server, 10);
    script.silence();
    script.send('A', { seq: 1, ack: 11 });
    script.expect('A', { seq: 11, len: 20 });
  });

  it('§3.7.4: sends it at once if the user wants that', () => {
    const script = new PacketScript();
    const server = script.accepted(MSS);
    server.setNoDelay(true);
    for (const seq of [1, 11, 21]) {
      script.write(server, 10);
      script.expect('A', { seq, len: 10 });
    }
  });

  it('§3.8.6: sends no more than the peer’s window', () => {
    const script = new PacketScript();
    const server = script.accepted({ ...MSS, win: 4_000 });
    script.write(server, 20_000);
    assert.deepEqual(starts(script.take()), [0, 1]);
    script.send('A', { seq: 1, ack: 1 + 2 * FULL, win: 10_000 });
    assert.deepEqual(starts(script.take()), [2, 3, 4, 5, 6, 7]);
  });

  it('§3.8.6.2.1: fills a window smaller than a segment only if it is half of the largest', () => {
    const script = new PacketScript();
    const server = script.accepted({ ...MSS, win: 4_000 });
    script.write(server, 20_000);
    assert.equal(script.take().length, 2);
    script.send('A', { seq: 1, ack: 1 + 2 * FULL, win: 500 });
    script.silence();
    script.send('A', { seq: 1, ack: 1 + 2 * FULL, win: 5_000 });
    assert.equal(script.take().length, 3);
  });

  it('§3.10.7.4: takes the window of newer segments only', () => {
    const script = new PacketScript();
    const server = script.accepted({ ...MSS, win: 10_000 });
    script.send('A', { seq: 1, ack: 1, win: 20_000, len: 10 });
    script.send('A', { seq: 1, ack: 1, win: 500 });
    script.take();
    assert.equal(server.statistics().peerWindow, 20_000);
  });

  it('§3.8.6.1: asks a closed window by one byte, at growing distances, and without end', () => {
    const script = new PacketScript();
    const server = script.accepted({ ...MSS, win: 0 });
    script.write(server, 5_000);
    script.silence();
    const times: number[] = [];
    for (let i = 0; i < 6; i++) {
      while (script.stack.nextTimeout() !== undefined && times.length === i) {
        script.clock.advance(100);
        const [probe] = script.take();
        if (probe === undefined) continue;
        assert.deepEqual([probe.seq, probe.len], [1, 1]);
        times.push(probe.at);
        script.send('A', { seq: 1, ack: 1, win: 0 });
      }
    }
    const distances = times.slice(1).map((at, i) => at - (times[i] as number));
    assert.ok(
      distances.every((distance, i) => i === 0 || distance > 1.5 * (distances[i - 1] as number)),
      String(distances),
    );
    for (let i = 0; i < 100; i++) {
      script.wait(60_000);
      script.take();
      script.send('A', { seq: 1, ack: 1, win: 0 });
    }
    assert.equal(server.state, 'established');
    script.send('A', { seq: 1, ack: 1, win: 65_535 });
    assert.deepEqual(
      script.take().map(({ seq, len }) => [seq, len]),
      [
        [1, FULL],
        [1 + FULL, FULL],
        [1 + 2 * FULL, FULL],
        [1 + 3 * FULL, 620],
      ],
    );
  });

  it('RFC 6429 §3: resets a connection whose user has gone and whose peer keeps its window closed', () => {
    const script = new PacketScript();
    const server = script.accepted({ ...MSS, win: 0 });
    script.write(server, 5_000);
    server.close();
    const seen: string[] = [];
    for (let i = 0; i < 200 && server.state !== 'closed'; i++) {
      script.wait(10_000);
      for (const { flags } of script.take()) {
        seen.push(flags);
        if (!flags.includes('R')) script.send('A', { seq: 1, ack: 1, win: 0 });
      }
    }
    assert.deepEqual([server.state, server.error], ['closed', 'timed-out']);
    assert.deepEqual([seen.length, seen.at(-1)], [9, 'RA']);
  });

  it('gives up as soon though what the closed window holds back was sent before', () => {
    const script = new PacketScript();
    const server = script.accepted({ ...MSS, win: 5_000 });
    script.write(server, 5_000);
    server.close();
    for (let i = 0; i < 400 && server.state !== 'closed'; i++) {
      script.wait(10_000);
      for (const { flags } of script.take()) if (!flags.includes('R')) script.send('A', { seq: 1, ack: 1, win: 0 });
    }
    assert.deepEqual([server.state, server.error], ['closed', 'timed-out']);
  });

  it('§3.8.6.1: goes on behind a probe that was taken', () => {
    const script = new PacketScript();
    const server = script.accepted({ ...MSS, win: 0 });
    script.write(server, 5_000);
    script.wait(2_000);
    assert.equal(script.take()[0]?.len, 1);
    script.send('A', { seq: 1, ack: 2, win: 65_535 });
    assert.equal(script.take()[0]?.seq, 2);
  });

  it('§3.8.4: asks a silent peer by an old sequence number, and gives up when nothing comes', () => {
    const script = new PacketScript();
    const server = script.accepted(MSS);
    server.setKeepAlive(60_000);
    script.silence(59_999);
    script.wait(1);
    script.expect('A', { seq: 0, ack: 1, len: 0 });
    script.send('A', { seq: 1, ack: 1 });
    script.silence(59_999);
    script.wait(1 + 9 * 75_000);
    const last = script.take().at(-1);
    assert.equal(last?.flags, 'RA');
    assert.deepEqual([server.state, server.error], ['closed', 'timed-out']);
  });

  it('§3.8.4: never asks unless the user wants that', () => {
    const script = new PacketScript();
    script.accepted(MSS);
    script.silence(24 * 3_600_000);
  });

  it('RFC 1122 §4.2.3.6: answers somebody who asks so', () => {
    const script = new PacketScript();
    script.accepted(MSS);
    script.wait(10_000);
    script.send('A', { seq: 0, ack: 1 });
    script.expect('A', { seq: 1, ack: 1, len: 0 });
  });

  it('§3.8.3: gives a connection up in the end, and not before 100 s', () => {
    const script = new PacketScript();
    const server = script.accepted(MSS);
    script.write(server, 100);
    script.wait(100_000);
    assert.equal(server.state, 'established');
    script.wait(3_600_000);
    assert.deepEqual([server.state, server.error], ['closed', 'timed-out']);
  });
});

describe('RFC 6298, 5681 and 6928, timeouts and windows', () => {
  it('RFC 6928 §2: begins with ten segments', () => {
    const script = new PacketScript();
    const server = script.accepted(MSS);
    script.write(server, 60_000);
    assert.equal(script.take().length, 10);
  });

  it('RFC 5681 §3.1: begins with one segment if its SYN was lost twice', () => {
    const script = new PacketScript();
    const client = script.connect();
    script.wait(3_000);
    script.take();
    script.send('SA', { seq: 0, ack: 1, ...MSS });
    script.expect('A');
    script.write(client, 50_000);
    assert.equal(script.take().length, 1);
  });

  it('RFC 5681 §3.1: slow start doubles the window in a round trip', () => {
    const script = new PacketScript();
    const server = script.accepted(MSS);
    script.write(server, 70_000);
    assert.equal(script.take().length, 10);
    for (let i = 1; i <= 10; i++) script.send('A', { seq: 1, ack: 1 + i * FULL });
    assert.equal(script.take().length, 20);
  });

  it('RFC 6298 §5: doubles the timeout each time, and sends one segment', () => {
    const script = new PacketScript();
    const server = script.accepted(MSS);
    script.write(server, 10 * FULL);
    const first = script.take().at(-1)?.at ?? 0;
    script.wait(20_000);
    const again = script.take();
    assert.ok(again.length >= 5 && again.every(({ seq }) => seq === 1));
    const times = [first, ...again.map(({ at }) => at)];
    const distances = times.slice(1).map((at, i) => at - (times[i] as number));
    for (let i = 1; i < distances.length; i++) assert.equal(distances[i], 2 * (distances[i - 1] as number));
  });

  it('RFC 5681 §3.1: after a timeout goes on from one segment', () => {
    const script = new PacketScript();
    const server = script.accepted(MSS);
    script.write(server, 10 * FULL);
    script.take();
    script.wait(500);
    assert.deepEqual(starts(script.take()), [0]);
    script.send('A', { seq: 1, ack: 1 + FULL });
    assert.deepEqual(starts(script.take()), [1, 2]);
  });

  it('RFC 6298 §3: takes no round trip from a segment that was sent twice (Karn)', () => {
    const script = new PacketScript();
    const server = script.accepted(MSS);
    script.write(server, 100);
    const before = server.statistics().roundTrip;
    script.wait(1_000);
    script.take();
    script.send('A', { seq: 1, ack: 101 });
    assert.equal(server.statistics().roundTrip, before);
  });

  it('RFC 7323 §4.1: takes it from the echo, with timestamps', () => {
    const script = new PacketScript();
    const server = script.accepted({ ...MSS, ts: [1, 0] });
    script.write(server, 100);
    script.wait(1_000);
    script.take();
    script.wait(50);
    script.send('A', { seq: 1, ack: 101, ts: [2, 'echo'] });
    const roundTrip = server.statistics().roundTrip ?? 0;
    assert.ok(roundTrip > 0 && roundTrip < 500, `${roundTrip}`);
  });

  it('RFC 5681 §4.1: begins anew with ten segments after a silence', () => {
    const script = new PacketScript();
    const server = script.accepted(MSS);
    script.write(server, 30 * FULL);
    script.take();
    for (let i = 1; i <= 30; i++) script.send('A', { seq: 1, ack: 1 + i * FULL });
    script.take();
    script.wait(10_000);
    script.write(server, 40 * FULL);
    assert.equal(script.take().length, 10);
  });
});
