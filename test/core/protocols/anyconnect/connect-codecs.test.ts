import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { CompressionName } from '../../../../src/core/compress/compressor.ts';
import type { HttpHeaders } from '../../../../src/core/http/message.ts';
import { renderResponse } from '../../../../src/core/http/render.ts';
import { ResponseParser } from '../../../../src/core/http/response-parser.ts';
import { type ConnectResponse, parseConnectResponse } from '../../../../src/core/protocols/anyconnect/connect-response.ts';
import { resumptionSuite } from '../../../../src/core/protocols/anyconnect/dtls-suites.ts';
import { type ResponseDetails, renderConnectResponse } from '../../../../src/core/protocols/anyconnect/render-connect-response.ts';
import type { TunnelConfig } from '../../../../src/core/tunnel/config.ts';
import { type Cidr, networkOf, parseIp } from '../../../../src/core/wire/ip-address.ts';
import { fromHex } from '../../../../src/core/wire/text.ts';
import { sliceSizes, slicesOf } from '../../../support/slices.ts';
import { host4, host6, optional, record, suites } from './connect-values.ts';

// ---- values

const host = fc.oneof(host4, host6);
const network = fc.oneof(
  fc.tuple(host4, fc.nat(32)).map(([address, prefix]): Cidr => networkOf({ address, prefix })),
  fc.tuple(host6, fc.nat(128)).map(([address, prefix]): Cidr => networkOf({ address, prefix })),
);
const domain = fc.stringMatching(/^[a-z0-9]{1,10}(\.[a-z0-9]{1,10}){0,2}$/);
const wholeSeconds = fc.integer({ min: 1, max: 200_000 }).map((seconds) => seconds * 1000);
const maybeSeconds = fc.oneof(fc.constant(0), wholeSeconds);
const times = record({ dpd: maybeSeconds, keepalive: maybeSeconds, rekey: maybeSeconds });
/** What a terminal may be shown, with blanks at its ends and what would end a header line in it. */
const banner = fc
  .string({ unit: fc.constantFrom('a', 'ü', ' ', '%', '\n', '\t', '!', '0', '文'), minLength: 1, maxLength: 30 })
  .filter((text) => text.trim() !== '')
  .map((text) => text.trim());

const config: fc.Arbitrary<TunnelConfig> = record({
  mtu: fc.integer({ min: 576, max: 16_000 }),
  ipv4: fc.option(record({ address: host4, prefix: fc.nat(32) }), { nil: undefined }),
  ipv6: fc.option(record({ address: host6, prefix: fc.nat(128) }), { nil: undefined }),
  dns: fc.array(host, { maxLength: 3 }),
  nbns: fc.array(host4, { maxLength: 3 }),
  searchDomains: fc.array(domain, { maxLength: 3 }),
  splitDns: fc.array(domain, { maxLength: 5 }),
  include: fc.array(network, { maxLength: 5 }),
  exclude: fc.array(network, { maxLength: 5 }),
  banner: fc.option(banner, { nil: undefined }),
  proxyPac: fc.option(fc.constantFrom('http://proxy.example/pac', 'https://proxy.example:8080/a?b=c'), { nil: undefined }),
  idleTimeout: fc.option(wholeSeconds, { nil: undefined }),
  expiresAt: fc.option(wholeSeconds, { nil: undefined }),
  gatewayMoves: fc.constantFrom(true, undefined),
})
  .filter(({ ipv4, ipv6 }) => ipv4 !== undefined || ipv6 !== undefined)
  .map(({ ipv4, ipv6, banner: text, proxyPac, idleTimeout, expiresAt, gatewayMoves, ...others }) => ({
    ...others,
    ...optional('ipv4', ipv4),
    ...optional('ipv6', ipv6),
    ...optional('banner', text),
    ...optional('proxyPac', proxyPac),
    ...optional('idleTimeout', idleTimeout),
    ...optional('expiresAt', expiresAt),
    ...optional('gatewayMoves', gatewayMoves),
    vendorOptions: [],
  }));

const id = fc.uint8Array({ minLength: 32, maxLength: 32 });
const association = fc.oneof(
  id.map((appId) => ({ mode: 'psk', appId }) as const),
  fc.tuple(id, fc.constantFrom(...suites)).map(([sessionId, suite]) => ({ mode: 'resumption', sessionId, suite }) as const),
);

