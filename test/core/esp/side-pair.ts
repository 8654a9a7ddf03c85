/** The two ends of ESP in memory: a client's and a gateway's, and flows between them that come and go. */
import assert from 'node:assert/strict';
import { EspAssociations, type EspKeyPair } from '../../../src/core/esp/associations.ts';
import { EspClientSide } from '../../../src/core/esp/client-side.ts';
import { EspGatewaySide } from '../../../src/core/esp/gateway-side.ts';
import { silentLogger } from '../../../src/core/log.ts';
import type { Path, PathFacts, TunnelMachine, TunnelSink } from '../../../src/core/tunnel/machine.ts';
import type { Millis } from '../../../src/core/tunnel/packet.ts';
import { parseCidr, parseIp } from '../../../src/core/wire/ip-address.ts';
import { newKeys, numberedPacket, zeroProbe } from '../../support/esp-ends.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { FaultyLink, type LinkConditions, LinkModel, PERFECT_LINK } from '../../support/link-model.ts';
import { SeededCrypto } from '../../support/scripted-crypto.ts';
import { SeededRandom } from '../../support/seeded-random.ts';
import { TestPath, TunnelEnd } from '../../support/tunnel-end.ts';

const DPD = 10_000;
export const SILENCE = 20_000;
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

export interface PairOptions {
  readonly seed?: number;
  readonly conditions?: Partial<LinkConditions>;
  /** Whether the engine can carry the client's flows, and the gateway's. */
  readonly engines?: readonly [client: boolean, gateway: boolean];
  /** Of the packets that go by ESP. */
  readonly families?: readonly (4 | 6)[];
}

/** Flows that the client opens reach the gateway as flows of their own, and `move` gives them another port. */
export class Pair {
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
  /** Of the flows that are opened from now on. */
  engines: readonly [client: boolean, gateway: boolean];
  #moves = 0;

  /** `whenKeysAreThere`: when the gateway learns them. */
  constructor(options: PairOptions = {}, whenKeysAreThere: Millis = 0) {
    this.#options = options;
    this.engines = options.engines ?? [false, false];
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
    const { conditions } = this.#options;
    const [clientEngine, gatewayEngine] = this.engines;
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

export function factsOf(engine: boolean): PathFacts {
  return { local: END, remote: END, engine };
}
