import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { type HttpHeaders, type HttpRequest, headerValue, headerValues } from '../../../../src/core/http/message.ts';
import { renderResponse } from '../../../../src/core/http/render.ts';
import { RequestParser } from '../../../../src/core/http/request-parser.ts';
import { ConnectExchange, type ExchangeResult } from '../../../../src/core/protocols/anyconnect/connect-exchange.ts';
import { parseConnectResponse } from '../../../../src/core/protocols/anyconnect/connect-response.ts';
import { PSK_NEGOTIATE } from '../../../../src/core/protocols/anyconnect/dtls-suites.ts';
import type { TunnelOptions } from '../../../../src/core/protocols/anyconnect/tunnel-options.ts';
import { Secret } from '../../../../src/core/secret.ts';
import type { PathFacts } from '../../../../src/core/tunnel/machine.ts';
import { type IpAddress, parseIp } from '../../../../src/core/wire/ip-address.ts';
import { toHex, utf8 } from '../../../../src/core/wire/text.ts';
import { CLIENT } from '../../../support/anyconnect-login.ts';
import { RecordedLog } from '../../../support/forms.ts';
import { captured } from '../../../support/login-script.ts';
import { sliceSizes, slicesOf } from '../../../support/slices.ts';
import { testCrypto } from '../../../support/test-crypto.ts';

const NOW = 5000;

function ip(text: string): IpAddress {
  const address = parseIp(text);
  assert.ok(address !== undefined);
  return address;
}

const FACTS: PathFacts = {
  local: { address: ip('192.0.2.1'), port: 50_000 },
  remote: { address: ip('192.0.2.2'), port: 443 },
  pathMtu: 1500,
  engine: false,
};

const GRANT: HttpHeaders = [
  ['X-CSTP-Version', '1'],
  ['X-CSTP-Address', '10.1.1.2'],
  ['X-CSTP-Netmask', '255.255.255.0'],
  ['X-CSTP-Address-IP6', 'fd00::2/64'],
  ['X-CSTP-MTU', '1400'],
];
const PSK: HttpHeaders = [
  ['X-DTLS-Port', '443'],
  ['X-DTLS-App-ID', 'ab'.repeat(32)],
  ['X-DTLS-CipherSuite', PSK_NEGOTIATE],
];
const WISHES = { suites: [PSK_NEGOTIATE, 'AES128-SHA'], suites12: ['AES256-GCM-SHA384'] };

function exchange(options: Partial<TunnelOptions> = {}, facts = FACTS): { exchange: ConnectExchange; log: RecordedLog; sent: HttpRequest } {
  const log = new RecordedLog();
  const made = new ConnectExchange(
    {
      crypto: testCrypto(0x5a),
      log,
      target: { host: 'vpn.example', port: 443, path: '/' },
      client: CLIENT,
      cookie: new Secret('COOKIE'),
      encodings: [],
      wantsIpv6: true,
      ...options,
    },
    facts,
  );
  const parser = new RequestParser();
  parser.push(made.request);
  const sent = parser.next();
  assert.ok(sent !== undefined);
  return { exchange: made, log, sent: sent.message };
}

function answer(headers: HttpHeaders, { status = 200, reason = 'CONNECTED' } = {}): Uint8Array {
  return renderResponse({ version: '1.1', status, reason, headers, body: new Uint8Array(0) });
}

function granted(headers: HttpHeaders, options: Partial<TunnelOptions> = {}): Extract<ExchangeResult, { type: 'granted' }> {
  const result = exchange(options).exchange.receive(answer(headers), NOW);
  assert.ok(result.type === 'granted', JSON.stringify(result));
  return result;
}

function denied(bytes: Uint8Array, options: Partial<TunnelOptions> = {}): Extract<ExchangeResult, { type: 'denied' }>['reason'] {
  const result = exchange(options).exchange.receive(bytes, NOW);
  assert.ok(result.type === 'denied', JSON.stringify(result));
  return result.reason;
}

