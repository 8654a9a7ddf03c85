/** Network Connect's tunnel against itself, with ESP beside the stream: on flows that come and go, with and without an engine that carries them. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { NetworkError } from '../../../../src/core/errors.ts';
import { CONSTANT_OFFSET, KMP_TYPES, typeAt } from '../../../../src/core/protocols/nc/kmp-message.ts';
import { RECORD_HEADER_LENGTH } from '../../../../src/core/protocols/nc/oncp-record.ts';
import { toHex } from '../../../../src/core/wire/text.ts';
import { SeededRandom } from '../../../support/seeded-random.ts';
import { sized } from '../../../support/size.ts';
import { ipOf } from '../../ppp/linked.ts';
import { FACTS, numberIn, Pair, type PairOptions, packet, TERMS } from './tunnel-pair.ts';

const RUNS = sized(20, 10_000);
const ALL = [0, 1, 2, 3, 4];
const WITH_ESP = { ...TERMS, datagram: { port: 4500, allowsPsk: true, allowsLegacy: true, matchesTlsCipher: false } };
const ON = 1;
const OFF = 0;

async function opened(options: PairOptions = {}): Promise<Pair> {
  const pair = (await Pair.open({ terms: WITH_ESP, ...options })).up();
  pair.clock.advance(100);
  return pair;
}

/** What the client has said of ESP by the stream. */
function switchesOf({ said }: Pair): (number | undefined)[] {
  return said.client
    .filter((record) => record.length === 35 && typeAt(record, RECORD_HEADER_LENGTH) === KMP_TYPES.settings)
    .map((record) => record.at(-1));
}

const keysIn = (records: readonly Uint8Array[]) =>
  records.filter((record) => record.length === 108 && typeAt(record, RECORD_HEADER_LENGTH) === KMP_TYPES.keys);