const response: fc.Arbitrary<ConnectResponse> = record({
  config,
  baseMtu: fc.oneof(fc.constant(0), fc.integer({ min: 1280, max: 9000 })),
  stream: record({ times, compression: fc.constantFrom<CompressionName | undefined>(undefined, 'oc-lz4', 'lzs', 'deflate') }),
  datagram: fc.option(
    record({
      port: fc.integer({ min: 1, max: 65_535 }),
      association,
      times,
      compression: fc.constantFrom<CompressionName | undefined>(undefined, 'oc-lz4', 'lzs'),
    }),
    { nil: undefined },
  ),
  warnings: fc.constant([]),
});

const DETAILS: ResponseDetails = { serverName: 'sallyport', hostname: 'laptop', family: 'openconnect', hasFullIpv6: true };

/** Through the bytes of the wire and back. */
function overTheWire(value: ConnectResponse, details: ResponseDetails, now: number, sizes: readonly number[] = []): HttpHeaders {
  const parser = new ResponseParser();
  parser.expect('CONNECT');
  for (const slice of slicesOf(renderResponse(renderConnectResponse(value, details, now)), sizes)) parser.push(slice);
  const { message } = parser.next() ?? assert.fail('no response');
  assert.equal(message.status, 200);
  return message.headers;
}

/** As the client reads it, without what only says how it was written. */
function readBack(headers: HttpHeaders, now: number): Omit<ConnectResponse, 'datagramProblem'> {
  const { datagramProblem: _, ...parsed } = parseConnectResponse(headers, now);
  return { ...parsed, config: { ...parsed.config, vendorOptions: [] } };
}

