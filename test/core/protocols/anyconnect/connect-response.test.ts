import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { SallyportError } from '../../../../src/core/errors.ts';
import type { HttpHeaders } from '../../../../src/core/http/message.ts';
import { type ConnectResponse, parseConnectResponse } from '../../../../src/core/protocols/anyconnect/connect-response.ts';
import type { InterfaceAddress } from '../../../../src/core/tunnel/config.ts';
import { formatCidr, formatIp } from '../../../../src/core/wire/ip-address.ts';
import { toHex } from '../../../../src/core/wire/text.ts';
import { sized } from '../../../support/size.ts';

const NOW = 1_000_000;
const BASE: HttpHeaders = [
  ['X-CSTP-Version', '1'],
  ['X-CSTP-Address', '10.1.1.2'],
  ['X-CSTP-Netmask', '255.255.255.0'],
  ['X-CSTP-MTU', '1400'],
];
const without = (...names: readonly string[]): HttpHeaders => BASE.filter(([name]) => !names.includes(name));

const parse = (...more: HttpHeaders): ConnectResponse => parseConnectResponse([...BASE, ...more], NOW);
const configOf = (...more: HttpHeaders) => parse(...more).config;
const shown = (address: InterfaceAddress | undefined) =>
  address && `${formatIp(address.address)}${address.prefix === undefined ? '' : `/${address.prefix}`}`;

describe('answer to CONNECT: addresses', () => {
  const addresses = (headers: HttpHeaders) => {
    const { ipv4, ipv6 } = parseConnectResponse([['X-CSTP-MTU', '1400'], ...headers], NOW).config;
    return [shown(ipv4), shown(ipv6)];
  };

  it('are an IPv4 address with its netmask, and IPv6 in the full form', () => {
    assert.deepEqual(addresses(BASE), ['10.1.1.2/24', undefined]);
    assert.deepEqual(addresses([...BASE, ['X-CSTP-Address-IP6', 'fd00::2/64']]), ['10.1.1.2/24', 'fd00::2/64']);
  });

  it('are IPv6 in the old form too, where the netmask is an address with its prefix and enough alone', () => {
    const [address, netmask] = [['X-CSTP-Address', 'fd00::2'] as const, ['X-CSTP-Netmask', 'fd00::2/64'] as const];
    assert.deepEqual(addresses([address, netmask]), [undefined, 'fd00::2/64']);
    assert.deepEqual(addresses([...BASE, netmask, address]), ['10.1.1.2/24', 'fd00::2/64']);
    assert.deepEqual(addresses([address]), [undefined, 'fd00::2']);
    assert.deepEqual(addresses([netmask]), [undefined, 'fd00::2/64']);
    assert.deepEqual(addresses([address, netmask, ['X-CSTP-Address-IP6', 'fd01::3/48']]), [undefined, 'fd01::3/48']);
  });

  it('have no network with a netmask that has holes, and must be there', () => {
    assert.deepEqual(
      addresses([
        ['X-CSTP-Address', '10.1.1.2'],
        ['X-CSTP-Netmask', '255.0.255.0'],
      ]),
      ['10.1.1.2', undefined],
    );
    for (const headers of [
      [],
      [['X-CSTP-Netmask', '255.255.255.0']],
      [['X-CSTP-Address', 'no']],
      [['X-CSTP-Address', '127.0.0.1']],
    ] as const) {
      assert.throws(() => addresses(headers), { name: 'PeerMisbehavedError', message: /gives no address/ });
    }
  });
});

