/**
 * Client and gateway of one tunnel in memory, on a fake clock: a stream that is slow and may break, and a datagram link that does what links do.
 * The gateway's half around its machine, reading the request and telling whose a datagram is, is as small as it can be.
 */
import assert from 'node:assert/strict';
import { createDeflate } from '../../../../src/core/compress/deflate.ts';
import { associationId, readFirstHello } from '../../../../src/core/dtls/first-hello.ts';
import { NetworkError } from '../../../../src/core/errors.ts';
import type { HttpRequest } from '../../../../src/core/http/message.ts';
import { RequestParser } from '../../../../src/core/http/request-parser.ts';
import { silentLogger } from '../../../../src/core/log.ts';
import { AnyConnectTunnel } from '../../../../src/core/protocols/anyconnect/client-tunnel.ts';
import { parseConnectOffer } from '../../../../src/core/protocols/anyconnect/connect-offer.ts';
import { GatewayTunnel, type GatewayTunnelOptions } from '../../../../src/core/protocols/anyconnect/gateway-tunnel.ts';
import type { TunnelOptions } from '../../../../src/core/protocols/anyconnect/tunnel-options.ts';
import { Secret } from '../../../../src/core/secret.ts';
import type { PathFacts, PathPlan } from '../../../../src/core/tunnel/machine.ts';
import type { Millis } from '../../../../src/core/tunnel/packet.ts';
import { type Endpoint, parseIp } from '../../../../src/core/wire/ip-address.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { FaultyLink, type LinkConditions, LinkModel, PERFECT_LINK } from '../../../support/link-model.ts';
import { SeededCrypto } from '../../../support/scripted-crypto.ts';
import { SeededRandom } from '../../../support/seeded-random.ts';
import { TestPath, TunnelEnd } from '../../../support/tunnel-end.ts';
import { MODES, type PairOptions } from './tunnel-pair-options.ts';

export const ip = (text: string) => parseIp(text) ?? assert.fail(text);
export const seconds = (count: number): Millis => count * 1000;

export const CLIENT_ADDRESS = '10.9.0.2';
export const GATEWAY_ADDRESS = '10.9.0.1';
export const CLIENT_ADDRESS_6 = 'fd09::2';

const CLIENT_END: Endpoint = { address: ip('192.0.2.7'), port: 40_000 };
const GATEWAY_END: Endpoint = { address: ip('198.51.100.1'), port: 443 };

/** One UDP flow: its two ends, as long as they are there. */
interface Flow {
  readonly client: TestPath;
  gateway: TestPath | undefined;
}

const MAX_REMEMBERED = 100;

const NETWORK_DOWN = new NetworkError('The network is down.');

export class TunnelPair {
  readonly clock = new FakeClock();
  readonly client: TunnelEnd;
  gateway: TunnelEnd | undefined;
  gatewayMachineOptions: GatewayTunnelOptions | undefined;
  /** The CONNECT request, once it has come. */
  request: HttpRequest | undefined;
  readonly #options: PairOptions;
  readonly #random: SeededRandom;
  readonly #datagramId: Uint8Array;
  readonly #flows: Flow[] = [];
  readonly #up: LinkModel;
  readonly #down: LinkModel;
  #clientStream: TestPath | undefined;
  #gatewayStream: TestPath | undefined;
  #streamFreeAt = { client: 0, gateway: 0 };

  /** UDP: what is sent vanishes (`silent`), or comes back as an ICMP error (`refused`). */
  udp: 'open' | 'silent' | 'refused' | 'silent-to-client' | 'silent-to-gateway' = 'open';
  /** Datagrams that are lost on their way, whatever else UDP does. */
  loses: (bytes: Uint8Array, to: 'client' | 'gateway', path: TestPath) => boolean = () => false;
  /** Bytes of UDP payload that pass; larger ones vanish, and if `tellsTooBig` the sender's stack refuses them. */
  maxDatagram = Number.POSITIVE_INFINITY;
  tellsTooBig = false;
  /** What is written on the stream never arrives, and nobody is told. */
  isStreamSilent = false;
  /** Whether the next paths can be opened. */
  opensStream = true;
  opensDatagram = true;
  /** How long it takes the client to open a UDP flow. */
  datagramOpening: Millis = 1;
  /** Sees each record that the client writes on the stream. */
  onStreamRecord: (bytes: Uint8Array) => void = () => undefined;
  onGatewayRecord: (bytes: Uint8Array) => void = () => undefined;
  /** What arrived there, the latest last; the oldest are forgotten. */
  readonly datagramsToGateway: Uint8Array[] = [];
  readonly datagramsToClient: Uint8Array[] = [];
  datagramsSent = 0;
  datagramsOpened = 0;

