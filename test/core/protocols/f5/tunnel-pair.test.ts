/** F5's tunnel against itself: both ends in memory, over links that are as bad as links are. */
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import type { Credential } from '../../../../src/core/auth/login-io.ts';
import { silentLogger } from '../../../../src/core/log.ts';
import { F5Client } from '../../../../src/core/protocols/f5/client.ts';
import { datagramFront, streamTunnel } from '../../../../src/core/protocols/f5/gateway-tunnel.ts';
import { renderOptions } from '../../../../src/core/protocols/f5/options-document.ts';
import { renderResources } from '../../../../src/core/protocols/f5/resource-list.ts';
import { authorised, zOf } from '../../../../src/core/protocols/f5/tunnel-claim.ts';
import { cookieOnWire } from '../../../../src/core/protocols/hex-cookie.ts';
import { Secret } from '../../../../src/core/secret.ts';
import { formatCidr, formatIp } from '../../../../src/core/wire/ip-address.ts';
import { toBase64 } from '../../../../src/core/wire/text.ts';
import { CLIENT } from '../../../support/anyconnect-login.ts';
import { PlayedIo, reply } from '../../../support/played-io.ts';
import { PAIR_TERMS, type PairOptions, PppTunnelPair } from '../../../support/ppp-tunnel-pair.ts';
import { missing } from '../../../support/requirements.ts';
import { SeededCrypto } from '../../../support/scripted-crypto.ts';
import { sized } from '../../../support/size.ts';
import { type ThrowawayCertificate, throwawayCertificate } from '../../../support/throwaway-certificate.ts';

const RUNS = sized(12, 400);
const COOKIE = new Secret(toBase64(new Uint8Array(32).fill(0x17)));

interface F5PairOptions extends Omit<PairOptions, 'certificate'> {
  /** The gateway's options. Default: UDP, and no HDLC. */
  readonly hasDatagrams?: boolean;
  readonly usesHdlc?: boolean;
  readonly fault?: string;
}

/** An IPv4 packet from the client with a number in it. */
function packet(number: number, length = 100): Uint8Array {
  const bytes = new Uint8Array(length);
  bytes.set([0x45, 0, length >>> 8, length & 0xff, 0, 0, 0, 0, 64, 17, 0, 0, 10, 77, 0, 50, 10, 77, 0, 1]);
  new DataView(bytes.buffer).setUint32(20, number);
  return bytes;
}

