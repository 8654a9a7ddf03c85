import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import type { HttpHeaders } from '../../../../src/core/http/message.ts';
import { gatewayTerms } from '../../../../src/core/protocols/anyconnect/session-offer.ts';
import { Strap } from '../../../../src/core/protocols/anyconnect/strap.ts';
import type { ClientFacts, TunnelPlan } from '../../../../src/core/protocols/gateway-protocol.ts';
import type { DatagramPolicy, SessionTerms } from '../../../../src/core/tunnel/session-terms.ts';
import { parseCidr, parseIp } from '../../../../src/core/wire/ip-address.ts';
import { fromBase64, fromUtf8, toHex, utf8 } from '../../../../src/core/wire/text.ts';
import { CollectingSink } from '../../../support/collecting-sink.ts';
import { connect, Door, FACTS } from '../../../support/gateway-door.ts';
import { PLAIN_TERMS, PlayedSession, PlayedVisitor, type VisitorOptions } from '../../../support/gateway-visitor.ts';
import { testCrypto } from '../../../support/test-crypto.ts';

const UA = ['User-Agent', 'Open AnyConnect VPN Agent v9.01'] as const;
const FINISHED = utf8('verify_data');
const ip = (text: string) => parseIp(text) ?? assert.fail(text);
const network = (text: string) => parseCidr(text) ?? assert.fail(text);

/** A visitor with one session, and its cookie. */
function withSession(options: VisitorOptions = {}, boundKey?: Uint8Array) {
  const visitor = new PlayedVisitor(options);
  const cookie = visitor.newId();
  const session = new PlayedSession(options, 'alice', 'staff', boundKey);
  visitor.sessions.set(cookie, session);
  return { visitor, cookie, session };
}

/** What a plan's machine answers on this connection. */
function answerOf(plan: TunnelPlan, facts: ClientFacts = FACTS): string[] {
  const sink = new CollectingSink();
  const { local, remote, cipherSuite } = facts;
  const exported = plan.exporter && new Uint8Array(plan.exporter.length).fill(1);
  const tls = { cipherSuite, ...(exported !== undefined && { exported }) };
  const out = { on: () => sink, event: () => undefined };
  plan.machine.opened({ kind: 'stream' }, { local, remote, engine: false, tls }, 0, out);
  assert.equal(sink.records.length, 1, 'the answer is one record');
  return fromUtf8(sink.records[0] ?? assert.fail()).split('\r\n');
}

const OFFER: HttpHeaders = [
  UA,
  ['X-CSTP-Version', '1'],
  ['X-CSTP-Hostname', 'laptop'],
  ['X-CSTP-Base-MTU', '1500'],
  ['X-CSTP-Address-Type', 'IPv6,IPv4'],
  ['X-CSTP-Full-IPv6-Capability', 'true'],
  ['X-DTLS-Master-Secret', '0123456789ABCDEF'.repeat(6)],
  ['X-DTLS-CipherSuite', 'PSK-NEGOTIATE:OC-DTLS1_2-AES256-GCM:AES128-SHA'],
  ['X-CSTP-Accept-Encoding', 'oc-lz4,lzs,deflate'],
  ['X-DTLS-Accept-Encoding', 'oc-lz4,lzs'],
];

const DATAGRAM = { port: 443, allowsPsk: true, allowsLegacy: false, matchesTlsCipher: false };

