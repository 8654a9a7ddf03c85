/** The formats of Network Connect, with the bytes of the specification, both ways. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { MisuseError, PeerMisbehavedError, PeerRefusedError } from '../../../../src/core/errors.ts';
import { CookieJar } from '../../../../src/core/http/cookies.ts';
import { cookieOffWire, cookieOnWire } from '../../../../src/core/protocols/hex-cookie.ts';
import { parseConfiguration, parseSettings, renderConfiguration, renderMtu } from '../../../../src/core/protocols/nc/configuration.ts';
import { parseKeys, renderEspSwitch, renderKeys } from '../../../../src/core/protocols/nc/esp-terms.ts';
import { KMP_HEADER_LENGTH, typeAt } from '../../../../src/core/protocols/nc/kmp-message.ts';
import { formOf, type LoginPage, parseLoginPage, renderLoginPage } from '../../../../src/core/protocols/nc/login-page.ts';
import { helloName, renderHello, renderRecord, renderRecords } from '../../../../src/core/protocols/nc/oncp-record.ts';
import { parseSessionCookie, sessionIn } from '../../../../src/core/protocols/nc/session-cookie.ts';
import { renderTunnelRequest } from '../../../../src/core/protocols/nc/tunnel-request.ts';
import { Secret } from '../../../../src/core/secret.ts';
import { formatCidr, formatIp } from '../../../../src/core/wire/ip-address.ts';
import { fromHex, fromUtf8, toBase64, toHex } from '../../../../src/core/wire/text.ts';
import { toleratingOwnErrors } from '../../../support/own-errors.ts';
import { ipOf } from '../../ppp/linked.ts';

const ALGORITHMS = { cipher: 'aes-128-cbc', mac: 'sha1' } as const;
const hex = (text: string) => fromHex(text.replace(/\s/g, ''));

/** Spec 10.2, all but the keys. */
const FULL = hex(`
  00060000000a00020000000400000578
  00010000001e 0001000000040a630002 000200000004ffffff00 0003000000040a630001
  000200000032 0001000000040a630035 0001000000040a630036 0002000000186578616d706c652e636f6d2c636f72702e6578616d706c65
  00030000001c 0003000000080a630000ffff0000 0004000000080a630500ffffff00
  00040000000a 0001000000040a63003c
  000800000045 00010000000102 00020000000102 00030000000100 0004000000021194 00050000000400000000 000600000004000004b0
  0009000000040000000f 000a0000000400000001
  000700000050 000100000004a1b2c3d4 000200000040 ${'5a'.repeat(64)}`);

