/**
 * Pulse's two tunnel machines in memory, with a stream and UDP flows between them on a fake clock. What is said before a tunnel, which is the log-in's
 * business at a gateway, is played here as the specification has it.
 */
import assert from 'node:assert/strict';
import { renderResponse } from '../../../../src/core/http/render.ts';
import { RequestParser } from '../../../../src/core/http/request-parser.ts';
import { silentLogger } from '../../../../src/core/log.ts';
import { encodeAuth, versionResponse } from '../../../../src/core/protocols/pulse/auth-payload.ts';
import { AVP_CODES, type Avp, encodeAvps, textAvp } from '../../../../src/core/protocols/pulse/avp.ts';
import { ClientTunnel, type ClientTunnelOptions } from '../../../../src/core/protocols/pulse/client-tunnel.ts';
import { EAP_CODES, EAP_METHODS } from '../../../../src/core/protocols/pulse/eap.ts';
import { GatewayTunnel } from '../../../../src/core/protocols/pulse/gateway-tunnel.ts';
import { IFT_KINDS, IftDeframer, IftWriter } from '../../../../src/core/protocols/pulse/ift-packet.ts';
import { SWITCHING, upgradeHeaders } from '../../../../src/core/protocols/pulse/upgrade.ts';
import { Secret } from '../../../../src/core/secret.ts';
import type { PathFacts, PathPlan } from '../../../../src/core/tunnel/machine.ts';
import type { Millis } from '../../../../src/core/tunnel/packet.ts';
import type { SessionTerms } from '../../../../src/core/tunnel/session-terms.ts';
import type { EspMac } from '../../../../src/core/tunnel/traffic.ts';
import { parseIp } from '../../../../src/core/wire/ip-address.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { PLAIN_TERMS } from '../../../support/gateway-visitor.ts';
import { FaultyLink, type LinkConditions, LinkModel, PERFECT_LINK } from '../../../support/link-model.ts';
import { SeededCrypto } from '../../../support/scripted-crypto.ts';
import { SeededRandom } from '../../../support/seeded-random.ts';
import { TestPath, TunnelEnd } from '../../../support/tunnel-end.ts';

const ip = (text: string) => parseIp(text) ?? assert.fail(text);
const STREAM_DELAY: Millis = 10;
const COOKIE = 'x'.repeat(43);

export const PORT = 4433;
export const OWN = { ipv4: ip('10.77.0.50'), ipv6: ip('fd77::2') } as const;
const FAR = { ipv4: ip('10.77.0.1'), ipv6: ip('fd77::1') } as const;

const ENDS = {
  4: { client: { address: ip('192.0.2.7'), port: 40_000 }, gateway: { address: ip('198.51.100.1'), port: 443 } },
  6: { client: { address: ip('2001:db8::7'), port: 40_000 }, gateway: { address: ip('2001:db8::1'), port: 443 } },
} as const;

export interface EspPairOptions {
  readonly seed?: number;
  readonly conditions?: Partial<LinkConditions>;
  /** Of the outer addresses. Default 4. */
  readonly family?: 4 | 6;
  readonly terms?: Partial<SessionTerms>;
  readonly client?: Partial<ClientTunnelOptions>;
  /** Default: SHA-256. */
  readonly mac?: EspMac;
  /** What is not there: the client's wish for UDP, the gateway's terms for it, or its keys. */
  readonly without?: 'wish' | 'terms' | 'keys';
  /** Whether an engine can carry the flows, and the gateway's stream. */
  readonly engine?: boolean;
}

/** What has passed since it was last asked. */
export interface Passed {
  stream: number;
  datagram: number;
}

export class EspPair {
  readonly clock = new FakeClock();
  readonly client: TunnelEnd;
  readonly gateway: TunnelEnd;
  isUdpOpen = true;
  /** Where the client's flows have gone to. */
  readonly ports: number[] = [];
  /** Packets of the client and the gateway, by their way. */
  readonly sent: Record<'client' | 'gateway', Passed> = { client: { stream: 0, datagram: 0 }, gateway: { stream: 0, datagram: 0 } };
  /** SPIs of datagrams to the gateway. */
  readonly spis = new Set<number>();
  readonly #options: EspPairOptions;
  readonly #random: SeededRandom;

