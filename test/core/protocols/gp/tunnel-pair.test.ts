/** GlobalProtect's tunnel against itself, by ESP and over TLS: both ends in memory. */
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { NetworkError } from '../../../../src/core/errors.ts';
import { EspReceiver } from '../../../../src/core/esp/packet.ts';
import { tunnelIdOf } from '../../../../src/core/esp/spi.ts';
import type { HttpResponse } from '../../../../src/core/http/message.ts';
import { silentLogger } from '../../../../src/core/log.ts';
import type { ExpectedFlow } from '../../../../src/core/protocols/gateway-protocol.ts';
import { GpClient } from '../../../../src/core/protocols/gp/client.ts';
import { GpClientTunnel } from '../../../../src/core/protocols/gp/client-tunnel.ts';
import { renderConfiguration } from '../../../../src/core/protocols/gp/configuration.ts';
import { writeKeepalive } from '../../../../src/core/protocols/gp/frame.ts';
import { GpEspTunnel } from '../../../../src/core/protocols/gp/gateway-esp-tunnel.ts';
import { GpGatewayTunnel } from '../../../../src/core/protocols/gp/gateway-tunnel.ts';
import { type EspOffer, newOffer } from '../../../../src/core/protocols/gp/ipsec.ts';
import { StreamLink } from '../../../../src/core/protocols/gp/stream-link.ts';
import { Secret } from '../../../../src/core/secret.ts';
import { type IpAddress, parseIp } from '../../../../src/core/wire/ip-address.ts';
import { CLIENT } from '../../../support/anyconnect-login.ts';
import { CollectingSink } from '../../../support/collecting-sink.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import type { LinkConditions } from '../../../support/link-model.ts';
import { PlayedIo, reply } from '../../../support/played-io.ts';
import { PAIR_TERMS, PppTunnelPair } from '../../../support/ppp-tunnel-pair.ts';
import { missing } from '../../../support/requirements.ts';
import { SeededCrypto } from '../../../support/scripted-crypto.ts';
import { SeededRandom } from '../../../support/seeded-random.ts';
import { sized } from '../../../support/size.ts';
import { type ThrowawayCertificate, throwawayCertificate } from '../../../support/throwaway-certificate.ts';
import { TestPath, TunnelEnd } from '../../../support/tunnel-end.ts';

const RUNS = sized(12, 400);
const ESP_RUNS = sized(12, 10_000);
const OFFER = newOffer(new SeededCrypto(4), 4501, { cipher: 'aes-256-cbc', mac: 'sha256' });
const COOKIE = 'authcookie=ab&portal=sallyport&user=alice&domain=%28empty_domain%29&computer=laptop';

function packet(number: number, length = 100): Uint8Array {
  const bytes = new Uint8Array(length);
  bytes.set([0x45, 0, length >>> 8, length & 0xff, 0, 0, 0, 0, 64, 17, 0, 0, 10, 77, 0, 50, 10, 77, 0, 1]);
  new DataView(bytes.buffer).setUint32(20, number);
  return bytes;
}

/** MD5 of the cookie without what changes (spec 12). */
const LABEL = '2be73ff532b6f62206bcff4e38862bff';
const PLAIN = 'client-type=1&protocol-version=p1&internal=no&app-version=6.3.3-619&ipv6-support=yes&clientos=Linux&os-version=linux-64';
const ALGORITHMS = 'hmac-algo=sha256%2Csha1&enc-algo=aes-256-cbc%2Caes-128-cbc';

function expectedFlow(offer: EspOffer, asked: IpAddress, seed: number): ExpectedFlow {
  const crypto = new SeededCrypto(seed + 1);
  return {
    ...{ datagramId: tunnelIdOf(offer.toGateway.spi), cookie: new Secret(COOKIE), wishes: WISHES },
    opens: (datagram) => new EspReceiver(crypto, offer.toGateway).open(new Uint8Array(datagram)),
    tunnel: (terms) => new GpEspTunnel({ crypto, log: silentLogger, terms, offer, asked, keysLife: 600_000 }),
  };
}

const WISHES = { wantsIpv4: true, wantsIpv6: true, isMobile: false, userAgent: '' };