describe('configuration', () => {
  it('is read as the specification has it', () => {
    const { config, warnings } = parseConfiguration(FULL, undefined);
    assert.deepEqual(warnings, []);
    assert.equal(config.mtu, 1400);
    assert.deepEqual(config.ipv4, { address: ipOf('10.99.0.2'), prefix: 24 });
    assert.deepEqual(config.gatewayIpv4, ipOf('10.99.0.1'));
    assert.deepEqual(config.dns.map(formatIp), ['10.99.0.53', '10.99.0.54']);
    assert.deepEqual(config.searchDomains, ['example.com', 'corp.example']);
    assert.deepEqual(config.include.map(formatCidr), ['10.99.0.0/16']);
    assert.deepEqual(config.exclude.map(formatCidr), ['10.99.5.0/24']);
    assert.deepEqual(config.nbns.map(formatIp), ['10.99.0.60']);
  });

  it('is everything where the network of all addresses is among the includes', () => {
    const all = hex('00060000000a00020000000400000578 00010000000a0001000000040a630002 00030000000e 0003000000080000000000000000');
    assert.deepEqual(parseConfiguration(all, undefined).config.include, []);
  });

  it('may leave the address out when it was said before, and only then', () => {
    const { config } = parseConfiguration(FULL, undefined);
    const mtuOnly = FULL.subarray(0, 16);
    const { ipv4, gatewayIpv4 } = parseConfiguration(mtuOnly, config).config;
    assert.deepEqual({ ipv4, gatewayIpv4 }, { ipv4: config.ipv4, gatewayIpv4: config.gatewayIpv4 });
    assert.throws(() => parseConfiguration(mtuOnly, undefined), PeerMisbehavedError);
  });

  it('is refused where a length is wrong, the MTU is missing, or bytes are left', () => {
    for (const [name, bytes] of [
      ['a length', hex('00060000000a00020000000400000578 0001000000090001000000030a6300')],
      ['no MTU', hex('00010000000a0001000000040a630002')],
      ['an MTU of 0', hex('00060000000a00020000000400000000 00010000000a0001000000040a630002')],
      ['a byte too many', Uint8Array.of(...FULL, 0)],
      ['a byte too few', FULL.subarray(0, -1)],
      ['a length beyond all', hex('0006ffffffff')],
    ] as const) {
      assert.throws(() => parseConfiguration(bytes, undefined), PeerMisbehavedError, name);
    }
  });

  it('comes back from what a gateway writes, with a last group that openconnect does not overlook', () => {
    const { config } = parseConfiguration(FULL, undefined);
    const message = renderConfiguration(config, ipOf('10.99.0.1'));
    assert.equal(typeAt(message, 0), 301);
    const payload = message.subarray(KMP_HEADER_LENGTH);
    assert.deepEqual(parseConfiguration(payload, undefined).config, config);
    // The group of the address: 26 bytes at least.
    assert.equal(toHex(payload.subarray(-36)), '00010000001e0001000000040a630002000200000004ffffff000003000000040a630001');
  });

  it('is as in the minimal transcript of the specification', () => {
    const config = { mtu: 1400, ipv4: { address: ipOf('10.99.0.2'), prefix: 24 }, dns: [], nbns: [], searchDomains: [] };
    const message = renderConfiguration({ ...config, splitDns: [], include: [], exclude: [], vendorOptions: [] }, undefined);
    assert.deepEqual(
      renderRecord(message),
      hex(`3e00 000000000000012d 01000000000000000000 002a 0006 0000000a 0002 00000004 00000578
        0001 00000014 0001 00000004 0a630002 0002 00000004 ffffff00`),
    );
  });

  it('throws nothing but its own errors', () => {
    fc.assert(
      fc.property(fc.nat(FULL.length - 1), fc.nat(255), fc.uint8Array({ maxLength: 60 }), (at, byte, more) => {
        const bytes = Uint8Array.from(FULL);
        bytes[at] = byte;
        toleratingOwnErrors(() => parseConfiguration(bytes, undefined));
        toleratingOwnErrors(() => parseConfiguration(more, undefined));
        toleratingOwnErrors(() => parseSettings(more));
        toleratingOwnErrors(() => parseKeys(more, ALGORITHMS));
      }),
      { numRuns: 500 },
    );
  });
});

