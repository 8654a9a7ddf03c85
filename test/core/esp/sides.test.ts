/** The two ends of ESP beside a stream, on flows that come and go, with and without an engine that carries them. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { NetworkError } from '../../../src/core/errors.ts';
import { EspAssociations, type EspKeyPair } from '../../../src/core/esp/associations.ts';
import { EspClientSide } from '../../../src/core/esp/client-side.ts';
import { EspGatewaySide } from '../../../src/core/esp/gateway-side.ts';
import { EspSender } from '../../../src/core/esp/packet.ts';
import { nextSpi } from '../../../src/core/esp/spi.ts';
import { silentLogger } from '../../../src/core/log.ts';
import type { Path, PathFacts, TunnelMachine, TunnelSink } from '../../../src/core/tunnel/machine.ts';
import { type Millis, packetOf } from '../../../src/core/tunnel/packet.ts';
import { parseCidr, parseIp } from '../../../src/core/wire/ip-address.ts';
import { newKeys, numberedPacket, zeroProbe } from '../../support/esp-ends.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { FaultyLink, type LinkConditions, LinkModel, PERFECT_LINK } from '../../support/link-model.ts';
import { SeededCrypto } from '../../support/scripted-crypto.ts';
import { SeededRandom } from '../../support/seeded-random.ts';
import { sized } from '../../support/size.ts';
import { TestPath, TunnelEnd } from '../../support/tunnel-end.ts';

const RUNS = sized(20, 10_000);
const DPD = 10_000;
const SILENCE = 20_000;
const PORT = 4500;
const OWN = [parseCidr('10.77.0.50/32') ?? assert.fail()];
const END = { address: parseIp('192.0.2.7') ?? assert.fail(), port: 1 };
const TERMS = { tunnelMtu: 1400, cipherSuite: 'ESP' };

type Side = EspClientSide | EspGatewaySide;

/** A tunnel that is nothing but its ESP: what ESP does not take is gone. */
class EspOnly implements TunnelMachine {
  readonly side: Side;
  /** What is to be done in a call of the driver's. */
  readonly #first: (now: Millis, out: TunnelSink) => void;
  #hasStarted = false;
  unsent = 0;

  constructor(side: Side, first: (now: Millis, out: TunnelSink) => void = () => undefined) {
    this.side = side;
    this.#first = first;
  }

  opened(path: Path, facts: PathFacts, now: Millis, out: TunnelSink): void {
    if (this.side instanceof EspClientSide) this.side.opened(path, facts, now, out);
    else this.side.opened(path, facts, out);
    this.#settle(now, out);
  }
  receive(path: Path, bytes: Uint8Array, now: Millis, out: TunnelSink): void {
    this.side.receive(path, bytes, now, out);
    this.#settle(now, out);
  }
  lost(path: Path, why: Parameters<TunnelMachine['lost']>[1], now: Millis, out: TunnelSink): void {
    this.side.lost(path, why, now);
    this.#settle(now, out);
  }
  notice(path: Path, notice: Parameters<TunnelMachine['notice']>[1], now: Millis, out: TunnelSink): void {
    this.side.notice(path, notice, now, out);
    this.#settle(now, out);
  }
  send(packet: Parameters<TunnelMachine['send']>[0], now: Millis, out: TunnelSink): void {
    if (!this.side.send(packet, now, out)) this.unsent++;
    this.#settle(now, out);
  }
  nextTimeout(): Millis | undefined {
    return this.#hasStarted ? this.side.nextTimeout() : 0;
  }
  handleTimeout(now: Millis, out: TunnelSink): void {
    if (!this.#hasStarted) this.#first(now, out);
    this.#hasStarted = true;
    this.side.handleTimeout(now, out);
    this.#settle(now, out);
  }
  close(): void {}
  status(): ReturnType<TunnelMachine['status']> {
    return { stream: { state: 'disabled' }, datagram: this.side.status() };
  }

  #settle(now: Millis, out: TunnelSink): void {
    if (this.side.settle(now, out) && this.side.path !== undefined) out.event({ type: 'up', path: this.side.path });
  }
}

interface PairOptions {
  readonly seed?: number;
  readonly conditions?: Partial<LinkConditions>;
  /** Whether the engine can carry the client's flows, and the gateway's. */
  readonly engines?: readonly [client: boolean, gateway: boolean];
  /** Of the packets that go by ESP. */
  readonly families?: readonly (4 | 6)[];
}

