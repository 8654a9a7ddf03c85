/** GlobalProtect's formats by the bytes of the specification, both ways. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { PeerMisbehavedError, PeerRefusedError, SallyportError, UnsupportedError } from '../../../../src/core/errors.ts';
import { checksumOf, sumWords } from '../../../../src/core/ip/checksum.ts';
import { parseXml, renderXml } from '../../../../src/core/markup/xml.ts';
import { parseConfiguration, renderConfiguration } from '../../../../src/core/protocols/gp/configuration.ts';
import { chooseAlgorithms, newOffer, parseIpsec, renderIpsec } from '../../../../src/core/protocols/gp/ipsec.ts';
import { wayOf } from '../../../../src/core/protocols/gp/login.ts';
import {
  parseLoginAnswer,
  renderAdmission,
  renderChallenge,
  renderChallengeScript,
} from '../../../../src/core/protocols/gp/login-answer.ts';
import { clientProbe, gatewayProbe } from '../../../../src/core/protocols/gp/magic-ping.ts';
import { readPolicy } from '../../../../src/core/protocols/gp/portal-policy.ts';
import { parsePrelogin, renderPrelogin } from '../../../../src/core/protocols/gp/prelogin.ts';
import { parseSessionCookie, renderSessionCookie } from '../../../../src/core/protocols/gp/session-cookie.ts';
import { cookieOffWire, cookieOnWire } from '../../../../src/core/protocols/hex-cookie.ts';
import { Secret } from '../../../../src/core/secret.ts';
import { formatCidr, formatIp, parseCidr, parseIp } from '../../../../src/core/wire/ip-address.ts';
import { fromHex, toBase64, toHex, utf8 } from '../../../../src/core/wire/text.ts';
import { SeededCrypto } from '../../../support/scripted-crypto.ts';

/** Spec 16. */
const CONFIGURATION = `<response status="success"><need-tunnel>yes</need-tunnel><ssl-tunnel-url>/ssl-tunnel-connect.sslvpn</ssl-tunnel-url>
  <portal>GW-N</portal><user>alice</user><lifetime>86400</lifetime><timeout>7200</timeout>
  <disconnect-on-idle>3600</disconnect-on-idle><gw-address>10.9.8.1</gw-address><ip-address>10.9.8.7</ip-address>
  <netmask>255.255.255.255</netmask><dns><member>10.9.8.53</member></dns><wins></wins><mtu>1400</mtu>
  <dns-suffix><member>corp.example</member></dns-suffix><access-routes><member>10.0.0.0/8</member></access-routes></response>`;

const JNLP = (args: readonly string[]) =>
  `<jnlp><application-desc>${args.map((value) => `<argument>${value}</argument>`).join('')}</application-desc></jnlp>`;
const ARGUMENTS = [
  ...['(null)', '0123456789abcdef0123456789abcdef', '0'.repeat(40), 'GW-N', 'alice', 'LDAP-auth', 'vsys1', '%28empty_domain%29'],
  ...['(null)', '', '', '', 'tunnel', '-1', '4100', '10.9.8.7', '', '', ''],
];

const throwsOwnErrorsOnly = (run: () => unknown) => {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof SallyportError, String(error));
  }
};