describe('answer to CONNECT: MTU', () => {
  const mtuOf = (...headers: HttpHeaders) => parseConnectResponse([...without('X-CSTP-MTU'), ...headers], NOW).config.mtu;

  it('is the larger of the two that are said', () => {
    assert.equal(mtuOf(['X-CSTP-MTU', '1400']), 1400);
    assert.equal(mtuOf(['X-DTLS-MTU', '1300']), 1300);
    assert.equal(mtuOf(['X-CSTP-MTU', '1400'], ['X-DTLS-MTU', '1420']), 1420);
    assert.equal(mtuOf(['X-CSTP-MTU', '1400'], ['X-DTLS-MTU', 'none']), 1400);
  });

  it('must be there, and as large as IP needs', () => {
    assert.throws(() => mtuOf(), /names no MTU/);
    assert.throws(() => mtuOf(['X-CSTP-MTU', '0'], ['X-DTLS-MTU', 'x']), /names no MTU/);
    assert.equal(mtuOf(['X-CSTP-MTU', '68']), 68);
    assert.throws(() => mtuOf(['X-CSTP-MTU', '67']), { name: 'PeerMisbehavedError', message: /at least 68, but it says 67/ });
  });

  it('is no larger than what a frame in one record holds', () => {
    assert.equal(mtuOf(['X-CSTP-MTU', '16376']), 16_376);
    assert.equal(mtuOf(['X-CSTP-MTU', '65425']), 16_376);
  });

  it('comes with that of the link', () => {
    assert.equal(parse().baseMtu, 0);
    assert.equal(parse(['X-CSTP-Base-MTU', '1500']).baseMtu, 1500);
  });
});

describe('answer to CONNECT: configuration', () => {
  it('keeps three name servers over both headers, in their order', () => {
    const { dns, nbns } = configOf(
      ['X-CSTP-DNS', '1.1.1.1'],
      ['X-CSTP-DNS-IP6', 'fd00::53'],
      ['X-CSTP-DNS', 'fd00::54'],
      ['X-CSTP-DNS', '3.3.3.3'],
      ...['4.4.4.4', '5.5.5.5', 'x', '6.6.6.6', '7.7.7.7'].map((text) => ['X-CSTP-NBNS', text] as const),
    );
    assert.deepEqual(dns.map(formatIp), ['1.1.1.1', 'fd00::53', 'fd00::54']);
    assert.deepEqual(nbns.map(formatIp), ['4.4.4.4', '5.5.5.5', '6.6.6.6']);
  });

  it('has domains from lists and from repeated headers', () => {
    const { searchDomains, splitDns } = configOf(
      ['X-CSTP-Default-Domain', 'a.example b.example,c.example'],
      ['X-CSTP-Split-DNS', 'x.example,y.example'],
      ['X-CSTP-Split-DNS', 'z.example'],
    );
    assert.deepEqual(searchDomains, ['a.example', 'b.example', 'c.example']);
    assert.deepEqual(splitDns, ['x.example', 'y.example', 'z.example']);
  });

  it('has routes of both families, as networks with a netmask or a length', () => {
    const { include, exclude } = configOf(
      ['X-CSTP-Split-Include', '10.0.0.0/255.0.0.0'],
      ['X-CSTP-Split-Include-IP6', 'fd01::/16'],
      ['X-CSTP-Split-Include', '192.168.0.0/16'],
      ['X-CSTP-Split-Include', 'fd02::/16'],
      ['X-CSTP-Split-Exclude', '0.0.0.0/255.255.255.255'],
      ['X-CSTP-Split-Exclude-IP6', 'fd03::/16'],
    );
    assert.deepEqual(include.map(formatCidr), ['10.0.0.0/8', 'fd01::/16', '192.168.0.0/16', 'fd02::/16']);
    assert.deepEqual(exclude.map(formatCidr), ['0.0.0.0/32', 'fd03::/16']);
    assert.deepEqual([configOf().include, configOf().exclude], [[], []]);
  });

  it('decodes a banner once, and takes a proxy configuration by either spelling', () => {
    assert.equal(configOf(['X-CSTP-Banner', 'Hello%20%2541 World%0a']).banner, 'Hello %41 World');
    assert.equal(configOf(['X-CSTP-Banner', '']).banner, undefined);
    for (const name of ['X-CSTP-MSIE-Proxy-PAC-URL', 'X-CSTP-MSIE-Proxy-Pac-URL']) {
      assert.equal(configOf([name, 'http://p/x.pac']).proxyPac, 'http://p/x.pac');
    }
    assert.equal(configOf(['X-CSTP-MSIE-Proxy-PAC-URL', 'file:///etc/passwd']).proxyPac, undefined);
  });

  it('ends with the smallest limit that is set', () => {
    const limits = (session: string, remaining: string, lease: string) =>
      configOf(['X-CSTP-Session-Timeout', session], ['X-CSTP-Session-Timeout-Remaining', remaining], ['X-CSTP-Lease-Duration', lease])
        .expiresAt;
    assert.equal(limits('100', '50', '70'), NOW + 50_000);
    assert.equal(limits('0', '0', '70'), NOW + 70_000);
    assert.equal(limits('none', '0', 'none'), undefined);
    assert.equal(configOf().expiresAt, undefined);
    assert.equal(configOf(['X-CSTP-Idle-Timeout', '1800']).idleTimeout, 1_800_000);
    assert.equal(configOf(['X-CSTP-Idle-Timeout', 'none']).idleTimeout, undefined);
  });

  it('hands the gateway’s own options on as openconnect does: without those that hold the session, or are of DTLS', () => {
    const { vendorOptions } = configOf(
      ['X-CSTP-Keep', 'true'],
      ['X-CSTP-Post-Auth-XML', '<secret/>'],
      ['Set-Cookie', 'webvpn=S'],
      ['Server', 'x'],
      ['X-DTLS-App-ID', 'abc'],
      ['x-dtls-port', '443'],
      ['x-cstp-keepalive', '20'],
    );
    assert.deepEqual(vendorOptions, [...BASE, ['X-CSTP-Keep', 'true'], ['x-cstp-keepalive', '20']]);
  });

  it('says when the gateway’s name is to be looked up again', () => {
    assert.equal(parse().config.gatewayMoves, undefined);
    assert.equal(parse(['X-CSTP-DynDNS', 'true']).config.gatewayMoves, true);
    assert.equal(parse(['X-CSTP-DynDNS', 'false']).config.gatewayMoves, undefined);
  });

  it('compares names without case, and leaves out what cannot be used, with a warning', () => {
    const response = parseConnectResponse(
      [
        ...BASE.map(([name, value]) => [name.toLowerCase(), value] as const),
        ['x-cstp-dns', 'nonsense'],
        ['X-CSTP-SPLIT-INCLUDE', '10.1.2.3/8'],
      ],
      NOW,
    );
    assert.deepEqual(response.warnings, [
      { problem: 'malformed', field: 'name server', text: 'nonsense' },
      { problem: 'host-bits', field: 'split include', text: '10.1.2.3/8' },
    ]);
  });
});