describe('what is said of ESP', () => {
  const block = { spi: 0xa1b2c3d4, bytes: Uint8Array.from({ length: 64 }, (_, i) => i) };

  it('is read from a configuration as the specification has it', () => {
    const { esp } = parseConfiguration(FULL, undefined);
    assert.deepEqual(esp?.terms, { algorithms: ALGORITHMS, port: 4500, fallback: 15_000, lifetime: 1_200_000 });
    assert.deepEqual(esp.keys, { spi: 0xa1b2c3d4, bytes: new Uint8Array(64).fill(0x5a) });
  });

  it('is as in the transcript of the specification, without what is not said there', () => {
    const { config, esp } = parseConfiguration(
      hex(`0006 0000000a 0002 00000004 00000578
        0001 00000014 0001 00000004 0a630002 0002 00000004 ffffff00
        0008 00000020 0001 00000001 02  0002 00000001 02  0004 00000002 1194  000a 00000004 00000001
        0007 00000050 0001 00000004 a1b2c3d4 0002 00000040 ${toHex(block.bytes)}`),
      undefined,
    );
    assert.deepEqual(esp, { terms: { algorithms: ALGORITHMS, port: 4500, fallback: 60_000 }, keys: block });
    const message = renderConfiguration(config, undefined, esp);
    assert.deepEqual(parseConfiguration(message.subarray(KMP_HEADER_LENGTH), undefined).esp, esp);
    // The last group is the one of 86 bytes.
    assert.equal(toHex(message.subarray(-86, -64)), '000700000050000100000004a1b2c3d4000200000040');
  });

  it('is none where a part of it is missing, or is not known', () => {
    const parts = {
      cipher: '0008 00000007 0001 00000001 05',
      mac: '0008 00000007 0002 00000001 01',
      port: '0008 00000008 0004 00000002 1194',
      keys: `0007 00000050 0001 00000004 a1b2c3d4 0002 00000040 ${toHex(block.bytes)}`,
    };
    const offerOf = (some: Readonly<Record<string, string>>) =>
      parseConfiguration(hex(`${toHex(FULL.subarray(0, 52))} ${Object.values(some).join(' ')}`), undefined).esp?.terms;
    assert.deepEqual(offerOf(parts), { algorithms: { cipher: 'aes-256-cbc', mac: 'md5' }, port: 4500, fallback: 60_000 });
    for (const name of Object.keys(parts)) assert.equal(offerOf({ ...parts, [name]: '' }), undefined, name);
    assert.equal(offerOf({ ...parts, cipher: '0008 00000007 0001 00000001 03' }), undefined);
    assert.equal(offerOf({ ...parts, mac: '0008 00000007 0002 00000001 03' }), undefined);
    assert.equal(offerOf({ ...parts, port: '0008 00000008 0004 00000002 0000' }), undefined);
  });

  it('are other keys in a message of 106 bytes, which may change what they are for', () => {
    const message = renderKeys('client', { ...block, spi: 0x56a1e6f7 });
    assert.equal(
      toHex(renderRecord(message).subarray(0, 44)),
      toHex(
        hex(`6a00
      000000000000012e 01000000010000000000 0056   0007 00000050  0001 00000004 56a1e6f7 0002 00000040`),
      ),
    );
    const payload = message.subarray(KMP_HEADER_LENGTH);
    assert.deepEqual(parseKeys(payload, ALGORITHMS), { keys: { ...block, spi: 0x56a1e6f7 }, algorithms: ALGORITHMS });
    const stronger = Uint8Array.of(...hex('0008 00000007 0001 00000001 05'), ...payload);
    assert.deepEqual(parseKeys(stronger, ALGORITHMS).algorithms, { cipher: 'aes-256-cbc', mac: 'sha1' });
    const unknown = Uint8Array.of(...hex('0008 00000007 0001 00000001 09'), ...payload);
    assert.equal(parseKeys(unknown, ALGORITHMS).algorithms, undefined);
    assert.throws(() => parseKeys(hex('0007 0000000a 0001 00000004 a1b2c3d4'), ALGORITHMS), PeerMisbehavedError);
    assert.throws(() => parseKeys(payload.subarray(0, -1), ALGORITHMS), PeerMisbehavedError);
  });

  it('is on or off as a client says', () => {
    const on = renderRecord(renderEspSwitch(true));
    assert.deepEqual(on, hex('2100 000000000000012f 01000000010000000000 000d   0006 00000007  0001 00000001 01'));
    for (const usesEsp of [true, false]) {
      assert.deepEqual(parseSettings(renderEspSwitch(usesEsp).subarray(KMP_HEADER_LENGTH)), { mtu: undefined, usesEsp });
    }
  });
});