/** The settings that the captured answer was given with. */
const TERMS: SessionTerms = {
  config: {
    ipv4: { address: ip('10.77.0.50'), prefix: 24 },
    ipv6: { address: ip('fd77::9a7c:c09f:b76e:58ef'), prefix: 128 },
    dns: [ip('10.77.0.1'), ip('fd77::1')],
    nbns: [ip('10.77.0.2')],
    searchDomains: ['a.test', 'b.test'],
    splitDns: ['a.test', 'b.test'],
    include: ['10.0.0.0/8', '192.168.5.0/24', '2001:db8:9::/48'].map(network),
    exclude: ['10.9.0.0/16', '2001:db8:9:9::/64'].map(network),
    banner: 'hello 100% ü',
    proxyPac: 'http://p/alice.pac',
    idleTimeout: 1_200_000,
    expiresAt: 86_400_000,
    vendorOptions: [],
  },
  linkMtu: 1500,
  times: { dpd: 90_000, keepalive: 32_400_000, rekey: 172_800_000 },
  rekeyMethod: 'ssl',
  sessionTimeout: 86_400_000,
  compression: ['oc-lz4', 'lzs'],
  minLengthToCompress: 64,
  datagram: DATAGRAM,
  clientNetworks: [],
  bypassesProtocols: false,
  headers: [['X-Foo', 'alice staff']],
  rates: {},
};

/** ocserv spreads rekey times, ids are random. */
const masked = (lines: readonly string[]) => lines.map((line) => line.replace(/(Rekey-Time|App-ID): .*/, '$1: *'));