  constructor(options: EspPairOptions = {}) {
    this.#options = options;
    const { seed = 1, client, mac = 'sha256', terms, without } = options;
    this.#random = new SeededRandom(seed);
    const crypto = new SeededCrypto(seed);
    const headers = upgradeHeaders('vpn.example', 'test');
    this.client = new TunnelEnd(
      new ClientTunnel({
        ...{ log: silentLogger, userAgent: 'test', hostname: 'box', wantsIpv6: true, cookie: new Secret(COOKIE) },
        ...(without !== 'wish' && { datagram: { crypto, allowsLegacy: false } }),
        request: { method: 'GET', target: '/', version: '1.1', headers, body: new Uint8Array(0) },
        ...client,
      }),
      this.clock,
      (plan) => this.clock.at(this.clock.now + 1, () => this.#open(plan)),
    );
    this.gateway = new TunnelEnd(
      new GatewayTunnel({
        ...{ log: silentLogger, writer: new IftWriter(0x1f5) },
        terms: {
          ...PLAIN_TERMS,
          config: { ...PLAIN_TERMS.config, ipv6: { address: OWN.ipv6, prefix: 128 } },
          times: { dpd: 10_000 },
          ...(without !== 'terms' && { datagram: { port: PORT, allowsPsk: false, allowsLegacy: false, matchesTlsCipher: false } }),
          ...terms,
        },
        ...(without !== 'keys' && {
          datagram: { crypto: new SeededCrypto(seed + 1), algorithms: { cipher: 'aes-256-cbc', mac }, spi: 0xa1b2c3fe },
        }),
      }),
      this.clock,
      () => assert.fail('a gateway opens nothing'),
    );
  }

  /** Until packets pass both ways. */
  start(limit: Millis = 10_000): this {
    this.clock.runUntil(() => this.client.up !== undefined && this.gateway.up !== undefined, limit);
    return this;
  }

  /** Numbers of packets that came to the gateway and to the client, of those that each end sends 5 ms apart, of both families in turn. */
  exchange(from: number, count: number): readonly [up: number[], down: number[]] {
    const [up, down] = [this.gateway.delivered.length, this.client.delivered.length];
    for (let i = from; i < from + count; i++) {
      this.client.send(numbered(i, 'client'));
      this.gateway.send(numbered(i, 'gateway'));
      this.clock.advance(5);
    }
    this.clock.advance(500);
    return [this.gateway.delivered.slice(up).map(numberIn), this.client.delivered.slice(down).map(numberIn)];
  }

  /** What has been written since the last call, control packets and probes included. */
  passed(): Record<'client' | 'gateway', Passed> {
    const passed = structuredClone(this.sent);
    for (const side of Object.values(this.sent)) Object.assign(side, { stream: 0, datagram: 0 });
    return passed;
  }

  #open(plan: PathPlan): void {
    if (this.client.closed !== undefined) return;
    if (plan.to === 'gateway') this.#openStream();
    else {
      this.ports.push(plan.port);
      this.#openFlow();
    }
  }

  #facts(of: 'client' | 'gateway', engine = false): PathFacts {
    const ends = ENDS[this.#options.family ?? 4];
    const facts = { engine, tls: { cipherSuite: 'TLSv1.3-TLS_AES_256_GCM_SHA384' } };
    return of === 'client'
      ? { ...facts, local: ends.client, remote: ends.gateway }
      : { ...facts, local: ends.gateway, remote: ends.client };
  }

