/** What a PPP link does with what comes, one matter at a time. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { f5Encapsulation, HDLC, RAW } from '../../../src/core/ppp/encapsulation.ts';
import type { PppLink } from '../../../src/core/ppp/link.ts';
import { packetOf } from '../../../src/core/tunnel/packet.ts';
import { fromHex, toHex } from '../../../src/core/wire/text.ts';
import { CollectingSink } from '../../support/collecting-sink.ts';
import { RecordedLog } from '../../support/forms.ts';
import { GATEWAY, ipOf, linkPair, pairUp } from './linked.ts';

const F5_HEADER_LENGTH = 4;

/** To a link in F5's frames: what it says to a frame with this body. */
function answersOf(link: PppLink, body: string, now = 0): string[] {
  const bytes = fromHex(body);
  const sink = new CollectingSink();
  link.receive(Uint8Array.of(0xf5, 0, bytes.length >>> 8, bytes.length & 0xff, ...bytes), now, sink);
  return sink.records.map((record) => toHex(record.subarray(F5_HEADER_LENGTH)));
}

const IPV4 = fromHex('4500001400000000 40ff65e9 0a000001 0a000002');

describe('a PPP link that is up', () => {
  it('answers echoes with its own magic number and what came with the request', () => {
    const { left } = pairUp(f5Encapsulation);
    const [answer] = answersOf(left, 'ff03c021 09 07 000a deadbeef 0102');
    assert.match(answer ?? '', /^ff03c0210a07000a[0-9a-f]{8}0102$/);
    assert.deepEqual(answersOf(left, 'ff03c021 09 07 0006 dead'), [], 'one without a magic number');
    assert.deepEqual(answersOf(left, 'ff03c021 0b 07 0004'), [], 'a discard request, as openconnect sends it');
  });

  it('rejects protocols that nobody here speaks, each once a second, and codes that there are not', () => {
    const { left } = pairUp(f5Encapsulation);
    assert.match(answersOf(left, '80fd 01 05 0004', 10_000)[0] ?? '', /^ff03c02108..000a80fd01050004$/);
    assert.deepEqual(answersOf(left, '80fd 01 06 0004', 10_500), []);
    assert.equal(answersOf(left, '80fd 01 07 0004', 11_000).length, 1);
    assert.match(answersOf(left, 'ff03c021 63 05 0004')[0] ?? '', /^ff03c02107..000863050004$/);
    assert.equal(left.state.name, 'up');
  });

  it('answers so many control packets in a second, and no more', () => {
    const { left } = pairUp(f5Encapsulation);
    const answers = Array.from({ length: 50 }, () => answersOf(left, 'ff03c021 09 07 0008 deadbeef', 20_000).length);
    assert.equal(answers.filter((count) => count > 0).length, 20);
    assert.equal(left.counters.flooded, 30);
    assert.equal(answersOf(left, 'ff03c021 09 07 0008 deadbeef', 21_000).length, 1);
  });

  it("shows so many of a peer's texts in a minute, and no more", () => {
    const log = new RecordedLog();
    const { left } = pairUp(f5Encapsulation, { log });
    const shown = () => log.lines.filter((line) => line.includes('ppp message')).length;
    for (let i = 0; i < 50; i++) answersOf(left, 'ff03c021 0c 07 000b deadbeef 486921', 20_000 + i);
    assert.match(log.lines.join('\n'), /ppp message text=Hi!/);
    assert.equal(shown(), 10);
    answersOf(left, 'ff03c021 0c 07 000b deadbeef 486921', 90_000);
    assert.equal(shown(), 11);
  });

  it('lets through what is an IP packet of its family and admitted, and counts the rest', () => {
    const { left, right, sinks } = pairUp(f5Encapsulation, {}, { admits: (packet) => packet.buffer[packet.start + 15] === 2 });
    left.send(packetOf(fromHex('4500001400000000 40ff65e9 0a000002 0a000001')), 0, sinks.left);
    left.send(packetOf(IPV4), 0, sinks.left);
    for (const record of sinks.left.take()) right.receive(record, 0, sinks.right);
    assert.equal(sinks.right.packets.length, 1);
    assert.equal(right.counters.refused, 1);
    answersOf(left, '0057 45000014');
    answersOf(left, '0021 60000000');
    assert.equal(left.counters.refused, 2);
    left.send(packetOf(new Uint8Array(1401).fill(0x45, 0, 1)), 0, sinks.left);
    assert.equal(left.counters.tooLarge, 1);
  });

  it('asks a peer that says nothing, and gives it up', () => {
    const { left } = pairUp(f5Encapsulation, { dpd: 10_000 });
    const sink = new CollectingSink();
    let echoes = 0;
    for (let due = left.nextTimeout(); due !== undefined; due = left.nextTimeout()) {
      left.handleTimeout(due, sink);
      echoes += sink.records.splice(0).filter((record) => record[8] === 9).length;
    }
    assert.ok(echoes >= 2, `${echoes} echoes`);
    assert.ok(left.state.name === 'closed');
    assert.equal(left.state.reason.kind, 'path-lost');
  });

  it('drops packets while the peer negotiates anew', () => {
    const { left } = pairUp(f5Encapsulation);
    const answers = answersOf(left, 'ff03c021 01 09 000e 01040500 0506aabbccdd');
    assert.equal(answers.length, 2, 'our request, and the answer to the other one');
    assert.equal(left.state.name, 'establishing');
    answersOf(left, `0021 ${toHex(IPV4)}`);
    assert.equal(left.counters.notUp, 1);
  });

  it('is not torn down by a request that differs in its magic number only', () => {
    const { left, sinks } = pairUp(f5Encapsulation);
    assert.ok(left.state.name === 'up');
    const { terms } = left.state;
    const repeated = 'ff03c021 01 55 0018 01040578 020600000000 0506aabbccdd 0702 0802';
    assert.match(answersOf(left, repeated)[0] ?? '', /^ff03c02102550018/);
    assert.ok(left.state.name === 'up' && left.state.terms === terms);
    assert.deepEqual(sinks.left.packets, []);
  });

  it('comes up again with a peer that has forgotten everything', () => {
    const pair = pairUp(f5Encapsulation);
    pair.left.receive(fromHex('f5000008 ff03c021 06 01 0004'), pair.now, pair.sinks.left); // a Terminate-Ack out of the blue
    assert.equal(pair.left.state.name, 'establishing');
    assert.ok(pair.run(() => pair.left.state.name === 'up' && pair.right.state.name === 'up', pair.now + 30_000));
  });

  it('begins anew so often in a minute, and then ends', () => {
    const { left } = pairUp(f5Encapsulation, { network: { role: 'client', ipv4: { asksServers: false } } });
    let restarts = 0;
    for (; restarts < 40 && left.state.name !== 'closed'; restarts++) {
      // Another MRU each time, and an Ack for whatever is asked in return.
      const mru = (1500 + restarts).toString(16).padStart(4, '0');
      const said = answersOf(left, `ff03c021 01 09 0008 0104${mru}`, restarts * 1000);
      for (let frame = said.shift(); frame !== undefined; frame = said.shift()) {
        const [, header, code, rest] = /^(ff03c021|80(?:21)|ff038021)(..)(.*)$/.exec(frame) ?? [];
        if (code === '01') said.push(...answersOf(left, `${header}02${rest}`, restarts * 1000 + 100));
      }
      answersOf(left, '8021 01 05 000a 0306 0a000001', restarts * 1000 + 200);
    }
    assert.equal(restarts, 11);
    assert.ok(left.state.name === 'closed');
    assert.equal(left.state.reason.kind, 'misbehaved');
  });
});