/** Flows that the client opens reach the gateway as flows of their own, and `move` gives them another port. */
class Pair {
  readonly clock = new FakeClock();
  readonly crypto: SeededCrypto;
  readonly client: TunnelEnd;
  readonly gateway: TunnelEnd;
  readonly clientSide: EspClientSide;
  readonly gatewaySide = new EspGatewaySide(silentLogger, SILENCE);
  /** Of the client's. */
  readonly keys: EspKeyPair;
  readonly #options: PairOptions;
  readonly #random: SeededRandom;
  isOpen = true;
  opens = 0;
  #moves = 0;

  /** `whenKeysAreThere`: when the gateway learns them. */
  constructor(options: PairOptions = {}, whenKeysAreThere: Millis = 0) {
    this.#options = options;
    this.#random = new SeededRandom(options.seed ?? 1);
    this.crypto = new SeededCrypto(options.seed ?? 1);
    this.keys = { outbound: newKeys(this.crypto), inbound: newKeys(this.crypto) };
    const associations = new EspAssociations(this.crypto, this.keys);
    const { families = [4, 6] } = options;
    const options_ = {
      ...TERMS,
      families,
      associations,
      probe: zeroProbe('client'),
      firstProbes: 2,
      dpd: DPD,
      log: silentLogger,
      port: PORT,
    };
    this.clientSide = new EspClientSide(options_, 0);
    this.gateway = new TunnelEnd(
      new EspOnly(this.gatewaySide, (now, out) => {
        if (whenKeysAreThere === 0) this.#begin(now, out);
      }),
      this.clock,
      () => assert.fail('a gateway opens nothing'),
    );
    if (whenKeysAreThere > 0) this.clock.at(whenKeysAreThere, () => this.gateway.turn((_machine, out) => this.#begin(this.clock.now, out)));
    this.client = new TunnelEnd(new EspOnly(this.clientSide), this.clock, () => this.clock.at(this.clock.now + 1, () => this.#open()));
  }

  #begin(now: Millis, out: TunnelSink): void {
    const { outbound, inbound } = this.keys;
    const associations = new EspAssociations(this.crypto, { outbound: inbound, inbound: outbound });
    const { families = [4, 6] } = this.#options;
    this.gatewaySide.begin({ ...TERMS, families, associations, probe: zeroProbe('gateway'), innerSources: OWN }, now, out);
  }

  /** Other ports for the client's flows, as a NAT gives them that has forgotten. */
  move(): void {
    this.#moves++;
  }

  #open(): void {
    const { conditions, engines: [clientEngine, gatewayEngine] = [false, false] } = this.#options;
    this.opens++;
    let theirs: TestPath | undefined;
    let moves = this.#moves;
    const link = (deliver: (bytes: Uint8Array) => void) => {
      const model = new LinkModel(this.#random.fork(this.#random.uint32()), { ...PERFECT_LINK, delay: 10, ...conditions });
      const faulty = new FaultyLink(this.clock, model, deliver);
      return (bytes: Uint8Array) => {
        if (this.isOpen) faulty.send(bytes);
      };
    };
    const toClient = link((bytes) => this.client.receive(ours, bytes));
    const toGateway = link((bytes) => {
      if (theirs?.isOpen !== true || moves !== this.#moves) {
        moves = this.#moves;
        theirs = new TestPath('datagram', this.gateway, toClient);
        const path = theirs;
        this.gateway.add(path);
        this.gateway.turn((machine, out) => machine.opened(path, factsOf(gatewayEngine), this.clock.now, out));
      }
      this.gateway.receive(theirs, bytes);
    });
    const ours: TestPath = new TestPath('datagram', this.client, toGateway);
    this.client.add(ours);
    this.client.turn((machine, out) => machine.opened(ours, factsOf(clientEngine), this.clock.now, out));
  }

  get states(): string {
    return `${this.clientSide.status().state} ${this.gatewaySide.status().state}`;
  }

  /** Numbers that have come of these packets, sent 5 ms apart: at the gateway, and at the client. */
  exchange(from: number, count: number): [number[], number[]] {
    const [gatewayHad, clientHad] = [this.gateway.delivered.length, this.client.delivered.length];
    for (let i = from; i < from + count; i++) {
      if (this.clientSide.path !== undefined) this.client.send(numberedPacket(i));
      if (this.gatewaySide.path !== undefined) this.gateway.send(numberedPacket(i));
      this.clock.advance(5);
    }
    this.clock.advance(500);
    const numbers = (packets: readonly Uint8Array[]) => packets.map((bytes) => new DataView(bytes.buffer, bytes.byteOffset).getUint32(20));
    return [numbers(this.gateway.delivered.slice(gatewayHad)), numbers(this.client.delivered.slice(clientHad))];
  }
}

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

function factsOf(engine: boolean): PathFacts {
  return { local: END, remote: END, engine };
}

const ALL = [0, 1, 2, 3, 4];

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
