/**
 * Client and gateway of one tunnel in memory, for vendors whose UDP is greeted as PPP's is, or that have none, on a fake clock: a stream in pieces that may break, and a datagram link that loses, repeats and
 * delays. The gateway's half around its machines, reading requests and greeting strangers, is as small as it can be.
 */
import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import type { DtlsAssociation } from '../../src/core/dtls/association.ts';
import { MovedServer } from '../../src/core/dtls/moved-association.ts';
import { DtlsServer } from '../../src/core/dtls/server.ts';
import { NetworkError } from '../../src/core/errors.ts';
import type { HttpRequest, HttpResponse } from '../../src/core/http/message.ts';
import { renderResponse } from '../../src/core/http/render.ts';
import { RequestParser } from '../../src/core/http/request-parser.ts';
import { silentLogger } from '../../src/core/log.ts';
import type { DatagramFront, ExpectedFlow } from '../../src/core/protocols/gateway-protocol.ts';
import type { PathFacts, PathPlan, TunnelMachine } from '../../src/core/tunnel/machine.ts';
import { type Millis, packetBytes, packetOf } from '../../src/core/tunnel/packet.ts';
import type { SessionTerms } from '../../src/core/tunnel/session-terms.ts';
import { type Endpoint, parseIp } from '../../src/core/wire/ip-address.ts';
import { certificateIdentity } from '../../src/node/crypto/certificates.ts';
import { FakeClock } from './fake-clock.ts';
import { PLAIN_TERMS } from './gateway-visitor.ts';
import { FaultyLink, type LinkConditions, LinkModel, PERFECT_LINK } from './link-model.ts';
import { SeededCrypto } from './scripted-crypto.ts';
import { SeededRandom } from './seeded-random.ts';
import type { ThrowawayCertificate } from './throwaway-certificate.ts';
import { TestPath, TunnelEnd } from './tunnel-end.ts';

const ip = (text: string) => parseIp(text) ?? assert.fail(text);
const CLIENT_END: Endpoint = { address: ip('192.0.2.7'), port: 40_000 };
const GATEWAY_END: Endpoint = { address: ip('198.51.100.1'), port: 443 };
/** PPP takes a minute at most to come up or to give up, more than once if a link is that bad. */
const MAX_ROUNDS = 30;
const STREAM_DELAY: Millis = 10;
const DOWN = new NetworkError('The network is down.');

const CRYPTO = new SeededCrypto(6);

export const CLIENT_ADDRESS = '10.77.0.50';
export const PAIR_TERMS: SessionTerms = {
  ...PLAIN_TERMS,
  config: { ...PLAIN_TERMS.config, ipv6: { address: ip('fd77::2'), prefix: 128 } },
  times: { dpd: 10_000 },
  gatewayIpv4: ip('10.77.0.1'),
};

/** What a vendor brings. */
export interface PairVendor {
  readonly client: TunnelMachine;
  /** The gateway's tunnel for a request on a stream, which is looked at. */
  readonly serve: (request: HttpRequest) => TunnelMachine;
  /** Absent: the client asks for no UDP. */
  readonly front?: DatagramFront;
  /** In its place, where the gateway knows its clients' UDP by keys. */
  readonly expected?: ExpectedFlow;
}

export interface PairOptions {
  readonly seed?: number;
  readonly link?: Partial<LinkConditions>;
  /** What the gateway says to the request for a tunnel, in place of granting it. */
  readonly denial?: HttpResponse;
  /** Whether an engine carries what machines describe. Default: false. */
  readonly engine?: boolean;
  /** For UDP. */
  readonly certificate?: ThrowawayCertificate;
}

export class PppTunnelPair {
  readonly clock = new FakeClock();
  readonly client: TunnelEnd;
  gateway: TunnelEnd | undefined;
  /** Whether datagrams pass at all. */
  isUdpOpen = true;
  readonly plans: PathPlan['to'][] = [];
  readonly #vendor: PairVendor;
  readonly #options: PairOptions;
  readonly #random: SeededRandom;
  readonly #conditions: LinkConditions;
  /** The gateway's, where its paths are flows that were expected. */
  #met: TunnelEnd | undefined;
  #flows = 0;
  #rebinds = 0;
  #stream: { readonly client: TestPath; gateway: TestPath | undefined } | undefined;
  #streamFreeAt: Millis = 0;

