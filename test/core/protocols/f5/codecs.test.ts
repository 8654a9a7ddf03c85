/** The formats of F5's HTTP, with the values of the specification, both ways. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { MisuseError, PeerMisbehavedError, PeerRefusedError } from '../../../../src/core/errors.ts';
import { parseLoginPage, renderLoginPage } from '../../../../src/core/protocols/f5/login-page.ts';
import { parseOptions, renderOptions } from '../../../../src/core/protocols/f5/options-document.ts';
import { chosenResource, parseResources, renderResources } from '../../../../src/core/protocols/f5/resource-list.ts';
import { expiryOf, parseSessionCookie, renderSessionCookie, renderTiming } from '../../../../src/core/protocols/f5/session-cookie.ts';
import {
  parseTunnelTarget,
  renderTunnelAnswer,
  renderTunnelTarget,
  type TunnelAnswer,
  TunnelRequest,
} from '../../../../src/core/protocols/f5/tunnel-request.ts';
import { cookieOffWire, cookieOnWire } from '../../../../src/core/protocols/hex-cookie.ts';
import { Secret } from '../../../../src/core/secret.ts';
import { formatCidr, formatIp } from '../../../../src/core/wire/ip-address.ts';
import { toBase64, utf8 } from '../../../../src/core/wire/text.ts';
import { toleratingOwnErrors } from '../../../support/own-errors.ts';
import { ipOf } from '../../ppp/linked.ts';

/** Spec 4. */
const OPTIONS = `<?xml version="1.0" encoding="UTF-8" ?><favorite>
<object ID="ur_Host">
  <ur_Z>d2c1f0a9</ur_Z>
  <Session_ID>0123456789abcdef0123456789abcdef</Session_ID>
  <ur_name>/Common/na</ur_name>
  <host0>vpn.example.com</host0><port0>443</port0>
  <idle_session_timeout>900</idle_session_timeout>
  <IPV4_0>1</IPV4_0><IPV6_0>0</IPV6_0>
  <tunnel_dtls>1</tunnel_dtls><tunnel_port_dtls>4433</tunnel_port_dtls><dtls_v1_2_supported>1</dtls_v1_2_supported>
  <UseDefaultGateway0>0</UseDefaultGateway0><SplitTunneling0>2</SplitTunneling0>
  <LAN0>10.0.0.0/8 192.168.5.0/255.255.255.0</LAN0><LAN6_0>fd00::/8</LAN6_0><ExcludeSubnets0>10.9.0.0/16</ExcludeSubnets0>
  <DNS0>10.0.0.53</DNS0><DNS1>10.0.0.54, 10.0.0.55</DNS1><WINS0></WINS0><DNSSuffix0>corp.example,lab.example</DNSSuffix0><DNS_SPLIT0>*</DNS_SPLIT0>
  <hdlc_framing>no</hdlc_framing>
</object>
</favorite>`;