describe('GlobalProtect documents', () => {
  it('say how to log in', () => {
    const ready = {
      type: 'ready',
      banner: 'Sign <in> & on',
      usernameLabel: 'Name',
      passwordLabel: 'Word',
      region: 'XX',
    } as const;
    assert.deepEqual(parsePrelogin(renderPrelogin(ready)), ready);
    for (const browser of [{ url: 'https://idp.example/a?b=c&d' }, { html: '<form action="x">é</form>' }]) {
      assert.deepEqual(parsePrelogin(renderPrelogin({ ...ready, browser })), { ...ready, browser });
      assert.deepEqual(parsePrelogin(renderPrelogin({ ...ready, browser, leadsBack: true })), { ...ready, browser, leadsBack: true });
    }
    const refused = { type: 'refused', message: 'GlobalProtect portal does not exist' } as const;
    assert.deepEqual(parsePrelogin(renderPrelogin(refused)), refused);
    const saml =
      '<prelogin-response><status>Success</status><saml-auth-method>POST</saml-auth-method><saml-request>QQ==</saml-request></prelogin-response>';
    const plain = { type: 'ready', usernameLabel: 'Username', passwordLabel: 'Password' } as const;
    assert.deepEqual(parsePrelogin(saml), { ...plain, browser: { html: 'A' } });
    for (const url of [
      'http://idp.example/',
      'file:///etc/passwd',
      '-x',
      'https://idp.example/ --flag',
      `https://a/${'x'.repeat(20_000)}`,
    ]) {
      const redirect = saml.replace('POST', 'REDIRECT').replace('QQ==', toBase64(utf8(url)));
      assert.deepEqual(parsePrelogin(redirect), { ...plain, browser: 'unreadable' }, url);
    }
    assert.throws(() => parsePrelogin('<html><body>Hello</body></html>'), PeerMisbehavedError);
  });

  it('give a session by position', () => {
    const answer = parseLoginAnswer(JNLP(ARGUMENTS));
    assert.ok(answer.type === 'in');
    assert.deepEqual(Object.fromEntries(answer.fields), {
      authcookie: '0123456789abcdef0123456789abcdef',
      ...{ portal: 'GW-N', user: 'alice', domain: '(empty_domain)', 'preferred-ip': '10.9.8.7' },
    });
    const ours = parseLoginAnswer(renderAdmission({ authcookie: new Secret('ab'.repeat(32)), user: 'älice & co' }));
    assert.ok(ours.type === 'in');
    assert.deepEqual(
      [ours.fields.get('authcookie'), ours.fields.get('user'), ours.fields.get('domain')],
      ['ab'.repeat(32), 'älice & co', '(empty_domain)'],
    );
    assert.throws(() => parseLoginAnswer(JNLP(ARGUMENTS.with(12, 'notunnel'))), UnsupportedError);
    assert.throws(() => parseLoginAnswer(JNLP(ARGUMENTS.with(14, '4200'))), PeerMisbehavedError);
    assert.throws(() => parseLoginAnswer(JNLP(ARGUMENTS.with(1, '(null)'))), PeerMisbehavedError);
  });

  it('ask further in either syntax, with either line end', () => {
    const challenge = { type: 'challenge', challenge: { prompt: 'Say "it"', state: 'STATE' } };
    const lines = ['var respStatus = "Challenge";', 'var respMsg = "Say "it"";', 'thisForm.inputStr.value = "STATE";', ''];
    for (const end of ['\n', '\r\n']) assert.deepEqual(parseLoginAnswer(lines.join(end)), challenge);
    assert.deepEqual(parseLoginAnswer(renderChallenge({ prompt: 'Say "it"', state: 'STATE' }, 'alice')), challenge);
    assert.equal(renderChallengeScript({ prompt: 'Say it', state: 'STATE' }), lines.join('\n').replace('Say "it"', 'Say it'));
    // What would end the string does not.
    const hostile = parseLoginAnswer(renderChallengeScript({ prompt: 'a";\r\nvar respMsg = "b', state: 'S";\n' }));
    assert.deepEqual(hostile, { type: 'challenge', challenge: { prompt: 'a ; var respMsg =  b', state: 'S ; ' } });
    const error = lines.join('\n').replace('Challenge', 'Error');
    assert.deepEqual(parseLoginAnswer(error), { type: 'refused', message: 'Say "it"' });
  });

  it('configure a tunnel', () => {
    const { config, ...others } = parseConfiguration(CONFIGURATION);
    assert.deepEqual([config.ipv4?.prefix, config.dns.map(formatIp), config.searchDomains], [32, ['10.9.8.53'], ['corp.example']]);
    assert.deepEqual(config.include.map(formatCidr), ['10.0.0.0/8']);
    assert.deepEqual(others, {
      ...{ mtu: 1400, lifetime: 86_400_000, renewAfter: 7_140_000, tunnelPath: '/ssl-tunnel-connect.sslvpn', warnings: [] },
    });
    // A minute before, or halfway where that is sooner; never in circles.
    for (const [timeout, renewAfter] of [
      [600, 540_000],
      [70, 35_000],
      [61, 30_500],
      [60, 30_000],
      [1, 10_000],
    ] as const) {
      assert.equal(parseConfiguration(CONFIGURATION.replace('>7200<', `>${timeout}<`)).renewAfter, renewAfter);
    }
    assert.throws(() => parseConfiguration(CONFIGURATION.replace('>10.9.8.7<', '>127.127.127.127<')), UnsupportedError);
    const withTag = (tag: string) => CONFIGURATION.replace('<wins>', `${tag}<wins>`);
    assert.throws(() => parseConfiguration(withTag('<hs-key>1</hs-key>')), UnsupportedError);
    assert.throws(() => parseConfiguration(CONFIGURATION.replace('/ssl-tunnel', 'https://elsewhere /ssl-tunnel')), PeerMisbehavedError);
    assert.throws(() => parseConfiguration(CONFIGURATION.replace(/<ip-address>.*<\/ip-address>/, '')), PeerMisbehavedError);
    assert.throws(() => parseConfiguration('errors getting SSL/VPN config'), PeerRefusedError);
  });

  it('are no more for a cookie that is over, and may be had again after any other error (spec 8.2)', () => {
    const answer = (error: string) => () => parseConfiguration(`<response status="error"><error>${error}</error></response>`);
    for (const error of ['Invalid authentication cookie', 'Portal name not found', 'Allow Automatic Restoration of SSL VPN is disabled']) {
      assert.throws(answer(error), PeerRefusedError);
    }
    for (const error of ['Assign private IP address failed', 'Some other words']) assert.throws(answer(error), PeerMisbehavedError);
  });

  it('configure what a gateway of ours offers', () => {
    const ip = (text: string) => parseIp(text) ?? assert.fail(text);
    const net = (text: string) => parseCidr(text) ?? assert.fail(text);
    const config = {
      ...{
        ipv4: { address: ip('10.9.8.7'), prefix: 32 },
        ipv6: { address: ip('fd00:9::7') },
        dns: [ip('10.9.8.53'), ip('fd00:9::53')],
        nbns: [],
      },
      ...{ searchDomains: ['corp.example'], splitDns: [], include: [net('10.0.0.0/8'), net('fd00::/16')], exclude: [net('10.1.0.0/16')] },
      ...{ idleTimeout: 60_000, vendorOptions: [] },
    };
    const offer = { config, mtu: 1380, timeout: 7_200_000, user: 'alice', saysIpv6Routes: true };
    assert.deepEqual(parseConfiguration(renderConfiguration(offer, 0)).config, config);
    const esp = newOffer(new SeededCrypto(1), 4501, { cipher: 'aes-256-cbc', mac: 'sha1' });
    const { ipv4, ...ipv6Only } = config;
    const asked = parseConfiguration(renderConfiguration({ ...offer, config: ipv6Only, asked: ip('fd00:9::1'), esp }, 0)).esp;
    assert.deepEqual(asked, { ...esp, ping: { client: config.ipv6.address, gateway: ip('fd00:9::1') } });
    const { ipv6, ...ipv4Only } = config;
    assert.deepEqual(
      parseConfiguration(renderConfiguration(offer, 0), false).config,
      { ...ipv4Only, dns: [ip('10.9.8.53')], include: [net('10.0.0.0/8')] },
      'nothing of IPv6 for whom it was not asked for',
    );
    const without = parseConfiguration(renderConfiguration({ ...offer, saysIpv6Routes: false }, 0)).config;
    assert.deepEqual(without.include.map(formatCidr), ['10.0.0.0/8']);
  });

  it('throw nothing but their own errors, whatever they are', () => {
    const word = fc.constantFrom(
      ...CONFIGURATION.split(/(?=<)/),
      ...JNLP(ARGUMENTS).split(/(?=<)/),
      '<challenge>',
      '</policy>',
      '<policy>',
      '&',
      '"',
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(word, { maxLength: 30 }).map((words) => words.join('')),
        ),
        (text) => {
          for (const parse of [parsePrelogin, parseLoginAnswer, parseConfiguration]) throwsOwnErrorsOnly(() => parse(text));
          throwsOwnErrorsOnly(() => readPolicy(parseXml(text), 'XX'));
        },
      ),
    );
  });
});