for (const engines of [
  [false, false],
  [true, true],
] as const) {
  describe(`Network Connect’s ESP${engines[0] ? ', carried by the engine' : ''}`, () => {
    it('takes the packets of both ends once the client has said so', async () => {
      const pair = await opened({ engines });
      assert.equal(pair.ways, 'datagram datagram');
      assert.deepEqual(switchesOf(pair), [ON]);
      const { length } = pair.said.client;
      assert.deepEqual(pair.exchange(0, 5), [ALL, ALL]);
      assert.equal(pair.said.client.length, length, 'nothing goes by the stream');
      const { stream, datagram } = pair.client.machine.status(0);
      assert.deepEqual([stream.state, datagram.state, datagram.cipherSuite], ['connected', 'established', 'ESP-AES-128-CBC-SHA1']);
      assert.equal(pair.gateway?.machine.status(0).datagram.state, 'established');
      assert.equal(pair.client.paths.find(({ kind }) => kind === 'datagram')?.engine !== undefined, engines[0]);
    });

    it('gives way to TLS when nothing comes any more, in the middle of a transfer, and comes back', async () => {
      const pair = await opened({ engines });
      pair.exchange(0, 20);
      pair.hasDatagrams = false;
      pair.exchange(20, 400, { pause: 200 });
      assert.equal(pair.ways, 'stream stream');
      assert.deepEqual(switchesOf(pair), [ON, OFF]);
      assert.deepEqual(pair.exchange(0, 5), [ALL, ALL]);
      pair.hasDatagrams = true;
      pair.exchange(0, 400, { pause: 200 });
      assert.equal(pair.ways, 'datagram datagram');
      assert.deepEqual(switchesOf(pair), [ON, OFF, ON]);
      assert.deepEqual(pair.exchange(0, 5), [ALL, ALL]);
      assert.equal(pair.client.paths.length, 2);
      assert.equal(pair.gateway?.paths.length, 2);
    });

    it('changes its keys by their time, in the middle of a transfer, and loses nothing', async () => {
      const pair = await opened({ engines, terms: { ...WITH_ESP, times: { ...WITH_ESP.times, rekey: 2000 } } });
      const numbers = Array.from({ length: 2000 }, (_, i) => i);
      assert.deepEqual(pair.exchange(0, 2000), [numbers, numbers]);
      const ofGateway = keysIn(pair.said.gateway);
      assert.ok(ofGateway.length >= 4, `${ofGateway.length} changes`);
      assert.equal(keysIn(pair.said.client).length, ofGateway.length);
      assert.equal(new Set(ofGateway.map((record) => toHex(record))).size, ofGateway.length);
      assert.deepEqual([pair.ways, pair.flows], ['datagram datagram', 1]);
    });

    it('asks a client that does not answer its keys again, and goes by TLS in the end', async () => {
      const terms = { ...WITH_ESP, times: { ...WITH_ESP.times, rekey: 2000 } };
      for (const [lost, asked, isUp] of [
        [2, 3, true],
        [3, 3, false],
      ] as const) {
        let answers = 0;
        const isAnswer = (bytes: Uint8Array) => keysIn([bytes]).length === 1 && bytes[RECORD_HEADER_LENGTH + CONSTANT_OFFSET + 4] === 1;
        const spoil = (bytes: Uint8Array) => (isAnswer(bytes) && ++answers <= lost ? bytes.subarray(0, 0) : bytes);
        const pair = await opened({ engines, terms, spoil });
        const before = pair.clock.now;
        pair.clock.runUntil(() => keysIn(pair.said.gateway).length === asked, 60_000);
        assert.ok(pair.clock.now - before >= 19_000, 'ten seconds each');
        if (isUp) {
          pair.clock.advance(1000);
          assert.equal(pair.gateway?.up?.kind, 'datagram');
        } else {
          pair.clock.advance(60_000);
          assert.equal(pair.ways, 'stream stream');
          assert.equal(keysIn(pair.said.gateway).length, asked, 'and no more');
          assert.equal(pair.gateway?.paths.length, 1);
        }
        assert.deepEqual(pair.exchange(0, 5), [ALL, ALL]);
        assert.equal(pair.client.closed, undefined);
      }
    });

    it('gives way to TLS where no number is left under its keys, until the gateway sends others', async () => {
      const pair = await opened({ engines, terms: { ...WITH_ESP, times: { ...WITH_ESP.times, rekey: 30_000 } } });
      const { client, clock } = pair;
      const flow = client.paths.find(({ kind }) => kind === 'datagram') ?? assert.fail();
      client.turn((machine, out) => machine.notice(flow, { type: 'keys-used-up' }, clock.now, out));
      assert.deepEqual([pair.exchange(0, 5), pair.ways], [[ALL, ALL], 'datagram datagram']);
      client.remove(flow);
      client.turn((machine, out) => machine.lost(flow, new NetworkError('The keys of the datagram channel are used up.'), clock.now, out));
      clock.advance(100);
      assert.deepEqual([pair.exchange(0, 5), pair.ways, client.closed], [[ALL, ALL], 'stream stream', undefined]);
      clock.runUntil(() => pair.ways === 'datagram datagram', 70_000);
      assert.deepEqual([switchesOf(pair), client.closed], [[ON, OFF, ON], undefined]);
      assert.deepEqual(pair.exchange(0, 5), [ALL, ALL]);
    });

    it('follows a client whose port has changed', async () => {
      const pair = await opened({ engines });
      pair.move();
      const [toGateway] = pair.exchange(0, 5);
      assert.ok(toGateway.length >= 4, toGateway.join());
      assert.deepEqual(pair.exchange(0, 5), [ALL, ALL]);
    });

    it('is kept alive by probes while nobody sends anything', async () => {
      const pair = await opened({ engines });
      pair.clock.advance(600_000);
      assert.deepEqual([pair.ways, pair.flows], ['datagram datagram', 1]);
      assert.deepEqual(pair.exchange(0, 5), [ALL, ALL]);
    });
  });
}