describe('records and messages', () => {
  it('are the bytes of the specification', () => {
    assert.deepEqual(renderHello('laptop'), hex('1300 0004000000 0600 6c6170746f70 bb0100000000'));
    const settings = renderRecord(renderMtu(1400));
    assert.deepEqual(settings, hex('2400 000000000000012f 01000000010000000000 0010 0006 0000000a 0002 00000004 00000578'));
    assert.deepEqual(parseSettings(settings.subarray(2 + KMP_HEADER_LENGTH)), { mtu: 1400, usesEsp: undefined });
  });

  it('have a name in the hello, of a length that is looked at', () => {
    assert.equal(helloName(renderHello('laptop').subarray(2)), 'laptop');
    assert.equal(helloName(renderHello('x'.repeat(999)).subarray(2)).length, 255);
    assert.equal(helloName(hex('0004000000 0600 6c6170746f70 aabb')), 'laptop'); // of other clients nobody knows what follows
    for (const bad of ['0004000000 0d00 6c6170746f70 bb0100000000', '0004000000 ffff', '0004']) {
      assert.throws(() => helloName(hex(bad)), PeerMisbehavedError);
    }
  });

  it('are as many as a long content takes, each of which fits one TLS record', () => {
    const records = renderRecords(new Uint8Array(40_000).fill(7));
    assert.deepEqual(
      records.map(({ length }) => length),
      [16_384, 16_384, 40_000 + 6 - 32_768],
    );
  });
});

describe('request for a tunnel', () => {
  it('is as openconnect writes it, with a body that it does not have', () => {
    const gateway = { host: 'vpn.example.com', port: 443, path: '/' };
    assert.equal(
      fromUtf8(renderTunnelRequest(gateway, 'Agent', 'DSID=1')),
      [
        ...['POST /dana/js?prot=1&svc=4 HTTP/1.1', 'Connection: close', 'Host: vpn.example.com', 'User-Agent: Agent', 'Cookie: DSID=1'],
        ...['NCP-Version: 3', 'Content-Length: 256', '', ''],
      ].join('\r\n'),
    );
  });
});

describe('session cookie', () => {
  it('is printed with the times that came with it, under the names that tunnel clients know', () => {
    const jar = new CookieJar();
    assert.equal(sessionIn(jar), undefined);
    jar.store(['DSID=0123456789abcdef', 'DSFirstAccess=1', 'DSLastAccess=2', 'DSSignInURL=/'].map((text) => ['Set-Cookie', text]));
    assert.equal(sessionIn(jar)?.reveal(), 'DSID=0123456789abcdef; DSFirst=1; DSLast=2');
  });

  it('is read in all its forms, and refused without being shown', () => {
    const read = (text: string) => parseSessionCookie(new Secret(text)).map(([name, value]) => `${name}=${value.reveal()}`);
    assert.deepEqual(read('abcdef'), ['DSID=abcdef']);
    assert.deepEqual(read('DSID=a; DSFirst=1'), ['DSID=a', 'DSFirst=1']);
    for (const text of ['', 'DSFirst=1', 'DSID=', 'a b', 'DSID=q\r\nz']) {
      assert.throws(
        () => read(text),
        (error) => error instanceof MisuseError && !/First|a b|[qz]/.test(error.message),
      );
    }
  });

  it('goes on the wire as 64 hexadecimal digits and comes back', () => {
    const cookie = new Secret(toBase64(new Uint8Array(32).fill(0xa5)));
    assert.equal(cookieOffWire(cookieOnWire(cookie))?.reveal(), cookie.reveal());
    for (const bad of ['', 'a5', 'A5'.repeat(32), 'x'.repeat(64)]) assert.equal(cookieOffWire(bad), undefined);
  });
});

const FORM = (inside: string, head = 'name="frmLogin"') => `<html><form ${head} action="login.cgi" method="POST">${inside}</form></html>`;

function fieldsOf(page: LoginPage | undefined): string[] {
  assert.ok(page?.kind === 'form');
  return page.fields.map(({ kind, name }) => `${kind} ${name}`);
}

