/**
 * The same requests to ocserv 1.1.6 and to our front, the answers compared byte for byte. What differs on purpose is listed in
 * docs/gateway-differences.md, and here.
 */
import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { Secret } from '../../src/core/secret.ts';
import type { Millis } from '../../src/core/tunnel/packet.ts';
import type { SessionTerms } from '../../src/core/tunnel/session-terms.ts';
import { parseCidr, parseIp } from '../../src/core/wire/ip-address.ts';
import { FrontServer } from '../support/front-server.ts';
import { initDocument, named, replyDocument, withPassword } from '../support/gateway-door.ts';
import { PLAIN_TERMS, PlayedVisitor, type VisitorOptions } from '../support/gateway-visitor.ts';
import { Lab } from '../support/lab.ts';
import { Ocserv, type OcservOptions } from '../support/ocserv.ts';
import { type RawAnswers, talkRaw } from '../support/raw-exchange.ts';
import type { RawExchangeCalls } from '../support/raw-exchange-program.ts';
import { RemoteProgram } from '../support/remote-calls.ts';
import { missing } from '../support/requirements.ts';
import { HANG_LIMIT } from '../support/size.ts';
import { makeAuthority, makeServerCertificate } from '../support/throwaway-certificates.ts';

const PROGRAM = path.resolve(import.meta.dirname, '../support/raw-exchange-program.ts');

const UA = 'User-Agent: Open AnyConnect VPN Agent v9.01\r\n';
const OLD_UA = 'User-Agent: Open AnyConnect VPN Agent v3.20\r\n';
const CISCO_UA = 'User-Agent: AnyConnect Linux_64 4.10.07061\r\n';
const APPLE_UA = 'User-Agent: Cisco AnyConnect VPN Agent for Apple iPhone 4.10\r\n';
const DIALOGUE = 'Cookie: webvpncontext={webvpncontext}\r\n';
const SESSION = 'Cookie: webvpn={webvpn}\r\n';

