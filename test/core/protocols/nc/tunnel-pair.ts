/** Both ends of a Network Connect tunnel in memory: a stream between them that comes in pieces, and UDP flows that are as bad as a test wants. */
import assert from 'node:assert/strict';
import { NetworkError } from '../../../../src/core/errors.ts';
import { tunnelIdIn } from '../../../../src/core/esp/spi.ts';
import { RequestParser } from '../../../../src/core/http/request-parser.ts';
import { silentLogger } from '../../../../src/core/log.ts';
import type { ProtocolSettings } from '../../../../src/core/protocols/client-protocol.ts';
import { NcClient } from '../../../../src/core/protocols/nc/client.ts';
import { ncGateway } from '../../../../src/core/protocols/nc/gateway.ts';
import { NcGatewayTunnel } from '../../../../src/core/protocols/nc/gateway-tunnel.ts';
import { Secret } from '../../../../src/core/secret.ts';
import type { PathFacts, PathPlan } from '../../../../src/core/tunnel/machine.ts';
import type { SessionTerms } from '../../../../src/core/tunnel/session-terms.ts';
import { toHex } from '../../../../src/core/wire/text.ts';
import { CLIENT } from '../../../support/anyconnect-login.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { PLAIN_TERMS } from '../../../support/gateway-visitor.ts';
import { FaultyLink, type LinkConditions, LinkModel, PERFECT_LINK } from '../../../support/link-model.ts';
import { PlayedIo } from '../../../support/played-io.ts';
import { SeededCrypto } from '../../../support/scripted-crypto.ts';
import { SeededRandom } from '../../../support/seeded-random.ts';
import { TestPath, TunnelEnd } from '../../../support/tunnel-end.ts';
import { ipOf } from '../../ppp/linked.ts';

const DELAY = 10;
export const FACTS: PathFacts = {
  local: { address: ipOf('192.0.2.7'), port: 40_000 },
  remote: { address: ipOf('198.51.100.1'), port: 443 },
  engine: false,
};
export const TERMS: SessionTerms = {
  ...PLAIN_TERMS,
  gatewayIpv4: ipOf('10.77.0.1'),
  config: { ...PLAIN_TERMS.config, include: [{ address: ipOf('10.0.0.0'), prefix: 8 }], dns: [ipOf('10.77.0.53'), ipOf('fd00::53')] },
};

/** An IPv4 packet with a number in it. */
export function packet(number: number, { length = 100, from = [10, 77, 0, 50] } = {}): Uint8Array {
  const bytes = new Uint8Array(length);
  bytes.set([0x45, 0, length >>> 8, length & 0xff, 0, 0, 0, 0, 64, 17, 0, 0, ...from, 10, 77, 0, 1]);
  new DataView(bytes.buffer).setUint32(20, number);
  return bytes;
}

export const isRequest = ([first]: Uint8Array) => first === 'P'.charCodeAt(0);
export const numberIn = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset).getUint32(20);

/** Both ends, and the stream between them. */
export class Pair {
  readonly clock = new FakeClock();
  readonly client: TunnelEnd;
  gateway: TunnelEnd | undefined;
  readonly #random: SeededRandom;
  readonly #spoil: (bytes: Uint8Array) => Uint8Array;
  readonly #terms: SessionTerms;
  readonly #options: PairOptions;
  #ends: { readonly client: TestPath; gateway?: TestPath } | undefined;
  #freeAt = 0;
  #moves = 0;
  #machine: NcGatewayTunnel | undefined;
  /** UDP passes. */
  hasDatagrams = true;
  /** Flows that the client has opened. */
  flows = 0;
  /** What was said by the stream, in records. */
  readonly said: { readonly client: Uint8Array[]; readonly gateway: Uint8Array[] } = { client: [], gateway: [] };

