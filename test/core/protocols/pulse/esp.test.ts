/** Pulse's tunnels with ESP beside TLS, in memory: which packets go which way, what is said of keys, and what happens when UDP does not work. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { PeerMisbehavedError } from '../../../../src/core/errors.ts';
import { silentLogger } from '../../../../src/core/log.ts';
import { decodeEspOffer, encodeEspOffer, encodeEspReply } from '../../../../src/core/protocols/pulse/esp-configuration.ts';
import { GatewayEsp } from '../../../../src/core/protocols/pulse/gateway-esp.ts';
import { IFT_KINDS, IftWriter } from '../../../../src/core/protocols/pulse/ift-packet.ts';
import { SeededCrypto } from '../../../support/scripted-crypto.ts';
import { SeededRandom } from '../../../support/seeded-random.ts';
import { sized } from '../../../support/size.ts';
import { EspPair, numbered, PORT } from './esp-pair.ts';

const RUNS = sized(12, 10_000);
const COUNT = 10;
const ALL = Array.from({ length: COUNT }, (_, i) => i);
const sorted = ([up, down]: readonly [number[], number[]]) => [up.toSorted((a, b) => a - b), down.toSorted((a, b) => a - b)];
const states = ({ client, gateway, clock }: EspPair) => [client, gateway].map(({ machine }) => machine.status(clock.now).datagram.state);

describe('a Pulse tunnel with ESP', () => {
  for (const family of [4, 6] as const) {
    it(`sends packets of IPv${family} by UDP over IPv${family}, and the others by TLS`, () => {
      const pair = new EspPair({ family }).start();
      assert.deepEqual([pair.client.ups, pair.ports, states(pair)], [['datagram'], [PORT], ['established', 'established']]);
      pair.passed();
      assert.deepEqual(sorted(pair.exchange(0, COUNT)), [ALL, ALL]);
      assert.deepEqual(pair.passed(), {
        client: { stream: COUNT / 2, datagram: COUNT / 2 },
        gateway: { stream: COUNT / 2, datagram: COUNT / 2 },
      });
    });
  }

  it('goes by TLS if nothing by UDP arrives, which does not keep it from starting', () => {
    const pair = new EspPair();
    pair.isUdpOpen = false;
    pair.start(3000);
    assert.deepEqual([pair.client.ups, pair.gateway.ups], [['stream'], ['stream']]);
    assert.deepEqual(sorted(pair.exchange(0, COUNT)), [ALL, ALL]);
    pair.isUdpOpen = true;
    pair.clock.advance(80_000);
    assert.deepEqual(pair.client.ups, ['stream', 'datagram']);
    pair.passed();
    assert.deepEqual(sorted(pair.exchange(0, COUNT)), [ALL, ALL]);
    assert.equal(pair.passed().gateway.datagram, COUNT / 2);
  });

  it('falls back to TLS when UDP dies, both ways as soon as the client does, and comes back', () => {
    const pair = new EspPair().start();
    pair.isUdpOpen = false;
    pair.clock.advance(22_000); // two intervals of silence
    assert.notEqual(states(pair)[0], 'established');
    pair.exchange(0, 2); // the gateway hears the client by TLS
    pair.passed();
    assert.deepEqual(sorted(pair.exchange(0, COUNT)), [ALL, ALL]);
    assert.deepEqual(pair.passed().gateway, { stream: COUNT, datagram: 0 });
    pair.isUdpOpen = true;
    pair.clock.advance(80_000);
    pair.passed();
    assert.deepEqual(sorted(pair.exchange(0, COUNT)), [ALL, ALL]);
    assert.deepEqual(pair.passed().client, { stream: COUNT / 2, datagram: COUNT / 2 });
  });

  it('does not ask for UDP if the user does not want it, nor offer it if there is none', () => {
    for (const without of ['wish', 'terms', 'keys'] as const) {
      const pair = new EspPair({ without }).start();
      pair.clock.advance(100_000);
      assert.deepEqual([pair.ports, pair.client.ups], [[], ['stream']]);
      assert.equal(states(pair)[0], 'disabled');
      assert.deepEqual(sorted(pair.exchange(0, COUNT)), [ALL, ALL]);
    }
  });

  it('asks after a silent gateway as often as the user says, in place of the gateway', () => {
    const [usual, forced] = [undefined, 3000].map((dpd) => {
      const crypto = new SeededCrypto(5);
      const pair = new EspPair({ client: { datagram: { crypto, allowsLegacy: false, ...(dpd !== undefined && { dpd }) } } }).start();
      pair.clock.advance(1000);
      pair.passed();
      pair.clock.advance(30_000);
      return pair.passed();
    });
    assert.deepEqual([usual?.client.datagram, usual?.gateway.datagram], [3, 3]);
    assert.deepEqual([forced?.client.datagram, forced?.gateway.datagram], [10, 10]);
  });

  it('changes its keys when they are old, and loses nothing', () => {
    const pair = new EspPair({ terms: { times: { dpd: 10_000, rekey: 2000 } } }).start();
    const numbers = Array.from({ length: 1200 }, (_, i) => i);
    assert.deepEqual(sorted(pair.exchange(0, numbers.length)), [numbers, numbers]);
    assert.deepEqual([...pair.spis], [0xa1b2c3fe, 0xa1b2c3ff, 0xa1b2c300]);
    assert.equal(pair.ports.length, 1);
  });

  it('changes its keys as soon as their numbers near their end', () => {
    const pair = new EspPair({ engine: true }).start();
    const { gateway, clock } = pair;
    const flow = gateway.paths.find(({ kind }) => kind === 'datagram') ?? assert.fail();
    for (let times = 0; times < 2; times++) gateway.turn((machine, out) => machine.notice(flow, { type: 'keys-used-up' }, clock.now, out));
    assert.deepEqual(sorted(pair.exchange(0, COUNT)), [ALL, ALL]);
    assert.deepEqual([...pair.spis], [0xa1b2c3fe, 0xa1b2c3ff], 'once');
  });

  it('is asked again for keys that it does not answer, and done without in the end', () => {
    const answers: Uint8Array[] = [];
    const out = { on: () => assert.fail('nothing is sent'), event: () => undefined };
    const esp = new GatewayEsp({
      ...{ crypto: new SeededCrypto(1), log: silentLogger, spi: 0xa1b2c3fe, family: 4, linkMtu: 1500, sources: [] },
      terms: { algorithms: { cipher: 'aes-256-cbc', mac: 'sha256' }, port: PORT, dpd: 10_000, lifetime: 60_000 },
    });
    const own = { spi: 0xa1b2c3ff, bytes: new Uint8Array(64) };
    const answerTo = (offer: Uint8Array) => encodeEspReply({ own, echo: decodeEspOffer(offer) });
    assert.equal(esp.answered(answerTo(esp.offer(0)), 1400, 0, out), 'first');
    assert.equal(esp.nextTimeout(), 60_000);
    const ask = (now: number) => esp.handleTimeout(now, out) ?? assert.fail();
    answers.push(answerTo(ask(60_000)), answerTo(ask(70_000)));
    // Both, later: the first says nothing of the newest keys.
    for (const answer of answers) assert.equal(esp.answered(answer, 1400, 75_000, out), 'again');
    assert.throws(() => esp.answered(answers[0] ?? assert.fail(), 1400, 75_000, out), PeerMisbehavedError, 'once each');
    assert.equal(esp.nextTimeout(), 135_000);
    for (const now of [135_000, 145_000, 155_000]) answers.push(answerTo(ask(now)));
    assert.equal(esp.handleTimeout(165_000, out), undefined);
    assert.deepEqual([esp.nextTimeout(), esp.side.status().state], [undefined, 'down']);
    assert.equal(esp.answered(answers.at(-1) ?? assert.fail(), 1400, 170_000, out), 'again', 'too late');
    assert.equal(esp.nextTimeout(), undefined);
  });

  it('is not protected by MD5, unless its user allows that', () => {
    const ups = [false, true].map((allowsLegacy) => {
      const pair = new EspPair({ mac: 'md5', client: { datagram: { crypto: new SeededCrypto(5), allowsLegacy } } }).start();
      assert.deepEqual(sorted(pair.exchange(0, COUNT)), [ALL, ALL]);
      return pair.client.ups;
    });
    assert.deepEqual(ups, [['stream'], ['datagram']]);
  });

  it('names how it is protected', () => {
    const pair = new EspPair().start();
    assert.equal(pair.client.machine.status(pair.clock.now).datagram.cipherSuite, 'ESP-AES-256-CBC-SHA256');
  });

  it('has an MTU that fits a UDP packet of its link, over both families', () => {
    for (const [family, linkMtu, mtu] of [
      [4, 1500, 1400],
      [6, 1500, 1400],
      [4, 1420, 1320],
      [6, 1492, 1390], // spec "ESP", section 7
    ] as const) {
      assert.equal(new EspPair({ family, terms: { linkMtu } }).start().client.mtu, mtu);
    }
  });

  it('has a smaller MTU at the client if its user wants that, or says what the link carries, but none that IPv6 could not use', () => {
    for (const [wishes, mtu] of [
      [{ mtu: 1300 }, 1300],
      [{ mtu: 9000 }, 1400],
      [{ mtu: 600 }, 1280],
      [{ baseMtu: 1400 }, 1300],
      [{ baseMtu: 1200 }, 1280],
      [{ mtu: 1290, baseMtu: 1400 }, 1290],
    ] as const) {
      assert.equal(new EspPair({ client: wishes }).start().client.mtu, mtu, JSON.stringify(wishes));
    }
    assert.equal(new EspPair({ client: { baseMtu: 1492 }, family: 6 }).start().client.mtu, 1390); // ESP adds the most there
  });

  it('sends by TLS what one datagram does not hold', () => {
    const pair = new EspPair({ terms: { linkMtu: 16_468 } }).start();
    assert.equal(pair.client.mtu, 16_368);
    const long = new Uint8Array(16_368);
    long.set(numbered(0, 'client'));
    new DataView(long.buffer).setUint16(2, long.length);
    pair.passed();
    pair.client.send(long);
    pair.clock.advance(100);
    assert.deepEqual([pair.gateway.delivered, pair.passed().client], [[long], { stream: 1, datagram: 0 }]);
  });

  for (const family of [4, 6] as const) {
    it(`is given to the packet engine for packets of IPv${family} over IPv${family}, at both ends`, () => {
      const pair = new EspPair({ engine: true, family }).start();
      pair.clock.advance(100);
      for (const end of [pair.client, pair.gateway]) {
        const [traffic, ...others] = end.events.flatMap((event) =>
          event.type === 'traffic' && event.path.kind === 'datagram' ? [event.traffic] : [],
        );
        assert.deepEqual(others, []);
        assert.deepEqual(Object.keys(traffic?.framing.sent ?? {}), [`ipv${family}`]);
      }
      assert.deepEqual(sorted(pair.exchange(0, COUNT)), [ALL, ALL]);
      pair.clock.advance(60_000); // probes are answered by the machine
      assert.deepEqual(states(pair), ['established', 'established']);
    });
  }

  it('has the engine leave it what comes by TLS and could come by ESP, as long as it sends by ESP itself', () => {
    const pair = new EspPair({ engine: true }).start();
    pair.clock.advance(100);
    pair.isUdpOpen = false;
    pair.clock.advance(22_000);
    pair.exchange(0, 2);
    const families = pair.gateway.events.flatMap((event) => {
      if (event.type !== 'traffic' || event.path.kind !== 'stream') return [];
      return [event.traffic?.framing.isData.values.map(({ family }) => family)];
    });
    assert.deepEqual(families, [[undefined], [6], [undefined]]);
  });

  it('ends with a client that answers to keys which it was not offered', () => {
    const pair = new EspPair().start();
    const block = { spi: 0xa1b2c3fe, bytes: new Uint8Array(64) };
    const stream = pair.gateway.paths.find(({ kind }) => kind === 'stream') ?? assert.fail();
    pair.gateway.receive(stream, new IftWriter().packet(IFT_KINDS.configuration, encodeEspReply({ own: block, echo: block })));
    assert.equal(pair.gateway.closed?.kind, 'misbehaved');
  });

  it('answers a gateway that sends keys without end no more than so often', () => {
    const pair = new EspPair().start();
    const stream = pair.client.paths.find(({ kind }) => kind === 'stream') ?? assert.fail();
    const offer = encodeEspOffer({ spi: 0xa1b2c3fe, bytes: new Uint8Array(64) });
    pair.passed();
    for (let i = 0; i < 100; i++) pair.client.receive(stream, new IftWriter().packet(IFT_KINDS.configuration, offer));
    assert.equal(pair.sent.client.stream, 15); // and the first, before the tunnel
  });

  it('delivers nothing twice, all that goes by TLS, and nothing that was not sent, over links that are as bad as links are', () => {
    for (let seed = 1; seed <= RUNS; seed++) {
      const random = new SeededRandom(seed);
      const rekey = 500 + (random.uint32() % 3000);
      const family = random.uint32() % 2 === 0 ? 4 : 6;
      const pair = new EspPair({
        ...{ seed, family, terms: { times: { dpd: 2000, rekey } } },
        conditions: { loss: 0.2, duplication: 0.1, jitter: 30 },
      }).start();
      const came: [number[], number[]] = [[], []];
      for (let round = 0; round < 4; round++) {
        pair.isUdpOpen = round !== 1;
        pair.clock.advance(random.uint32() % 6000);
        const numbers = pair.exchange(100 * round, 40);
        for (const [i, all] of numbers.entries()) came[i]?.push(...all);
      }
      for (const numbers of came) {
        assert.equal(new Set(numbers).size, numbers.length, `seed ${seed}`);
        assert.ok(
          numbers.every((number) => number % 100 < 40 && number < 400),
          `seed ${seed}`,
        );
        const byTls = numbers.filter((number) => number % 2 === (family === 4 ? 1 : 0));
        assert.equal(byTls.length, 80, `seed ${seed}`);
        assert.ok(numbers.length > 100, `seed ${seed}: ${numbers.length}`);
      }
      assert.deepEqual([pair.client.closed, pair.gateway.closed], [undefined, undefined], `seed ${seed}`);
    }
  });
});
