import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { headerValue, headerValues } from '../../../../src/core/http/message.ts';
import { renderRequest } from '../../../../src/core/http/render.ts';
import { type ConnectRequest, connectRequest } from '../../../../src/core/protocols/anyconnect/connect-request.ts';
import { PSK_NEGOTIATE, suiteNames } from '../../../../src/core/protocols/anyconnect/dtls-suites.ts';
import { statelessEncodings } from '../../../../src/core/protocols/anyconnect/tunnel-options.ts';
import { Secret } from '../../../../src/core/secret.ts';
import { parseIp } from '../../../../src/core/wire/ip-address.ts';
import { fromUtf8 } from '../../../../src/core/wire/text.ts';
import { CLIENT } from '../../../support/anyconnect-login.ts';

const REQUEST: ConnectRequest = {
  target: { host: '10.99.0.2', port: 443, path: '/grp' },
  client: CLIENT,
  cookie: new Secret('S='),
  streamEncodings: [],
  baseMtu: 1500,
  mtu: 1390,
  wantsIpv6: true,
  previous: [],
};

const FULL: ConnectRequest = {
  ...REQUEST,
  strap: { verify: 'VERIFY', publicKey: 'PUBKEY' },
  streamEncodings: ['oc-lz4', 'lzs'],
  datagram: {
    masterSecret: new Uint8Array(48).fill(0xab),
    suites: [PSK_NEGOTIATE, ...suiteNames('X-DTLS-CipherSuite')],
    suites12: suiteNames('X-DTLS12-CipherSuite'),
    encodings: ['oc-lz4', 'lzs'],
  },
};

const namesOf = (request: ConnectRequest) => connectRequest(request).headers.map(([name]) => name);

describe('CONNECT request', () => {
  // The order was captured from openconnect 9.01.
  it('has the bytes of the reference client, to a path', () => {
    assert.equal(
      fromUtf8(renderRequest(connectRequest(FULL))),
      [
        'CONNECT /CSCOSSLC/tunnel HTTP/1.1',
        'Host: 10.99.0.2',
        'User-Agent: Open AnyConnect VPN Agent v9.01',
        'Cookie: webvpn=S=',
        'X-CSTP-Version: 1',
        'X-CSTP-Hostname: laptop',
        'X-AnyConnect-STRAP-Verify: VERIFY',
        'X-AnyConnect-STRAP-Pubkey: PUBKEY',
        'X-CSTP-Accept-Encoding: oc-lz4,lzs',
        'X-CSTP-Base-MTU: 1500',
        'X-CSTP-MTU: 1390',
        'X-CSTP-Address-Type: IPv6,IPv4',
        'X-CSTP-Full-IPv6-Capability: true',
        `X-DTLS-Master-Secret: ${'AB'.repeat(48)}`,
        'X-DTLS-CipherSuite: PSK-NEGOTIATE:OC-DTLS1_2-AES256-GCM:OC-DTLS1_2-AES128-GCM:DHE-RSA-AES256-SHA:DHE-RSA-AES128-SHA:AES256-SHA:AES128-SHA',
        'X-DTLS12-CipherSuite: ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-GCM-SHA256:AES256-GCM-SHA384:AES128-GCM-SHA256:DHE-RSA-AES256-SHA:DHE-RSA-AES128-SHA:AES256-SHA:AES128-SHA',
        'X-DTLS-Accept-Encoding: oc-lz4,lzs',
        '',
        '',
      ].join('\r\n'),
    );
  });

  it('leaves out what is not wanted', () => {
    assert.deepEqual(namesOf({ ...REQUEST, wantsIpv6: false }), [
      'Host',
      'User-Agent',
      'Cookie',
      'X-CSTP-Version',
      'X-CSTP-Hostname',
      'X-CSTP-Base-MTU',
      'X-CSTP-MTU',
      'X-CSTP-Address-Type',
    ]);
    assert.equal(headerValue(connectRequest({ ...REQUEST, wantsIpv6: false }).headers, 'X-CSTP-Address-Type'), 'IPv4');
    const bare = { masterSecret: new Uint8Array(48).fill(1), suites: ['AES128-SHA'], suites12: [], encodings: [] };
    assert.deepEqual(namesOf({ ...REQUEST, datagram: bare }).slice(-2), ['X-DTLS-Master-Secret', 'X-DTLS-CipherSuite']);
  });

  it('asks for the addresses of before, each family at its place', () => {
    const previous = ['fd00::2', '10.1.1.2'].map((text) => parseIp(text)).filter((ip) => ip !== undefined);
    const { headers } = connectRequest({ ...REQUEST, previous });
    assert.deepEqual(headers.slice(-4), [
      ['X-CSTP-Address-Type', 'IPv6,IPv4'],
      ['X-CSTP-Address', '10.1.1.2'],
      ['X-CSTP-Full-IPv6-Capability', 'true'],
      ['X-CSTP-Address', 'fd00::2'],
    ]);
  });

  it('tells of the machine behind the key, with a mobile identity', () => {
    const mobile = { platformVersion: '1', deviceType: 'd', uniqueId: 'u' };
    const names = namesOf({ ...FULL, client: { ...CLIENT, mobile } });
    assert.equal(names.indexOf('X-AnyConnect-Identifier-ClientVersion'), names.indexOf('X-AnyConnect-STRAP-Pubkey') + 1);
    assert.equal(names.indexOf('X-CSTP-Accept-Encoding'), names.indexOf('X-AnyConnect-Identifier-Device-UniqueID') + 1);
  });

  it('has no blanks in its lists, which ocserv would not find', () => {
    for (const name of ['X-CSTP-Accept-Encoding', 'X-DTLS-CipherSuite', 'X-DTLS12-CipherSuite', 'X-DTLS-Accept-Encoding']) {
      assert.match(headerValues(connectRequest(FULL).headers, name).join(), /^\S+$/);
    }
  });
});

describe('encodings of a datagram channel', () => {
  it('are those in which each packet stands by itself', () => {
    assert.deepEqual(statelessEncodings(['deflate', 'oc-lz4', 'lzs']), ['oc-lz4', 'lzs']);
  });
});
