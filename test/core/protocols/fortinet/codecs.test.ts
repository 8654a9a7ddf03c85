/** The formats of Fortinet's HTTP and DTLS hello, with the values of the specification, both ways. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { MisuseError, PeerMisbehavedError, SallyportError } from '../../../../src/core/errors.ts';
import { cookieOffWire, cookieOnWire } from '../../../../src/core/protocols/base64url-cookie.ts';
import { parseChallengePage, renderChallengePage } from '../../../../src/core/protocols/fortinet/challenge-page.ts';
import { parseConfiguration, renderConfiguration } from '../../../../src/core/protocols/fortinet/configuration.ts';
import {
  parseClientHello,
  parseServerHello,
  renderClientHello,
  renderServerHello,
} from '../../../../src/core/protocols/fortinet/dtls-hello.ts';
import { parseLoginAnswer, renderAccepted, renderCodeWanted, renderRefused } from '../../../../src/core/protocols/fortinet/login-answer.ts';
import { parseSessionCookie, renderSessionCookie } from '../../../../src/core/protocols/fortinet/session-cookie.ts';
import { TunnelRequest } from '../../../../src/core/protocols/fortinet/tunnel-request.ts';
import { Secret } from '../../../../src/core/secret.ts';
import { formatCidr, formatIp } from '../../../../src/core/wire/ip-address.ts';
import { fromHex, toBase64, toHex, utf8 } from '../../../../src/core/wire/text.ts';

/** Spec 3.2. */
const DOCUMENT = `<?xml version="1.0" encoding="utf-8"?>
<sslvpn-tunnel ver="2" dtls="1" patch="1">
  <dtls-config heartbeat-interval="10" heartbeat-fail-count="10" heartbeat-idle-timeout="10" client-hello-timeout="10"/>
  <tunnel-method value="ppp"/>
  <fos platform='SALLYPORT' major='7' minor='0' patch='0' build='0001' branch='0001' mr_num='00'/>
  <auth-ses tun-connect-without-reauth="1" check-src-ip="0" tun-user-ses-timeout="240"/>
  <client-config save-password="off" keep-alive="on" auto-connect="off"/>
  <ipv4>
    <dns ip="10.0.0.53" domain="corp.example"/>
    <dns ip="10.0.0.54"/>
    <split-dns domains="a.example,b.example" dnsserver1="10.0.0.53"/>
    <assigned-addr ipv4="10.0.0.2"/>
    <split-tunnel-info>
      <addr ip="10.0.0.0" mask="255.0.0.0"/>
      <addr ip="10.1.0.0"/>
    </split-tunnel-info>
    <split-tunnel-info negate="1">
      <addr ip="10.99.0.0" mask="255.255.0.0"/>
    </split-tunnel-info>
  </ipv4>
  <ipv6>
    <dns ipv6="fd00::53"/>
    <assigned-addr ipv6="fd00::2" prefix-len="64"/>
    <split-tunnel-info><addr ipv6="fd00::" prefix-len="32"/></split-tunnel-info>
  </ipv6>
  <idle-timeout val="300"/>
  <auth-timeout val="28800"/>
</sslvpn-tunnel>`;

describe("Fortinet's configuration", () => {
  it('is read in full', () => {
    const { config, hasDatagrams, heartbeat, lifetime, reconnects, firmware, warnings } = parseConfiguration(DOCUMENT);
    assert.deepEqual(
      [config.ipv4, config.ipv6].map((own) => own && `${formatIp(own.address)}/${own.prefix}`),
      ['10.0.0.2/32', 'fd00::2/64'],
    );
    assert.deepEqual(config.dns.map(formatIp), ['10.0.0.53', '10.0.0.54', 'fd00::53']);
    assert.deepEqual([config.searchDomains, config.splitDns], [['corp.example'], ['a.example', 'b.example']]);
    assert.deepEqual(
      [config.include, config.exclude].map((networks) => networks.map(formatCidr)),
      [['10.0.0.0/8', 'fd00::/32'], ['10.99.0.0/16']],
    );
    assert.deepEqual([config.idleTimeout, lifetime, heartbeat, hasDatagrams], [300_000, 28_800_000, 10_000, true]);
    assert.deepEqual([reconnects, firmware, warnings], [{ within: 240_000 }, 'SALLYPORT 7 0 0 0001', []]);
  });

  it('is all routes where none is named, and no default route where one is', () => {
    const family = (routes: string) =>
      `<sslvpn-tunnel><ipv4><assigned-addr ipv4="10.0.0.2"/></ipv4><ipv6><assigned-addr ipv6="fd00::2"/>${routes}</ipv6></sslvpn-tunnel>`;
    assert.deepEqual(parseConfiguration(family('')).config.include, []);
    const route = '<split-tunnel-info><addr ipv6="fd01::" prefix-len="16"/></split-tunnel-info>';
    assert.deepEqual(
      parseConfiguration(family(route)).config.include.map(formatCidr),
      ['10.0.0.2/32', 'fd01::/16'].map((text) => text.replace('fd01::', 'fd01::')),
    );
  });

  it('drops what cannot be, with a warning, and refuses what is no configuration', () => {
    const { config, warnings } = parseConfiguration(
      '<sslvpn-tunnel dtls="0"><ipv4><dns ip="300.1.1.1"/><assigned-addr ipv4="10.0.0.2"/><split-tunnel-info><addr ip="10.0.0.0" mask="255.0.255.0"/></split-tunnel-info></ipv4></sslvpn-tunnel>',
    );
    assert.deepEqual([config.dns, config.include, warnings.length], [[], [], 2]);
    for (const text of [
      '',
      '<html/>',
      '<sslvpn-tunnel/>',
      '<sslvpn-tunnel><ipv4><assigned-addr ipv4="127.0.0.1"/></ipv4></sslvpn-tunnel>',
    ]) {
      assert.throws(() => parseConfiguration(text), PeerMisbehavedError, text);
    }
  });

  it('reads back what it writes', () => {
    const { config, lifetime = 0, heartbeat = 0, hasDatagrams } = parseConfiguration(DOCUMENT);
    const offer = { config: { ...config, expiresAt: 5000 + lifetime }, heartbeat, hasDatagrams, reconnectsWithin: 240_000 };
    const again = parseConfiguration(renderConfiguration(offer, 5000));
    assert.deepEqual(again.config, config);
    assert.deepEqual(
      [again.lifetime, again.heartbeat, again.hasDatagrams, again.reconnects],
      [lifetime, heartbeat, true, { within: 240_000 }],
    );
  });
});

