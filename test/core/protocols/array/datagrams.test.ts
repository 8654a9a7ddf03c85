/** Array's tunnel by UDP, against itself: beside a stream, over a link that loses, repeats and mixes up. */
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import type { Credential } from '../../../../src/core/auth/login-io.ts';
import { NetworkError } from '../../../../src/core/errors.ts';
import { silentLogger } from '../../../../src/core/log.ts';
import { ArrayClient } from '../../../../src/core/protocols/array/client.ts';
import { DatagramChannel } from '../../../../src/core/protocols/array/datagram-channel.ts';
import { arrayGateway } from '../../../../src/core/protocols/array/gateway.ts';
import { ArrayGatewayTunnel } from '../../../../src/core/protocols/array/gateway-tunnel.ts';
import { parseAnswer, parseHello, renderAnswer, renderHello, renderRequest } from '../../../../src/core/protocols/array/speed-tunnel.ts';
import type { ProtocolSettings } from '../../../../src/core/protocols/client-protocol.ts';
import { Secret } from '../../../../src/core/secret.ts';
import { packetOf } from '../../../../src/core/tunnel/packet.ts';
import type { SessionTerms } from '../../../../src/core/tunnel/session-terms.ts';
import { parseIp } from '../../../../src/core/wire/ip-address.ts';
import { fromHex, toHex, utf8 } from '../../../../src/core/wire/text.ts';
import { CLIENT } from '../../../support/anyconnect-login.ts';
import { PlayedIo } from '../../../support/played-io.ts';
import { PAIR_TERMS, type PairOptions, PppTunnelPair } from '../../../support/ppp-tunnel-pair.ts';
import { SeededCrypto } from '../../../support/scripted-crypto.ts';
import { sized } from '../../../support/size.ts';
import { type ThrowawayCertificate, throwawayCertificate } from '../../../support/throwaway-certificate.ts';
import { kindNamed, pairUp } from '../../dtls/associations.ts';

const RUNS = sized(20, 10_000);
/** With an engine in TypeScript, which takes its time. */
const CARRIED_RUNS = sized(10, 2_000);
const ID = '37CF8025-705B-8086-1254-3BEC83E94038';
const CREDENTIAL: Credential = { gateway: { host: 'vpn.example', port: 443, path: '/' }, pin: '', cookie: new Secret('ANsession1=abc') };
const KEEPALIVE = 10_000;

/** An IPv4 packet from the client, or for it, with a number in it. */
function packet(number: number, { length = 100, isDown = false } = {}): Uint8Array {
  const bytes = new Uint8Array(length);
  const [own, peer] = [
    [10, 77, 0, 50],
    [10, 77, 0, 1],
  ];
  bytes.set([0x45, 0, length >>> 8, length & 0xff, 0, 0, 0, 0, 64, 17, 0, 0, ...(isDown ? [...peer, ...own] : [...own, ...peer])]);
  new DataView(bytes.buffer).setUint32(20, number);
  return bytes;
}

const down = (number: number) => packet(number, { isDown: true });

describe("Array's words about UDP", () => {
  it('are those of the specification', () => {
    assert.equal(
      toHex(renderRequest(ID)),
      '450000340000000000ff00000004000033374346383032352d373035422d383038362d313235342d334245433833453934303338',
    );
    const answer = '450000250000000000ff0000000400000000530044544c532053504545442054554e4e454c';
    assert.equal(toHex(renderAnswer(21_248)), answer);
    assert.equal(parseAnswer(fromHex(answer)), 21_248);
    assert.equal(toHex(renderHello(ID)), '33374346383032352d373035422d383038362d313235342d3342454338334539343033383133');
    assert.equal(parseHello(renderHello(ID)), ID);
  });

  it('are no for whatever is not DTLS, whole and with a port', () => {
    const answer = renderAnswer(21_248);
    const altered = (at: number, byte: number) => answer.map((own, i) => (i === at ? byte : own));
    const noPort = altered(18, 0).map((byte, i) => (i === 19 ? 0 : byte));
    for (const other of [answer.subarray(0, 36), Uint8Array.of(...answer, 0), altered(20, 0x64), noPort]) {
      assert.equal(parseAnswer(other), undefined);
    }
    for (const text of [`${ID}`, `${ID}14`, `${ID}13 `, `${ID.replace('-', 'x')}13`, '']) assert.equal(parseHello(utf8(text)), undefined);
  });
});