/** Spec 16 and 18.1. */
const hexFrom = (start: number, length: number) => toHex(Uint8Array.from({ length }, (_, i) => start + i));
const IPSEC = `<ipsec><udp-port>4501</udp-port><ipsec-mode>esp-tunnel</ipsec-mode><enc-algo>aes-128-cbc</enc-algo>
  <hmac-algo>sha1</hmac-algo><c2s-spi>0x11223344</c2s-spi><s2c-spi>0x55667788</s2c-spi>
  <akey-s2c><bits>160</bits><val>${hexFrom(0xc0, 20)}</val></akey-s2c><ekey-s2c><bits>128</bits><val>${hexFrom(0x40, 16)}</val></ekey-s2c>
  <akey-c2s><bits>160</bits><val>${hexFrom(0x80, 20)}</val></akey-c2s><ekey-c2s><bits>128</bits><val>${hexFrom(0, 16)}</val></ekey-c2s></ipsec>`;
const withEsp = (ipsec: string, document = CONFIGURATION) => document.replace('</response>', `${ipsec}</response>`);
const espOf = (ipsec: string, document?: string) => parseConfiguration(withEsp(ipsec, document)).esp;

describe('GlobalProtect’s ESP', () => {
  it('has keys for both ways, and somebody to ask', () => {
    const esp = espOf(IPSEC);
    assert.ok(typeof esp === 'object');
    assert.deepEqual([esp.port, esp.toGateway.spi, esp.toClient.spi], [4501, 0x11223344, 0x55667788]);
    assert.deepEqual([toHex(esp.toGateway.key), toHex(esp.toGateway.macKey)], [hexFrom(0, 16), hexFrom(0x80, 20)]);
    assert.deepEqual([toHex(esp.toClient.key), toHex(esp.toClient.macKey)], [hexFrom(0x40, 16), hexFrom(0xc0, 20)]);
    assert.deepEqual([formatIp(esp.ping.client), formatIp(esp.ping.gateway)], ['10.9.8.7', '10.9.8.1']);
    assert.equal(typeof espOf(IPSEC.replace('aes-128-cbc', 'aes128').replace('0x11223344', 'DEADBEEF')), 'object');
    assert.equal(parseConfiguration(CONFIGURATION).esp, undefined);
  });

  it('is asked by IPv6 where both have an address of it', () => {
    const both = CONFIGURATION.replace('<wins>', '<ip-address-v6>fd00:9::7</ip-address-v6><gw-address-v6>fd00:9::1</gw-address-v6><wins>');
    const esp = espOf(IPSEC, both);
    assert.equal(typeof esp === 'object' && formatIp(esp.ping.gateway), 'fd00:9::1');
    const without = parseConfiguration(withEsp(IPSEC, both), false).esp;
    assert.equal(typeof without === 'object' && formatIp(without.ping.gateway), '10.9.8.1');
  });

  it('is not used with anything in it that cannot be', () => {
    for (const [from, to] of [
      ['<val>c0', '<val>'],
      ['<bits>160<', '<bits>152<'],
      ['0x11223344', '0xff'],
      ['0x55667788', '0x155667788'],
      ['4501', '70000'],
      ['4501', ''],
      ['sha1', 'md5'],
      ['aes-128-cbc', 'aes-128-gcm'],
      ['>4041', '>zz41'],
      ['ekey-c2s', 'other'],
    ] as const) {
      assert.equal(typeof espOf(IPSEC.replaceAll(from, to)), 'string', `${from} ${to}`);
    }
    assert.equal(espOf(IPSEC, CONFIGURATION.replace(/<gw-address>.*<\/gw-address>/, '')), 'no address to ask');
  });

  it('comes back as it was rendered, and is chosen best first', () => {
    const algorithms = chooseAlgorithms('aes-256-gcm,aes-128-gcm,aes-128-cbc,', 'sha1,md5,sha256');
    assert.deepEqual(algorithms, { cipher: 'aes-128-cbc', mac: 'sha256' });
    assert.deepEqual(chooseAlgorithms('aes-128-cbc,aes-256-cbc', 'sha1'), { cipher: 'aes-256-cbc', mac: 'sha1' });
    for (const [ciphers, macs] of [
      ['', ''],
      ['aes-128-cbc', 'md5'],
      ['aes-256-gcm', 'sha1'],
      ['constructor', 'constructor'],
    ] as const) {
      assert.equal(chooseAlgorithms(ciphers, macs), undefined);
    }
    const offer = newOffer(new SeededCrypto(1), 4501, algorithms ?? assert.fail());
    assert.deepEqual(parseIpsec(renderIpsec(offer)), offer);
    assert.deepEqual(parseIpsec(parseXml(renderXml(renderIpsec(offer)))), offer);
  });

  /** Spec 18.2. */
  const PINGS = [
    {
      ends: ['10.9.8.7', '10.9.8.1'],
      request: '4500002c474740004001cf700a0908070a09080108000b08474700016d6f6e69746f72000070616e20686120',
      reply: '4500002c474740004001cf700a0908010a09080700001308474700016d6f6e69746f72000070616e20686120',
    },
    {
      ends: ['fd00:9::7', 'fd00:9::1'],
      request:
        '6000000000183a80fd000009000000000000000000000007fd00000900000000000000000000000180009899474700016d6f6e69746f72000070616e20686120',
      reply:
        '6000000000183a80fd000009000000000000000000000001fd00000900000000000000000000000781009799474700016d6f6e69746f72000070616e20686120',
    },
  ] as const;

  it('is asked and answered by the pings of the specification', () => {
    for (const { ends, request, reply } of PINGS) {
      const [client, gateway] = ends.map((text) => parseIp(text) ?? assert.fail(text));
      if (client === undefined || gateway === undefined) assert.fail();
      const [asking, answering] = [clientProbe({ client, gateway }), gatewayProbe([gateway])];
      const asked = asking.request(1);
      assert.equal(toHex(asked.bytes), request);
      const answered = answering.read(asked);
      assert.ok(typeof answered === 'object');
      assert.equal(toHex(answered.answer.bytes), reply);
      assert.equal(answered.answer.nextHeader, asked.nextHeader);
      assert.equal(asking.read(answered.answer), 'answer');
      // What is not quite so is a packet like others.
      const changed = (text: string, at: number) => ({ bytes: fromHex(text).fill(1, at, at + 1), nextHeader: asked.nextHeader });
      const words = request.length / 2 - 16;
      for (const at of [words, words + 15, words - 8]) assert.equal(answering.read(changed(request, at)), 'data', `${at}`);
      for (const at of [words, words + 15, words - 8]) assert.equal(asking.read(changed(reply, at)), 'data', `${at}`);
      assert.equal(asking.read(asked), 'data');
      assert.equal(gatewayProbe([client]).read(asked), 'data');
      assert.equal(answering.read({ ...asked, bytes: asked.bytes.subarray(0, -1) }), 'data');
    }
  });

  it('answers longer pings as long as they are', () => {
    const { ends } = PINGS[0];
    const gateway = parseIp(ends[1]) ?? assert.fail();
    const long = fromHex(
      `45000054474740004001cf480a0908070a0908010800000047470001
       6d6f6e69746f72000070616e20686120303132333435363738393a3b3c3d3e3f202122232425262728292a2b2c2d2e2f1011121314151617`,
    );
    const answered = gatewayProbe([gateway]).read({ bytes: long, nextHeader: 4 });
    assert.ok(typeof answered === 'object');
    assert.deepEqual([answered.answer.bytes.length, answered.answer.bytes.subarray(28)], [84, long.subarray(28)]);
    assert.equal(checksumOf(sumWords(answered.answer.bytes, 20, 84)), 0);
  });

  it('reads whatever comes as a packet, or a ping', () => {
    const gateway = parseIp('10.9.8.1') ?? assert.fail();
    const probes = [gatewayProbe([gateway]), clientProbe({ client: gateway, gateway })];
    const { request } = PINGS[0];
    const cut = fc.tuple(fc.nat(44), fc.nat(43), fc.nat(255)).map(([end, at, byte]) =>
      fromHex(request)
        .fill(byte, at, at + 1)
        .slice(0, end),
    );
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 80 }), cut), (bytes) => {
        for (const probe of probes) probe.read({ bytes, nextHeader: 4 });
      }),
    );
  });
});