describe("Fortinet's answer to a log-in", () => {
  it('is understood, whatever comes in it', () => {
    assert.deepEqual(parseLoginAnswer(renderAccepted('/remote/fortisslvpn_xml')), {
      type: 'accepted',
      redirect: '/remote/fortisslvpn_xml',
    });
    assert.deepEqual(parseLoginAnswer(renderRefused('sslvpn_login_permission_denied')), {
      type: 'refused',
      error: 'sslvpn_login_permission_denied',
    });
    assert.equal(parseLoginAnswer('<html>'), undefined);
  });

  it('asks for a code, whose fields go back as they came, magic last', () => {
    const answer = parseLoginAnswer(
      'ret=2,reqid=1234,magic=1-555,polid=1-1-99,grp=G%2c,portal=P,tokeninfo=ftm_push,chal_msg=Please \u001b[31menter\r\n',
    );
    assert.deepEqual(answer, {
      type: 'code-wanted',
      challenge: {
        tokenInfo: 'ftm_push',
        message: 'Please [31menter',
        fields: [
          ['reqid', '1234'],
          ['polid', '1-1-99'],
          ['grp', 'G%2c'],
          ['portal', 'P'],
          ['magic', '1-555'],
        ],
      },
    });
  });

  it('is shown where nobody knows how to go on, without what stands for the log-in', () => {
    const answer = parseLoginAnswer(
      'ret=6,actionurl=/remote/logincheck,magic=1-7,reqid=9,grpid=0,pid=1,is_chal_rsp=1,chal_msg=New password',
    );
    assert.equal(
      answer?.type === 'unknown' && answer.shown,
      'ret=6,actionurl=/remote/logincheck,magic=…,reqid=…,grpid=0,pid=1,is_chal_rsp=1,chal_msg=New password',
    );
  });

  it('reads back the challenges it writes', () => {
    const text = fc
      .stringMatching(/^[A-Za-z0-9 .:-]{1,30}$/)
      .map((value) => value.trim().replace(/\s+/g, ' '))
      .filter((value) => value !== '');
    fc.assert(
      fc.property(text, text, text, (message, reqid, magic) => {
        const challenge = {
          tokenInfo: '',
          message,
          fields: [
            ['reqid', reqid],
            ['magic', magic],
          ] as const,
        };
        assert.deepEqual(parseLoginAnswer(renderCodeWanted(challenge)), { type: 'code-wanted', challenge });
      }),
    );
  });

  it('reads back the pages it writes, within the limits of simple clients', () => {
    const page = {
      message: 'Please enter <your> code & more',
      fields: [
        { kind: 'hidden', name: 'magic', value: '1-7"' },
        { kind: 'hidden', name: 'reqid', value: '9' },
        { kind: 'password', name: 'credential', value: '' },
      ],
    } as const;
    assert.deepEqual(parseChallengePage(renderChallengePage(page)), page);
  });

  it('takes pages as they are, and refuses those without a form', () => {
    const page = parseChallengePage(
      '<html><b>no</b><form METHOD=post action="/elsewhere"><input name=untyped><input type=TEXT name=user style="display: none;" value=x><input type=submit name=s><input type=password name=credential><input type=password name=credential><b> Enter it </b></form><form method=post><input type=text name=second></form>',
    );
    assert.deepEqual(page, {
      message: 'Enter it',
      fields: [
        { kind: 'hidden', name: 'user', value: 'x' },
        { kind: 'password', name: 'credential', value: '' },
      ],
    });
    assert.throws(() => parseChallengePage('<b>no</b>'), PeerMisbehavedError);
    assert.throws(() => parseChallengePage('<form><input type=password name=p></form>'), /not by post/);
  });

  it('throws nothing but its own errors', () => {
    for (const parse of [parseLoginAnswer, parseChallengePage, parseConfiguration]) {
      fc.assert(
        fc.property(
          fc.oneof(
            fc.string(),
            fc.string().map((text) => `ret=2,tokeninfo=${text}`),
            fc.string().map((text) => `<form method=post>${text}`),
          ),
          (text) => {
            try {
              parse(text);
            } catch (error) {
              assert.ok(error instanceof SallyportError, String(error));
            }
          },
        ),
      );
    }
  });
});

