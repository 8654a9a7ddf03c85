import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { ConfigReader, MAX_DNS_SERVERS, MAX_SPLIT_ROUTES } from '../../../src/core/tunnel/config-values.ts';
import { formatCidr, formatIp } from '../../../src/core/wire/ip-address.ts';

describe('addresses of a configuration', () => {
  it('keeps the first good ones up to the limit, and says what it left out', () => {
    const reader = new ConfigReader();
    const dns = reader.addresses(
      'DNS server',
      ['192.0.2.1', 'nonsense', '2001:db8::1', '192.0.2.2', '192.0.2.3', '192.0.2.4'],
      MAX_DNS_SERVERS,
    );
    assert.deepEqual(dns.map(formatIp), ['192.0.2.1', '2001:db8::1', '192.0.2.2']);
    assert.deepEqual(reader.warnings, [
      { problem: 'malformed', field: 'DNS server', text: 'nonsense' },
      { problem: 'too-many', field: 'DNS server', text: '192.0.2.3' },
    ]);
  });

  it('refuses addresses that no host has', () => {
    const bad = [
      '0.0.0.0',
      '127.0.0.1',
      '224.0.0.1',
      '239.255.255.255',
      '255.255.255.255',
      '::',
      '::1',
      'ff02::1',
      '10.0.0.01',
      '10.0.0',
      '',
    ];
    for (const text of bad) assert.equal(new ConfigReader().address('address', text), undefined, text);
    for (const text of ['10.0.0.1', '100.64.0.1', 'fe80::1', 'fd00::']) assert.ok(new ConfigReader().address('address', text), text);
  });

  it('reads an interface address with each form of its network', () => {
    const reader = new ConfigReader();
    const read = (text: string, netmask?: string) => {
      const value = reader.interfaceAddress('address', text, netmask);
      return value && `${formatIp(value.address)} ${value.prefix}`;
    };
    assert.equal(read('192.0.2.7', '255.255.255.0'), '192.0.2.7 24');
    assert.equal(read('2001:db8::7/64'), '2001:db8::7 64');
    assert.equal(read('2001:db8::7', '2001:db8::7/64'), '2001:db8::7 64');
    assert.equal(read('2001:db8::7', 'ffff:ffff::'), '2001:db8::7 32');
    assert.equal(read('192.0.2.7'), '192.0.2.7 undefined');
    assert.deepEqual(reader.warnings, []);
  });

  it('knows an address without a network where the netmask is not contiguous or none', () => {
    const reader = new ConfigReader();
    assert.deepEqual(reader.interfaceAddress('address', '192.0.2.7', '255.0.255.0')?.prefix, undefined);
    assert.deepEqual(reader.interfaceAddress('address', '192.0.2.7/99')?.prefix, undefined);
    assert.deepEqual(
      reader.warnings.map((warning) => warning.text),
      ['255.0.255.0', '192.0.2.7/99'],
    );
    assert.equal(reader.interfaceAddress('address', '127.0.0.1/8'), undefined);
  });
});

describe('split routes of a configuration', () => {
  it('reads every form that gateways write', () => {
    const reader = new ConfigReader();
    const texts = [
      '10.1.2.3',
      '10.10.0.0/16',
      '10.20.0.0/255.255.0.0',
      '2001:db8::5',
      '2001:db8:1::/48',
      '2001:db8:2::/ffff:ffff:ffff::',
      '0.0.0.0/0',
    ];
    assert.deepEqual(reader.routes('split include', texts).map(formatCidr), [
      '10.1.2.3/32',
      '10.10.0.0/16',
      '10.20.0.0/16',
      '2001:db8::5/128',
      '2001:db8:1::/48',
      '2001:db8:2::/48',
      '0.0.0.0/0',
    ]);
    assert.deepEqual(reader.warnings, []);
  });

  it('clears host bits with a warning', () => {
    const reader = new ConfigReader();
    assert.deepEqual(reader.routes('split include', ['10.10.10.77/24', '2001:db8::1/64']).map(formatCidr), [
      '10.10.10.0/24',
      '2001:db8::/64',
    ]);
    assert.deepEqual(reader.warnings[0], { problem: 'host-bits', field: 'split include', text: '10.10.10.77/24' });
  });

  it('leaves out what is malformed', () => {
    const reader = new ConfigReader();
    const texts = ['10.0.0.0/33', '10.0.0.0/255.0.255.0', '10.0.0/8', '10.0.0.0/', '10.0.0.0/8\n', 'fe80::/129', '::/255.0.0.0', '', '-i'];
    assert.deepEqual(reader.routes('split include', texts), []);
    assert.equal(reader.warnings.length, texts.length);
    assert.ok(reader.warnings.every((warning) => warning.problem === 'malformed'));
  });

  it('takes no more than fit an environment', () => {
    const reader = new ConfigReader();
    const texts = Array.from({ length: MAX_SPLIT_ROUTES + 10 }, (_, i) => `10.${i >> 8}.${i & 255}.0/24`);
    assert.equal(reader.routes('split include', texts).length, MAX_SPLIT_ROUTES);
    assert.deepEqual(
      reader.warnings.map((warning) => warning.problem),
      ['too-many'],
    );
  });

  it('remembers only the first of very many mistakes, short and fit for a terminal', () => {
    const reader = new ConfigReader();
    reader.routes('split include', Array(1000).fill(`\u001b[31m${'x'.repeat(500)}`));
    assert.equal(reader.warnings.length, 50);
    assert.deepEqual(reader.warnings[0]?.text, `[31m${'x'.repeat(116)}`);
  });
});