describe('GlobalProtect cookies', () => {
  it('are openconnect’s, both ways', () => {
    const text = 'authcookie=0123&portal=GW-N&user=alice&domain=%28empty_domain%29&preferred-ip=10.9.8.7&computer=vm';
    const fields = parseSessionCookie(new Secret(text));
    assert.equal(fields.get('domain'), '(empty_domain)');
    assert.equal(renderSessionCookie(fields).reveal(), text);
    for (const bad of ['', 'SVPNCOOKIE=x', 'authcookie=1', `authcookie=1&user=${'x'.repeat(5000)}`]) {
      assert.throws(() => parseSessionCookie(new Secret(bad)), { code: 'ERR_MISUSE' });
    }
  });

  it('hold a gateway’s own, in hex digits', () => {
    const bytes = Uint8Array.from({ length: 32 }, (_, i) => 255 - i);
    assert.equal(cookieOnWire(new Secret(toBase64(bytes))), toHex(bytes));
    assert.equal(cookieOffWire(toHex(bytes))?.reveal(), toBase64(bytes));
    assert.equal(cookieOffWire('0123'), undefined);
  });
});

describe('the path of a GlobalProtect server', () => {
  it('says which interface is meant, and where the secret goes', () => {
    assert.deepEqual(wayOf('/'), { field: 'passwd' });
    assert.deepEqual(wayOf('/portal'), { interface: 'portal', field: 'passwd' });
    assert.deepEqual(wayOf('/ssl-vpn/prelogin.esp'), { interface: 'gateway', field: 'passwd' });
    assert.deepEqual(wayOf('/gateway:prelogin-cookie'), { interface: 'gateway', field: 'prelogin-cookie' });
  });
});