describe("Fortinet's cookie", () => {
  it('is read as people write it', () => {
    for (const [text, value] of [
      ['SVPNCOOKIE=abc%2f=', 'abc%2f='],
      ['abc==', 'abc=='],
      ['other=1; SVPNCOOKIE=abc', 'abc'],
    ] as const) {
      assert.equal(parseSessionCookie(new Secret(text)).reveal(), value);
    }
    for (const text of ['', 'webvpn=abc', 'SVPNCOOKIE=', 'a b'])
      assert.throws(() => parseSessionCookie(new Secret(text)), MisuseError, text);
    assert.equal(renderSessionCookie(new Secret('abc')).reveal(), 'SVPNCOOKIE=abc');
  });

  it('goes on the wire without what clients cut it at, and comes back', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (bytes) => {
        const cookie = toBase64(bytes);
        const wire = cookieOnWire(new Secret(cookie));
        assert.match(wire, /^[\w-]{43}$/);
        assert.equal(cookieOffWire(wire).reveal(), cookie);
      }),
    );
  });
});

describe("Fortinet's hello in DTLS", () => {
  it('is as observed', () => {
    assert.equal(
      toHex(renderClientHello('abcDEF123')),
      toHex(
        fromHex('00 27 47 46 74 79 70 65 00 63 6c 74 68 65 6c 6c 6f 00 53 56 50 4e 43 4f 4f 4b 49 45 00 61 62 63 44 45 46 31 32 33 00'),
      ),
    );
    assert.equal(
      toHex(renderServerHello('ok')),
      toHex(fromHex('00 1f 47 46 74 79 70 65 00 73 76 72 68 65 6c 6c 6f 00 68 61 6e 64 73 68 61 6b 65 00 6f 6b 00')),
    );
    assert.equal(
      toHex(renderServerHello('fail')),
      toHex(fromHex('00 21 47 46 74 79 70 65 00 73 76 72 68 65 6c 6c 6f 00 68 61 6e 64 73 68 61 6b 65 00 66 61 69 6c 00')),
    );
  });

  it('is read with whatever else it says, and is nothing else', () => {
    assert.equal(parseClientHello(renderClientHello('abcDEF123')), 'abcDEF123');
    assert.deepEqual([renderServerHello('ok'), renderServerHello('fail'), renderClientHello('x')].map(parseServerHello), [
      'ok',
      'fail',
      undefined,
    ]);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        assert.equal(parseClientHello(bytes), undefined);
        assert.equal(parseServerHello(bytes), undefined);
      }),
    );
  });
});

describe('request for a tunnel', () => {
  const request = () => new TunnelRequest({ host: 'vpn.example', port: 443, path: '/' }, 'Mozilla/5.0 SV1', new Secret('abcDEF123'));

  it('is granted without a word, however much of PPP comes first', () => {
    const frame = fromHex('000c50500006c02105010004');
    assert.deepEqual(request().receive(frame), { type: 'begun', rest: frame });
    const many = new Uint8Array(1_000_000).fill(0x50);
    assert.deepEqual(request().receive(many), { type: 'begun', rest: many });
  });

  it('is denied by HTTP, also where that comes byte by byte', () => {
    const denied = (status: string) => {
      const parts = utf8(`HTTP/1.1 ${status}\r\nContent-Length: 0\r\n\r\n`);
      const asked = request();
      const results = Array.from(parts, (byte) => asked.receive(Uint8Array.of(byte)));
      const last = results.at(-1);
      assert.ok(results.slice(0, -1).every(({ type }) => type === 'waiting'));
      return last?.type === 'denied' ? last.reason.kind : last?.type;
    };
    assert.deepEqual(['403 Forbidden', '302 Found', '500 Oops', '200 OK'].map(denied), ['refused', 'refused', 'unusable', 'unusable']);
  });
});
