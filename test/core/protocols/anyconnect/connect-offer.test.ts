import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { CompressionName } from '../../../../src/core/compress/compressor.ts';
import { renderRequest } from '../../../../src/core/http/render.ts';
import { RequestParser } from '../../../../src/core/http/request-parser.ts';
import { type ConnectOffer, parseConnectOffer } from '../../../../src/core/protocols/anyconnect/connect-offer.ts';
import { connectRequest } from '../../../../src/core/protocols/anyconnect/connect-request.ts';
import { PSK_NEGOTIATE } from '../../../../src/core/protocols/anyconnect/dtls-suites.ts';
import { Secret } from '../../../../src/core/secret.ts';
import { toHex } from '../../../../src/core/wire/text.ts';
import { sliceSizes, slicesOf } from '../../../support/slices.ts';
import { host4, host6, optional, record, suites } from './connect-values.ts';

describe('A client’s offer', () => {
  const names = fc.uniqueArray(fc.constantFrom(PSK_NEGOTIATE, ...suites.map(({ name }) => name)), { minLength: 1, maxLength: 8 });
  const encodings = fc.uniqueArray(fc.constantFrom<CompressionName>('oc-lz4', 'lzs', 'deflate'));
  const masterSecret = fc.uint8Array({ minLength: 48, maxLength: 48 }).filter((bytes) => bytes.some((byte) => byte !== 0));

  const offer: fc.Arbitrary<ConnectOffer> = record({
    family: fc.constantFrom('openconnect' as const, 'anyconnect' as const, 'apple' as const, 'unknown' as const),
    hostname: fc.stringMatching(/^[a-z0-9]{1,20}(\.[a-z0-9]{1,20})?$/),
    encodings,
    baseMtu: fc.integer({ min: 1, max: 65_535 }),
    mtu: fc.integer({ min: 1, max: 65_535 }),
    wantsIpv6: fc.boolean(),
    previous4: fc.option(host4, { nil: undefined }),
    previous6: fc.option(host6, { nil: undefined }),
    datagram: fc.option(record({ masterSecret, suites: names, suites12: names, encodings }), { nil: undefined }),
  }).map(({ previous4, previous6, datagram, wantsIpv6, ...others }) => ({
    ...others,
    wantsIpv4: true,
    wantsIpv6,
    hasFullIpv6: wantsIpv6,
    previous: [previous4, previous6].flatMap((address) => address ?? []),
    ...optional('datagram', datagram && { ...datagram, encodings: datagram.encodings.filter((name) => name !== 'deflate') }),
  }));

  const USER_AGENTS = {
    openconnect: 'Open AnyConnect VPN Agent v9.01-3',
    anyconnect: 'AnyConnect Linux_64 4.10.07061',
    apple: 'Cisco AnyConnect VPN Agent for Apple iPhone 4.10',
    unknown: 'curl/8',
  };

  it('is read as the client meant it, over the wire in any slices', () => {
    fc.assert(
      fc.property(offer, sliceSizes, (value, sizes) => {
        const { family, hostname = '', encodings: streamEncodings, baseMtu, mtu, wantsIpv6, previous, datagram } = value;
        const request = connectRequest({
          target: { host: 'vpn.example', port: 443, path: '/' },
          client: { userAgent: USER_AGENTS[family], version: 'v9', os: 'linux-64', localHostname: hostname },
          cookie: new Secret('c'),
          ...{ streamEncodings, baseMtu, mtu, wantsIpv6, previous },
          ...(datagram !== undefined && { datagram }),
        });
        const parser = new RequestParser();
        for (const slice of slicesOf(renderRequest(request), sizes)) parser.push(slice);
        const parsed = parseConnectOffer((parser.next() ?? assert.fail()).message);
        assert.deepEqual(parsed, value);
      }),
    );
  });

  it('is what can be understood of any headers: nothing throws', () => {
    const name = fc.constantFrom(
      ...[
        'User-Agent',
        'X-CSTP-Hostname',
        'X-CSTP-Accept-Encoding',
        'X-CSTP-Base-MTU',
        'X-CSTP-MTU',
        'X-CSTP-Address-Type',
        'X-CSTP-Address',
      ],
      ...['X-CSTP-Full-IPv6-Capability', 'X-DTLS-Master-Secret', 'X-DTLS-CipherSuite', 'X-DTLS12-CipherSuite', 'X-DTLS-Accept-Encoding'],
    );
    const value = fc.oneof(fc.string({ maxLength: 300 }), fc.stringMatching(/^[0-9a-f:,.]{0,200}$/), fc.constant(`${'a:'.repeat(40_000)}`));
    fc.assert(
      fc.property(fc.array(fc.tuple(name, value)), (headers) => {
        const parsed = parseConnectOffer({ method: 'CONNECT', target: '/', version: '1.1', headers, body: new Uint8Array(0) });
        assert.ok(parsed.encodings.length <= 64 && (parsed.datagram?.suites.length ?? 0) <= 64 && parsed.previous.length <= 4);
        assert.ok(parsed.mtu <= 65_535 && parsed.baseMtu <= 65_535);
        assert.ok(parsed.datagram === undefined || parsed.datagram.masterSecret.length === 48);
      }),
    );
  });

  it('has no datagram channel without a master secret, or with one that anyone can guess', () => {
    const parsed = (secret: string) =>
      parseConnectOffer({
        ...{ method: 'CONNECT', target: '/', version: '1.1', body: new Uint8Array(0) },
        headers: [
          ['X-DTLS-Master-Secret', secret],
          ['X-DTLS-CipherSuite', PSK_NEGOTIATE],
        ],
      }).datagram;
    assert.equal(parsed(''), undefined);
    assert.equal(parsed('0'.repeat(96)), undefined);
    assert.equal(parsed('A1'.repeat(47)), undefined);
    assert.equal(parsed('G1'.repeat(48)), undefined);
    assert.equal(toHex(parsed('A1'.repeat(48))?.masterSecret ?? assert.fail()), 'a1'.repeat(48));
  });

  it('has no host name that could pass for something else', () => {
    const named = (text: string) =>
      parseConnectOffer({
        ...{ method: 'CONNECT', target: '/', version: '1.1', body: new Uint8Array(0) },
        headers: [['X-CSTP-Hostname', text]],
      });
    assert.equal(named('laptop').hostname, 'laptop');
    for (const text of ['', '-laptop', 'lap top', 'laptop;reboot', 'a'.repeat(64), 'a..b', '.', '$(id)'])
      assert.equal(named(text).hostname, undefined, text);
  });
});