describe('answer to CONNECT: stream channel', () => {
  const stream = (...more: HttpHeaders) => parse(...more).stream;

  it('has the gateway’s times, in milliseconds', () => {
    assert.deepEqual(stream(), { times: { dpd: 0, keepalive: 0, rekey: 0 }, compression: undefined });
    const times = stream(
      ['X-CSTP-DPD', '90'],
      ['X-CSTP-Keepalive', '32400'],
      ['X-CSTP-Rekey-Time', '172800'],
      ['X-CSTP-Rekey-Method', 'ssl'],
    ).times;
    assert.deepEqual(times, { dpd: 90_000, keepalive: 32_400_000, rekey: 172_800_000 });
  });

  it('takes no number for off', () => {
    for (const off of ['none', '0', '', '-5', 'soon']) {
      const times = stream(
        ['X-CSTP-DPD', off],
        ['X-CSTP-Keepalive', off],
        ['X-CSTP-Rekey-Time', off],
        ['X-CSTP-Rekey-Method', 'ssl'],
      ).times;
      assert.deepEqual(times, { dpd: 0, keepalive: 0, rekey: 0 }, off);
    }
  });

  it('changes its keys only by a method that it knows', () => {
    const rekeyBy = (...method: string[]) =>
      stream(['X-CSTP-Rekey-Time', '60'], ...method.map((name) => ['X-CSTP-Rekey-Method', name] as const)).times.rekey;
    assert.deepEqual([rekeyBy('ssl'), rekeyBy('new-tunnel'), rekeyBy('none'), rekeyBy('new'), rekeyBy()], [60_000, 60_000, 0, 0, 0]);
  });

  it('is compressed as the gateway chose, which must be known', () => {
    for (const name of ['lzs', 'oc-lz4', 'deflate'] as const) assert.equal(stream(['X-CSTP-Content-Encoding', name]).compression, name);
    for (const name of ['none', '']) assert.equal(stream(['X-CSTP-Content-Encoding', name]).compression, undefined);
    assert.throws(() => stream(['X-CSTP-Content-Encoding', 'zstd']), { name: 'UnsupportedError', message: /unknown compression: zstd/ });
  });
});