describe('options of a resource', () => {
  it('are read as the specification has them', () => {
    const { config, warnings, ...options } = parseOptions(OPTIONS);
    assert.deepEqual(options, {
      z: 'd2c1f0a9',
      sessionId: '0123456789abcdef0123456789abcdef',
      hasIpv4: true,
      hasIpv6: false,
      isDefaultRoute: false,
      usesHdlc: false,
      datagram: { port: 4433, allows12: true },
    });
    assert.deepEqual(config.include.map(formatCidr), ['10.0.0.0/8', '192.168.5.0/24', 'fd00::/8']);
    assert.deepEqual(config.exclude.map(formatCidr), ['10.9.0.0/16']);
    assert.deepEqual(config.dns.map(formatIp), ['10.0.0.53', '10.0.0.54', '10.0.0.55']);
    assert.deepEqual(config.searchDomains, ['corp.example', 'lab.example']);
    assert.deepEqual(config.splitDns, []);
    assert.equal(config.idleTimeout, 900_000);
    assert.deepEqual(warnings, []);
  });

  it('may say yes and no in words, or numbers, or not at all', () => {
    const said = (text: string) => parseOptions(OPTIONS.replace('<hdlc_framing>no<', `<hdlc_framing>${text}<`)).usesHdlc;
    assert.deepEqual(['yes', 'YES', 'on', '1', '2x', 'no', 'off', '0', '', 'maybe'].map(said), [
      true,
      true,
      true,
      true,
      true,
      false,
      false,
      false,
      false,
      false,
    ]);
  });

  it('are refused without Z, without a family, and where a text would break the request', () => {
    for (const [from, to] of [
      ['<ur_Z>d2c1f0a9</ur_Z>', ''],
      ['<IPV4_0>1<', '<IPV4_0>0<'],
      ['<ur_Z>d2c1f0a9<', '<ur_Z>d2c1 f0a9<'],
      ['<favorite>', '<favourite>'],
    ] as const) {
      assert.throws(
        () => parseOptions(OPTIONS.replace(from, to).replace(to === '<favourite>' ? '</favorite>' : '\u0000', '</favourite>')),
        PeerMisbehavedError,
        from,
      );
    }
  });

  it('come back from what a gateway writes', () => {
    const text = renderOptions({
      ...{ z: 'zz', sessionId: 'ss', resource: '/Common/x', host: 'vpn.example', port: 443, datagramPort: 4433 },
      config: {
        ipv4: { address: ipOf('10.0.0.2') },
        ipv6: { address: ipOf('fd00::2') },
        dns: [ipOf('10.0.0.53'), ipOf('fd00::53')],
        nbns: [],
        searchDomains: ['corp.example'],
        splitDns: ['corp.example'],
        include: [{ address: ipOf('10.0.0.0'), prefix: 8 }],
        exclude: [],
        vendorOptions: [],
      },
    });
    const { config, ...options } = parseOptions(text);
    assert.deepEqual([options.z, options.sessionId, options.hasIpv4, options.hasIpv6], ['zz', 'ss', true, true]);
    assert.deepEqual(options.datagram, { port: 4433, allows12: true });
    // All of a family, in the two halves that openconnect 9.01 understands.
    assert.deepEqual(config.include.map(formatCidr), ['10.0.0.0/8', '::/1', '8000::/1']);
    assert.deepEqual(config.dns.map(formatIp), ['10.0.0.53', 'fd00::53']);
    assert.deepEqual(config.splitDns, ['corp.example']);
  });

  it('throw nothing but their own errors', () => {
    fc.assert(
      fc.property(fc.nat(OPTIONS.length), fc.string({ maxLength: 5 }), (at, text) =>
        toleratingOwnErrors(() => parseOptions(OPTIONS.slice(0, at) + text + OPTIONS.slice(at + 1))),
      ),
      { numRuns: 200 },
    );
  });
});

describe('resource list', () => {
  it('comes back from what a gateway writes', () => {
    const resources = [
      { name: '/Common/na', params: 'resourcename=/Common/na' },
      { name: 'b', params: 'resourcename=b' },
    ] as const;
    assert.deepEqual(parseResources(renderResources(resources)), resources);
  });

  it('has one that was named, or the first', () => {
    const list = [
      { name: 'office', params: 'resourcename=/Common/a' },
      { name: 'plant', params: 'resourcename=/Common/b' },
    ];
    const resources = parseResources(renderResources(list));
    assert.deepEqual([chosenResource(resources, undefined), chosenResource(resources, 'plant')], list);
    assert.throws(
      () => chosenResource(resources, 'attic'),
      (error) => error instanceof PeerRefusedError && /"attic", but "office", "plant"/.test(error.message),
    );
  });

  it('leaves out what would break a request, and is refused where nothing is left', () => {
    assert.throws(() => parseResources(renderResources([{ name: 'x', params: 'a b' }])), PeerRefusedError);
    assert.throws(() => parseResources('<favorites type="OTHER"/>'), PeerMisbehavedError);
  });
});