const get = (target: string, headers = UA) => `GET ${target} HTTP/1.1\r\nHost: h\r\n${headers}\r\n`;
const post = (target: string, body: string, headers = UA) =>
  `POST ${target} HTTP/1.1\r\nHost: h\r\n${headers}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
const LOGIN = [post('/auth', named('alice')), post('/auth', withPassword('right-one'), UA + DIALOGUE)];

/** A talk; the next ones on new connections, with the cookies of those before. */
type Talks = readonly (readonly string[])[];

interface Setting {
  readonly ocserv?: OcservOptions;
  readonly ours?: VisitorOptions;
}

/** Both gateways: what each answers to the same talks. */
async function compare({ ocserv: options = {}, ours = {} }: Setting, talks: Readonly<Record<string, Talks>>): Promise<void> {
  await using lab = await Lab.open();
  const certificate = await makeServerCertificate(lab.folder, await makeAuthority(lab.folder, 'ca'), ['gateway.test'], 'front');
  const users = [{ name: 'alice', password: 'right-one', groups: ['staff'] }];
  const ocserv = await Ocserv.start(lab, { users, ...options, certificate });
  const program = await RemoteProgram.start<RawExchangeCalls>(lab.client, PROGRAM);
  const pem = readFileSync(certificate.certificate, 'utf8');
  const material = { certificate: pem, key: new Secret(readFileSync(certificate.key, 'utf8')) };
  await using server = await FrontServer.start(
    (accepted) => {
      visitor ??= new PlayedVisitor({
        users: { alice: { password: 'right-one' } },
        ...ours,
        page: { certificate: accepted.certificate, ...ours.page },
      });
      return visitor;
    },
    [{ certificates: [material] }],
  );
  let visitor: PlayedVisitor | undefined;
  for (const [name, connections] of Object.entries(talks)) {
    const both = async (patience: { readonly endPatience?: Millis }) => [
      await converse(connections, (requests, cookies) =>
        program.call('talkRaw', { host: ocserv.gateway, port: 443, requests, cookies, ...patience }),
      ),
      await converse(connections, (requests, cookies) => talkRaw({ host: '127.0.0.1', port: server.port, requests, cookies, ...patience })),
    ];
    let [theirs, own] = await both({});
    // On a busy machine one of them may have ended a connection late.
    if (!isDeepStrictEqual(own, theirs)) [theirs, own] = await both({ endPatience: 5_000 });
    assert.deepEqual(own, theirs, name);
  }
}

async function converse(connections: Talks, talk: (requests: readonly string[], cookies: Record<string, string>) => Promise<RawAnswers>) {
  let cookies: Record<string, string> = {};
  const answers: string[] = [];
  for (const requests of connections) {
    const outcome = await talk(requests, cookies);
    cookies = { ...cookies, ...outcome.cookies };
    // Ours ends with TLS's goodbye, ocserv with an alert, the same goodbye, or nothing.
    answers.push(...outcome.answers.map(masked), outcome.end === 'open' ? 'open' : 'ended');
  }
  return answers;
}

/** Without what is another each time, and without the domains that ocserv keeps from clients that have no IPv4 address. */
function masked(text: string): string {
  const hasIpv4 = /X-CSTP-Address: \d/.test(text);
  return text
    .replace(/X-CSTP-Split-DNS: .*\r\n/g, hasIpv4 ? '$&' : '')
    .replace(/(webvpn(?:context)?=)[\w+/]{43}=/g, '$1COOKIE')
    .replace(/(Rekey-Time|App-ID|Session-ID): .*/g, '$1: *')
    .replace(/(Timeout-Remaining): 86(?:400|3[4-9]\d)/g, '$1: *')
    .replace(/(X-CSTP-Address: 10\.77\.0\.)\d+/, '$1*')
    .replace(/fd77::[\da-f:]+/g, 'fd77::*');
}

describe('Our front beside ocserv 1.1.6', { skip: missing('root', 'netns', 'tun', 'ocserv', 'openssl'), timeout: HANG_LIMIT }, () => {
  it('answers log-ins alike: documents, forms, cookies, refusals', async () => {
    await compare(
      {},
      {
        init: [[post('/', initDocument()), post('/VPN', initDocument())]],
        'name and password': [LOGIN],
        'on two connections': [LOGIN.slice(0, 1), LOGIN.slice(1)],
        'without a cookie on one connection': [[post('/auth', named('alice')), post('/auth', withPassword('right-one'))]],
        'wrong passwords': [
          [post('/auth', named('nobody')), ...['a', 'b', 'c'].map((wrong) => post('/auth', withPassword(wrong), UA + DIALOGUE))],
        ],
        'an empty name': [[post('/auth', named(''))]],
        'no name': [[post('/auth', replyDocument('<auth></auth>'))]],
        'no password': [[post('/auth', named('alice')), post('/auth', replyDocument('<auth></auth>'), UA + DIALOGUE)]],
        'a password first': [[post('/auth', withPassword('right-one'))]],
        'all at once': [[post('/auth', replyDocument('<auth><username>alice</username><password>right-one</password></auth>'))]],
        'a dialogue that is over': [LOGIN, [post('/auth', withPassword('right-one'), UA + DIALOGUE)]],
        'a dialogue that never was': [[post('/auth', withPassword('x'), `${UA}Cookie: webvpncontext=${'A'.repeat(43)}=\r\n`)]],
        forms: [[get('/'), post('/auth', 'username=alice'), post('/auth', 'password=right-one', UA + DIALOGUE)]],
        'bare documents': [
          [get('/', OLD_UA), post('/auth', 'username=alice', OLD_UA), post('/auth', 'password=right-one', OLD_UA + DIALOGUE)],
        ],
        'an old client with documents': [[post('/', initDocument(), OLD_UA)]],
        'Cisco’s client': [
          [
            post('/', initDocument(), CISCO_UA),
            post('/auth', named('alice'), CISCO_UA),
            post('/auth', withPassword('right-one'), CISCO_UA + DIALOGUE),
          ],
        ],
        'a browser': [[get('/', 'User-Agent: Mozilla/5.0\r\n')]],
        nonsense: [[post('/', '<?xml nonsense')], [post('/', '')]],
      },
    );
  });

  it('answers alike with groups and banners', async () => {
    const groups = [
      { value: '', label: 'none' },
      { value: 'ga', label: 'Group A' },
      { value: 'gb', label: 'gb' },
    ];
    await compare(
      {
        ocserv: {
          settings: {
            'select-group': ['ga[Group A]', 'gb'],
            'default-select-group': 'none',
            banner: 'Welcome',
            'pre-login-banner': 'Hello',
          },
        },
        ours: { groups, page: { banner: 'Welcome', preLoginBanner: 'Hello' } },
      },
      {
        init: [[post('/', initDocument())]],
        'a group by value': [[post('/', initDocument('<group-select>gb</group-select>'))]],
        'a group by label': [[post('/', initDocument('<group-select>Group A</group-select>'))]],
        'no group': [[post('/', initDocument()), post('/auth', named('alice', '<group-select>none</group-select>')), LOGIN[1] ?? '']],
      },
    );
  });

  it('has the same paths, stubs and refusals', async () => {
    const stubs = [
      '/1/index.html',
      '/1/Linux',
      '/1/Linux_64',
      '/1/Windows',
      '/1/Darwin_i386',
      '/logout',
      '/1/VPNManifest.xml',
      '/1/binaries/update.txt',
      '/1/binaries/vpndownloader.sh',
      '/cert.pem',
      '/cert.cer',
      '/+CSCOT+/',
      '/1/Linux/',
      '/1/Linux?x',
    ];
    const logins = ['/', '/auth', '/VPN', '/?x', '/auth/x', '/VPN?x'].map((target) => get(target));
    const unknown = ['/nope', '/authx', '/1/', '/+CSCOT+', '/svc'].map((target) => get(target));
    const posts = ['/nope', '/profiles', '/1/Linux', '/auth?x', '/auth/x'].map((target) => post(target, initDocument()));
    await compare(
      {},
      {
        stubs: [stubs.map((target) => get(target))],
        'log-in': [logins],
        unknown: [...unknown, ...posts].map((request) => [request]),
        methods: ['HEAD', 'OPTIONS', 'PUT'].map((method) => [`${method} / HTTP/1.1\r\nHost: h\r\n\r\n`]),
        'HTTP/1.0': ['/', '/nope', '/1/Linux'].map((target) => [`GET ${target} HTTP/1.0\r\nHost: h\r\n\r\n`]),
        'too many': [Array.from({ length: 16 }, () => get('/1/Linux'))],
        'no profile without a session': [[get('/profiles/x')]],
      },
    );
  });

  it('offers the profile alike', async () => {
    const profile = '<AnyConnectProfile/>\n';
    await using lab = await Lab.open();
    const ocserv = await Ocserv.start(lab, { users: [{ name: 'alice', password: 'right-one' }], userProfile: profile });
    const program = await RemoteProgram.start<RawExchangeCalls>(lab.client, PROGRAM);
    const at = { host: ocserv.gateway, port: 443 };
    const theirs = await program.call('talkRaw', { ...at, requests: LOGIN });
    const sha1 = hash('sha1', profile, 'hex').toUpperCase();
    const name = path.join(ocserv.folder, 'profile.xml'); // ocserv shows the whole path
    const visitor = new PlayedVisitor({
      users: { alice: { password: 'right-one' } },
      page: { profile: { name: 'NAME', bytes: Buffer.from(profile) } },
    });
    const certificate = {
      certificate: readFileSync(ocserv.settings['server-cert'] ?? '', 'utf8'),
      key: new Secret(readFileSync(ocserv.settings['server-key'] ?? '', 'utf8')),
    };
    await using server = await FrontServer.start(visitor, [{ certificates: [certificate] }]);
    const ours = await talkRaw({ host: '127.0.0.1', port: server.port, requests: LOGIN });
    const comparable = (answer: string | undefined) =>
      masked(answer ?? '')
        .replaceAll(name, 'NAME')
        .replace(/Content-Length: \d+/, 'Content-Length: *')
        .replace(/sh:[\dA-F]{40}/, 'sh:*');
    assert.ok(theirs.answers[1]?.includes(sha1));
    assert.equal(comparable(ours.answers[1]), comparable(theirs.answers[1]));
    const download = [get('/profiles/any', UA + SESSION), get('/1/index.html')];
    const [a, b] = await Promise.all([
      program.call('talkRaw', { ...at, requests: download, cookies: theirs.cookies }),
      talkRaw({ host: '127.0.0.1', port: server.port, requests: download, cookies: ours.cookies }),
    ]);
    assert.deepEqual(b.answers, a.answers);
  });

  it('answers CONNECT alike for each kind of client and offer', async () => {
    const offer = (more: string, { ua = UA, mtu = 'X-CSTP-Base-MTU: 1500\r\n', types = 'IPv6,IPv4', full = true } = {}) =>
      `CONNECT /CSCOSSLC/tunnel HTTP/1.1\r\nHost: h\r\n${ua}${SESSION}X-CSTP-Version: 1\r\nX-CSTP-Hostname: laptop\r\n${mtu}` +
      `X-CSTP-Address-Type: ${types}\r\n${full ? 'X-CSTP-Full-IPv6-Capability: true\r\n' : ''}${more}\r\n`;
    const secret = `X-DTLS-Master-Secret: ${'0123456789ABCDEF'.repeat(6)}\r\n`;
    const psk = `${secret}X-DTLS-CipherSuite: PSK-NEGOTIATE:OC-DTLS1_2-AES256-GCM:AES128-SHA\r\n`;
    const compressed = 'X-CSTP-Accept-Encoding: oc-lz4,lzs,deflate\r\nX-DTLS-Accept-Encoding: oc-lz4,lzs\r\n';
    const android = 'X-AnyConnect-Identifier-Platform: android\r\nX-AnyConnect-Identifier-DeviceType: Pixel\r\n';
    const ip = (text: string) => parseIp(text) ?? assert.fail(text);
    const network = (text: string) => parseCidr(text) ?? assert.fail(text);
    const terms: SessionTerms = {
      ...PLAIN_TERMS,
      config: {
        ipv4: { address: ip('10.77.0.50'), prefix: 24 },
        ipv6: { address: ip('fd77::1234'), prefix: 128 },
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
      times: { dpd: 90_000, keepalive: 32_400_000, rekey: 172_800_000 },
      sessionTimeout: 86_400_000,
      compression: ['oc-lz4', 'lzs'],
      datagram: { port: 443, allowsPsk: true, allowsLegacy: true, matchesTlsCipher: false },
      headers: [['X-Foo', 'alice staff']],
    };
    await compare(
      {
        ocserv: {
          settings: {
            ...{ dns: ['10.77.0.1', 'fd77::1'], nbns: ['10.77.0.2'], 'split-dns': ['a.test', 'b.test'], 'default-domain': 'a.test b.test' },
            ...{ route: ['10.0.0.0/8', '192.168.5.0/255.255.255.0', '2001:db8:9::/48'], 'no-route': ['10.9.0.0/16', '2001:db8:9:9::/64'] },
            ...{ 'session-timeout': 86_400, 'idle-timeout': 1200, 'proxy-url': 'http://p/%{U}.pac', 'custom-header': ['X-Foo: %{U} %{G}'] },
            ...{ banner: 'hello 100% ü', compression: true, 'dtls-legacy': true, 'mobile-dpd': 90 },
          },
        },
        ours: { terms, page: { banner: 'hello 100% ü' } },
      },
      {
        'a key from TLS, compressed': [LOGIN, [offer(psk + compressed)]],
        'a resumption, DTLS 0.9': [LOGIN, [offer(`${secret}X-DTLS-CipherSuite: AES128-SHA\r\n`)]],
        'a resumption, DTLS 1.2': [LOGIN, [offer(`${secret}X-DTLS12-CipherSuite: AES128-GCM-SHA256\r\n`)]],
        'no datagrams': [LOGIN, [offer('')]],
        'Cisco’s client': [LOGIN, [offer(psk, { ua: CISCO_UA })]],
        'Apple’s client': [LOGIN, [offer(psk, { ua: APPLE_UA })]],
        'nobody’s client': [LOGIN, [offer(psk, { ua: 'User-Agent: foo\r\n' })]],
        'a mobile client': [LOGIN, [offer(psk + android)]],
        'no base MTU': [LOGIN, [offer(psk, { mtu: 'X-CSTP-MTU: 1399\r\n' })]],
        'no MTU': [LOGIN, [offer(psk, { mtu: '' })]],
        'a small MTU': [LOGIN, [offer(psk, { mtu: 'X-CSTP-Base-MTU: 1290\r\n' })]],
        'IPv4 only': [LOGIN, [offer(psk, { types: 'IPv4' })]],
        'IPv6 only': [LOGIN, [offer(psk, { types: 'IPv6' })]],
        'IPv6 of before': [LOGIN, [offer(psk, { full: false })]],
        'nothing said': [LOGIN, [`CONNECT /CSCOSSLC/tunnel HTTP/1.1\r\nHost: h\r\n${UA}${SESSION}\r\n`]],
        'another path': [LOGIN, [`CONNECT /elsewhere HTTP/1.1\r\nHost: h\r\n${UA}${SESSION}\r\n`]],
        'no cookie': [[`CONNECT /CSCOSSLC/tunnel HTTP/1.1\r\nHost: h\r\n${UA}\r\n`]],
        'an odd cookie': [[`CONNECT /CSCOSSLC/tunnel HTTP/1.1\r\nHost: h\r\n${UA}Cookie: webvpn=AAAA\r\n\r\n`]],
        'an unknown cookie': [[`CONNECT /CSCOSSLC/tunnel HTTP/1.1\r\nHost: h\r\n${UA}Cookie: webvpn=${'A'.repeat(43)}=\r\n\r\n`]],
      },
    );
  });
});
