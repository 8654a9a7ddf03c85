/** How a TCP connection finds out what was lost, and repairs it: RFC 5681 §3.2; RFC 6582; RFC 3042; RFC 8985; RFC 2018 §8; RFC 3522. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { PacketScript, type Seen } from './packet-script.ts';

const MSS = { mss: 1460 };
const SACK = { mss: 1460, sackPermitted: true };
const FULL = 1_460;

const starts = (segments: readonly Seen[]) => segments.filter(({ len }) => len > 0).map(({ seq }) => (seq - 1) / FULL);

describe('RFC 5681, 6582 and 8985, losses', () => {
  it('RFC 5681 §3.2: the third duplicate sends the first segment again, without SACK', () => {
    const script = new PacketScript();
    const server = script.accepted(MSS);
    script.write(server, 10 * FULL);
    script.take();
    script.send('A', { seq: 1, ack: 1 });
    script.send('A', { seq: 1, ack: 1 });
    assert.deepEqual(starts(script.take()), []);
    script.send('A', { seq: 1, ack: 1 });
    assert.deepEqual(starts(script.take()), [0]);
    assert.equal(script.stack.counters.timeouts, 0);
  });

  it('RFC 5681 §2: a window update is no duplicate', () => {
    const script = new PacketScript();
    const server = script.accepted({ ...MSS, win: 30_000 });
    script.write(server, 10 * FULL);
    script.take();
    for (const win of [31_000, 32_000, 33_000, 34_000]) script.send('A', { seq: 1, ack: 1, win });
    assert.deepEqual(starts(script.take()), []);
  });

  it('RFC 6582 §3.2: a partial acknowledgement sends the next one again', () => {
    const script = new PacketScript();
    const server = script.accepted(MSS);
    script.write(server, 10 * FULL);
    script.take();
    for (let i = 0; i < 3; i++) script.send('A', { seq: 1, ack: 1 });
    assert.deepEqual(starts(script.take()), [0]);
    script.send('A', { seq: 1, ack: 1 + 4 * FULL });
    assert.deepEqual(starts(script.take()), [4]);
    script.send('A', { seq: 1, ack: 1 + 10 * FULL });
    assert.equal(server.isFlushed, true);
  });

  it('RFC 3042 §2: the first two duplicates send new data, if there is any', () => {
    const script = new PacketScript();
    const server = script.accepted(MSS);
    script.write(server, 20 * FULL);
    script.take();
    script.send('A', { seq: 1, ack: 1 });
    script.send('A', { seq: 1, ack: 1 });
    assert.deepEqual(starts(script.take()), [10, 11]);
  });

  it('RFC 8985 §6.2: three segments behind it, acknowledged selectively, prove one lost', () => {
    const script = new PacketScript();
    const server = script.accepted(SACK, 50);
    script.write(server, 10 * FULL);
    script.take();
    script.wait(50);
    const sack = (segments: number): [number, number][] => [[1 + FULL, 1 + (1 + segments) * FULL]];
    script.send('A', { seq: 1, ack: 1, sack: sack(1) });
    script.send('A', { seq: 1, ack: 1, sack: sack(2) });
    assert.deepEqual(starts(script.take()), []);
    script.send('A', { seq: 1, ack: 1, sack: sack(3) });
    assert.deepEqual(starts(script.take()), [0]);
  });

  it('RFC 8985 §6.2: with fewer behind it, waits a quarter of a round trip: it may only be late', () => {
    const script = new PacketScript();
    const server = script.accepted(SACK, 40);
    script.write(server, 10 * FULL);
    script.take();
    script.wait(40);
    script.send('A', { seq: 1, ack: 1, sack: [[1 + FULL, 1 + 2 * FULL]] });
    script.wait(9);
    assert.deepEqual(starts(script.take()), []);
    script.wait(2);
    assert.deepEqual(starts(script.take()), [0]);
  });

  it('RFC 8985 §6.2: sends just those again that are missing', () => {
    const script = new PacketScript();
    const server = script.accepted(SACK);
    script.write(server, 10 * FULL);
    script.take();
    const blocks: [number, number][] = [
      [1 + 5 * FULL, 1 + 10 * FULL],
      [1 + 3 * FULL, 1 + 4 * FULL],
      [1 + FULL, 1 + 2 * FULL],
    ];
    script.send('A', { seq: 1, ack: 1, sack: blocks });
    const sent = starts(script.take());
    script.send('A', { seq: 1, ack: 1 + 2 * FULL, sack: blocks.slice(0, 2) });
    sent.push(...starts(script.take()));
    script.send('A', { seq: 1, ack: 1 + 4 * FULL, sack: blocks.slice(0, 1) });
    sent.push(...starts(script.take()));
    assert.deepEqual(sent, [0, 2, 4]);
  });

  it('RFC 8985 §6.2: sends a retransmission again that was lost itself', () => {
    const script = new PacketScript();
    const server = script.accepted(SACK, 20);
    script.write(server, 30 * FULL);
    script.take();
    script.wait(20);
    script.send('A', { seq: 1, ack: 1, sack: [[1 + FULL, 1 + 5 * FULL]] });
    const sent = script.take();
    const last = sent.at(-1);
    assert.ok(sent[0]?.seq === 1 && last !== undefined && last.seq > 1 + 9 * FULL, 'it and something new');
    script.wait(20);
    // What left after it has arrived.
    script.send('A', { seq: 1, ack: 1, sack: [[1 + FULL, last.seq + last.len]] });
    assert.ok(starts(script.take()).includes(0));
    assert.equal(script.stack.counters.timeouts, 0);
  });

  it('RFC 8985 §7: probes the tail after two round trips instead of waiting for the timeout', () => {
    const script = new PacketScript();
    const server = script.accepted(SACK, 50);
    script.write(server, 3 * FULL);
    const sentAt = script.take().at(-1)?.at ?? 0;
    script.wait(200);
    const [probe] = script.take();
    assert.deepEqual([probe?.seq, (probe?.at ?? 0) - sentAt], [1 + 2 * FULL, 100]);
    assert.equal(script.stack.counters.lossProbes, 1);
  });

  it('RFC 2018 §8: forgets selective acknowledgements if the first is sent again by timeout though it was acknowledged so', () => {
    const script = new PacketScript();
    const server = script.accepted(SACK);
    script.write(server, 4 * FULL);
    script.take();
    script.send('A', { seq: 1, ack: 1, sack: [[1 + 2 * FULL, 1 + 4 * FULL]] });
    script.send('A', { seq: 1, ack: 1 + 2 * FULL });
    script.wait(5_000);
    assert.ok(starts(script.take()).includes(2));
  });

  it('ignores selective acknowledgements of what was never sent, or is none', () => {
    const script = new PacketScript();
    const server = script.accepted(SACK);
    script.write(server, 4 * FULL);
    script.take();
    for (const block of [
      [1 + 2 * FULL, 1 + 9 * FULL],
      [1 + 3 * FULL, 1 + 2 * FULL],
      [-90_000, -80_000],
    ] as const) {
      script.send('A', { seq: 1, ack: 1, sack: [block] });
    }
    assert.deepEqual(starts(script.take()), []);
    script.send('A', { seq: 1, ack: 1 + 4 * FULL });
    assert.equal(server.isFlushed, true);
  });

  it('RFC 5681 §4.1: sends on after a timeout though segments have grown since', () => {
    const script = new PacketScript({ mtu: 1_000 });
    const server = script.accepted(MSS);
    script.write(server, 500);
    script.take();
    while (script.stack.counters.timeouts === 0) script.wait(100);
    script.take();
    script.stack.setMtu(1_500);
    script.send('A', { seq: 1, ack: 1 + 500 });
    script.write(server, 5_000);
    assert.notEqual(script.take().length, 0);
  });

  it('RFC 3522 §3.2: takes a timeout back that was for nothing', () => {
    const script = new PacketScript();
    const server = script.accepted({ ...SACK, ts: [1, 0] });
    const full = FULL - 12;
    script.write(server, 10 * full);
    script.take();
    const sentStamp = script.lastTimestamp;
    const before = server.statistics().congestionWindow;
    script.wait(700);
    assert.ok(script.stack.counters.timeouts > 0);
    script.take();
    script.send('A', { seq: 1, ack: 1 + 5 * full, ts: [2, sentStamp] });
    assert.ok(server.statistics().congestionWindow >= before);
    assert.equal(script.stack.counters.spuriousTimeouts, 1);
    assert.deepEqual(
      script.take().filter(({ len }) => len > 0),
      [],
    );
  });
});