  private constructor(client: TunnelEnd['machine'], options: PairOptions) {
    const { seed = 1, spoil = (bytes: Uint8Array) => bytes, terms = TERMS } = options;
    this.#options = options;
    this.#random = new SeededRandom(seed);
    this.#spoil = spoil;
    this.#terms = terms;
    this.client = new TunnelEnd(client, this.clock, (plan) => this.clock.at(this.clock.now + DELAY, () => this.#open(plan)));
  }

  static async open(options: PairOptions = {}): Promise<Pair> {
    const client = new NcClient({
      ...{ crypto: new SeededCrypto(1), log: silentLogger, client: CLIENT, usesXml: true, httpAuth: [], compression: 'none' },
      ...{ wantsIpv6: true, usesDatagrams: true, datagramCiphers: { allowsLegacy: false }, ...options.settings },
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

  /** Another port for the client's flow, as of a NAT that has forgotten. */
  move(): void {
    this.#moves++;
  }

  /** Both sides' way out: `stream` or `datagram`. */
  get ways(): string {
    return `${this.client.up?.kind} ${this.gateway?.up?.kind}`;
  }

  /** Numbers that have come of these packets, sent some ms apart: at the gateway, and at the client. */
  exchange(from: number, count: number, { pause = 5, length = 100 } = {}): [number[], number[]] {
    const gateway = this.gateway ?? assert.fail('no gateway');
    const [gatewayHad, clientHad] = [gateway.delivered.length, this.client.delivered.length];
    for (let number = from; number < from + count; number++) {
      this.client.send(packet(number, { length }));
      gateway.send(packet(number, { length }));
      this.clock.advance(pause);
    }
    this.clock.advance(500);
    return [gateway.delivered.slice(gatewayHad).map(numberIn), this.client.delivered.slice(clientHad).map(numberIn)];
  }

  #openFlow({ to }: Extract<PathPlan, { to: 'udp' }>): void {
    assert.equal(to, 'udp');
    this.flows++;
    const { conditions, engines: [ofClient, ofGateway] = [false, false] } = this.#options;
    let theirs: TestPath | undefined;
    let moves = this.#moves;
    const link = (deliver: (bytes: Uint8Array) => void) => {
      const model = new LinkModel(this.#random.fork(this.#random.uint32()), { ...PERFECT_LINK, delay: DELAY, ...conditions });
      const faulty = new FaultyLink(this.clock, model, deliver);
      return (bytes: Uint8Array) => {
        if (this.hasDatagrams) faulty.send(bytes);
      };
    };
    const toClient = link((bytes) => this.client.receive(ours, bytes));
    const toGateway = link((bytes) => {
      const { gateway } = this;
      if (gateway === undefined || gateway.closed !== undefined) return;
      if (theirs?.isOpen !== true || moves !== this.#moves) {
        // As the gateway's door: by the SPI.
        const id = tunnelIdIn(bytes);
        if (id === undefined || toHex(id) !== toHex(this.#machine?.datagramId ?? bytes)) return;
        moves = this.#moves;
        const path = new TestPath('datagram', gateway, toClient);
        theirs = path;
        gateway.add(path);
        gateway.turn((machine, out) => machine.opened(path, { ...FACTS, engine: ofGateway }, this.clock.now, out));
      }
      gateway.receive(theirs, bytes);
    });
    const ours: TestPath = new TestPath('datagram', this.client, toGateway);
    this.client.add(ours);
    this.client.turn((machine, out) => machine.opened(ours, { ...FACTS, engine: ofClient }, this.clock.now, out));
  }

  #open(plan: PathPlan): void {
    if (plan.to === 'udp') {
      this.#openFlow(plan);
      return;
    }
    const { facts = FACTS } = this.#options;
    const parser = new RequestParser({}, ncGateway.startsTunnel);
    const client = new TestPath('stream', this.client, (bytes) => {
      this.said.client.push(bytes);
      this.deliver(bytes, (piece) => this.#toGateway(parser, piece));
    });
    this.#ends = { client };
    this.client.add(client);
    this.client.turn((machine, sink) => machine.opened(client, facts, this.clock.now, sink));
  }

  #toGateway(parser: RequestParser, piece: Uint8Array): void {
    if (this.#ends?.gateway !== undefined) {
      this.gateway?.receive(this.#ends.gateway, piece);
      return;
    }
    parser.push(piece);
    if (parser.next() === undefined) return;
    const { family } = FACTS.remote.address;
    const machine = new NcGatewayTunnel({ crypto: new SeededCrypto(2), log: silentLogger, terms: this.#terms, family });
    const gateway = new TunnelEnd(machine, this.clock, () => assert.fail('it opens nothing'));
    const path = new TestPath('stream', gateway, (bytes) => {
      this.said.gateway.push(bytes);
      this.toClient(bytes);
    });
    this.#machine = machine;
    this.gateway = gateway;
    this.#ends = { client: this.#ends?.client ?? assert.fail(), gateway: path };
    gateway.add(path);
    gateway.turn((machine, sink) => machine.opened(path, FACTS, this.clock.now, sink));
    gateway.receive(path, parser.takeRest());
  }
}

export interface PairOptions {
  readonly seed?: number;
  /** What becomes of what is written at once. */
  readonly spoil?: (bytes: Uint8Array) => Uint8Array;
  readonly terms?: SessionTerms;
  /** Of UDP. */
  readonly conditions?: Partial<LinkConditions>;
  /** Whether the engine can carry the client's flows, and the gateway's. */
  readonly engines?: readonly [client: boolean, gateway: boolean];
  /** The client's connection. */
  readonly facts?: PathFacts;
  readonly settings?: Partial<ProtocolSettings>;
}
