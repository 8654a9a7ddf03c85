/** Array's tunnel by UDP, against itself: beside a stream, over a link that loses, repeats and mixes up. */
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import type { Credential } from '../../../../src/core/auth/login-io.ts';
import { NetworkError } from '../../../../src/core/errors.ts';
import { silentLogger } from '../../../../src/core/log.ts';
import { ArrayClient } from '../../../../src/core/protocols/array/client.ts';
import { arrayGateway } from '../../../../src/core/protocols/array/gateway.ts';
import { ArrayGatewayTunnel } from '../../../../src/core/protocols/array/gateway-tunnel.ts';
import type { ProtocolSettings } from '../../../../src/core/protocols/client-protocol.ts';
import { Secret } from '../../../../src/core/secret.ts';
import type { SessionTerms } from '../../../../src/core/tunnel/session-terms.ts';
import { CLIENT } from '../../../support/anyconnect-login.ts';
import { FACTS } from '../../../support/gateway-door.ts';
import { PlayedIo } from '../../../support/played-io.ts';
import { PAIR_TERMS, type PairOptions, PppTunnelPair } from '../../../support/ppp-tunnel-pair.ts';
import { SeededCrypto } from '../../../support/scripted-crypto.ts';
import { sized } from '../../../support/size.ts';
import { type ThrowawayCertificate, throwawayCertificate } from '../../../support/throwaway-certificate.ts';
import { TestPath } from '../../../support/tunnel-end.ts';
import { packetDown as down, numberedPacket as packet } from './numbered-packets.ts';

const RUNS = sized(20, 10_000);
/** With an engine in TypeScript, which takes its time. */
const CARRIED_RUNS = sized(10, 2_000);
const CREDENTIAL: Credential = { gateway: { host: 'vpn.example', port: 443, path: '/' }, pin: '', cookie: new Secret('ANsession1=abc') };
const KEEPALIVE = 10_000;

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

  for (const engine of [false, true]) {
    it(`is over when nothing comes from its client, however much goes to it${engine ? ', by an engine' : ''}`, async () => {
      const pair = await open({ engine });
      pair.start(5000);
      until(pair, 'datagram', 1000);
      pair.isUdpOpen = false;
      pair.client.turn((machine, sink) => machine.close({ kind: 'log-off', message: '' }, pair.clock.now, sink));
      for (let second = 0; second < 31 && pair.gateway?.closed === undefined; second++) {
        pair.gateway?.send(down(second));
        pair.clock.advance(1000);
      }
      assert.equal(pair.gateway?.closed?.kind, 'path-lost');
    });
  }

  for (const engine of [false, true]) {
    it(`follows its client whose port has changed, and nobody else${engine ? ', by an engine' : ''}`, async () => {
      const pair = await open({ engine });
      pair.start(5000);
      until(pair, 'datagram', 1000);
      const gateway = pair.gateway ?? assert.fail();
      const sent: Uint8Array[] = [];
      const stranger = new TestPath('datagram', gateway, (bytes) => sent.push(bytes));
      gateway.add(stranger);
      const facts = { local: FACTS.local, remote: FACTS.remote, engine };
      gateway.turn((machine, sink) => machine.opened(stranger, facts, pair.clock.now, sink));
      gateway.receive(stranger, Uint8Array.of(23, 0xfe, 0xff, 0, 1, 0, 0, 0, 0, 0, 9, 0, 32, ...new Uint8Array(32)));
      pair.clock.advance(100);
      assert.deepEqual([stranger.isOpen, sent, gateway.paths.length], [false, [], 2]);
      for (const round of [1, 2]) {
        pair.rebind();
        pair.client.send(packet(round));
        pair.clock.advance(100);
        gateway.send(down(round));
        pair.clock.advance(100);
        assert.deepEqual([gateway.delivered.at(-1), pair.client.delivered.at(-1)], [packet(round), down(round)]);
        assert.deepEqual([gateway.up?.kind, gateway.paths.length], ['datagram', 2]);
      }
      assert.deepEqual(pair.client.ups, ['stream', 'datagram'], 'of which the client knows nothing');
    });
  }

  it('follows again when the flow was lost that it was just leaving', async () => {
    const pair = await open({ engine: true });
    pair.start(5000);
    until(pair, 'datagram', 1000);
    const gateway = pair.gateway ?? assert.fail();
    const [before] = gateway.paths.filter(({ kind }) => kind === 'datagram');
    assert.ok(before !== undefined);
    pair.rebind();
    pair.client.send(packet(1));
    pair.clock.runUntil(() => gateway.events.some(({ type }) => type === 'move'), 1000);
    gateway.remove(before);
    gateway.turn((machine, sink) => machine.lost(before, new NetworkError('refused'), pair.clock.now, sink));
    pair.clock.advance(100);
    assert.deepEqual(
      gateway.paths.map(({ kind }) => kind),
      ['stream'],
    );
    until(pair, 'datagram', 75_000);
    pair.rebind();
    pair.client.send(packet(2));
    pair.clock.advance(100);
    assert.deepEqual([gateway.delivered.at(-1), gateway.up?.kind, gateway.paths.length], [packet(2), 'datagram', 2]);
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
        if (seed % 3 === 0) pair.rebind();
        exchange(10);
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