describe('The answer to CONNECT', () => {
  it('is read back as it was written, over the wire in any slices', () => {
    fc.assert(
      fc.property(
        response,
        fc.constantFrom('openconnect' as const, 'anyconnect' as const),
        fc.nat(1_000_000),
        sliceSizes,
        (value, family, now, sizes) => {
          const headers = overTheWire(value, { ...DETAILS, family }, now, sizes);
          const { expiresAt, ...others } = value.config;
          // A limit is said in whole seconds from now, and one that has passed is as good as one second.
          const left = expiresAt === undefined ? undefined : Math.ceil(Math.max(expiresAt - now, 1) / 1000) * 1000;
          const expected = { ...value, config: { ...others, ...optional('expiresAt', left === undefined ? undefined : now + left) } };
          assert.deepEqual(readBack(headers, now), expected);
        },
      ),
    );
  });

  // Spec "AnyConnect", section 4.4: the order of ocserv 1.1.6.
  it('has the headers of ocserv, in its order', () => {
    const ip = (text: string) => parseIp(text) ?? assert.fail(text);
    const value: ConnectResponse = {
      config: {
        mtu: 1434,
        ipv4: { address: ip('192.168.1.5'), prefix: 24 },
        ipv6: { address: ip('fd00::5'), prefix: 64 },
        dns: [ip('10.0.0.1'), ip('fd00::1')],
        nbns: [ip('10.0.0.2')],
        searchDomains: ['corp.example', 'example'],
        splitDns: ['corp.example', 'lab.example'],
        include: [
          { address: ip('10.0.0.0'), prefix: 8 },
          { address: ip('fd00::'), prefix: 8 },
        ],
        exclude: [{ address: ip('10.9.0.0'), prefix: 16 }],
        banner: 'Welcome, 100%\nto you',
        proxyPac: 'http://proxy.example/pac',
        idleTimeout: 1_200_000,
        expiresAt: 86_400_000,
        vendorOptions: [],
        gatewayMoves: true,
      },
      baseMtu: 1500,
      stream: { times: { dpd: 90_000, keepalive: 32_400_000, rekey: 172_800_000 }, compression: 'oc-lz4' },
      datagram: {
        port: 443,
        association: { mode: 'psk', appId: fromHex('ab'.repeat(32)) },
        times: { dpd: 90_000, keepalive: 32_400_000, rekey: 172_810_000 },
        compression: 'lzs',
      },
      warnings: [],
    };
    const details = { ...DETAILS, headers: [['X-CSTP-Custom', 'yes']] as const };
    const lines = new TextDecoder().decode(renderResponse(renderConnectResponse(value, details, 0))).split('\r\n');
    assert.deepEqual(lines, [
      'HTTP/1.1 200 CONNECTED',
      'X-CSTP-Version: 1',
      'X-CSTP-Server-Name: sallyport',
      'X-CSTP-Hostname: laptop',
      'X-CSTP-DPD: 90',
      'X-CSTP-Default-Domain: corp.example example',
      'X-CSTP-Address: 192.168.1.5',
      'X-CSTP-Netmask: 255.255.255.0',
      'X-CSTP-Address-IP6: fd00::5/64',
      'X-CSTP-DNS: 10.0.0.1',
      'X-CSTP-DNS: fd00::1',
      'X-CSTP-NBNS: 10.0.0.2',
      'X-CSTP-Split-DNS: corp.example',
      'X-CSTP-Split-DNS: lab.example',
      'X-CSTP-Split-Include: 10.0.0.0/255.0.0.0',
      'X-CSTP-Split-Include-IP6: fd00::/8',
      'X-CSTP-Tunnel-All-DNS: false',
      'X-CSTP-Client-Bypass-Protocol: false',
      'X-CSTP-Split-Exclude: 10.9.0.0/255.255.0.0',
      'X-CSTP-Keepalive: 32400',
      'X-CSTP-Idle-Timeout: 1200',
      'X-CSTP-Smartcard-Removal-Disconnect: true',
      'X-CSTP-DynDNS: true',
      'X-CSTP-Rekey-Time: 172800',
      'X-CSTP-Rekey-Method: new-tunnel',
      'X-CSTP-MSIE-Proxy-Pac-URL: http://proxy.example/pac',
      'X-CSTP-Session-Timeout: 86400',
      'X-CSTP-Session-Timeout-Remaining: 86400',
      'X-CSTP-Disconnected-Timeout: none',
      'X-CSTP-Keep: true',
      'X-CSTP-TCP-Keepalive: true',
      'X-CSTP-License: accept',
      'X-CSTP-Custom: yes',
      'X-DTLS-DPD: 90',
      'X-DTLS-Port: 443',
      'X-DTLS-Rekey-Time: 172810',
      'X-DTLS-Rekey-Method: ssl',
      'X-DTLS-Keepalive: 32400',
      `X-DTLS-App-ID: ${'ab'.repeat(32)}`,
      'X-DTLS-CipherSuite: PSK-NEGOTIATE',
      'X-CSTP-Base-MTU: 1500',
      'X-CSTP-MTU: 1434',
      'X-CSTP-Banner: Welcome, 100%%0Ato you',
      'X-DTLS-Content-Encoding: lzs',
      'X-CSTP-Content-Encoding: oc-lz4',
      '',
      '',
    ]);
  });

  it('names a resumed session, its suite in the header of its version, and the MTU once more', () => {
    const value = (name: string, header: 'X-DTLS-CipherSuite' | 'X-DTLS12-CipherSuite'): ConnectResponse => ({
      config: {
        ...{ mtu: 1406, dns: [], nbns: [], searchDomains: [], splitDns: [], include: [], exclude: [], vendorOptions: [] },
        ipv4: { address: parseIp('10.0.0.9') ?? assert.fail() },
      },
      baseMtu: 0,
      stream: { times: {}, compression: undefined },
      datagram: {
        port: 4433,
        association: { mode: 'resumption', sessionId: new Uint8Array(32).fill(1), suite: resumptionSuite(header, name) ?? assert.fail() },
        times: {},
        compression: undefined,
      },
      warnings: [],
    });
    for (const [name, header] of [
      ['AES128-SHA', 'X-DTLS-CipherSuite'],
      ['AES128-SHA', 'X-DTLS12-CipherSuite'],
      ['OC-DTLS1_2-AES256-GCM', 'X-DTLS-CipherSuite'],
      ['AES256-GCM-SHA384', 'X-DTLS12-CipherSuite'],
    ] as const) {
      const { headers } = renderConnectResponse(value(name, header), DETAILS, 0);
      const dtls = headers.filter(([key]) => key.startsWith('X-DTLS'));
      assert.deepEqual(dtls, [
        ['X-DTLS-Port', '4433'],
        ['X-DTLS-Session-ID', '01'.repeat(32)],
        [header, name],
        ['X-DTLS-MTU', '1406'],
      ]);
    }
  });

  // Spec "AnyConnect", section 4.6.
  it('gives clients of before -IP6 an address of IPv6 and nothing more of it, and Cisco’s a header for its name servers', () => {
    fc.assert(
      fc.property(response, (value) => {
        const old = overTheWire(value, { ...DETAILS, hasFullIpv6: false, family: 'unknown' }, 0);
        assert.ok(old.every(([name]) => !name.endsWith('-IP6')));
        const parsed = parseConnectResponse(old, 0).config;
        assert.deepEqual(parsed.ipv6, value.config.ipv6);
        assert.deepEqual(
          parsed.dns,
          value.config.dns.filter(({ family }) => family === 4),
        );
        const cisco = overTheWire(value, { ...DETAILS, family: 'anyconnect' }, 0);
        assert.ok(cisco.every(([name, text]) => name !== 'X-CSTP-DNS' || !text.includes(':')));
      }),
    );
  });
});