describe('Network Connect’s ESP', () => {
  it('is not there where nobody wants it, or the client comes by IPv6, or no UDP passes', async () => {
    const ipv6 = { address: ipOf('2001:db8::1'), port: 443 };
    for (const options of [
      { terms: TERMS },
      { settings: { usesDatagrams: false } },
      { facts: { ...FACTS, remote: ipv6 } },
    ] satisfies PairOptions[]) {
      const pair = await opened(options);
      pair.clock.advance(60_000);
      assert.deepEqual([pair.ways, pair.flows, switchesOf(pair)], ['stream stream', 0, []]);
      assert.equal(pair.client.machine.status(0).datagram.state, 'disabled');
      assert.deepEqual(pair.exchange(0, 5), [ALL, ALL]);
    }
    const pair = await Pair.open({ terms: WITH_ESP });
    pair.hasDatagrams = false;
    pair.up().clock.advance(200_000);
    assert.deepEqual([pair.ways, switchesOf(pair)], ['stream stream', []]);
    assert.ok(pair.flows >= 3, 'it is tried again');
    assert.deepEqual(pair.exchange(0, 5), [ALL, ALL]);
  });

  it('begins with probes that are kept until the keys for the answer have come', async () => {
    // Datagrams are quicker than the stream, where the keys are.
    const pair = await Pair.open({ terms: WITH_ESP, conditions: { delay: 0 } });
    pair.up().clock.advance(60);
    assert.equal(pair.ways, 'datagram datagram');
  });

  it('takes nothing from others, and nothing from elsewhere', async () => {
    const pair = await opened();
    pair.client.send(packet(1, { from: [10, 77, 0, 51] }));
    pair.client.send(packet(2));
    pair.clock.advance(100);
    assert.deepEqual(pair.gateway?.delivered.map(numberIn), [2]);
  });

  it('answers sixteen keys in a minute, and no more', async () => {
    const pair = await opened();
    for (let i = 0; i < 20; i++) {
      const payload = Buffer.from(`000700000050000100000004a1b2c3${i.toString(16).padStart(2, '0')}000200000040${'5a'.repeat(64)}`, 'hex');
      const header = Buffer.from(`${'00'.repeat(6)}012e010000000000000000000056`, 'hex');
      pair.toClient(Uint8Array.of(header.length + payload.length, 0, ...header, ...payload));
    }
    pair.clock.advance(200);
    assert.equal(keysIn(pair.said.client).length, 16);
    assert.equal(pair.client.closed, undefined);
  });

  it('is left where the gateway’s next keys are for what the client does not speak, and begun anew where they are for something else', async () => {
    for (const [group, way, flows] of [
      ['000800000007000200000001' + '03', 'stream', 1],
      ['000800000007000200000001' + '01', 'stream', 1], // MD5, which was not allowed
      ['000800000007000100000001' + '05', 'stream', 2],
    ] as const) {
      const pair = await opened();
      const keys = `000700000050000100000004a1b2c3d4000200000040${'5a'.repeat(64)}`;
      const payload = Buffer.from(group + keys, 'hex');
      const header = Buffer.from(`${'00'.repeat(6)}012e01000000000000000000${payload.length.toString(16).padStart(4, '0')}`, 'hex');
      pair.toClient(Uint8Array.of(header.length + payload.length, 0, ...header, ...payload));
      pair.clock.advance(100);
      assert.deepEqual([pair.client.up?.kind, pair.flows, switchesOf(pair)], [way, flows, [ON, OFF]]);
      assert.equal(pair.client.closed, undefined);
    }
  });

  it(`delivers nothing twice and nothing that was not sent, on links that are as bad as links are (${RUNS} runs)`, async () => {
    for (let seed = 1; seed <= RUNS; seed++) {
      const random = new SeededRandom(seed);
      const engines = [random.uint32() % 2 === 0, random.uint32() % 2 === 0] as const;
      const terms = { ...WITH_ESP, times: { dpd: 5000 + (random.uint32() % 10_000), rekey: 5000 + (random.uint32() % 25_000) } };
      const pair = (await Pair.open({ seed, engines, terms, conditions: { loss: 0.2, duplication: 0.1, jitter: 30 } })).up();
      pair.clock.runUntil(() => pair.ways === 'datagram datagram', 400_000);
      const [up, down] = pair.exchange(0, 40, { pause: 50 });
      if (random.uint32() % 2 === 0) pair.move();
      pair.hasDatagrams = false;
      pair.clock.advance(random.uint32() % 60_000);
      pair.hasDatagrams = true;
      const [upMeanwhile, downMeanwhile] = pair.exchange(40, 20);
      pair.clock.runUntil(() => pair.ways === 'datagram datagram', 400_000);
      const [upAgain, downAgain] = pair.exchange(60, 40, { pause: 50 });
      for (const numbers of [
        [...up, ...upMeanwhile, ...upAgain],
        [...down, ...downMeanwhile, ...downAgain],
      ]) {
        assert.equal(new Set(numbers).size, numbers.length, `seed ${seed}`);
        assert.ok(numbers.length > 40 && numbers.every((number) => number < 100), `seed ${seed}: ${numbers.length}`);
      }
      assert.deepEqual([pair.client.closed, pair.gateway?.closed], [undefined, undefined], `seed ${seed}`);
    }
  });
});