describe('domains of a configuration', () => {
  const domains = (...texts: string[]) => new ConfigReader().domains('split DNS domain', texts, 100);

  it('reads lists with blanks and commas, in one text and in several', () => {
    assert.deepEqual(domains('example.com one.example.com', 'a.example,b.example, c.example'), [
      'example.com',
      'one.example.com',
      'a.example',
      'b.example',
      'c.example',
    ]);
  });

  it('tolerates underscores, a wildcard in front and a dot at the end', () => {
    assert.deepEqual(domains('_msdcs.corp_1.example', '*.example.com', '.example.org', 'example.net.'), [
      '_msdcs.corp_1.example',
      'example.com',
      'example.org',
      'example.net',
    ]);
  });

  it('leaves out what is no domain name, above all what could pass for an option or a command', () => {
    const bad = [
      '-x.example',
      'a-.example',
      'a..b',
      'a$(id).example',
      'a`b`',
      "'a'",
      'bücher.example',
      '.',
      'a/b',
      `${'a'.repeat(64)}.example`,
    ];
    for (const text of bad) {
      const reader = new ConfigReader();
      assert.deepEqual(reader.domains('domain', [text], 100), [], text);
      assert.equal(reader.warnings.length, 1);
    }
    assert.equal(domains(Array(64).fill('abc').join('.')).length, 0, '255 characters');
    assert.equal(domains(Array(63).fill('abc').join('.')).length, 1, '251 characters');
  });
});

describe('numbers of a configuration', () => {
  const reader = new ConfigReader();

  it('takes "none", nothing and nonsense for none', () => {
    for (const text of ['none', '0', '', '-5', '1.5', '0x10', '5s', undefined]) assert.equal(reader.seconds(text), undefined);
    assert.equal(reader.number('1434'), 1434);
  });

  it('turns seconds into milliseconds, and bounds them', () => {
    assert.equal(reader.seconds('1200'), 1_200_000);
    assert.equal(reader.seconds('99999999999999999999'), 0x7fff_ffff * 1000);
  });
});

describe('banner, proxy and options of a configuration', () => {
  const reader = new ConfigReader();

  it('decodes a banner and makes it fit for a terminal', () => {
    assert.equal(reader.banner('Welcome%20to%0AK%c3%b6ln%21'), 'Welcome to\nKöln!');
    assert.equal(reader.banner('100% of 5%zz'), '100% of 5%zz');
    assert.equal(reader.banner('%1b[2Jgone%00'), '[2Jgone');
    assert.equal(reader.banner('%ff'), '\ufffd');
    assert.equal(reader.banner(' %0d%0a '), undefined);
    assert.equal(reader.banner('x'.repeat(60_000))?.length, 8192);
  });

  it('takes http and https URLs for a proxy configuration, and nothing else', () => {
    assert.equal(reader.proxyPac('http://proxy.example/p.pac'), 'http://proxy.example/p.pac');
    assert.equal(reader.proxyPac('https://proxy.example/a b"c'), 'https://proxy.example/a%20b%22c');
    for (const text of ['file:///etc/passwd', 'javascript:alert(1)', 'proxy.pac', '', `http://a/${'x'.repeat(2048)}`]) {
      assert.equal(new ConfigReader().proxyPac(text), undefined, text);
    }
  });

  it('keeps options as they came, repeats included', () => {
    const options = [
      ['X-CSTP-DNS', '192.0.2.1'],
      ['X-CSTP-DNS', '192.0.2.2'],
      ['X-CSTP-Banner', 'a=b'],
    ] as const;
    assert.deepEqual(new ConfigReader().options(options), options);
  });

  it('keeps log-in secrets from scripts', () => {
    const options = [
      ['X-CSTP-Post-Auth-XML', '<session-token>…'],
      ['Set-Cookie', 'webvpn=x'],
      ['X-CSTP-MTU', '1400'],
    ] as const;
    assert.deepEqual(new ConfigReader().options(options), [['X-CSTP-MTU', '1400']]);
  });

  it('leaves out options that could pass for another line, and stops before they are too long for an environment', () => {
    const hostile = new ConfigReader();
    assert.deepEqual(
      hostile.options([
        ['X-A', 'b\nINJECTED=1'],
        ['X\0', 'b'],
        ['X=Y', 'b'],
      ]),
      [],
    );
    assert.equal(hostile.warnings.length, 3);
    const long = new ConfigReader();
    const kept = long.options(Array.from({ length: 10 }, () => ['X-Long', 'x'.repeat(10_000)] as const));
    assert.equal(kept.length, 6);
    assert.deepEqual(long.warnings, [{ problem: 'too-many', field: 'option', text: 'X-Long' }]);
  });
});

describe('ConfigReader', () => {
  it('throws nothing, and lets no control character and no separator through, whatever the text', () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 60 }),
      fc.string({ unit: fc.constantFrom(...'0123456789abcf./:%-_*, \n\0'), maxLength: 40 }),
    );
    fc.assert(
      fc.property(text, text, (a, b) => {
        const reader = new ConfigReader();
        reader.address('x', a);
        reader.interfaceAddress('x', a, b);
        reader.routes('x', [a, b]);
        reader.seconds(a);
        for (const domain of reader.domains('x', [a, b], 100)) assert.match(domain, /^[a-zA-Z0-9_][a-zA-Z0-9_.-]*$/);
        assert.doesNotMatch(reader.banner(a) ?? '', /[\u0000-\u0008\u000b-\u001f\u007f]/);
        assert.match(reader.proxyPac(`http://${a}`) ?? 'http://x/', /^https?:\/\/[\u0021-\u007e]+$/);
        assert.ok(reader.warnings.every((warning) => !/[\u0000-\u0008\u001b]/.test(warning.text)));
      }),
    );
  });
});