  /** Plays the conversation, then gives the stream to the gateway's machine. */
  #openStream(): void {
    const conversation = new Conversation();
    const toClient = (bytes: Uint8Array) => this.clock.at(this.clock.now + STREAM_DELAY, () => this.client.receive(ours, bytes));
    const theirs = new TestPath('stream', this.gateway, (bytes) => {
      this.sent.gateway.stream++;
      toClient(bytes);
    });
    let hasTunnel = false;
    const ours: TestPath = new TestPath('stream', this.client, (bytes) => {
      this.sent.client.stream++;
      this.clock.at(this.clock.now + STREAM_DELAY, () => {
        if (hasTunnel) {
          this.gateway.receive(theirs, bytes);
          return;
        }
        if (this.gateway.closed !== undefined) return;
        const { answers, isDone } = conversation.answer(bytes);
        for (const answer of answers) toClient(answer);
        if (!isDone) return;
        hasTunnel = true;
        this.gateway.add(theirs);
        this.gateway.turn((machine, out) => machine.opened(theirs, this.#facts('gateway', this.#options.engine), this.clock.now, out));
      });
    });
    this.client.add(ours);
    this.client.turn((machine, out) => machine.opened(ours, this.#facts('client'), this.clock.now, out));
  }

  #openFlow(): void {
    const link = (side: 'client' | 'gateway', deliver: (bytes: Uint8Array) => void) => {
      const conditions = { ...PERFECT_LINK, delay: 5, ...this.#options.conditions };
      const faulty = new FaultyLink(this.clock, new LinkModel(this.#random.fork(this.#random.uint32()), conditions), deliver);
      return (bytes: Uint8Array) => {
        this.sent[side].datagram++;
        if (side === 'client') this.spis.add(new DataView(bytes.buffer, bytes.byteOffset).getUint32(0));
        if (this.isUdpOpen) faulty.send(bytes);
      };
    };
    let theirs: TestPath | undefined;
    const toClient = link('gateway', (bytes) => this.client.receive(ours, bytes));
    const toGateway = link('client', (bytes) => {
      if (this.gateway.closed !== undefined) return;
      if (theirs?.isOpen !== true) {
        theirs = new TestPath('datagram', this.gateway, toClient);
        const path = theirs;
        this.gateway.add(path);
        this.gateway.turn((machine, out) => machine.opened(path, this.#facts('gateway', this.#options.engine), this.clock.now, out));
      }
      this.gateway.receive(theirs, bytes);
    });
    const ours: TestPath = new TestPath('datagram', this.client, toGateway);
    this.client.add(ours);
    this.client.turn((machine, out) => machine.opened(ours, this.#facts('client', this.#options.engine), this.clock.now, out));
  }
}

/** A gateway's words up to its success, for a client that brings a cookie. */
class Conversation {
  readonly #parser = new RequestParser();
  readonly #deframer = new IftDeframer();
  readonly #writer = new IftWriter();
  #hasLeftHttp = false;
  #answered = 0;

  answer(bytes: Uint8Array): { readonly answers: readonly Uint8Array[]; readonly isDone: boolean } {
    if (!this.#hasLeftHttp) {
      this.#parser.push(bytes);
      assert.ok(this.#parser.next());
      this.#hasLeftHttp = true;
      return { answers: [renderResponse(SWITCHING)], isDone: false };
    }
    this.#deframer.push(bytes);
    const answers: Uint8Array[] = [];
    while (this.#deframer.next()) answers.push(this.#next());
    return { answers, isDone: this.#answered === 5 };
  }

  #next(): Uint8Array {
    this.#answered++;
    switch (this.#answered) {
      case 1:
        return this.#writer.packet(IFT_KINDS.versionResponse, versionResponse(2));
      case 2:
        return this.#writer.packet(IFT_KINDS.authChallenge, encodeAuth());
      case 3:
        return this.#ask(2, []);
      case 4:
        return this.#ask(3, [textAvp(AVP_CODES.cookie, COOKIE)]);
      default:
        return this.#writer.packet(IFT_KINDS.authSuccess, encodeAuth({ code: EAP_CODES.success, id: 4, data: new Uint8Array(0) }));
    }
  }

  #ask(id: number, avps: readonly Avp[]): Uint8Array {
    const packet = { code: EAP_CODES.request, id, method: EAP_METHODS.conversation, data: encodeAvps(avps) };
    return this.#writer.packet(IFT_KINDS.authChallenge, encodeAuth(packet));
  }
}

/** A UDP packet; those with even numbers are of IPv4. */
export function numbered(number: number, from: 'client' | 'gateway'): Uint8Array {
  const bytes = new Uint8Array(100);
  const family = number % 2 === 0 ? 'ipv4' : 'ipv6';
  const [source, destination] = from === 'client' ? [OWN[family], FAR[family]] : [FAR[family], OWN[family]];
  if (family === 'ipv4') {
    bytes.set([0x45, 0, 0, bytes.length, 0, 0, 0, 0, 64, 17]);
    bytes.set(source.bytes, 12);
    bytes.set(destination.bytes, 16);
  } else {
    bytes.set([0x60, 0, 0, 0, 0, bytes.length - 40, 17, 64]);
    bytes.set(source.bytes, 8);
    bytes.set(destination.bytes, 24);
  }
  new DataView(bytes.buffer).setUint32(60, number);
  return bytes;
}

function numberIn(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(60);
}