const ID = 'ab'.repeat(32);
const PSK: HttpHeaders = [
  ['X-DTLS-Port', '4433'],
  ['X-DTLS-App-ID', ID],
  ['X-DTLS-CipherSuite', 'PSK-NEGOTIATE'],
];
const RESUMPTION: HttpHeaders = [
  ['X-DTLS-Port', '4433'],
  ['X-DTLS-Session-ID', ID],
];

describe('answer to CONNECT: datagram channel', () => {
  const associationOf = (...more: HttpHeaders) => {
    const { datagram } = parse(...more);
    const { association } = datagram ?? {};
    return association?.mode === 'psk'
      ? ['psk', toHex(association.appId)]
      : association && [association.suite.name, association.suite.version, toHex(association.sessionId)];
  };

  it('is a handshake with a pre-shared key, named in either header', () => {
    assert.deepEqual(associationOf(...PSK), ['psk', ID]);
    assert.deepEqual(associationOf(['X-DTLS-Port', '1'], ['X-DTLS-App-ID', '00'], ['X-DTLS12-CipherSuite', 'PSK-NEGOTIATE']), [
      'psk',
      '00',
    ]);
    assert.equal(parse(...PSK).datagram?.port, 4433);
  });

  it('is a resumption, whose dialect depends on suite and header', () => {
    assert.deepEqual(associationOf(...RESUMPTION, ['X-DTLS-CipherSuite', 'AES128-SHA']), ['AES128-SHA', '0.9', ID]);
    assert.deepEqual(associationOf(...RESUMPTION, ['X-DTLS-CipherSuite', 'OC-DTLS1_2-AES256-GCM']), ['OC-DTLS1_2-AES256-GCM', '1.2', ID]);
    assert.deepEqual(associationOf(...RESUMPTION, ['X-DTLS12-CipherSuite', 'AES128-SHA']), ['AES128-SHA', '1.2', ID]);
    assert.deepEqual(
      associationOf(...RESUMPTION, ['X-DTLS-CipherSuite', 'AES128-SHA'], ['X-DTLS12-CipherSuite', 'AES256-GCM-SHA384']),
      ['AES256-GCM-SHA384', '1.2', ID],
      'DTLS 1.2 wins',
    );
  });

  it('has times and compression of its own, where a new tunnel is no change of keys', () => {
    const method = (name: string): HttpHeaders => [
      ['X-DTLS-DPD', '30'],
      ['X-DTLS-Keepalive', '20'],
      ['X-DTLS-Rekey-Time', '60'],
      ['X-DTLS-Rekey-Method', name],
      ['X-DTLS-Content-Encoding', 'lzs'],
    ];
    assert.deepEqual(parse(...PSK, ...method('ssl')).datagram?.times, { dpd: 30_000, keepalive: 20_000, rekey: 60_000 });
    assert.equal(parse(...PSK, ...method('new-tunnel')).datagram?.times.rekey, 0);
    assert.equal(parse(...PSK, ...method('ssl')).datagram?.compression, 'lzs');
    for (const name of ['deflate', 'zstd']) {
      assert.throws(() => parse(...PSK, ['X-DTLS-Content-Encoding', name]), { name: 'UnsupportedError' }, name);
    }
  });

  it('is not there without a port, an id or a cipher, and says why', () => {
    const problem = (...headers: HttpHeaders) => {
      const { datagram, datagramProblem } = parse(...headers);
      assert.equal(datagram, undefined);
      return datagramProblem;
    };
    const offersNone = 'The gateway offers no DTLS.';
    assert.equal(problem(), offersNone);
    assert.equal(problem(...PSK.slice(1)), offersNone);
    assert.equal(problem(['X-DTLS-Port', '0'], ...PSK.slice(1)), offersNone);
    assert.equal(problem(['X-DTLS-Port', '65536'], ...PSK.slice(1)), offersNone);
    assert.equal(problem(['X-DTLS-Port', '443']), offersNone);
    assert.equal(problem(...RESUMPTION), 'The gateway names no DTLS cipher.');
    assert.match(problem(...RESUMPTION, ['X-DTLS-CipherSuite', 'DES-CBC3-SHA']) ?? '', /cipher that is not known: DES-CBC3-SHA/);
  });

  it('is refused with an id of the wrong length, or none of hex', () => {
    const sessionId = (id: string) => () => parse(['X-DTLS-Port', '1'], ['X-DTLS-Session-ID', id], ['X-DTLS-CipherSuite', 'AES128-SHA']);
    const appId = (id: string) => () => parse(['X-DTLS-Port', '1'], ['X-DTLS-App-ID', id], ['X-DTLS-CipherSuite', 'PSK-NEGOTIATE']);
    for (const id of ['00', ID.slice(2), `${ID}00`, 'zz'.repeat(32), '']) assert.throws(sessionId(id), { name: 'PeerMisbehavedError' }, id);
    for (const id of ['', `${ID}00`, '0', 'zz']) assert.throws(appId(id), { name: 'PeerMisbehavedError' }, id);
    assert.throws(() => parse(...RESUMPTION, ['X-DTLS-CipherSuite', 'PSK-NEGOTIATE']), /X-DTLS-App-ID/);
  });
});