describe("a channel of Array's", () => {
  function channels() {
    const dtls = pairUp(kindNamed('PSK, DTLS 1.0'));
    const remote = { address: parseIp('192.0.2.1') ?? assert.fail(), port: 443 };
    const options = { facts: { remote }, dpd: KEEPALIVE };
    const client = new DatagramChannel({ ...options, dtls: dtls.left, hello: renderHello(ID) });
    const gateway = new DatagramChannel({ ...options, dtls: dtls.right, dpd: 0 });
    const { left, right } = dtls.sinks;
    /** What either says goes to the other, until nothing is said. */
    const pass = (now: number) => {
      while (left.records.length + right.records.length > 0) {
        for (const bytes of left.take()) gateway.receive(bytes, now, right);
        for (const bytes of right.take()) client.receive(bytes, now, left);
      }
    };
    // DTLS is up at both ends: the client finds so with the next thing that comes.
    gateway.accept(0, right);
    return { client, gateway, sinks: dtls.sinks, pass };
  }

  it('says its id each second until the gateway is heard, and is up by an echo as well, if that is all that comes', () => {
    const { client, sinks, pass } = channels();
    pass(0);
    assert.equal(client.phase, 'up', 'the first thing was the answer');
    const late = channels();
    late.sinks.right.take(); // lost
    late.gateway.send(packetOf(down(1)), 0, late.sinks.right);
    late.pass(0);
    assert.equal(late.client.phase, 'up', 'a packet is an answer');
    assert.deepEqual(late.sinks.left.packets, [down(1)]);
    assert.equal(sinks.left.packets.length, 0);
  });

  it('is answered once more, and its question comes back as it was; the gateway’s is not answered', () => {
    const { client, gateway, sinks, pass } = channels();
    pass(0);
    client.handleTimeout(KEEPALIVE, sinks.left);
    assert.equal(sinks.left.records.length, 1);
    pass(KEEPALIVE);
    assert.equal(client.nextTimeout(), 2 * KEEPALIVE, 'it was answered');
    assert.deepEqual([sinks.left.records.length, sinks.right.packets], [0, []]);
    assert.equal(gateway.nextTimeout(), undefined);
  });

  it('drops what would pass for a control packet, both ways', () => {
    const { client, gateway, sinks, pass } = channels();
    pass(0);
    const reserved = packet(1);
    reserved[9] = 255;
    reserved[0] = 0x46;
    assert.equal(client.send(packetOf(reserved), 0, sinks.left), true);
    assert.deepEqual([sinks.left.records.length, client.dropped, gateway.dropped], [0, 1, 0]);
  });

  it('has no room for a packet whose record the path does not carry, once that is known', () => {
    const { client, sinks, pass } = channels();
    pass(0);
    assert.equal(client.send(packetOf(packet(1, { length: 1400 })), 0, sinks.left), true);
    client.notice({ type: 'too-big', length: 1400 });
    assert.equal(client.send(packetOf(packet(1, { length: 1400 })), 0, sinks.left), false);
    assert.equal(client.send(packetOf(packet(1, { length: 1300 })), 0, sinks.left), true);
    client.notice({ type: 'too-big', length: undefined });
    assert.equal(client.send(packetOf(packet(1, { length: 1300 })), 0, sinks.left), false);
  });
});