describe('The answer to CONNECT, as ocserv was seen to put it,', () => {
  const bytes = (length: number) => new Uint8Array(length);
  const plain: ConnectResponse = {
    config: {
      ...{ mtu: 1406, nbns: [], searchDomains: [], splitDns: [], exclude: [], vendorOptions: [], expiresAt: 90_000 },
      ipv6: { address: { family: 6, bytes: bytes(16) }, prefix: 128 },
      dns: [{ family: 6, bytes: bytes(16) }],
      include: [{ address: { family: 6, bytes: bytes(16) }, prefix: 48 }],
    },
    baseMtu: 0,
    stream: { times: { rekey: 60_000 }, compression: undefined },
    datagram: { port: 4433, association: { mode: 'psk', appId: bytes(32) }, times: { rekey: 70_000 }, compression: undefined },
    warnings: [],
  };
  const named = (details: Partial<ResponseDetails>, name: RegExp, value = plain) =>
    renderConnectResponse(value, { ...DETAILS, ...details }, 0)
      .headers.filter(([key]) => name.test(key))
      .map(([key, text]) => `${key}: ${text}`);

  it('has IPv6 servers and routes in the words of each family, and none for a client that nobody knows', () => {
    const ipv6 = /DNS$|DNS-IP6|Include/;
    const route = 'X-CSTP-Split-Include-IP6: ::/48';
    const tail = ['X-CSTP-Tunnel-All-DNS: false'];
    assert.deepEqual(named({ family: 'openconnect' }, ipv6), ['X-CSTP-DNS: ::', route, ...tail]);
    assert.deepEqual(named({ family: 'anyconnect' }, ipv6), ['X-CSTP-DNS-IP6: ::', route, ...tail]);
    assert.deepEqual(named({ family: 'apple' }, ipv6), ['X-CSTP-DNS-IP6: ::', 'X-CSTP-Split-Include-IP6: 2000::/3', route, ...tail]);
    assert.deepEqual(named({ family: 'unknown' }, ipv6), tail);
  });

  it('says how keys change, or that they do not', () => {
    const all = /Rekey/;
    const times = ['X-CSTP-Rekey-Time: 60', 'X-DTLS-Rekey-Time: 70'];
    const both = named({ rekeyMethods: { stream: 'ssl', datagram: 'ssl' } }, all);
    assert.deepEqual(both, [times[0], 'X-CSTP-Rekey-Method: ssl', times[1], 'X-DTLS-Rekey-Method: ssl']);
    assert.deepEqual(named({ rekeyMethods: { stream: 'new-tunnel' } }, all), [times[0], 'X-CSTP-Rekey-Method: new-tunnel', times[1]]);
    assert.deepEqual(named({}, all, { ...plain, stream: { times: {}, compression: undefined }, datagram: undefined }), [
      'X-CSTP-Rekey-Method: none',
    ]);
  });

  it('says the whole of a session’s time and what is left of it', () => {
    assert.deepEqual(named({ sessionTimeout: 100_000 }, /Session-Timeout/), [
      'X-CSTP-Session-Timeout: 100',
      'X-CSTP-Session-Timeout-Remaining: 90',
    ]);
  });

  it('begins with the headers that the administrator gives to every answer', () => {
    const { headers } = renderConnectResponse(plain, { ...DETAILS, pageHeaders: [['X-Page', 'yes']], tunnelsAllDns: true }, 0);
    assert.deepEqual(headers.slice(0, 2), [
      ['X-Page', 'yes'],
      ['X-CSTP-Version', '1'],
    ]);
    assert.ok(headers.some(([name, value]) => name === 'X-CSTP-Tunnel-All-DNS' && value === 'true'));
  });
});