describe('a PPP link that is coming up', () => {
  it('goes on with one family where the other is rejected, and ends where none is left', () => {
    const only4 = pairUp(f5Encapsulation, {}, { network: { role: 'gateway', ...(GATEWAY.ipv4 !== undefined && { ipv4: GATEWAY.ipv4 }) } });
    assert.ok(only4.left.state.name === 'up');
    assert.equal(only4.left.state.terms.ipv6, undefined);
    const none = linkPair(
      f5Encapsulation,
      { network: { role: 'client', ipv6: {} } },
      { network: { role: 'gateway', ...(GATEWAY.ipv4 !== undefined && { ipv4: GATEWAY.ipv4 }) } },
    );
    none.settle(90_000);
    assert.ok(none.left.state.name === 'closed' && none.right.state.name === 'closed');
    assert.ok([none.left.state.reason.kind, none.right.state.reason.kind].includes('unusable'));
  });

  it('ends where a client that knows its address is given another', () => {
    const pair = linkPair(f5Encapsulation, { network: { role: 'client', ipv4: { address: ipOf('10.0.0.9'), asksServers: false } } });
    pair.settle(90_000);
    assert.ok(pair.left.state.name === 'closed');
    assert.match(pair.left.state.reason.message, /10\.0\.0\.2 now, instead of 10\.0\.0\.9/);
  });

  it('gives up where nobody answers', () => {
    for (const encapsulation of [f5Encapsulation, () => HDLC, () => RAW]) {
      const { left } = linkPair(encapsulation);
      const sink = new CollectingSink();
      for (let due = left.nextTimeout(); due !== undefined; due = left.nextTimeout()) left.handleTimeout(due, sink);
      assert.equal(sink.records.length, 10);
      assert.ok(left.state.name === 'closed');
      const { kind, message } = left.state.reason;
      assert.deepEqual({ kind, message }, { kind: 'path-lost', message: 'The other side did not answer.' });
    }
  });

  it('notices that it talks to itself', () => {
    const { left } = linkPair(f5Encapsulation);
    const sink = new CollectingSink();
    left.handleTimeout(0, sink);
    for (let turn = 0; turn < 200 && left.state.name !== 'closed'; turn++) {
      const said = sink.records.splice(0);
      for (const record of said) left.receive(record, turn * 100, sink);
      if (said.length === 0) left.handleTimeout(left.nextTimeout() ?? 0, sink);
    }
    assert.ok(left.state.name === 'closed');
    assert.equal(left.state.reason.kind, 'unusable');
  });

  it('ends for good by bytes that are no frames on a stream, and not by a datagram of them', () => {
    const stream = pairUp(f5Encapsulation).left;
    stream.receive(fromHex('f5010000'), 0, new CollectingSink());
    assert.ok(stream.state.name === 'closed');
    assert.equal(stream.state.reason.kind, 'misbehaved');
    const datagram = pairUp(f5Encapsulation, { carrier: 'datagram' }).left;
    datagram.receive(fromHex('f5010000'), 0, new CollectingSink());
    assert.equal(datagram.state.name, 'up');
    assert.equal(datagram.counters.malformed, 1);
  });
});
