/** Network Connect's tunnel against itself: both ends in memory, over a stream that comes in pieces, breaks, or is not what it should be. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { renderResponse } from '../../../../src/core/http/render.ts';
import { formatCidr, formatIp } from '../../../../src/core/wire/ip-address.ts';
import { fromHex } from '../../../../src/core/wire/text.ts';
import { reply } from '../../../support/played-io.ts';
import { SeededRandom } from '../../../support/seeded-random.ts';
import { sized } from '../../../support/size.ts';
import { ipOf } from '../../ppp/linked.ts';
import { isRequest, numberIn, Pair, packet, TERMS } from './tunnel-pair.ts';

const RUNS = sized(60, 10_000);
const PACKETS = 40;

describe("Network Connect's tunnel, against itself", () => {
  it('has the configuration of the gateway, without what is IPv6', async () => {
    const { client, gateway } = (await Pair.open()).up();
    const config = client.events.find((event) => event.type === 'config')?.config ?? assert.fail();
    assert.deepEqual([config.mtu, config.ipv4], [1400, { address: ipOf('10.77.0.50'), prefix: 24 }]);
    assert.deepEqual([config.include.map(formatCidr), config.dns.map(formatIp)], [['10.0.0.0/8'], ['10.77.0.53']]);
    assert.deepEqual([client.machine.status(0).stream.state, gateway?.machine.status(0).stream.state], ['connected', 'connected']);
  });

  it('has a configuration that is longer than a record', async () => {
    const include = Array.from({ length: 1400 }, (_, i) => ({ address: ipOf(`10.${i >>> 8}.${i & 255}.0`), prefix: 24 }));
    const { client } = (await Pair.open({ terms: { ...TERMS, config: { ...TERMS.config, include } } })).up();
    const config = client.events.find((event) => event.type === 'config')?.config;
    assert.equal(config?.include.length, 1400);
  });

  it(`carries every packet both ways, once and in order, whatever pieces they come in (${RUNS} runs)`, async () => {
    for (let seed = 1; seed <= RUNS; seed++) {
      const pair = (await Pair.open({ seed })).up();
      const random = new SeededRandom(seed);
      const numbers = Array.from({ length: PACKETS }, (_, i) => i);
      for (const number of numbers) {
        const length = 24 + (random.uint32() % 1377);
        pair.client.send(packet(number, { length }));
        pair.gateway?.send(packet(number, { length }));
        pair.clock.advance(random.uint32() % 3);
      }
      pair.clock.advance(1000);
      for (const end of [pair.client, pair.gateway]) assert.deepEqual(end?.delivered.map(numberIn), numbers, `seed ${seed}`);
    }
  });

  it(`ends for a reason, or goes on, where bytes on the way are others (${RUNS} runs)`, async () => {
    let endings = 0;
    for (let seed = 1; seed <= RUNS; seed++) {
      const random = new SeededRandom(seed);
      const spoil = (bytes: Uint8Array) => {
        if (isRequest(bytes) || random.uint32() % 4 > 0) return bytes; // who reads requests is tested elsewhere
        const spoiled = Uint8Array.from(bytes);
        spoiled[random.uint32() % bytes.length] = random.uint32();
        return spoiled;
      };
      const pair = await Pair.open({ seed, spoil });
      pair.clock.advance(1000);
      for (let number = 0; number < PACKETS; number++) {
        if (pair.client.up !== undefined) pair.client.send(packet(number));
        if (pair.gateway?.up !== undefined) pair.gateway.send(packet(number));
        pair.clock.advance(5);
      }
      pair.clock.advance(200_000);
      for (const end of [pair.client, pair.gateway]) {
        if (end?.closed !== undefined) endings++;
        else assert.ok(end === undefined || end.up !== undefined, `seed ${seed}: neither up nor closed`);
      }
    }
    assert.ok(endings > RUNS / 4, `only ${endings} endings`);
  });

  it('takes several packets from one message, and a message from two records', async () => {
    const pair = (await Pair.open()).up();
    const both = Uint8Array.of(...packet(1, { length: 60 }), ...packet(2, { length: 40 }));
    const message = Uint8Array.of(...fromHex('000000000000012c010000000000000000000064'), ...both);
    pair.toClient(Uint8Array.of(30, 0, ...message.subarray(0, 30), 90, 0, ...message.subarray(30)));
    pair.clock.advance(100);
    assert.deepEqual(pair.client.delivered.map(numberIn), [1, 2]);
  });

  it('drops packets of others at the gateway, and what is no IPv4 packet at both ends', async () => {
    const pair = (await Pair.open()).up();
    pair.client.send(packet(1, { from: [10, 77, 0, 51] }));
    pair.client.send(Uint8Array.of(0x60, ...new Uint8Array(39)));
    pair.gateway?.send(Uint8Array.of(0x60, ...new Uint8Array(39)));
    pair.client.send(packet(2));
    pair.clock.advance(100);
    assert.deepEqual(pair.gateway?.delivered.map(numberIn), [2]);
    assert.deepEqual(pair.client.delivered, []);
  });

  it('tells the client why a session ends, and nothing where another tunnel has taken its place', async () => {
    for (const [kind, said] of [
      ['expired', 'its time is over'],
      ['ended-by-peer', 'reason 5'],
    ] as const) {
      const pair = (await Pair.open()).up();
      pair.gateway?.turn((machine, sink) => machine.close({ kind, message: '' }, pair.clock.now, sink));
      pair.clock.advance(100);
      assert.equal(pair.client.closed?.kind, 'ended-by-peer');
      assert.match(pair.client.closed.message, new RegExp(said));
    }
    const early = await Pair.open();
    early.clock.runUntil(() => early.client.up !== undefined, 1000);
    assert.equal(early.gateway?.up, undefined, 'the settings are on their way');
    early.gateway?.turn((machine, sink) => machine.close({ kind: 'expired', message: '' }, early.clock.now, sink));
    early.clock.advance(100);
    assert.equal(early.client.closed?.kind, 'ended-by-peer');
    const pair = (await Pair.open()).up();
    pair.gateway?.turn((machine, sink) => machine.close({ kind: 'replaced', message: '' }, pair.clock.now, sink));
    pair.clock.advance(100);
    assert.equal(pair.client.closed, undefined);
  });

  it('is lost with its stream at both ends, for the session to reconnect', async () => {
    const pair = (await Pair.open()).up();
    pair.breakStream();
    assert.deepEqual([pair.client.closed?.kind, pair.gateway?.closed?.kind], ['path-lost', 'path-lost']);
  });

  it('is refused for a dead cookie, and for a gateway that wants Pulse', async () => {
    for (const [answer, kind] of [
      [renderResponse(reply(302, '', [['Location', '/']])), 'refused'],
      [renderResponse(reply(403)), 'refused'],
      [renderResponse(reply(500)), 'path-lost'],
      [Uint8Array.of(...renderResponse(reply(200)), 1, 0, 8), 'refused'],
      [Uint8Array.of(...renderResponse(reply(200)), 1, 0, 9), 'misbehaved'],
    ] as const) {
      const pair = await Pair.open({ spoil: (bytes) => (bytes[0] === 'H'.charCodeAt(0) ? answer : bytes) });
      pair.clock.advance(100);
      assert.equal(pair.client.closed?.kind, kind);
    }
  });

  it('gives up at both ends where the other says nothing', async () => {
    const pair = await Pair.open({ spoil: (bytes) => (isRequest(bytes) ? bytes : new Uint8Array(0)) });
    pair.clock.advance(100_000);
    assert.deepEqual([pair.client.closed?.kind, pair.gateway?.closed?.kind], ['path-lost', 'path-lost']);
  });
});
