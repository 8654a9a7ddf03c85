/** Network Connect's tunnel against itself: both ends in memory, over a stream that comes in pieces, breaks, or is not what it should be. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { NetworkError } from '../../../../src/core/errors.ts';
import { renderResponse } from '../../../../src/core/http/render.ts';
import { RequestParser } from '../../../../src/core/http/request-parser.ts';
import { silentLogger } from '../../../../src/core/log.ts';
import { NcClient } from '../../../../src/core/protocols/nc/client.ts';
import { ncGateway } from '../../../../src/core/protocols/nc/gateway.ts';
import { NcGatewayTunnel } from '../../../../src/core/protocols/nc/gateway-tunnel.ts';
import { Secret } from '../../../../src/core/secret.ts';
import type { PathFacts } from '../../../../src/core/tunnel/machine.ts';
import { formatCidr, formatIp } from '../../../../src/core/wire/ip-address.ts';
import { fromHex } from '../../../../src/core/wire/text.ts';
import { CLIENT } from '../../../support/anyconnect-login.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { PLAIN_TERMS } from '../../../support/gateway-visitor.ts';
import { PlayedIo, reply } from '../../../support/played-io.ts';
import { SeededCrypto } from '../../../support/scripted-crypto.ts';
import { SeededRandom } from '../../../support/seeded-random.ts';
import { sized } from '../../../support/size.ts';
import { TestPath, TunnelEnd } from '../../../support/tunnel-end.ts';
import { ipOf } from '../../ppp/linked.ts';

const RUNS = sized(60, 10_000);
const PACKETS = 40;
const DELAY = 10;
const FACTS: PathFacts = {
  local: { address: ipOf('192.0.2.7'), port: 40_000 },
  remote: { address: ipOf('198.51.100.1'), port: 443 },
  engine: false,
};
const TERMS = {
  ...PLAIN_TERMS,
  gatewayIpv4: ipOf('10.77.0.1'),
  config: { ...PLAIN_TERMS.config, include: [{ address: ipOf('10.0.0.0'), prefix: 8 }], dns: [ipOf('10.77.0.53'), ipOf('fd00::53')] },
};

/** An IPv4 packet with a number in it. */
function packet(number: number, { length = 100, from = [10, 77, 0, 50] } = {}): Uint8Array {
  const bytes = new Uint8Array(length);
  bytes.set([0x45, 0, length >>> 8, length & 0xff, 0, 0, 0, 0, 64, 17, 0, 0, ...from, 10, 77, 0, 1]);
  new DataView(bytes.buffer).setUint32(20, number);
  return bytes;
}

const isRequest = ([first]: Uint8Array) => first === 'P'.charCodeAt(0);
const numberIn = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset).getUint32(20);

/** Both ends, and the stream between them. */
class Pair {
  readonly clock = new FakeClock();
  readonly client: TunnelEnd;
  gateway: TunnelEnd | undefined;
  readonly #random: SeededRandom;
  readonly #spoil: (bytes: Uint8Array) => Uint8Array;
  readonly #terms: typeof TERMS;
  #ends: { readonly client: TestPath; gateway?: TestPath } | undefined;
  #freeAt = 0;

  private constructor(client: TunnelEnd['machine'], { seed = 1, spoil = (bytes: Uint8Array) => bytes, terms = TERMS }: PairOptions) {
    this.#random = new SeededRandom(seed);
    this.#spoil = spoil;
    this.#terms = terms;
    this.client = new TunnelEnd(client, this.clock, () => this.clock.at(this.clock.now + DELAY, () => this.#open()));
  }

  static async open(options: PairOptions = {}): Promise<Pair> {
    const client = new NcClient({
      ...{ crypto: new SeededCrypto(1), log: silentLogger, client: CLIENT, usesXml: true, httpAuth: [], compression: 'none' },
      ...{ wantsIpv6: true, usesDatagrams: true, datagramCiphers: { allowsLegacy: false } },
    });
    const gateway = { host: 'vpn.example', port: 443, path: '/' };
    return new Pair(await client.open(new PlayedIo([]), { gateway, pin: '', cookie: new Secret('DSID=1') }, undefined), options);
  }

  up(): this {
    this.clock.runUntil(() => this.client.up !== undefined && this.gateway?.up !== undefined, 10_000);
    return this;
  }

  breakStream(): void {
    const why = new NetworkError('The network is down.');
    for (const [end, path] of [
      [this.client, this.#ends?.client],
      [this.gateway, this.#ends?.gateway],
    ] as const) {
      if (end === undefined || path?.isOpen !== true) continue;
      end.remove(path);
      end.turn((machine, sink) => machine.lost(path, why, this.clock.now, sink));
    }
  }

  /** In order, whole, in pieces of any length, or several at once. */
  deliver(bytes: Uint8Array, to: (piece: Uint8Array) => void): void {
    this.#freeAt = Math.max(this.clock.now + DELAY, this.#freeAt);
    const spoiled = this.#spoil(bytes);
    for (let at = 0; at < spoiled.length; ) {
      const isWhole = this.#random.uint32() % 2 === 0;
      const end = isWhole ? spoiled.length : at + 1 + (this.#random.uint32() % 40);
      const piece = spoiled.slice(at, end);
      this.clock.at(this.#freeAt, () => to(piece));
      at = end;
    }
  }

  toClient(bytes: Uint8Array): void {
    this.deliver(bytes, (piece) => this.#ends && this.client.receive(this.#ends.client, piece));
  }

  #open(): void {
    const parser = new RequestParser({}, ncGateway.startsTunnel);
    const client = new TestPath('stream', this.client, (bytes) => this.deliver(bytes, (piece) => this.#toGateway(parser, piece)));
    this.#ends = { client };
    this.client.add(client);
    this.client.turn((machine, sink) => machine.opened(client, FACTS, this.clock.now, sink));
  }

  #toGateway(parser: RequestParser, piece: Uint8Array): void {
    if (this.#ends?.gateway !== undefined) {
      this.gateway?.receive(this.#ends.gateway, piece);
      return;
    }
    parser.push(piece);
    if (parser.next() === undefined) return;
    const gateway = new TunnelEnd(new NcGatewayTunnel({ log: silentLogger, terms: this.#terms }), this.clock, () =>
      assert.fail('it opens nothing'),
    );
    const path = new TestPath('stream', gateway, (bytes) => this.toClient(bytes));
    this.gateway = gateway;
    this.#ends = { client: this.#ends?.client ?? assert.fail(), gateway: path };
    gateway.add(path);
    gateway.turn((machine, sink) => machine.opened(path, FACTS, this.clock.now, sink));
    gateway.receive(path, parser.takeRest());
  }
}

interface PairOptions {
  readonly seed?: number;
  /** What becomes of what is written at once. */
  readonly spoil?: (bytes: Uint8Array) => Uint8Array;
  readonly terms?: typeof TERMS;
}

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
