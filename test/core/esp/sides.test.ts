/** The two ends of ESP beside a stream, on flows that come and go, with and without an engine that carries them. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { NetworkError } from '../../../src/core/errors.ts';
import type { EspKeyPair } from '../../../src/core/esp/associations.ts';
import { EspSender } from '../../../src/core/esp/packet.ts';
import { nextSpi } from '../../../src/core/esp/spi.ts';
import { type Millis, packetOf } from '../../../src/core/tunnel/packet.ts';
import { newKeys, numberedPacket } from '../../support/esp-ends.ts';
import { SeededRandom } from '../../support/seeded-random.ts';
import { sized } from '../../support/size.ts';
import { TestPath, type TunnelEnd } from '../../support/tunnel-end.ts';
import { factsOf, Pair, SILENCE } from './side-pair.ts';

const RUNS = sized(20, 10_000);
const ALL = [0, 1, 2, 3, 4];

function open(engines: readonly [client: boolean, gateway: boolean]): Pair {
  const pair = new Pair({ engines });
  pair.clock.advance(100);
  return pair;
}

function pathOf(end: TunnelEnd): TestPath {
  return end.paths[0] ?? assert.fail('there is none');
}

function lose(end: TunnelEnd, path: TestPath, now: Millis): void {
  end.remove(path);
  end.turn((machine, out) => machine.lost(path, new NetworkError('The socket is gone.'), now, out));
}

for (const engines of [
  [false, false],
  [true, true],
] as const) {
  describe(`ESP beside a stream${engines[0] ? ', carried by the engine' : ''}`, () => {
    it('carries packets both ways once a probe was answered', () => {
      const pair = new Pair({ engines });
      pair.clock.advance(100);
      assert.equal(pair.states, 'established established');
      assert.deepEqual(pair.exchange(0, 5), [ALL, ALL]);
      assert.equal(pair.opens, 1);
      assert.equal(pair.client.paths[0]?.engine !== undefined, engines[0]);
    });

    it('is found dead when nothing comes, and lives again on another flow under the same keys', () => {
      const pair = new Pair({ engines });
      pair.clock.advance(60_000);
      assert.deepEqual(pair.exchange(0, 5), [ALL, ALL]);
      pair.isOpen = false;
      pair.clock.advance(40_000);
      assert.notEqual(pair.clientSide.status().state, 'established');
      assert.equal(pair.gatewaySide.path, undefined, 'it sends by the stream');
      assert.deepEqual(pair.exchange(10, 5), [[], []]);
      pair.isOpen = true;
      pair.clock.advance(75_000);
      assert.equal(pair.states, 'established established');
      assert.deepEqual(pair.exchange(0, 5), [ALL, ALL]);
      assert.equal(pair.client.paths.length, 1, 'what is of no use is dropped');
      assert.equal(pair.gateway.paths.length, 1);
    });

    it('goes on where the client’s port has changed', () => {
      const pair = new Pair({ engines });
      pair.clock.advance(100);
      pair.exchange(0, 5);
      pair.move();
      const [toGateway] = pair.exchange(0, 5);
      assert.ok(toGateway.length >= (engines[1] ? 4 : 5), toGateway.join());
      assert.deepEqual(pair.exchange(0, 5), [ALL, ALL]);
      assert.equal(pair.gateway.paths.length, 1);
    });

    it('changes its keys in the middle, and takes what was under way under those before', () => {
      const pair = new Pair({ engines });
      pair.clock.advance(100);
      const { client, gateway, clientSide, gatewaySide, clock, crypto, keys } = pair;
      const again = (old: EspKeyPair['inbound']) => ({ ...newKeys(crypto), spi: nextSpi(old.spi) });
      const next = { outbound: again(keys.outbound), inbound: again(keys.inbound) };
      pair.exchange(0, 5);
      client.send(numberedPacket(100));
      gateway.send(numberedPacket(101));
      gateway.turn((machine, out) => {
        gatewaySide.rekey({ inbound: next.outbound, outbound: next.inbound }, clock.now);
        machine.handleTimeout(clock.now, out);
      });
      client.turn((machine, out) => {
        clientSide.rekey(next, clock.now);
        machine.handleTimeout(clock.now, out);
      });
      assert.deepEqual(pair.exchange(0, 5), [
        [100, ...ALL],
        [101, ...ALL],
      ]);
      assert.equal(pair.opens, 1);
    });

    for (const which of ['client', 'gateway'] as const) {
      it(`takes what comes under the keys before for ten seconds, and no longer: the ${which}`, () => {
        const pair = new Pair({ engines });
        pair.clock.advance(100);
        const { clientSide, gatewaySide, clock, crypto, keys } = pair;
        const [end, other] = which === 'client' ? [pair.client, pair.gateway] : [pair.gateway, pair.client];
        const again = (old: EspKeyPair['inbound']) => ({ inbound: { ...newKeys(crypto), spi: nextSpi(old.spi) } });
        end.turn((machine, out) => {
          if (which === 'client') clientSide.rekey(again(keys.inbound), clock.now);
          else gatewaySide.rekey(again(keys.outbound), clock.now);
          machine.handleTimeout(clock.now, out);
        });
        for (const [pause, delivered] of [
          [9_900, 1],
          [200, 1],
        ] as const) {
          clock.advance(pause);
          other.send(numberedPacket(1));
          clock.advance(50);
          assert.equal(end.delivered.length, delivered, `after ${clock.now} ms`);
        }
      });
    }
  });
}

describe('ESP beside a stream', () => {
  it('keeps what comes before its keys, and answers it then', () => {
    const pair = new Pair({}, 1500);
    pair.clock.advance(1000);
    assert.equal(pair.states, 'connecting down');
    pair.clock.advance(600);
    assert.equal(pair.states, 'established established');
  });

  it('says its probes again while nobody answers, then rests, then tries again', () => {
    const pair = new Pair();
    pair.isOpen = false;
    pair.clock.advance(11_000);
    assert.equal(pair.states, 'connecting down');
    pair.clock.advance(5_000);
    assert.equal(pair.states, 'down down');
    assert.equal(pair.client.paths.length, 0);
    pair.isOpen = true;
    pair.clock.advance(58_000);
    assert.equal(pair.states, 'established established');
    assert.equal(pair.opens, 2);
  });

  it('keeps no flow whose keys the engine has where the next one cannot be the engine’s, and begins again with other keys', () => {
    const pair = new Pair({ engines: [true, false] });
    pair.clock.advance(100);
    assert.equal(pair.states, 'established established');
    pair.engines = [false, false];
    pair.isOpen = false;
    pair.clock.advance(60_000);
    pair.isOpen = true;
    assert.deepEqual([pair.clientSide.status().state, pair.client.paths.length], ['disabled', 0]);
    const { client, gateway, clientSide, gatewaySide, clock, crypto, keys } = pair;
    const again = (old: EspKeyPair['inbound']) => ({ ...newKeys(crypto), spi: nextSpi(old.spi) });
    const next = { outbound: again(keys.outbound), inbound: again(keys.inbound) };
    gateway.turn(() => gatewaySide.rekey({ inbound: next.outbound, outbound: next.inbound }, clock.now));
    client.turn((machine, out) => {
      clientSide.rekey(next, clock.now);
      machine.handleTimeout(clock.now, out);
    });
    clock.advance(1000);
    assert.equal(pair.states, 'established established');
    assert.deepEqual(pair.exchange(0, 5), [ALL, ALL]);
  });

  it('leaves a flow that speaks nothing authentic, and the flow that there is', () => {
    const pair = new Pair();
    pair.clock.advance(100);
    const { gateway, clock } = pair;
    const path = new TestPath('datagram', gateway, () => assert.fail('a stranger is not answered'));
    gateway.add(path);
    gateway.turn((machine, out) => machine.opened(path, factsOf(false), clock.now, out));
    gateway.receive(path, new Uint8Array(68).fill(0xa5));
    assert.equal(path.isOpen, false);
    assert.deepEqual(pair.exchange(0, 5), [ALL, ALL]);
  });

  it('leaves the stream packets of another family than go by ESP', () => {
    const pair = new Pair({ families: [4] });
    pair.clock.advance(100);
    for (const [at, side] of [pair.clientSide, pair.gatewaySide].entries()) {
      const end = at === 0 ? pair.client : pair.gateway;
      const sent = (bytes: Uint8Array) => {
        let isSent = false;
        end.turn((_machine, out) => {
          isSent = side.send(packetOf(bytes), pair.clock.now, out);
        });
        return isSent;
      };
      assert.ok(sent(numberedPacket(1)));
      assert.ok(!sent(new Uint8Array(60).fill(0x60)));
      assert.ok(!sent(numberedPacket(1, 1401)), 'longer than may be');
    }
  });

  it('answers the probe by which an engine has moved to another flow', () => {
    const pair = new Pair({ engines: [false, true] });
    pair.clock.advance(100);
    pair.exchange(0, 5);
    const { gateway, clock } = pair;
    const answers: Uint8Array[] = [];
    const path = new TestPath('datagram', gateway, (bytes) => answers.push(bytes));
    gateway.add(path);
    // The client's, later than all that it has sent.
    const sender = new EspSender(pair.crypto, pair.keys.outbound);
    const probe = new Uint8Array(sender.lengthFor(1));
    for (let number = 0; number < 50; number++) sender.seal(Uint8Array.of(0), 4, probe);
    gateway.turn((machine, out) => machine.opened(path, factsOf(true), clock.now, out));
    gateway.receive(path, probe);
    clock.advance(1);
    assert.equal(answers.length, 1);
  });

  it('opens nothing a second time where the engine is gone that knew what was seen', () => {
    const { client, clock, clientSide, crypto, keys } = open([true, false]);
    const path = pathOf(client);
    const sender = new EspSender(crypto, keys.inbound);
    const datagram = new Uint8Array(sender.lengthFor(100));
    for (let number = 0; number < 50; number++) sender.seal(numberedPacket(7), 4, datagram);
    client.receive(path, datagram.slice());
    lose(client, path, clock.now);
    clientSide.rekey({ outbound: newKeys(crypto), inbound: newKeys(crypto) }, clock.now);
    clock.advance(10);
    client.receive(pathOf(client), datagram.slice());
    assert.equal(client.delivered.length, 1);
  });

  it('begins again at a gateway whose engine has lost the flow once both directions have other keys', () => {
    const pair = open([false, true]);
    const { gateway, gatewaySide, clientSide, clock, crypto } = pair;
    lose(gateway, pathOf(gateway), clock.now);
    const [outbound, inbound] = [newKeys(crypto), newKeys(crypto)];
    gatewaySide.rekey({ inbound: outbound }, clock.now);
    clientSide.rekey({ outbound, inbound }, clock.now);
    clock.advance(25_000);
    assert.equal(gatewaySide.path, undefined, 'it has numbers for one direction alone');
    gatewaySide.rekey({ outbound: inbound }, clock.now);
    clock.advance(60_000);
    assert.equal(pair.states, 'established established');
    assert.deepEqual(pair.exchange(0, 5), [ALL, ALL]);
  });

  it('is not kept from another flow by what is said of the one before', () => {
    const pair = open([true, true]);
    pair.isOpen = false;
    pair.clock.runUntil(() => pair.opens === 2, 60_000);
    pair.isOpen = true;
    const { client, clock } = pair;
    client.turn((machine, out) => machine.notice(pathOf(client), { type: 'unreachable' }, clock.now, out));
    clock.advance(1000);
    assert.equal(pair.states, 'established established');
  });

  it('does not take what an engine heard long ago for a sign of life', () => {
    const pair = new Pair({ engines: [false, true] });
    pair.clock.advance(100);
    pair.isOpen = false;
    pair.clock.advance(SILENCE + 1000);
    assert.equal(pair.gatewaySide.path, undefined);
    const { gateway, clock } = pair;
    const path = gateway.paths[0] ?? assert.fail('the flow is kept');
    const heardAt = clock.now - SILENCE - 500;
    gateway.turn((machine, out) => machine.notice(path, { type: 'carried', heardAt, sentAt: heardAt }, clock.now, out));
    assert.equal(pair.gatewaySide.path, undefined);
  });

  it('sends by the stream once the client does, until it hears of it by ESP again', () => {
    const pair = new Pair();
    pair.clock.advance(100);
    pair.gatewaySide.heardOnStream(pair.clock.now);
    assert.equal(pair.gatewaySide.path, undefined);
    pair.client.send(numberedPacket(1));
    pair.clock.advance(50);
    assert.notEqual(pair.gatewaySide.path, undefined);
  });

  it('delivers nothing twice and nothing that was not sent, on links that are as bad as links are', () => {
    for (let seed = 1; seed <= RUNS; seed++) {
      const random = new SeededRandom(seed);
      const engines = [random.uint32() % 2 === 0, random.uint32() % 2 === 0] as const;
      const pair = new Pair({ seed, engines, conditions: { loss: 0.2, duplication: 0.1, jitter: 30 } });
      pair.clock.advance(2000);
      const [up, down] = pair.exchange(0, 40);
      if (random.uint32() % 2 === 0) pair.move();
      pair.isOpen = false;
      pair.clock.advance(random.uint32() % 60_000);
      pair.isOpen = true;
      pair.clock.runUntil(() => pair.clientSide.path !== undefined && pair.gatewaySide.path !== undefined, 400_000);
      const [upAgain, downAgain] = pair.exchange(40, 40);
      for (const numbers of [
        [...up, ...upAgain],
        [...down, ...downAgain],
      ]) {
        assert.equal(new Set(numbers).size, numbers.length, `seed ${seed}`);
        assert.ok(numbers.length > 0 && numbers.every((number) => number < 80), `seed ${seed}`);
      }
    }
  });
});