describe('log-in page', () => {
  it('has choices first, its own button, and nothing twice', () => {
    const page = parseLoginPage(
      FORM(`<input type="hidden" name="tz_offset"><input type="text" name="username"><input type="password" name="password">
        <input type="password" name="password#2"><select name="realm"><option value="1">Staff</option></select><input name="untyped">
        <input type="hidden" name="username" value="again"><input type="submit" name="btnSubmit" value="Sign In">
        <input type="submit" name="btnOther" value="no"><input type="checkbox" name="keep" value="1">`),
    );
    assert.deepEqual(fieldsOf(page), [
      ...['choice realm', 'hidden tz_offset', 'text username', 'password password', 'otp password#2', 'hidden btnSubmit', 'hidden keep'],
    ]);
  });

  it('asks for codes where its name says so', () => {
    for (const name of ['frmDefender', 'frmNextToken', 'frmTotpToken']) {
      assert.deepEqual(fieldsOf(parseLoginPage(FORM('<input type="password" name="token">', `name="${name}"`))), ['otp token']);
    }
    assert.deepEqual(fieldsOf(parseLoginPage(FORM('<input type="text" name="VerificationCode">', 'id="loginForm"'))), [
      'otp VerificationCode',
    ]);
  });

  it('may be one of roles, which are links of one table', () => {
    const page = parseLoginPage(`<a href="/elsewhere">no</a><form name="frmSelectRoles"><table id="TABLE_SelectRole_1">
      <tr><td><a href="login.cgi?role=1">Staff &amp; co</a></td></tr><tr><td><a href="login.cgi?role=2">Guests</a></td></tr></table>
      <table><tr><td><a href="/other">no</a></td></tr></table></form>`);
    assert.deepEqual(page, {
      kind: 'roles',
      roles: [
        { name: 'Staff & co', href: 'login.cgi?role=1' },
        { name: 'Guests', href: 'login.cgi?role=2' },
      ],
    });
  });

  it('may have a notice, which is shown', () => {
    const page = parseLoginPage(
      FORM('<textarea name="sn-preauth-text">Be good.</textarea><input type="submit" name="sn-preauth-proceed">'),
    );
    assert.ok(page?.kind === 'form');
    assert.equal(formOf(page, undefined, undefined).message, 'Be good.');
    assert.deepEqual(fieldsOf(page), ['hidden sn-preauth-proceed']);
  });

  it('is refused where it is not known, not posted, or the end of a host check', () => {
    assert.throws(() => parseLoginPage(FORM('', 'name="frmOther"')), /frmOther/);
    assert.throws(() => parseLoginPage(FORM('', '')), PeerMisbehavedError);
    assert.throws(() => parseLoginPage('<form name="frmLogin" method="get">'), PeerMisbehavedError);
    assert.throws(() => parseLoginPage('<form name="frmX" method="post" action="remediate.cgi">'), PeerRefusedError);
    assert.equal(parseLoginPage('<html>nothing</html>'), undefined);
  });

  it('comes back from what a gateway writes', () => {
    const page = {
      kind: 'form',
      ...{ id: 'frmLogin', action: '/x', message: 'Say "who" & <why>.' },
      fields: [
        { kind: 'choice', name: 'realm', choices: [{ value: 'a&b', label: 'A <b>', isSelected: true }] },
        { kind: 'text', name: 'username', value: 'a"b' },
        { kind: 'password', name: 'password', value: '' },
        { kind: 'hidden', name: 'step', value: '1' },
      ],
    } as const;
    const back = parseLoginPage(renderLoginPage(page));
    const button = { kind: 'hidden', name: 'btnSubmit', value: 'Sign In' };
    assert.deepEqual(back, { ...page, fields: [...page.fields, button] });
  });

  it('throws nothing but its own errors', () => {
    const text = FORM('<input type="text" name="username"><select name="realm"><option>a</select><table id="x"><td><a href="1">b</a>');
    fc.assert(
      fc.property(fc.nat(text.length), fc.string({ maxLength: 8 }), (at, more) =>
        toleratingOwnErrors(() => parseLoginPage(text.slice(0, at) + more + text.slice(at + 1))),
      ),
      { numRuns: 300 },
    );
  });
});