describe("F5's tunnel, against itself", { skip: missing('openssl') }, () => {
  let certificate: ThrowawayCertificate;
  before(() => {
    certificate = throwawayCertificate();
  });

  async function open({ seed = 1, hasDatagrams = true, usesHdlc = false, fault, ...options }: F5PairOptions = {}): Promise<PppTunnelPair> {
    const crypto = new SeededCrypto(3);
    const client = new F5Client({
      ...{ crypto: new SeededCrypto(seed), log: silentLogger, client: CLIENT, usesXml: true, httpAuth: [], compression: 'none' },
      ...{ wantsIpv6: true, usesDatagrams: true, datagramCiphers: { allowsLegacy: false } },
      datagramCertificateFault: () => fault,
    });
    const offer = {
      ...{ z: zOf(crypto, COOKIE), sessionId: cookieOnWire(COOKIE), resource: '/Common/x', host: 'vpn.example', port: 443 },
      ...{ config: PAIR_TERMS.config, ...(hasDatagrams && { datagramPort: 4433 }) },
    };
    const document = renderOptions(offer).replace('<hdlc_framing>no<', `<hdlc_framing>${usesHdlc ? 'yes' : 'no'}<`);
    const io = new PlayedIo([
      {
        sent: 'GET /vdesk/vpn/index.php3?outform=xml&client_version=2.0',
        answer: reply(200, renderResources([{ name: '/Common/x', params: 'resourcename=/Common/x' }])),
      },
      { sent: 'GET /vdesk/vpn/connect.php3?resourcename=/Common/x&outform=xml&client_version=2.0', answer: reply(200, document) },
    ]);
    const gateway = { host: 'vpn.example', port: 443, path: '/' };
    const credential: Credential = {
      gateway,
      pin: '',
      cookie: new Secret(`MRHSession=${cookieOnWire(COOKIE)}; F5_ST=1z1z1z1799999000z7200`),
    };
    const vendor = {
      client: await client.open(io, credential, undefined),
      serve: (request: Parameters<typeof authorised>[0]) => {
        const { wish } = authorised(request, crypto) ?? assert.fail(`not authorised: ${request.target}`);
        assert.equal(wish.usesHdlc, usesHdlc);
        assert.ok(!request.headers.some(([name]) => name === 'Cookie'), 'a cookie in the request for a tunnel');
        return streamTunnel({ crypto: new SeededCrypto(7), log: silentLogger, terms: PAIR_TERMS, wish });
      },
      front: datagramFront,
    };
    io.assertFinished();
    return new PppTunnelPair(vendor, { ...options, seed, certificate });
  }

  it('is up by UDP, without a stream, where UDP is offered, with the addresses of the answer', async () => {
    const pair = await open();
    assert.equal(pair.start(5000), 'datagram');
    assert.deepEqual(pair.plans, ['udp']);
    const config = pair.client.events.find((event) => event.type === 'config')?.config ?? assert.fail();
    assert.equal(formatIp(config.ipv4?.address ?? assert.fail()), '10.77.0.50');
    assert.equal(formatIp(config.ipv6?.address ?? assert.fail()), 'fd77::2');
    assert.deepEqual(config.include.map(formatCidr), ['0.0.0.0/1', '128.0.0.0/1', '::/1', '8000::/1']);
    assert.equal(config.expiresAt, 1_799_999_000_000 + 7_200_000 - 1_800_000_000_000);
    pair.client.send(packet(1));
    pair.clock.advance(100);
    assert.deepEqual(pair.gateway?.delivered, [packet(1)]);
  });

  for (const usesHdlc of [false, true]) {
    it(`is up by the stream where it is not, ${usesHdlc ? 'in HDLC-like frames' : 'with lengths in front'}`, async () => {
      const pair = await open({ hasDatagrams: usesHdlc, usesHdlc });
      assert.equal(pair.start(5000), 'stream', 'with HDLC there is no DTLS');
      assert.deepEqual(pair.plans, ['gateway']);
      for (const number of [1, 2]) pair.client.send(packet(number, 1300));
      pair.clock.advance(100);
      assert.deepEqual(pair.gateway?.delivered, [packet(1, 1300), packet(2, 1300)]);
    });
  }

  it('goes by the stream where UDP does not pass or shows another key', async () => {
    const silent = await open();
    silent.isUdpOpen = false;
    assert.equal(silent.start(6000), 'stream');
    const other = await open({ fault: 'its key is not the one of the log-in' });
    assert.equal(other.start(6000), 'stream');
  });

  it('is refused by 504, after which there is nothing but another log-in', async () => {
    const headers = [['Content-Length', '0']] as const;
    const pair = await open({
      hasDatagrams: false,
      denial: { version: '1.1', status: 504, reason: 'No', headers, body: new Uint8Array(0) },
    });
    pair.clock.runUntil(() => pair.client.closed !== undefined, 5000);
    assert.equal(pair.client.closed?.kind, 'refused');
  });

  it('ends for the client with what the gateway says', async () => {
    for (const hasDatagrams of [true, false]) {
      const pair = await open({ hasDatagrams });
      pair.start(5000);
      pair.gateway?.turn((machine, sink) => machine.close({ kind: 'expired', message: 'Session-Timeout' }, pair.clock.now, sink));
      pair.clock.runUntil(() => pair.client.closed !== undefined && pair.gateway?.closed !== undefined, 10_000);
      assert.equal(pair.client.closed?.kind, 'ended-by-peer');
      assert.match(pair.client.closed.message, /Session-Timeout/);
    }
  });

  it(`comes up over links that lose, repeat and mix up, ${RUNS} times, and delivers nothing altered`, async () => {
    let givenUp = 0;
    for (let seed = 1; seed <= RUNS; seed++) {
      const pair = await open({ seed, link: { loss: 0.2, duplication: 0.1, jitter: 30, delay: 20 } });
      const sent = Array.from({ length: 40 }, (_, number) => packet(number, 60 + ((number * 37) % 1300)));
      const delivered = pair.carry(sent, 15);
      const known = new Set(sent.map((bytes) => Buffer.from(bytes).toString('base64')));
      for (const bytes of delivered) assert.ok(known.has(Buffer.from(bytes).toString('base64')), `seed ${seed}: an altered packet`);
      if (pair.client.closed === undefined) assert.ok(delivered.length >= 15, `seed ${seed}: ${delivered.length} of 40`);
      else {
        assert.equal(pair.client.closed.kind, 'path-lost', `seed ${seed}: ${pair.client.closed.message}`);
        givenUp++;
      }
    }
    // A session would come back by another path.
    assert.ok(givenUp <= RUNS / 50, `${givenUp} of ${RUNS} gave up`);
  });
});