describe("Array's tunnel by UDP, against itself", () => {
  let certificate: ThrowawayCertificate;
  before(() => {
    certificate = throwawayCertificate();
  });

  interface Options extends PairOptions {
    readonly settings?: Partial<ProtocolSettings>;
    readonly terms?: Partial<SessionTerms>;
    /** Of the gateway. */
    readonly hasDatagrams?: boolean;
  }

  async function open({ settings, terms, hasDatagrams = true, ...options }: Options = {}) {
    const client = new ArrayClient({
      ...{ crypto: new SeededCrypto(options.seed ?? 1), log: silentLogger, client: CLIENT, usesXml: true, httpAuth: [] },
      ...{ compression: 'none', wantsIpv6: true, usesDatagrams: true, datagramCiphers: { allowsLegacy: true } },
      datagramCertificateFault: () => undefined,
      ...settings,
    });
    const gateway = { log: silentLogger, terms: { ...PAIR_TERMS, ...terms }, ...(hasDatagrams && { datagramPort: 443 }) };
    const vendor = {
      client: await client.open(new PlayedIo([]), CREDENTIAL, undefined),
      serve: () => new ArrayGatewayTunnel(gateway),
      front: arrayGateway.datagrams ?? assert.fail(),
    };
    return new PppTunnelPair(vendor, { ...options, certificate });
  }

  /** Until packets leave by UDP at both ends, or by the stream. */
  function until(pair: PppTunnelPair, kind: 'stream' | 'datagram', limit = 120_000): void {
    pair.clock.runUntil(() => pair.client.up?.kind === kind && pair.gateway?.up?.kind === kind, limit);
    assert.deepEqual([pair.client.up?.kind, pair.gateway?.up?.kind], [kind, kind]);
  }

  it('carries packets by the stream at once, and by UDP as soon as that is up', async () => {
    const pair = await open();
    assert.equal(pair.start(5000), 'stream');
    until(pair, 'datagram', 1000);
    pair.client.send(packet(1));
    pair.gateway?.send(down(2));
    pair.clock.advance(100);
    assert.deepEqual([pair.gateway?.delivered, pair.client.delivered], [[packet(1)], [down(2)]]);
    assert.match(pair.client.machine.status(0).datagram.cipherSuite ?? '', /^DTLSv1\.0-ECDHE_ECDSA_WITH_AES_256_CBC_SHA$/);
    assert.equal(pair.gateway?.machine.status(0).datagram.state, 'established');
  });

  it('stays, on both paths, for as long as anybody is there', async () => {
    const pair = await open();
    pair.start(5000);
    until(pair, 'datagram', 1000);
    pair.clock.advance(600_000);
    assert.deepEqual(
      [pair.client.ups, pair.gateway?.ups],
      [
        ['stream', 'datagram'],
        ['stream', 'datagram'],
      ],
    );
  });

  it('goes back to the stream when UDP is dead, at both ends, and to UDP when that is back', async () => {
    const pair = await open();
    pair.start(5000);
    until(pair, 'datagram', 1000);
    pair.isUdpOpen = false;
    until(pair, 'stream', 2 * KEEPALIVE + 2000);
    pair.client.send(packet(1));
    pair.gateway?.send(down(2));
    pair.clock.advance(100);
    assert.deepEqual([pair.gateway?.delivered, pair.client.delivered], [[packet(1)], [down(2)]]);
    pair.isUdpOpen = true;
    until(pair, 'datagram', 75_000);
    assert.equal(pair.gateway?.paths.length, 2, 'the stream and the newest flow');
  });

  it('is replaced at the gateway by a newer one, of which the client alone knows why', async () => {
    const pair = await open();
    pair.start(5000);
    until(pair, 'datagram', 1000);
    const [flow] = pair.client.paths.filter(({ kind }) => kind === 'datagram');
    assert.ok(flow !== undefined);
    pair.client.remove(flow);
    pair.client.turn((machine, sink) => machine.lost(flow, new NetworkError('gone'), pair.clock.now, sink));
    assert.equal(pair.client.up?.kind, 'stream');
    pair.clock.advance(20);
    assert.equal(pair.gateway?.up?.kind, 'stream', 'it was told');
    until(pair, 'datagram', 15_000);
    assert.equal(pair.gateway?.paths.length, 2);
  });

  it('is not asked for by who does not want it, may not, or cannot tell the gateway; nor where there is none', async () => {
    for (const options of [
      { settings: { usesDatagrams: false } },
      { settings: { datagramCiphers: { allowsLegacy: false } } },
      { hasDatagrams: false },
    ]) {
      const pair = await open(options);
      pair.start(5000);
      pair.clock.advance(70_000);
      assert.deepEqual([pair.plans, pair.client.up?.kind], [['gateway'], 'stream']);
      assert.equal(pair.client.machine.status(0).datagram.state, 'disabled');
    }
  });

  it('is tried once where another key is shown', async () => {
    const pair = await open({ settings: { datagramCertificateFault: () => 'another key' } });
    pair.start(5000);
    pair.clock.advance(200_000);
    assert.deepEqual([pair.plans, pair.client.up?.kind], [['gateway', 'udp'], 'stream']);
  });

  it('leaves packets to the stream that UDP has no room for', async () => {
    const pair = await open({ settings: { mtu: 1400, baseMtu: 1300 } });
    pair.start(5000);
    until(pair, 'datagram', 1000);
    pair.isUdpOpen = false;
    for (const length of [1390, 1000]) pair.client.send(packet(length, { length }));
    pair.clock.advance(100);
    assert.deepEqual(pair.gateway?.delivered, [packet(1390, { length: 1390 })], 'the other went by UDP, which is cut');
  });

  it('has the MTU that the user says, or what fits the link that the user says', async () => {
    for (const [settings, mtu] of [
      [{}, 1400],
      [{ baseMtu: 1300 }, 1200],
      [{ baseMtu: 9000 }, 1400],
      [{ mtu: 1280, baseMtu: 1500 }, 1280],
    ] as const) {
      const pair = await open({ settings });
      pair.start(5000);
      assert.equal(pair.client.mtu, mtu);
    }
  });

  it('leaves UDP to itself after a while of silence there, if the administrator wants it, until it is heard again', async () => {
    const pair = await open({ terms: { switchToStreamAfter: 4000 } });
    pair.start(5000);
    until(pair, 'datagram', 1000);
    pair.clock.advance(5000);
    assert.equal(pair.gateway?.up?.kind, 'stream');
    pair.client.send(packet(1));
    pair.clock.advance(100);
    assert.equal(pair.gateway?.up?.kind, 'datagram');
  });

  it('takes no packet from elsewhere', async () => {
    const pair = await open();
    pair.start(5000);
    until(pair, 'datagram', 1000);
    const spoofed = packet(3);
    spoofed[15] = 51;
    for (const bytes of [spoofed, packet(4)]) pair.client.send(bytes);
    pair.clock.advance(100);
    assert.deepEqual(pair.gateway?.delivered, [packet(4)]);
  });

  it('is over with the stream', async () => {
    const pair = await open();
    pair.start(5000);
    until(pair, 'datagram', 1000);
    pair.breakStream();
    assert.deepEqual([pair.client.closed?.kind, pair.gateway?.closed?.kind], ['path-lost', 'path-lost']);
  });

  it('is the engine’s at both ends where there is one, but for what is not of users, and sees who is alive by what that says', async () => {
    const pair = await open({ engine: true, terms: { switchToStreamAfter: 25_000 } });
    pair.start(5000);
    until(pair, 'datagram', 1000);
    assert.ok(pair.client.up?.engine !== undefined && pair.gateway?.up?.engine !== undefined);
    for (const end of [pair.client, pair.gateway]) {
      const [stream] = end?.events.filter(({ type }) => type === 'traffic') ?? [];
      assert.ok(stream?.type === 'traffic' && stream.path.kind === 'stream');
    }
    pair.client.send(packet(1));
    pair.gateway?.send(down(2));
    const spoofed = packet(3);
    spoofed[15] = 51;
    pair.client.send(spoofed);
    pair.clock.advance(100);
    assert.deepEqual([pair.gateway?.delivered, pair.client.delivered], [[packet(1)], [down(2)]]);
    pair.clock.advance(300_000);
    assert.deepEqual([pair.client.up?.kind, pair.gateway?.up?.kind], ['datagram', 'datagram']);
    pair.isUdpOpen = false;
    until(pair, 'stream', 2 * KEEPALIVE + 2000);
    pair.isUdpOpen = true;
    until(pair, 'datagram', 75_000);
  });

  for (const { engine, runs, how } of [
    { engine: false, runs: RUNS, how: '' },
    { engine: true, runs: CARRIED_RUNS, how: ', carried by an engine' },
  ]) {
    it(`delivers nothing altered or twice over links that lose, repeat and mix up, and loses none by TLS, ${runs} times${how}`, async () => {
      for (let seed = 1; seed <= runs; seed++) {
        const link = { loss: (seed % 5) / 10, duplication: 0.1, jitter: 20 };
        const pair = await open({ seed, link, engine });
        pair.start(10_000);
        pair.clock.advance(3000);
        const exchange = (from: number) => {
          for (let number = from; number < from + 6; number++) {
            pair.client.send(packet(number, { length: 60 + ((number * 137 + seed) % 1300) }));
            pair.gateway?.send(down(number));
            pair.clock.advance(5);
          }
          pair.clock.advance(1000);
        };
        exchange(0);
        pair.isUdpOpen = false;
        pair.clock.runUntil(() => pair.client.up?.kind === 'stream' && pair.gateway?.up?.kind === 'stream', 40_000);
        pair.clock.advance(1000);
        const seen = [pair.gateway?.delivered.length ?? 0, pair.client.delivered.length];
        exchange(100);
        assert.deepEqual(
          [pair.gateway?.delivered.length, pair.client.delivered.length].map((n, i) => (n ?? 0) - (seen[i] ?? 0)),
          [6, 6],
          `seed ${seed}`,
        );
        pair.isUdpOpen = true;
        pair.clock.advance(80_000);
        exchange(200);
        for (const [delivered, isDown] of [
          [pair.gateway?.delivered ?? [], false],
          [pair.client.delivered, true],
        ] as const) {
          const numbers = delivered.map((bytes) => new DataView(bytes.buffer).getUint32(20));
          assert.equal(new Set(numbers).size, numbers.length, `seed ${seed}: none twice`);
          for (const [i, bytes] of delivered.entries()) {
            assert.deepEqual(bytes, packet(numbers[i] ?? 0, { length: bytes.length, isDown }), `seed ${seed}`);
          }
        }
        assert.deepEqual([pair.client.closed, pair.gateway?.closed], [undefined, undefined], `seed ${seed}`);
      }
    });
  }
});