describe('session cookie', () => {
  it('is read with and without its timing, or bare', () => {
    const read = (text: string) => {
      const { id, timing } = parseSessionCookie(new Secret(text));
      return [id.reveal(), timing];
    };
    assert.deepEqual(read('MRHSession=abc; F5_ST=1z1z1z1795436305z604800'), ['abc', '1z1z1z1795436305z604800']);
    assert.deepEqual(read(' F5_ST=x; MRHSession=abc'), ['abc', 'x']);
    assert.deepEqual(read('abc'), ['abc', undefined]);
    assert.equal(renderSessionCookie({ id: new Secret('abc'), timing: 't' }).reveal(), 'MRHSession=abc; F5_ST=t');
    for (const bad of ['', 'F5_ST=1', 'MRHSession=', 'a b']) assert.throws(() => parseSessionCookie(new Secret(bad)), MisuseError);
  });

  it('says when the session is over', () => {
    assert.equal(expiryOf('1z1z1z1795436305z604800'), (1_795_436_305 + 604_800) * 1000);
    assert.equal(expiryOf('1z1z1z1795436305z604800z5'), (1_795_436_305 + 604_800) * 1000);
    assert.equal(expiryOf(renderTiming(1_795_436_305_000, 60_000)), 1_795_436_365_000);
    for (const bad of ['', '1z2z3z4', 'a', '1z1z1z1z1x']) assert.equal(expiryOf(bad), undefined);
  });

  it('of our own is hexadecimal on the wire', () => {
    const cookie = new Secret(toBase64(new Uint8Array(32).fill(0xab)));
    assert.equal(cookieOnWire(cookie), 'ab'.repeat(32));
    assert.equal(cookieOffWire(cookieOnWire(cookie))?.reveal(), cookie.reveal());
    assert.equal(cookieOffWire('pre0000'), undefined);
  });
});

describe('log-in page', () => {
  /** Spec 2.7. */
  const PAGE = `<html><body><form id="auth_form" name="e1" method="post" action="/my.policy" autocomplete="off">
<table><tr><td id="credentials_table_header">Secure Logon</td></tr>
<tr><td id="credentials_table_postheader"></td></tr></table>
<input type="text" name="username"/>
<input type="password" name="password"/>
<input type="hidden" name="vhost" value="standard"/>
<input type="submit" value="Logon"/>
</form></body></html>`;

  it('is read as the specification has it, and is what we write', () => {
    const page = parseLoginPage(PAGE);
    assert.deepEqual(page, {
      id: 'auth_form',
      title: 'Secure Logon',
      action: '/my.policy',
      fields: [
        { kind: 'text', name: 'username', value: '' },
        { kind: 'password', name: 'password', value: '' },
        { kind: 'hidden', name: 'vhost', value: 'standard' },
      ],
    });
    assert.equal(renderLoginPage(page ?? assert.fail()).trim(), PAGE);
  });

  it('has choices before its other fields, and no unchecked boxes', () => {
    const html = `<form method=post><input type="text" name="username"><input type=checkbox name=a value=1><input type=checkbox name=b value=2 checked>
      <select name="domain"><option value="0">One<option value="1" selected>Two &amp; more</select></form>`;
    assert.deepEqual(parseLoginPage(html)?.fields, [
      {
        kind: 'choice',
        name: 'domain',
        choices: [
          { value: '0', label: 'One', isSelected: false },
          { value: '1', label: 'Two & more', isSelected: true },
        ],
      },
      { kind: 'text', name: 'username', value: '' },
      { kind: 'hidden', name: 'b', value: '2' },
    ]);
  });

  it('is read from the JSON that a script would make a form of', () => {
    const html = `<html><script>
appLoader.configure({"logon": {"form": {"id": "auth_form", "title": "Logon", "fields": [
  {"type": "text", "name": "username", "caption": "User", "value": ""},
  {"type": "password", "name": "password", "caption": "Pass"},
  {"type": "text", "name": "off", "disabled": true},
  {"type": "select", "name": "unknown"}]}}
});
</script></html>`;
    assert.deepEqual(parseLoginPage(html), {
      id: 'auth_form',
      title: 'Logon',
      fields: [
        { kind: 'text', name: 'username', value: '', label: 'User' },
        { kind: 'password', name: 'password', value: '', label: 'Pass' },
      ],
    });
    assert.equal(parseLoginPage('<script>appLoader.configure({"logon": nonsense\n});</script>'), undefined);
    assert.equal(parseLoginPage('<html>nothing</html>'), undefined);
  });

  it('takes no longer for a page that is made to take long', () => {
    // A second search from each of these beginnings would be an hour of work.
    for (const hostile of ['<script ', '<style>', '</script', `appLoader.configure({${'\n'.repeat(1000)}`]) {
      parseLoginPage(hostile.repeat(1_000_000 / hostile.length));
    }
    assert.equal(parseLoginPage(`<script>appLoader.configure({${'\n'.repeat(1_000_000)}`), undefined);
  });

  it('has its form outside of scripts', () => {
    const page = `<SCRIPT>"<form id=no>"</Script ><style>a</style>${PAGE}<script><form>`;
    assert.deepEqual(parseLoginPage(page), parseLoginPage(PAGE));
  });

  it('throws nothing but its own errors', () => {
    fc.assert(
      fc.property(fc.nat(PAGE.length), fc.string({ maxLength: 8 }), (at, text) =>
        toleratingOwnErrors(() => parseLoginPage(PAGE.slice(0, at) + text + PAGE.slice(at))),
      ),
      { numRuns: 200 },
    );
  });
});