  constructor(vendor: PairVendor, options: PairOptions) {
    this.#vendor = vendor;
    this.#options = options;
    this.#random = new SeededRandom(options.seed ?? 1);
    this.#conditions = { ...PERFECT_LINK, delay: 10, ...options.link };
    this.client = new TunnelEnd(vendor.client, this.clock, (plan) => this.#open(plan));
  }

  /** Until packets pass both ways; then by what. */
  start(limit: Millis): string {
    this.clock.runUntil(() => this.client.up !== undefined && this.gateway?.up !== undefined, limit);
    return this.client.up?.kind ?? assert.fail();
  }

  /**
   * What has come to the gateway of these packets of the client, sent 5 ms apart, again every few seconds until `enough` came: they may meet a change of ways,
   * as the gateway has one path only, and PPP that begins anew. Less than enough if the client gives up.
   */
  carry(packets: readonly Uint8Array[], enough: number): readonly Uint8Array[] {
    for (let round = 0; round < MAX_ROUNDS && this.client.closed === undefined; round++) {
      for (const packet of packets) {
        this.client.send(packet);
        this.clock.advance(5);
      }
      this.clock.advance(5000);
      if ((this.gateway?.delivered.length ?? 0) >= enough) break;
    }
    return this.gateway?.delivered ?? [];
  }

  /** The client's flows come from other ports from now on, as a NAT makes it. */
  rebind(): void {
    this.#rebinds++;
  }

  breakStream(): void {
    for (const [end, path] of [
      [this.client, this.#stream?.client],
      [this.gateway, this.#stream?.gateway],
    ] as const) {
      if (end === undefined || path?.isOpen !== true) continue;
      end.remove(path);
      end.turn((machine, sink) => machine.lost(path, DOWN, this.clock.now, sink));
    }
  }

  #open(plan: PathPlan): void {
    this.plans.push(plan.to);
    this.clock.at(this.clock.now + STREAM_DELAY, () => {
      if (this.client.closed !== undefined) return;
      if (plan.to === 'gateway') this.#openStream();
      else this.#openDatagram();
    });
  }

  #openStream(): void {
    const parser = new RequestParser();
    const path = new TestPath('stream', this.client, (bytes) => this.#deliver(bytes, (piece) => this.#toGateway(parser, piece)));
    this.#stream = { client: path, gateway: undefined };
    this.client.add(path);
    this.client.turn((machine, sink) => machine.opened(path, facts(CLIENT_END, GATEWAY_END, this.#options.engine), this.clock.now, sink));
  }

  /** In order, whole, in pieces. */
  #deliver(bytes: Uint8Array, deliver: (piece: Uint8Array) => void): void {
    const time = Math.max(this.clock.now + STREAM_DELAY, this.#streamFreeAt);
    this.#streamFreeAt = time;
    const cut = this.#random.uint32() % 3 === 0 ? this.#random.uint32() % bytes.length : 0;
    for (const piece of [bytes.slice(0, cut), bytes.slice(cut)]) if (piece.length > 0) this.clock.at(time, () => deliver(piece));
  }

  #toGateway(parser: RequestParser, piece: Uint8Array): void {
    const known = this.#stream?.gateway;
    if (known !== undefined) {
      this.gateway?.receive(known, piece);
      return;
    }
    parser.push(piece);
    const request = parser.next()?.message;
    if (request === undefined) return;
    const toClient = (bytes: Uint8Array) => this.#deliver(bytes, (part) => this.#stream && this.client.receive(this.#stream.client, part));
    if (this.#options.denial !== undefined) toClient(renderResponse(this.#options.denial));
    else this.#serve(this.#vendor.serve(request), 'stream', toClient, parser.takeRest());
  }

  #serve(machine: TunnelMachine, kind: 'stream' | 'datagram', write: (bytes: Uint8Array) => void, rest?: Uint8Array): TestPath {
    // The newest tunnel of a session is the one that there is.
    if (this.#met?.closed === undefined)
      this.#met?.turn((before, sink) => before.close({ kind: 'replaced', message: '' }, this.clock.now, sink));
    const gateway = new TunnelEnd(machine, this.clock, () => assert.fail('a gateway opens nothing'));
    const path = new TestPath(kind, gateway, write);
    this.gateway = gateway;
    if (this.#stream !== undefined && kind === 'stream') this.#stream.gateway = path;
    gateway.add(path);
    gateway.turn((running, sink) => running.opened(path, facts(GATEWAY_END, CLIENT_END, this.#options.engine), this.clock.now, sink));
    if (rest !== undefined && rest.length > 0) gateway.receive(path, rest);
    return path;
  }

  #openDatagram(): void {
    const { certificate } = this.#options;
    const { front, expected } = this.#vendor;
    if (expected !== undefined) {
      this.#openExpected(expected);
      return;
    }
    assert.ok(certificate !== undefined && front !== undefined, 'UDP was not expected');
    const path = new TestPath('datagram', this.client, (bytes) => up(bytes));
    const down = this.#link(2, (bytes) => this.client.receive(path, bytes));
    const stranger = new Stranger(this.clock, front, certificate, down, {
      tunnel: (machine) => this.#serve(machine, 'datagram', down),
      flow: (dtls) => this.#join(dtls, down),
    });
    let [rebinds, moved] = [this.#rebinds, undefined as TestPath | undefined];
    const up = this.#link(1, (bytes) =>
      stranger.receive(bytes, (known) => {
        if (rebinds !== this.#rebinds) moved = this.#join(undefined, down);
        rebinds = this.#rebinds;
        this.gateway?.receive(moved ?? known, bytes);
      }),
    );
    this.client.add(path);
    this.client.turn((machine, sink) => machine.opened(path, facts(CLIENT_END, GATEWAY_END, this.#options.engine), this.clock.now, sink));
  }

  #link(fork: number, deliver: (bytes: Uint8Array) => void): (bytes: Uint8Array) => void {
    const faulty = new FaultyLink(this.clock, new LinkModel(this.#random.fork(fork), this.#conditions), deliver);
    return (bytes) => {
      if (this.isUdpOpen) faulty.send(bytes);
    };
  }

  #openExpected(expected: ExpectedFlow): void {
    const fork = 2 * ++this.#flows;
    let theirs: { readonly path: TestPath; readonly rebinds: number } | undefined;
    const path = new TestPath('datagram', this.client, (bytes) => up(bytes));
    const down = this.#link(fork, (bytes) => this.client.receive(path, bytes));
    const up = this.#link(fork + 1, (bytes) => {
      if (theirs === undefined || theirs.rebinds !== this.#rebinds) {
        const flow = this.#flowOf(expected, bytes, down);
        theirs = flow && { path: flow, rebinds: this.#rebinds };
      }
      if (theirs !== undefined) this.#met?.receive(theirs.path, bytes);
    });
    this.client.add(path);
    this.client.turn((machine, sink) => machine.opened(path, facts(CLIENT_END, GATEWAY_END, this.#options.engine), this.clock.now, sink));
  }

  /** Another flow of the tunnel that runs, or the first of the one that is expected: once. */
  #flowOf(expected: ExpectedFlow, first: Uint8Array, down: (bytes: Uint8Array) => void): TestPath | undefined {
    if (this.#met === undefined) {
      if (this.#stream !== undefined || !expected.opens(first)) return undefined;
      const path = this.#serve(expected.tunnel(PAIR_TERMS), 'datagram', down);
      this.#met = this.gateway;
      return path;
    }
    const path = new TestPath('datagram', this.#met, down);
    if (this.#met.closed !== undefined) return undefined;
    this.#met.add(path);
    this.#met.turn((machine, sink) => machine.opened(path, facts(GATEWAY_END, CLIENT_END, this.#options.engine), this.clock.now, sink));
    return path;
  }

  /** The association becomes a path of the tunnel that runs, or a flow does of which nothing is known. */
  #join(dtls: DtlsAssociation | undefined, write: (bytes: Uint8Array) => void): TestPath | undefined {
    const { gateway } = this;
    if (gateway === undefined || gateway.closed !== undefined) return undefined;
    const path = new TestPath('datagram', gateway, write);
    gateway.add(path);
    const known = { ...facts(GATEWAY_END, CLIENT_END, this.#options.engine), ...(dtls !== undefined && { dtls }) };
    gateway.turn((machine, sink) => machine.opened(path, known, this.clock.now, sink));
    return path;
  }
}

/** What an association becomes. */
interface Places {
  readonly tunnel: (machine: TunnelMachine) => TestPath;
  readonly flow: (dtls: DtlsAssociation) => TestPath | undefined;
}

/** A DTLS association at the gateway, until it is known whose it is; then its tunnel's path. */
class Stranger {
  readonly #clock: FakeClock;
  readonly #front: DatagramFront;
  readonly #dtls: DtlsServer;
  readonly #send: (bytes: Uint8Array) => void;
  readonly #places: Places;
  readonly #opened: Uint8Array[] = [];
  #path: TestPath | undefined;
  #hello: Uint8Array = new Uint8Array(0);

  constructor(
    clock: FakeClock,
    front: DatagramFront,
    certificate: ThrowawayCertificate,
    send: (bytes: Uint8Array) => void,
    places: Places,
  ) {
    this.#clock = clock;
    this.#front = front;
    this.#send = send;
    this.#places = places;
    const identity = certificateIdentity([certificate.der], createPrivateKey(certificate.keyPem));
    const version = front.kind === 'flow' && front.speaksLegacy ? '1.0' : '1.2';
    const cookie = { secret: new Uint8Array(32).fill(5), peer: new Uint8Array(6) };
    this.#dtls = new DtlsServer({ crypto: new SeededCrypto(9), version, credentials: { kind: 'certificate', identity }, cookie });
    clock.attach({
      nextTimeout: () => (this.#path === undefined ? this.#dtls.nextTimeout() : undefined),
      handleTimeout: (now) => this.#turn(() => this.#dtls.handleTimeout(now, this.#sink)),
    });
  }

  receive(bytes: Uint8Array, toTunnel: (path: TestPath) => void): void {
    if (this.#path !== undefined) toTunnel(this.#path);
    else this.#turn(() => this.#dtls.receive(Buffer.from(bytes), this.#clock.now, this.#sink));
  }

  #turn(input: () => void): void {
    input();
    for (let record = this.#opened.shift(); record !== undefined; record = this.#opened.shift()) {
      if (this.#front.kind === 'flow') {
        if (this.#front.greet(record, CRYPTO) === undefined) continue;
        this.#path = this.#places.flow(new MovedServer(new SeededCrypto(8), this.#dtls.moveAway()));
        return;
      }
      const greeting = this.#front.greet(record, CRYPTO);
      if (greeting === undefined) {
        const parts = {
          crypto: new SeededCrypto(8),
          log: silentLogger,
          terms: PAIR_TERMS,
          hello: this.#hello,
          dtls: this.#dtls,
          early: [record, ...this.#opened],
        };
        this.#path = this.#places.tunnel(this.#front.tunnel(parts));
        return;
      }
      this.#hello = record;
      this.#dtls.send(packetOf(greeting.accepted(PAIR_TERMS)), this.#clock.now, this.#sink);
    }
  }

  get #sink() {
    const room = new Uint8Array(16_384);
    return {
      reserve: (length: number) => room.subarray(0, length),
      commit: (length: number) => this.#send(room.slice(0, length)),
      packet: (packet: Parameters<typeof packetBytes>[0]) => this.#opened.push(new Uint8Array(packetBytes(packet))),
    };
  }
}

function facts(local: Endpoint, remote: Endpoint, engine = false): PathFacts {
  return { local, remote, engine, tls: { cipherSuite: 'TLSv1.3-TLS_AES_256_GCM_SHA384' } };
}