describe('CONNECT of a tunnel', () => {
  it('asks for what the user wants, over this path', () => {
    const { sent } = exchange();
    const value = (name: string) => headerValue(sent.headers, name);
    assert.deepEqual([sent.method, sent.target, value('Cookie')], ['CONNECT', '/CSCOSSLC/tunnel', 'webvpn=COOKIE']);
    // Spec "AnyConnect", section 8.1: 1390 over IPv4, 1370 over IPv6.
    assert.deepEqual([value('X-CSTP-Base-MTU'), value('X-CSTP-MTU')], ['1500', '1390']);
    assert.equal(value('X-DTLS-Master-Secret'), undefined);
    const overIpv6 = exchange({}, { ...FACTS, remote: { address: ip('fd00::1'), port: 443 } });
    assert.equal(headerValue(overIpv6.sent.headers, 'X-CSTP-MTU'), '1370');
    const wished = exchange({ mtu: 1300, baseMtu: 1400, wantsIpv6: false, encodings: ['deflate', 'lzs'] });
    const wish = (name: string) => headerValue(wished.sent.headers, name);
    assert.deepEqual(
      [wish('X-CSTP-Base-MTU'), wish('X-CSTP-MTU'), wish('X-CSTP-Address-Type'), wish('X-CSTP-Accept-Encoding')],
      ['1400', '1300', 'IPv4', 'deflate,lzs'],
    );
  });

  it('offers a datagram channel with a fresh secret of 48 bytes, and no stateful compression there', () => {
    const { sent, exchange: made } = exchange({ datagram: WISHES, encodings: ['oc-lz4', 'deflate', 'lzs'] });
    assert.equal(made.masterSecret.length, 48);
    const secret = headerValue(sent.headers, 'X-DTLS-Master-Secret');
    assert.equal(secret, toHex(made.masterSecret).toUpperCase());
    assert.equal(secret, '5A'.repeat(48));
    assert.equal(headerValue(sent.headers, 'X-DTLS-CipherSuite'), `${PSK_NEGOTIATE}:AES128-SHA`);
    assert.equal(headerValue(sent.headers, 'X-DTLS12-CipherSuite'), 'AES256-GCM-SHA384');
    assert.equal(headerValue(sent.headers, 'X-DTLS-Accept-Encoding'), 'oc-lz4,lzs');
  });

  it('proves the cookie by the Finished of this connection, where there is one', () => {
    const strap = (finished: Uint8Array) => ({ verify: `V${toHex(finished)}`, publicKey: 'P' });
    const { sent } = exchange({ strap }, { ...FACTS, tls: { finished: Uint8Array.of(1, 2), cipherSuite: '' } });
    assert.equal(headerValue(sent.headers, 'X-AnyConnect-STRAP-Verify'), 'V0102');
    assert.equal(headerValue(exchange({ strap }).sent.headers, 'X-AnyConnect-STRAP-Verify'), undefined);
  });

  it('asks for the addresses of before', () => {
    const previous = parseConnectResponse(GRANT, 0).config;
    assert.deepEqual(headerValues(exchange({ previous }).sent.headers, 'X-CSTP-Address'), ['10.1.1.2', 'fd00::2']);
  });
});