describe('answer to CONNECT', () => {
  it('throws nothing but its own errors, whatever the headers', () => {
    const names = [
      ...[
        'Address',
        'Netmask',
        'Address-IP6',
        'MTU',
        'DNS',
        'DNS-IP6',
        'NBNS',
        'Default-Domain',
        'Split-DNS',
        'Split-Include',
        'Split-Exclude-IP6',
      ],
      ...[
        'Banner',
        'Idle-Timeout',
        'Lease-Duration',
        'Rekey-Time',
        'Rekey-Method',
        'Content-Encoding',
        'MSIE-Proxy-PAC-URL',
        'DPD',
        'DynDNS',
      ],
    ].map((name) => `X-CSTP-${name}`);
    const dtls = ['Port', 'Session-ID', 'App-ID', 'CipherSuite', 'MTU', 'DPD', 'Content-Encoding'].map((name) => `X-DTLS-${name}`);
    const value = fc.oneof(
      fc.constantFrom(
        '1400',
        '10.0.0.1',
        'fd00::1/64',
        '255.255.0.0',
        'PSK-NEGOTIATE',
        'AES128-SHA',
        ID,
        'lzs',
        'none',
        '0',
        '%41%',
        '99999999999999999999',
      ),
      fc.string({ maxLength: 20 }),
    );
    const header = fc.tuple(fc.constantFrom(...names, ...dtls, 'X-DTLS12-CipherSuite'), value);
    fc.assert(
      fc.property(fc.array(header, { maxLength: 20 }), fc.boolean(), (headers, isComplete) => {
        try {
          parseConnectResponse(isComplete ? [...BASE, ...headers] : headers, NOW);
        } catch (error) {
          assert.ok(error instanceof SallyportError);
        }
      }),
      { numRuns: sized(1000, 50_000) },
    );
  });
});