  constructor(options: PairOptions = {}) {
    this.#options = options;
    const seed = options.seed ?? 1;
    this.#random = new SeededRandom(seed);
    this.#datagramId = new SeededCrypto(seed + 3).randomBytes(32);
    const conditions = { ...PERFECT_LINK, delay: 10, ...options.link };
    this.#up = new LinkModel(this.#random.fork(1), conditions);
    this.#down = new LinkModel(this.#random.fork(2), conditions);
    this.client = new TunnelEnd(new AnyConnectTunnel(this.#clientOptions(seed)), this.clock, (plan) => this.#open(plan));
  }

  get gatewayMachine(): GatewayTunnel {
    const machine = this.gateway?.machine;
    assert.ok(machine instanceof GatewayTunnel);
    return machine;
  }

  set link(conditions: Partial<LinkConditions>) {
    this.#up.conditions = { ...this.#up.conditions, ...conditions };
    this.#down.conditions = { ...this.#down.conditions, ...conditions };
  }

  /** Until both ends are up; then by what the client sends. */
  start(limit: Millis = seconds(5)): string {
    this.clock.runUntil(() => this.client.up !== undefined && this.gateway?.up !== undefined, limit);
    return this.client.up?.kind ?? assert.fail();
  }

  /** Until the client's packets leave by UDP, and the gateway's as well. */
  startDatagrams(limit: Millis = seconds(5)): void {
    this.clock.runUntil(() => this.client.up?.kind === 'datagram' && this.gateway?.up?.kind === 'datagram', limit);
  }

  /** The TLS connection is gone, and both ends hear of it. */
  breakStream(): void {
    const [client, gateway] = [this.#clientStream, this.#gatewayStream];
    for (const [end, path] of [
      [this.client, client],
      [this.gateway, gateway],
    ] as const) {
      if (end === undefined || path === undefined || !path.isOpen) continue;
      end.remove(path);
      end.turn((machine, sink) => machine.lost(path, NETWORK_DOWN, this.clock.now, sink));
    }
  }

  /** The client's UDP flows are gone by its own system's word. */
  breakDatagrams(): void {
    for (const { client: path } of this.#flows) {
      if (!path.isOpen) continue;
      this.client.remove(path);
      this.client.turn((machine, sink) => machine.lost(path, NETWORK_DOWN, this.clock.now, sink));
    }
  }

  /** From now on the gateway sees the client's flows come from another address: what it sends to the old one arrives nowhere. */
  rebind(): void {
    for (const flow of this.#flows) flow.gateway = undefined;
  }

  /** To the client's stream, as if the gateway had sent it. */
  tellClient(bytes: Uint8Array): void {
    this.client.receive(this.#clientStream ?? assert.fail('no stream'), bytes);
  }

  /** To the gateway's stream, as if the client had sent it. */
  tellGateway(bytes: Uint8Array): void {
    this.gateway?.receive(this.#gatewayStream ?? assert.fail('no stream'), bytes);
  }

  /** A flow of unknown origin, at the gateway: nothing that is sent to it arrives. */
  newGatewayPath(): TestPath {
    const gateway = this.gateway ?? assert.fail();
    const path = new TestPath('datagram', gateway, () => {
      this.datagramsSent++;
    });
    gateway.add(path);
    gateway.turn((machine, sink) => machine.opened(path, this.#facts(GATEWAY_END, CLIENT_END, false), this.clock.now, sink));
    return path;
  }

  /** What the client's machine has open now. */
  get clientFlows(): readonly TestPath[] {
    return this.#flows.map(({ client }) => client).filter(({ isOpen }) => isOpen);
  }

  // ---- paths

  #open(plan: PathPlan): void {
    if (plan.to === 'gateway') this.clock.at(this.clock.now + this.#streamDelay, () => this.#openStream());
    else this.clock.at(this.clock.now + this.datagramOpening, () => this.#openDatagram());
  }

  get #streamDelay(): Millis {
    return this.#options.streamDelay ?? 10;
  }

  #openStream(): void {
    if (this.client.closed !== undefined) return;
    if (!this.opensStream) {
      this.client.turn((machine, sink) => machine.lost({ kind: 'stream' }, NETWORK_DOWN, this.clock.now, sink));
      return;
    }
    const parser = new RequestParser();
    const client = new TestPath('stream', this.client, (bytes) => {
      this.onStreamRecord(bytes);
      this.#stream('gateway', bytes, (piece) => this.#arrived(parser, piece));
    });
    this.#clientStream = client;
    this.client.add(client);
    this.client.turn((machine, sink) => machine.opened(client, this.#facts(CLIENT_END, GATEWAY_END, true), this.clock.now, sink));
  }

  /** In order, whole, in pieces. */
  #stream(to: 'client' | 'gateway', bytes: Uint8Array, deliver: (piece: Uint8Array) => void): void {
    if (this.isStreamSilent) return;
    const time = Math.max(this.clock.now + this.#streamDelay, this.#streamFreeAt[to]);
    this.#streamFreeAt[to] = time;
    const cut = this.#random.uint32() % 4 === 0 ? this.#random.uint32() % bytes.length : 0;
    for (const piece of [bytes.slice(0, cut), bytes.slice(cut)]) {
      if (piece.length > 0) this.clock.at(time, () => !this.isStreamSilent && deliver(piece));
    }
  }

  /** At the gateway: the request first, then the tunnel. */
  #arrived(parser: RequestParser, piece: Uint8Array): void {
    const path = this.#gatewayStream;
    if (path !== undefined) {
      this.gateway?.receive(path, piece);
      return;
    }
    parser.push(piece);
    const received = parser.next();
    if (received === undefined || this.request !== undefined) return;
    this.request = received.message;
    if (this.#options.answer === undefined) this.#serve(received.message, parser.takeRest());
    else this.#answer(this.#options.answer(received.message));
  }

  #answer(bytes: Uint8Array | undefined): void {
    if (bytes !== undefined) this.#stream('client', bytes, (piece) => this.tellClient(piece));
  }

  #serve(request: HttpRequest, rest: Uint8Array): void {
    this.gatewayMachineOptions = this.gatewayOptions(request);
    const machine = new GatewayTunnel(this.gatewayMachineOptions);
    const gateway = new TunnelEnd(machine, this.clock, () => assert.fail('a gateway opens nothing'));
    const path = new TestPath('stream', gateway, (bytes) => {
      this.onGatewayRecord(bytes);
      this.#stream('client', bytes, (piece) => this.#toClient(piece));
    });
    this.gateway = gateway;
    this.#gatewayStream = path;
    gateway.add(path);
    gateway.turn((running, sink) => running.opened(path, this.#facts(GATEWAY_END, CLIENT_END, true), this.clock.now, sink));
    if (rest.length > 0) gateway.receive(path, rest);
  }

  #toClient(piece: Uint8Array): void {
    if (this.#clientStream?.isOpen === true) this.client.receive(this.#clientStream, piece);
  }

  #openDatagram(): void {
    if (this.client.closed !== undefined) return;
    if (!this.opensDatagram) {
      this.client.turn((machine, sink) => machine.lost({ kind: 'datagram' }, NETWORK_DOWN, this.clock.now, sink));
      return;
    }
    this.datagramsOpened++;
    const up = new FaultyLink(this.clock, this.#up, (bytes) => this.#toGatewayBy(flow, bytes));
    const path = new TestPath('datagram', this.client, (bytes) => this.#datagram('gateway', this.client, path, bytes, up));
    const flow: Flow = { client: path, gateway: undefined };
    this.#flows.push(flow);
    this.client.add(path);
    this.client.turn((machine, sink) => machine.opened(path, this.#facts(CLIENT_END, GATEWAY_END, false), this.clock.now, sink));
  }

  #datagram(to: 'client' | 'gateway', from: TunnelEnd, path: TestPath, bytes: Uint8Array, link: FaultyLink): void {
    this.datagramsSent++;
    if (this.loses(bytes, to, path)) return;
    if (bytes.length > this.maxDatagram) {
      if (this.tellsTooBig) this.#notice(from, path, { type: 'too-big', length: bytes.length }, 0);
    } else if (this.udp === 'refused') {
      this.#notice(from, path, { type: 'unreachable' }, 5);
    } else if (this.udp === 'open' || this.udp === (to === 'client' ? 'silent-to-gateway' : 'silent-to-client')) {
      link.send(bytes);
    }
  }

  #notice(end: TunnelEnd, path: TestPath, notice: Parameters<TunnelEnd['machine']['notice']>[1], delay: Millis): void {
    this.clock.at(this.clock.now + delay, () => {
      if (path.isOpen) end.turn((machine, sink) => machine.notice(path, notice, this.clock.now, sink));
    });
  }

  /** Whose is it? A known flow's, or a new one's: of a client that says hello, or of one whose address has changed. */
  #toGatewayBy(flow: Flow, bytes: Uint8Array): void {
    const { gateway } = this;
    if (gateway === undefined || gateway.closed !== undefined) return;
    if (flow.gateway?.isOpen !== true) {
      const hello = readFirstHello(bytes);
      if (hello !== undefined && Buffer.compare(associationId(hello), this.#datagramId) !== 0) return;
      const down = new FaultyLink(this.clock, this.#down, (answer) => {
        remember(this.datagramsToClient, answer);
        if (flow.gateway === path) this.client.receive(flow.client, answer);
      });
      const path = new TestPath('datagram', gateway, (answer) => this.#datagram('client', gateway, path, answer, down));
      flow.gateway = path;
      gateway.add(path);
      gateway.turn((machine, sink) => machine.opened(path, this.#facts(GATEWAY_END, CLIENT_END, false), this.clock.now, sink));
    }
    remember(this.datagramsToGateway, bytes);
    if (flow.gateway.isOpen) gateway.receive(flow.gateway, bytes);
  }

  // ---- what the machines are told

  /** Each machine has a copy of its own. */
  readonly exportedKeys: Uint8Array[] = [];

  #facts(local: Endpoint, remote: Endpoint, isStream: boolean): PathFacts {
    const { pathMtu, engine = false, gatewayEngine = false, streamEngine = false } = this.#options;
    const exported = new Uint8Array(32).fill(0x3c);
    if (isStream) this.exportedKeys.push(exported);
    return {
      ...{ local, remote },
      engine: isStream ? local !== CLIENT_END && streamEngine : local === CLIENT_END ? engine : gatewayEngine,
      ...(pathMtu !== undefined && local === CLIENT_END && { pathMtu }),
      ...(isStream && { tls: { exported, finished: new Uint8Array(32), cipherSuite: 'TLSv1.3-TLS_AES_256_GCM_SHA384' } }),
    };
  }

  #clientOptions(seed: number): TunnelOptions {
    const { mode = 'psk', pskSuite, client = {}, log = silentLogger } = this.#options;
    const { datagram: wishes = { ...MODES[mode], ...(pskSuite !== undefined && { pskSuites: [pskSuite] }) }, ...others } = client;
    const wantsDatagram = !('datagram' in client && client.datagram === undefined);
    return {
      ...{ crypto: new SeededCrypto(seed + 1), log, createDeflate },
      target: { host: 'vpn.example', port: 443, path: '/' },
      client: { userAgent: 'Open AnyConnect VPN Agent v9.01', version: 'v9.01', os: 'linux-64', localHostname: 'laptop' },
      cookie: new Secret('a-cookie'),
      encodings: [],
      wantsIpv6: true,
      ...(wantsDatagram && { datagram: wishes }),
      ...others,
    };
  }

  /** For the client that has asked. */
  gatewayOptions(request: HttpRequest = this.request ?? assert.fail()): GatewayTunnelOptions {
    const { seed = 1, mode = 'psk', terms, datagram, gateway, log = silentLogger } = this.#options;
    return {
      ...{ crypto: new SeededCrypto(seed + 2), log, createDeflate, offer: parseConnectOffer(request) },
      details: { serverName: 'sallyport' },
      terms: {
        config: {
          ipv4: { address: ip(CLIENT_ADDRESS), prefix: 24 },
          ...{ dns: [], nbns: [], searchDomains: [], splitDns: [], include: [], exclude: [], vendorOptions: [] },
        },
        linkMtu: 1500,
        times: { dpd: seconds(30), keepalive: seconds(20) },
        encodings: [],
        ...(datagram !== 'none' && {
          datagram: {
            ...{ port: 443, id: this.#datagramId, times: { dpd: seconds(30), keepalive: seconds(20) }, allowsPsk: mode === 'psk' },
            ...{ suites: MODES[mode].suites, suites12: MODES[mode].suites12 },
            ...datagram,
          },
        }),
        ...terms,
      },
      ...gateway,
    };
  }
}

function remember(datagrams: Uint8Array[], bytes: Uint8Array): void {
  datagrams.push(bytes.slice());
  if (datagrams.length > MAX_REMEMBERED) datagrams.shift();
}