describe('answer to the CONNECT of a tunnel', () => {
  it('is waited for, in any slices, and what follows it is the tunnel’s', () => {
    const frame = utf8('STF');
    const bytes = Uint8Array.of(...answer(GRANT), ...frame);
    fc.assert(
      fc.property(sliceSizes, (sizes) => {
        const { exchange: made } = exchange();
        let rest: Uint8Array | undefined;
        const after: number[] = [];
        for (const slice of slicesOf(bytes, sizes)) {
          if (rest !== undefined) {
            after.push(...slice);
            continue;
          }
          const result = made.receive(slice, NOW);
          assert.notEqual(result.type, 'denied');
          if (result.type === 'granted') rest = result.rest;
        }
        assert.deepEqual([...(rest ?? []), ...after], [...frame]);
      }),
    );
  });

  it('is logged without what holds the session', () => {
    const { exchange: made, log } = exchange();
    made.receive(
      answer([
        ...GRANT,
        ['X-CSTP-Post-Auth-XML', '<a>TOKEN1</a>'],
        ['Set-Cookie', 'webvpn=TOKEN2'],
        ['X-CSTP-Banner', 'a\u001b[1mb'],
        ['X-CSTP-DNS', 'x'],
      ]),
      NOW,
    );
    const lines = log.lines.join('\n');
    assert.match(lines, /info connect answered status=200 reason=CONNECTED version=1\.1/);
    assert.match(lines, /debug connect header name=X-CSTP-Banner value=a\[1mb/);
    assert.match(lines, /warn configuration value problem=malformed field=name server text=x/);
    assert.ok(!/TOKEN|Post-Auth|COOKIE/.test(lines));
  });

  it('401 says that the cookie is used up: no further try', () => {
    const reason = denied(captured401());
    assert.equal(reason.kind, 'refused');
    assert.equal(reason.error?.code, 'ERR_COOKIE_REFUSED');
    assert.match(reason.error?.message ?? '', /HTTP\/1\.1 401 Cookie is not acceptable/);
  });

  it('of another status may be better the next time, and says why', () => {
    const reason = denied(answer([['X-Reason', 'Server\u001b error']], { status: 503, reason: 'Service Unavailable' }));
    assert.equal(reason.kind, 'path-lost');
    assert.equal(reason.error?.code, 'ERR_CONNECT_REFUSED');
    assert.match(reason.message, /HTTP\/1\.1 503 Service Unavailable \(Server error\)/);
    assert.match(denied(answer([], { status: 404, reason: 'Not found' })).message, /404 Not found\.$/);
  });

  it('that is no HTTP, or no configuration, ends the session', () => {
    for (const bytes of [utf8('SSH-2.0-x\r\n'), answer([]), answer([...GRANT, ['X-CSTP-Content-Encoding', 'zstd']])]) {
      const reason = denied(bytes);
      assert.equal(reason.kind, 'misbehaved');
      assert.ok(reason.error !== undefined);
    }
  });

  it('must not choose a compression of the stream that was not offered', () => {
    const lzs: HttpHeaders = [...GRANT, ['X-CSTP-Content-Encoding', 'lzs']];
    assert.equal(granted(lzs, { encodings: ['lzs'] }).response.stream.compression, 'lzs');
    assert.match(denied(answer(lzs), { encodings: ['oc-lz4'] }).message, /compression lzs, which it was not offered/);
  });

  it('loses its datagram channel where it chose what was not offered there', () => {
    const offered = { datagram: WISHES, encodings: ['lzs'] as const };
    assert.equal(granted([...GRANT, ...PSK], offered).response.datagram?.port, 443);
    const chosen = (...headers: HttpHeaders) => granted([...GRANT, ...headers], offered).response;
    const suite = chosen(['X-DTLS-Port', '443'], ['X-DTLS-Session-ID', 'ab'.repeat(32)], ['X-DTLS-CipherSuite', 'AES256-SHA']);
    assert.equal(suite.datagram, undefined);
    assert.match(suite.datagramProblem ?? '', /DTLS cipher AES256-SHA, which it was not offered/);
    const compression = chosen(...PSK, ['X-DTLS-Content-Encoding', 'oc-lz4']);
    assert.equal(compression.datagram, undefined);
    assert.match(compression.datagramProblem ?? '', /DTLS compression oc-lz4, which/);
  });

  it('has no datagram channel, and no problem with it, where none was asked for', () => {
    const { response } = granted([...GRANT, ...PSK]);
    assert.deepEqual([response.datagram, response.datagramProblem], [undefined, undefined]);
    assert.equal(granted(GRANT).response.datagramProblem, undefined);
    assert.equal(granted(GRANT, { datagram: WISHES }).response.datagramProblem, 'The gateway offers no DTLS.');
  });
});

describe('answer to the CONNECT of a reconnect', () => {
  const previous = parseConnectResponse(GRANT, 0).config;
  const changed = (name: string, value: string): HttpHeaders => GRANT.map(([key, old]) => [key, key === name ? value : old]);
  const withoutIpv6 = GRANT.filter(([name]) => name !== 'X-CSTP-Address-IP6');

  it('may bring other routes, names and MTU', () => {
    const headers: HttpHeaders = [...changed('X-CSTP-MTU', '1300'), ['X-CSTP-DNS', '1.1.1.1'], ['X-CSTP-Split-Include', '10.0.0.0/8']];
    assert.equal(granted(headers, { previous }).response.config.mtu, 1300);
  });

  it('is limited to the MTU that the user wants, but not below what IP needs', () => {
    const mtuOf = (mtu: number, headers = GRANT) => granted(headers, { mtu }).response.config.mtu;
    assert.deepEqual([mtuOf(1300), mtuOf(1400), mtuOf(1500), mtuOf(600)], [1300, 1400, 1400, 1280]);
    assert.equal(
      mtuOf(
        600,
        GRANT.filter(([name]) => name !== 'X-CSTP-Address-IP6'),
      ),
      600,
    );
  });

  it('may bring a family that was not there, but must keep what was', () => {
    assert.equal(granted(GRANT, { previous: parseConnectResponse(withoutIpv6, 0).config }).type, 'granted');
    for (const headers of [
      changed('X-CSTP-Address', '10.1.1.3'),
      changed('X-CSTP-Netmask', '255.255.0.0'),
      changed('X-CSTP-Address-IP6', 'fd00::3/64'),
      changed('X-CSTP-Address-IP6', 'fd00::2/63'),
      withoutIpv6,
    ]) {
      const reason = denied(answer(headers), { previous });
      assert.equal(reason.kind, 'refused');
      assert.match(reason.message, /other addresses than before/);
    }
  });
});

/** As ocserv 1.1.6 answers: without a length, and its TLS alert follows. */
function captured401(): Uint8Array {
  const { status, reason, headers } = captured('connect-unknown-cookie', 'CONNECT');
  return answer(headers, { status, reason });
}