describe('CONNECT at our gateway', () => {
  it('is answered as ocserv 1.1.6 does, header by header', async () => {
    const { visitor, cookie, session } = withSession({ terms: TERMS });
    const door = new Door(visitor);
    assert.equal(await door.exchange(connect(cookie, OFFER)), 'tunnel');
    assert.equal(door.ran?.session, session);
    const file = path.resolve(import.meta.dirname, '../../../vectors/anyconnect/ocserv-1.1.6-connect-psk.http');
    const ocserv = readFileSync(file, 'utf8').split('\r\n');
    assert.deepEqual(masked(answerOf(door.ran?.plan ?? assert.fail())), masked(ocserv));
  });

  it('says its wishes for the lease, and a name of the administrator’s own wins over the client’s', async () => {
    const { visitor, cookie, session } = withSession({
      terms: { ...TERMS, hostname: 'desk-7', tunnelsAllDns: true },
      page: { headers: [['X-Page', '1']] },
    });
    const door = new Door(visitor);
    const mobile: HttpHeaders = [
      ['X-AnyConnect-Identifier-Platform', 'android'],
      ['X-AnyConnect-Identifier-DeviceType', 'Pixel'],
    ];
    await door.exchange(connect(cookie, [...OFFER, ...mobile]));
    assert.deepEqual(session.wishes, [
      {
        wantsIpv4: true,
        wantsIpv6: true,
        userAgent: UA[1],
        isMobile: true,
        deviceType: 'Pixel',
        devicePlatform: 'android',
        hostname: 'laptop',
      },
    ]);
    const lines = answerOf(door.ran?.plan ?? assert.fail());
    assert.equal(lines[1], 'X-Page: 1');
    assert.ok(lines.includes('X-CSTP-Hostname: desk-7') && lines.includes('X-CSTP-Tunnel-All-DNS: true'));
  });

  it('names the datagram channel anew each time, as the answer and the plan say', async () => {
    const { visitor, cookie } = withSession({ terms: TERMS });
    const ids = new Set<string>();
    for (let tunnels = 0; tunnels < 3; tunnels++) {
      const door = new Door(visitor);
      await door.exchange(connect(cookie, OFFER));
      const plan = door.ran?.plan ?? assert.fail();
      const id = toHex(plan.datagramId ?? assert.fail());
      assert.ok(answerOf(plan).includes(`X-DTLS-App-ID: ${id}`));
      assert.deepEqual(plan.exporter, { label: 'EXPORTER-openconnect-psk', length: 32 });
      ids.add(id);
    }
    assert.equal(ids.size, 3);
  });

  it('has no datagram channel where either side wants none, and resumes a session where keys of TLS are not allowed', async () => {
    const planOf = async (datagram: SessionTerms['datagram'], headers: HttpHeaders) => {
      const { visitor, cookie } = withSession({ terms: { ...PLAIN_TERMS, ...(datagram !== undefined && { datagram }) } });
      const door = new Door(visitor);
      await door.exchange(connect(cookie, headers));
      return door.ran?.plan ?? assert.fail();
    };
    for (const plan of [await planOf(undefined, OFFER), await planOf(DATAGRAM, [UA])]) {
      assert.equal(plan.datagramId, undefined);
      assert.ok(answerOf(plan).every((line) => !line.startsWith('X-DTLS')));
    }
    const legacy = await planOf({ ...DATAGRAM, allowsPsk: false, allowsLegacy: true }, OFFER);
    assert.equal(legacy.exporter, undefined);
    const lines = answerOf(legacy);
    assert.ok(lines.includes('X-DTLS-CipherSuite: OC-DTLS1_2-AES256-GCM'));
    assert.ok(lines.includes(`X-DTLS-Session-ID: ${toHex(legacy.datagramId ?? assert.fail())}`));
  });

  it('holds the datagram channel to the cipher of TLS where it must', async () => {
    for (const [cipherSuite, psk] of [
      ['TLSv1.3-TLS_AES_128_GCM_SHA256', true],
      ['TLSv1.2-TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA', true],
      ['TLSv1.2-TLS_ECDHE_ECDSA_WITH_AES_256_CCM', false],
    ] as const) {
      const facts = { ...FACTS, cipherSuite };
      const { visitor, cookie } = withSession({ terms: { ...PLAIN_TERMS, datagram: { ...DATAGRAM, matchesTlsCipher: true } } });
      const door = new Door(visitor, facts);
      await door.exchange(connect(cookie, OFFER));
      const plan = door.ran?.plan ?? assert.fail();
      assert.equal(plan.exporter !== undefined, psk, cipherSuite);
      assert.equal(answerOf(plan, facts).includes('X-DTLS-CipherSuite: PSK-NEGOTIATE'), psk, cipherSuite);
    }
  });

  it('lets new keys come by TLS only where TLS can bring them', async () => {
    const methods = async (cipherSuite: string, rekeyMethod: SessionTerms['rekeyMethod']) => {
      const facts = { ...FACTS, cipherSuite };
      const { visitor, cookie } = withSession({ terms: { ...TERMS, rekeyMethod } });
      const door = new Door(visitor, facts);
      await door.exchange(connect(cookie, OFFER));
      return answerOf(door.ran?.plan ?? assert.fail(), facts).filter((line) => line.includes('Rekey-Method'));
    };
    assert.deepEqual(await methods('TLSv1.3-TLS_AES_256_GCM_SHA384', 'ssl'), ['X-CSTP-Rekey-Method: ssl', 'X-DTLS-Rekey-Method: ssl']);
    const old = await methods('TLSv1.2-TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384', 'ssl');
    assert.deepEqual(old, ['X-CSTP-Rekey-Method: new-tunnel', 'X-DTLS-Rekey-Method: ssl']);
    assert.deepEqual(await methods('TLSv1.3-TLS_AES_256_GCM_SHA384', 'new-tunnel'), ['X-CSTP-Rekey-Method: new-tunnel']);
  });

  it('offers DTLS the ciphers that the administrator leaves it, in that order, and no others', async () => {
    const ciphers = (given: Partial<DatagramPolicy>) =>
      gatewayTerms({ ...TERMS, datagram: { ...DATAGRAM, ...given } }, FACTS, new Uint8Array(32)).datagram;
    assert.deepEqual(ciphers({ ciphers: ['aes-128-gcm', 'aes-256-gcm'] })?.pskSuites, [0x00a8, 0x00a9]);
    assert.deepEqual(ciphers({ ciphers: ['aes-128-gcm'], allowsLegacy: true })?.suites12, [
      'ECDHE-RSA-AES128-GCM-SHA256',
      'AES128-GCM-SHA256',
    ]);
    const old = ciphers({ ciphers: ['aes-256-gcm', 'aes-256-cbc'], allowsLegacy: true });
    assert.deepEqual(old?.pskSuites, [0x00a9, 0x008d]);
    assert.ok(old?.suites.includes('AES256-SHA') && !old.suites.includes('AES128-SHA'), `${old?.suites} of Cisco’s old DTLS`);
    assert.equal(ciphers({ ciphers: [] })?.allowsPsk, false);
    assert.ok((ciphers({})?.pskSuites?.length ?? 0) > 3);
  });

  it('gives UDP ten seconds more than the stream until its keys change', async () => {
    const { visitor, cookie } = withSession({ terms: TERMS });
    const door = new Door(visitor);
    await door.exchange(connect(cookie, OFFER));
    const times = answerOf(door.ran?.plan ?? assert.fail()).flatMap((line) => /Rekey-Time: (\d+)/.exec(line)?.slice(1).map(Number) ?? []);
    assert.deepEqual(times, [172_800, 172_810]);
  });

  // Observed with ocserv 1.1.6.
  it('is refused without a cookie or with one that nobody made by 503, and with one that is not known by 401', async () => {
    const { visitor, cookie } = withSession();
    const unavailable = 'HTTP/1.1 503 Service Unavailable\r\n\r\n';
    const unacceptable = 'HTTP/1.1 401 Cookie is not acceptable\r\n\r\n';
    for (const [brought, answer] of [
      [undefined, unavailable],
      ['', unavailable],
      ['AAAA', unavailable],
      ['!!!!', unavailable],
      [cookie.replace('=', ''), unavailable],
      [visitor.newId(), unacceptable],
    ] as const) {
      const door = new Door(visitor);
      assert.equal(await door.text(connect(brought, OFFER)), answer, brought);
      assert.equal(await door.end, 'close');
      assert.equal(await new Door(visitor).text(connect(brought, OFFER, '/elsewhere')), answer, 'whatever the path');
    }
    assert.match(
      await new Door(visitor).text(connect(cookie, OFFER, '/elsewhere')),
      /^HTTP\/1\.1 404 Not found\r\nContent-length: 50\r\nConnection: close\r\n/,
    );
  });

  it('is refused as an unknown cookie is where there is no lease, and the administrator learns why', async () => {
    const { visitor, cookie } = withSession({ noLease: 'No address is free.' });
    assert.equal(await new Door(visitor).text(connect(cookie, OFFER)), 'HTTP/1.1 401 Cookie is not acceptable\r\n\r\n');
    assert.ok(visitor.log.lines.some((line) => line.includes('No address is free.')));
  });

  it('takes a session that is bound to a key from its holder only, who may bring another key each time', async () => {
    const strap = Strap.generate(testCrypto());
    const { visitor, cookie, session } = withSession({}, fromBase64(strap.publicKey));
    const facts = { clientFinished: FINISHED };
    const attempt = (proof: { verify: string; publicKey: string } | undefined, where: Partial<ClientFacts> = facts) => {
      const headers: HttpHeaders =
        proof === undefined
          ? []
          : [
              ['X-AnyConnect-STRAP-Verify', proof.verify],
              ['X-AnyConnect-STRAP-Pubkey', proof.publicKey],
            ];
      return new Door(visitor, where).exchange(connect(cookie, [...OFFER, ...headers]));
    };
    const isRefused = async (answer: Promise<unknown>) => assert.equal(((await answer) as { status?: number }).status, 401);
    await isRefused(attempt(undefined));
    const thief = Strap.generate(testCrypto());
    await isRefused(attempt(thief.prove(FINISHED)));
    await isRefused(attempt(Strap.restore(testCrypto(), strap.exportKey()).prove(utf8('another connection'))));
    await isRefused(attempt(Strap.restore(testCrypto(), strap.exportKey()).prove(FINISHED), {}));
    for (let connects = 0; connects < 3; connects++) {
      strap.rotate();
      const proof = strap.prove(FINISHED);
      assert.equal(await attempt(proof), 'tunnel');
      assert.deepEqual(session.boundKey, fromBase64(proof.publicKey));
    }
  });
});