describe("GlobalProtect's tunnel, against itself", { skip: missing('openssl') }, () => {
  let certificate: ThrowawayCertificate;
  before(() => {
    certificate = throwawayCertificate();
  });

  async function open({
    seed = 1,
    denial,
    version,
    esp,
    link,
    usesDatagrams = true,
    mtu = 1380,
    engine = false,
    reportInterval,
  }: {
    /** The gateway wants reports, and the user says how often. */
    readonly reportInterval?: number;
    readonly engine?: boolean;
    readonly seed?: number;
    /** The gateway offers ESP. */
    readonly esp?: EspOffer;
    readonly link?: Partial<LinkConditions>;
    readonly usesDatagrams?: boolean;
    readonly mtu?: number;
    readonly denial?: HttpResponse;
    readonly version?: string;
  } = {}) {
    const client = new GpClient({
      ...{
        crypto: new SeededCrypto(seed),
        log: silentLogger,
        client: { ...CLIENT, ...(version && { chosenVersion: version }) },
        usesXml: true,
        httpAuth: [],
        compression: 'none',
      },
      ...(reportInterval !== undefined && { hostReportInterval: reportInterval }),
      ...{ wantsIpv6: true, usesDatagrams, datagramCiphers: { allowsLegacy: false } },
    });
    const asked = PAIR_TERMS.gatewayIpv4 ?? assert.fail();
    const offer = { config: PAIR_TERMS.config, mtu, timeout: 600_000, user: 'alice', saysIpv6Routes: true, asked, ...(esp && { esp }) };
    const io = new PlayedIo([
      {
        sent: `POST /ssl-vpn/getconfig.esp ${PLAIN.replace('6.3.3-619', version ?? '6.3.3-619')}&${ALGORITHMS}&${COOKIE}`,
        answer: reply(200, renderConfiguration(offer, 0)),
      },
      {
        sent: `POST /ssl-vpn/hipreportcheck.esp client-role=global-protect-full&${COOKIE}&client-ip=10.77.0.50&client-ipv6=fd77%3A%3A2&md5=${LABEL}`,
        answer: reply(200, `<response><hip-report-needed>${reportInterval === undefined ? 'no' : 'yes'}</hip-report-needed></response>`),
      },
    ]);
    const credential = { gateway: { host: 'vpn.example', port: 443, path: '/' }, pin: '', cookie: new Secret(COOKIE) };
    return new PppTunnelPair(
      {
        client: await client.open(io, credential, undefined),
        serve: (request) => {
          assert.deepEqual([request.target, request.headers], ['/ssl-tunnel-connect.sslvpn?authcookie=ab&user=alice', []]);
          return new GpGatewayTunnel(silentLogger, PAIR_TERMS);
        },
        ...(esp && { expected: expectedFlow(esp, asked, seed) }),
      },
      { seed, certificate, engine, ...(link && { link }), ...(denial !== undefined && { denial }) },
    );
  }

  it('is up by the stream, with what the gateway said, and carries packets both ways', async () => {
    const pair = await open();
    assert.equal(pair.start(5000), 'stream');
    const config = pair.client.events.find((event) => event.type === 'config')?.config;
    assert.deepEqual([config?.mtu, config?.ipv4?.prefix], [1380, 32]);
    pair.client.send(packet(1));
    pair.gateway?.send(packet(2));
    pair.clock.advance(100);
    assert.deepEqual([pair.gateway?.delivered, pair.client.delivered], [[packet(1)], [packet(2)]]);
  });

  it('is up by ESP where the gateway offers it and answers, with the gateway’s MTU, and never opens a stream', async () => {
    const pair = await open({ esp: OFFER });
    assert.equal(pair.start(5000), 'datagram');
    assert.deepEqual([pair.plans, pair.client.mtu, pair.gateway?.mtu], [['udp'], 1380, 1380]);
    pair.client.send(packet(1));
    pair.gateway?.send(packet(2));
    pair.clock.advance(100);
    assert.deepEqual([pair.gateway?.delivered, pair.client.delivered], [[packet(1)], [packet(2)]]);
    const status = pair.client.machine.status(pair.clock.now);
    assert.deepEqual([status.datagram.state, status.datagram.cipherSuite], ['established', 'ESP-AES-256-CBC-SHA256']);
  });

  it('reckons with what the way holds where the gateway leaves that to it', async () => {
    const pair = await open({ esp: OFFER, mtu: 0 });
    pair.start(5000);
    assert.equal(pair.client.mtu, 1326, 'of a link of 1406 bytes, which is reckoned with where nobody knows better');
  });

  it('goes by TLS where the user wants no UDP, and five seconds later where nobody answers it', async () => {
    const without = await open({ esp: OFFER, usesDatagrams: false });
    assert.equal(without.start(5000), 'stream');
    assert.deepEqual(without.plans, ['gateway']);
    const pair = await open({ esp: OFFER });
    pair.isUdpOpen = false;
    assert.equal(pair.start(10_000), 'stream');
    assert.ok(pair.clock.now > 5000 && pair.clock.now < 5200, `${pair.clock.now}`);
    pair.isUdpOpen = true;
    pair.clock.advance(120_000);
    assert.deepEqual(pair.plans, ['udp', 'gateway'], 'the gateway has forgotten the keys: UDP is not tried again');
  });

  for (const engine of [false, true]) {
    const who = engine ? 'with an engine it' : 'without one it';

    it(`${who} is alive by ESP while nothing is sent, and follows a client whose port changes`, async () => {
      const pair = await open({ esp: OFFER, engine });
      pair.start(5000);
      pair.clock.advance(100_000);
      assert.equal(pair.gateway?.paths.length, 1);
      pair.rebind();
      pair.client.send(packet(1));
      pair.clock.advance(100);
      pair.gateway?.send(packet(2));
      pair.clock.advance(100);
      assert.deepEqual([pair.gateway?.delivered, pair.client.delivered], [[packet(1)], [packet(2)]]);
      assert.deepEqual([pair.gateway?.paths.length, pair.plans], [1, ['udp']]);
    });

    it(`${who} tries another flow under the same keys when the gateway is silent, then TLS, and asks for no configuration`, async () => {
      const pair = await open({ esp: OFFER, engine });
      pair.start(5000);
      const { gateway } = pair;
      pair.isUdpOpen = false;
      pair.clock.runUntil(() => pair.plans.length > 1, 30_000);
      pair.isUdpOpen = true;
      pair.clock.advance(1000);
      pair.client.send(packet(1));
      pair.clock.advance(100);
      assert.deepEqual([pair.plans, pair.gateway === gateway, gateway?.delivered], [['udp', 'udp'], true, [packet(1)]]);
      pair.isUdpOpen = false;
      pair.clock.runUntil(() => pair.client.up?.kind === 'stream', 60_000);
      assert.deepEqual([pair.plans, gateway?.closed?.kind], [['udp', 'udp', 'udp', 'gateway'], 'replaced']);
      pair.client.send(packet(2));
      pair.clock.advance(100);
      assert.deepEqual(pair.gateway?.delivered, [packet(2)]);
    });

    it(`${who} is not left without a way when the client’s flow is gone`, async () => {
      const pair = await open({ esp: OFFER, engine });
      pair.start(5000);
      pair.isUdpOpen = false;
      const { client, clock } = pair;
      const [path = assert.fail()] = client.paths;
      client.remove(path);
      client.turn((machine, sink) => machine.lost(path, new NetworkError('The socket is gone.'), clock.now, sink));
      clock.runUntil(() => client.closed !== undefined || client.up?.kind === 'stream', 10_000);
      // With the engine's numbers the keys are gone: others come with a configuration.
      assert.deepEqual([client.closed?.kind, client.up?.kind], engine ? ['renew', 'datagram'] : [undefined, 'stream']);
    });

    it(`${who} lets nothing through by ESP that is not the client’s own, and nothing that is not under its keys`, async () => {
      const pair = await open({ esp: OFFER, engine });
      pair.start(5000);
      const spoofed = packet(3);
      spoofed[15] = 51;
      pair.client.send(spoofed);
      pair.client.send(packet(4));
      pair.clock.advance(100);
      assert.deepEqual(pair.gateway?.delivered, [packet(4)]);
      const stranger = await open({ esp: { ...OFFER, toGateway: { ...OFFER.toGateway, macKey: new Uint8Array(32) } }, engine });
      assert.equal(stranger.start(10_000), 'datagram', 'both have these keys');
      const expected = expectedFlow(OFFER, PAIR_TERMS.gatewayIpv4 ?? assert.fail(), 1);
      assert.equal(expected.opens(new Uint8Array(100).fill(7)), false);
    });
  }

  it('is opened anew for a report where the gateway wants such, as often as the user says, and not in circles', async () => {
    for (const [reportInterval, closedAt] of [
      [20_000, 20_000],
      [1, 10_000],
      [3_540_000, 540_000],
    ] as const) {
      const pair = await open({ esp: OFFER, reportInterval });
      pair.start(5000);
      pair.clock.runUntil(() => pair.client.closed !== undefined, 600_000);
      assert.deepEqual([pair.clock.now, pair.client.closed?.kind], [closedAt, 'renew']);
    }
  });

  it('is opened anew a minute before its keys are over, and is forgotten by a gateway whose client is gone', async () => {
    const renewed = await open({ esp: OFFER });
    renewed.start(5000);
    const closedAt = (end: TunnelEnd | undefined, limit: number) => {
      renewed.clock.runUntil(() => end?.closed !== undefined, limit);
      return [renewed.clock.now, end?.closed?.kind, end?.closed?.error?.code];
    };
    assert.deepEqual(closedAt(renewed.client, 600_000), [540_000, 'renew', undefined]);
    const { gateway, clock } = renewed;
    const heardAt = clock.now;
    const [goneAt, ...why] = closedAt(gateway, 70_000);
    assert.deepEqual([Number(goneAt) - heardAt <= 60_000, ...why], [true, 'path-lost', 'ERR_PEER_DEAD']);
  });

  it(`comes up by one or the other, and delivers by both, whatever UDP does to it, ${ESP_RUNS} times`, async () => {
    for (let seed = 1; seed <= ESP_RUNS; seed++) {
      const random = new SeededRandom(seed);
      const link = { loss: random.fraction() * 0.4, duplication: random.fraction() * 0.2, jitter: 30 };
      const pair = await open({ seed, esp: OFFER, link, engine: seed % 2 === 0 });
      pair.start(30_000);
      const sent = Array.from({ length: 10 }, (_, number) => packet(number));
      const came = pair.carry(sent, 5);
      assert.ok(came.length >= 5, `seed ${seed}: ${came.length}`);
      const known = new Set(sent.map(String));
      assert.ok(
        came.every((bytes) => known.has(String(bytes))),
        `seed ${seed}`,
      );
    }
  });

  it('has the version that somebody chose', async () => {
    const pair = await open({ version: '6.1.4' });
    assert.equal(pair.start(5000), 'stream');
  });

  it('stays up while nothing is sent, and is opened anew a minute before its time', async () => {
    const pair = await open();
    pair.start(5000);
    pair.clock.advance(500_000);
    assert.deepEqual([pair.client.closed, pair.gateway?.closed], [undefined, undefined]);
    pair.clock.advance(60_000);
    assert.equal(pair.client.closed?.kind, 'renew');
  });

  it('is refused with what the gateway says by HTTP', async () => {
    for (const [status, kind] of [
      [502, 'refused'],
      [403, 'refused'],
      [500, 'unusable'],
    ] as const) {
      const pair = await open({ denial: { ...reply(status), headers: [['Content-Length', '0']] } });
      pair.clock.runUntil(() => pair.client.closed !== undefined, 5000);
      assert.equal(pair.client.closed?.kind, kind);
    }
  });

  it('is refused, however the answer is cut, and whatever stands in it', () => {
    const clock = new FakeClock();
    const request = new Uint8Array(1);
    const config = PAIR_TERMS.config;
    const tunnel = new GpClientTunnel({ crypto: new SeededCrypto(1), log: silentLogger, request, config, mtuOf: () => 1380, dpd: 10_000 });
    const client = new TunnelEnd(tunnel, clock, () => undefined);
    const path = new TestPath('stream', client, () => undefined);
    clock.advance(1);
    client.add(path);
    const end = { address: parseIp('192.0.2.7') ?? assert.fail(), port: 443 };
    client.turn((machine, sink) => machine.opened(path, { local: end, remote: end, engine: false }, clock.now, sink));
    for (const piece of ['HTTP/1.1 502 No\r\nContent-Length: 12\r\n\r\n', 'START_TUNNEL']) client.receive(path, Buffer.from(piece));
    assert.equal(client.up, undefined);
    assert.equal(client.closed?.kind, 'refused');
  });

  it('answers so many keepalives, and no more', () => {
    const link = new StreamLink({ dpd: 10_000 }, 0);
    const sink = new CollectingSink();
    const asked = new CollectingSink();
    writeKeepalive(asked);
    for (let i = 0; i < 1000; i++) for (const bytes of asked.records) link.receive(bytes, 500, sink);
    assert.equal(sink.records.length, 10);
  });

  it('is lost with its connection, at both ends', async () => {
    const pair = await open();
    pair.start(5000);
    pair.breakStream();
    assert.deepEqual([pair.client.closed?.kind, pair.gateway?.closed?.kind], ['path-lost', 'path-lost']);
  });

  it('lets no packet through that is not the client’s own', async () => {
    const pair = await open();
    pair.start(5000);
    const spoofed = packet(3);
    spoofed[15] = 51;
    pair.client.send(spoofed);
    pair.client.send(packet(4));
    pair.clock.advance(100);
    assert.deepEqual(pair.gateway?.delivered, [packet(4)]);
  });

  it(`delivers everything in order, however the stream is cut, ${RUNS} times`, async () => {
    for (let seed = 1; seed <= RUNS; seed++) {
      const pair = await open({ seed });
      pair.start(5000);
      const sent = Array.from({ length: 40 }, (_, number) => packet(number, 60 + ((number * 37) % 1300)));
      for (const bytes of sent) {
        pair.client.send(bytes);
        pair.gateway?.send(bytes);
        pair.clock.advance(3);
      }
      pair.clock.advance(1000);
      assert.deepEqual([pair.gateway?.delivered, pair.client.delivered], [sent, sent], `seed ${seed}`);
    }
  });
});