describe('request for a tunnel', () => {
  const wish = { sessionId: 'sess22', z: 'zz11', usesHdlc: false, wantsIpv4: true, wantsIpv6: false, hostname: 'vm' };

  it('is that of the specification, and read in any order', () => {
    const target = '/myvpn?sess=sess22&hdlc_framing=no&ipv4=yes&ipv6=no&Z=zz11&hostname=dm0=';
    assert.equal(renderTunnelTarget(wish), target);
    assert.deepEqual(parseTunnelTarget(target), wish);
    assert.deepEqual(parseTunnelTarget('/myvpn?hostname=dm0=&Z=zz11&ipv6=no&ipv4=yes&hdlc_framing=no&sess=sess22'), wish);
    assert.equal(parseTunnelTarget('/myvpn?sess=a'), undefined);
    assert.equal(parseTunnelTarget('/myvpn?sess=a&Z=b&hostname=***')?.hostname, undefined);
  });

  it('is answered with addresses, behind which PPP begins', () => {
    const answers: TunnelAnswer[] = [];
    const request = new TunnelRequest(utf8('GET'), (answer) => answers.push(answer));
    const granted = { clientIpv4: ipOf('10.0.0.2'), clientIpv6: ipOf('fd00::2'), serverIpv4: ipOf('10.0.0.1') };
    const bytes = Uint8Array.of(...renderTunnelAnswer(granted), 0xf5, 0);
    assert.deepEqual(request.receive(bytes.subarray(0, 10)), { type: 'waiting' });
    assert.deepEqual(request.receive(bytes.subarray(10)), { type: 'begun', rest: Uint8Array.of(0xf5, 0) });
    assert.deepEqual(answers, [granted]);
  });

  it('is refused by 504, which means that the cookie is dead', () => {
    const denied = (line: string) => {
      const result = new TunnelRequest(utf8('GET'), () => assert.fail()).receive(utf8(`HTTP/1.1 ${line}\r\nContent-Length: 0\r\n\r\n`));
      return result.type === 'denied' ? result.reason.kind : result.type;
    };
    assert.deepEqual(['504 Gateway Timeout', '403 No', '302 Found', '500 Oops'].map(denied), ['refused', 'refused', 'refused', 'unusable']);
  });
});
