/** Fortinet's tunnel against itself: both ends in memory, over links that are as bad as links are. */
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { missing } from '../../../support/requirements.ts';
import { sized } from '../../../support/size.ts';
import { type ThrowawayCertificate, throwawayCertificate } from '../../../support/throwaway-certificate.ts';
import { CLIENT_ADDRESS, openPair, type PairOptions } from './tunnel-pair.ts';

const RUNS = sized(12, 400);

/** An IPv4 packet from the client with a number in it. */
function packet(number: number, length = 100): Uint8Array {
  const bytes = new Uint8Array(length);
  bytes.set([0x45, 0, length >>> 8, length & 0xff, 0, 0, 0, 0, 64, 17, 0, 0, 10, 77, 0, 50, 10, 77, 0, 1]);
  new DataView(bytes.buffer).setUint32(20, number);
  return bytes;
}

describe("Fortinet's tunnel, against itself", { skip: missing('openssl') }, () => {
  let certificate: ThrowawayCertificate;
  before(() => {
    certificate = throwawayCertificate();
  });
  const open = (options: Omit<PairOptions, 'certificate'> = {}) => openPair({ ...options, certificate });

  it('is up by UDP, without a stream, where UDP is offered', async () => {
    const pair = await open();
    assert.equal(pair.start(5000), 'datagram');
    assert.deepEqual(pair.plans, ['udp']);
    const config = pair.client.events.find((event) => event.type === 'config')?.config;
    assert.deepEqual([config?.ipv4?.prefix, config?.mtu], [32, 1388]);
    pair.client.send(packet(1));
    pair.clock.advance(100);
    assert.deepEqual(pair.gateway?.delivered, [packet(1)]);
  });

  it('is up by the stream where it is not', async () => {
    const pair = await open({ hasDatagrams: false });
    assert.equal(pair.start(5000), 'stream');
    assert.deepEqual(pair.plans, ['gateway']);
  });

  it('goes by the stream where UDP does not pass, and by UDP once it does, with the same addresses', async () => {
    const pair = await open();
    pair.isUdpOpen = false;
    assert.equal(pair.start(6000), 'stream');
    const before = pair.client.events.findLast((event) => event.type === 'config');
    pair.isUdpOpen = true;
    pair.clock.runUntil(() => pair.client.up?.kind === 'datagram' && pair.gateway?.up?.kind === 'datagram', 90_000);
    const after = pair.client.events.findLast((event) => event.type === 'config');
    assert.deepEqual(after?.config.ipv4, before?.config.ipv4);
    pair.client.send(packet(2));
    pair.clock.advance(100);
    assert.deepEqual(pair.gateway?.delivered, [packet(2)]);
  });

  it('never tries UDP again where the gateway shows another key there', async () => {
    const pair = await open({ fault: 'its key is not the one of the log-in' });
    assert.equal(pair.start(6000), 'stream');
    pair.clock.advance(200_000);
    assert.equal(pair.plans.filter((to) => to === 'udp').length, 1);
  });

  it('is refused with what the gateway says by HTTP', async () => {
    const denial = (status: number) =>
      ({ version: '1.1', status, reason: 'No', headers: [['Content-Length', '0']], body: new Uint8Array(0) }) as const;
    for (const [status, kind] of [
      [403, 'refused'],
      [302, 'refused'],
      [500, 'unusable'],
    ] as const) {
      const pair = await open({ hasDatagrams: false, denial: denial(status) });
      pair.clock.runUntil(() => pair.client.closed !== undefined, 5000);
      assert.equal(pair.client.closed?.kind, kind);
    }
  });

  it('was refused if the stream ends before it is up, and is lost if it ends then', async () => {
    const early = await open({ hasDatagrams: false });
    early.clock.runUntil(() => early.plans.length > 0, 1000);
    early.clock.advance(15);
    early.breakStream();
    assert.equal(early.client.closed?.kind, 'refused');
    const late = await open({ hasDatagrams: false });
    late.start(5000);
    late.breakStream();
    assert.equal(late.client.closed?.kind, 'path-lost');
  });

  it('ends for the client with what the gateway says, and for the gateway when the client leaves', async () => {
    for (const hasDatagrams of [true, false]) {
      const kicked = await open({ hasDatagrams });
      kicked.start(5000);
      kicked.gateway?.turn((machine, sink) => machine.close({ kind: 'expired', message: 'Session timeout' }, kicked.clock.now, sink));
      kicked.clock.runUntil(() => kicked.client.closed !== undefined && kicked.gateway?.closed !== undefined, 10_000);
      assert.equal(kicked.client.closed?.kind, 'ended-by-peer');
      assert.match(kicked.client.closed.message, /Session timeout/);
      const left = await open({ hasDatagrams });
      left.start(5000);
      left.client.turn((machine, sink) => machine.close({ kind: 'log-off', message: 'over' }, left.clock.now, sink));
      left.clock.runUntil(() => left.client.closed !== undefined && left.gateway?.closed !== undefined, 10_000);
      assert.deepEqual([left.client.closed?.kind, left.gateway?.closed?.kind], ['log-off', 'detach']);
    }
  });

  it('notices a peer that is gone', async () => {
    const pair = await open();
    pair.start(5000);
    pair.isUdpOpen = false;
    pair.clock.runUntil(() => pair.client.closed !== undefined && pair.gateway?.closed !== undefined, 60_000);
    assert.deepEqual([pair.client.closed?.kind, pair.gateway?.closed?.kind], ['path-lost', 'path-lost']);
  });

  it('lets no packet through that is not the client’s own', async () => {
    const pair = await open();
    pair.start(5000);
    const spoofed = packet(3);
    spoofed[15] = 51;
    pair.client.send(spoofed);
    pair.client.send(packet(4));
    pair.clock.advance(100);
    assert.deepEqual(pair.gateway?.delivered, [packet(4)], CLIENT_ADDRESS);
  });

  it(`comes up over links that lose, repeat and mix up, ${RUNS} times, and delivers nothing altered`, async () => {
    let givenUp = 0;
    for (let seed = 1; seed <= RUNS; seed++) {
      const pair = await open({ seed, link: { loss: 0.2, duplication: 0.1, jitter: 30, delay: 20 } });
      const sent = Array.from({ length: 40 }, (_, number) => packet(number, 60 + ((number * 37) % 1300)));
      const delivered = pair.carry(sent, 15);
      const known = new Set(sent.map((bytes) => Buffer.from(bytes).toString('base64')));
      for (const bytes of delivered) assert.ok(known.has(Buffer.from(bytes).toString('base64')), `seed ${seed}: an altered packet`);
      if (pair.client.closed === undefined) assert.ok(delivered.length >= 15, `seed ${seed}: ${delivered.length} of 40`);
      else {
        assert.equal(pair.client.closed.kind, 'path-lost', `seed ${seed}: ${pair.client.closed.message}`);
        givenUp++;
      }
    }
    // A session would come back by another path.
    assert.ok(givenUp <= RUNS / 50, `${givenUp} of ${RUNS} gave up`);
  });
});
