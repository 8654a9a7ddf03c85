import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { formatCidr, formatIp } from '../../../src/core/wire/ip-address.ts';
import { ConfigError, formatNotice } from '../../../src/gateway/config/config-report.ts';
import type { GatewayConfig, HostConfig } from '../../../src/gateway/config/gateway-config.ts';
import { loadOcservConfig, parseOcservConfig } from '../../../src/gateway/config/ocserv-conf.ts';
import { KEY_GROUPS } from '../../../src/gateway/config/ocserv-keys.ts';
import { MAX_LINE_BYTES } from '../../../src/gateway/config/ocserv-lines.ts';

/** Ten lines that start a gateway. */
const BASE: Readonly<Record<string, string>> = {
  auth: 'plain[passwd=/etc/passwords]',
  'tcp-port': '443',
  'udp-port': '443',
  'socket-file': '/run/sock',
  'server-cert': '/c.pem',
  'server-key': '/k.pem',
  device: 'vpns',
  'ipv4-network': '10.1.0.0/24',
};

function text(more: string, without: readonly string[] = []): string {
  const lines = Object.entries(BASE).map(([key, value]) => (without.includes(key) ? '' : `${key} = ${value}`));
  return `${lines.join('\n')}\n${more}`;
}

const FIRST_LINE = Object.keys(BASE).length + 1;

function configOf(more: string, without?: readonly string[]): GatewayConfig {
  return parseOcservConfig(text(more, without), 'o.conf').config;
}

function hostOf(more: string, without?: readonly string[]): HostConfig {
  const [host] = configOf(more, without).hosts;
  assert.ok(host !== undefined);
  return host;
}

function noticesOf(more: string): string[] {
  return parseOcservConfig(text(more), 'o.conf')
    .notices.filter(({ level }) => level !== 'note')
    .map(formatNotice);
}

/** The errors of a text that must not be taken. */
function errorsOf(more: string, without?: readonly string[]): string[] {
  try {
    parseOcservConfig(text(more, without), 'o.conf');
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    return error.notices.filter(({ level }) => level === 'error').map(formatNotice);
  }
  assert.fail('it was taken');
}

describe('lines of ocserv.conf', () => {
  const banner = (line: string) => hostOf(line).policy.banner;

  it('have a value up to a # after a blank, without quotes and blanks around', () => {
    assert.equal(banner('banner = hello # world'), 'hello');
    assert.equal(banner('banner = hello#world'), 'hello#world');
    assert.equal(banner('banner = "hello # world"'), 'hello');
    assert.equal(banner('banner = " hello "'), 'hello');
    assert.equal(banner('banner=""hello""'), 'hello');
    assert.equal(banner('banner : hello = world'), 'hello = world');
    assert.equal(banner("banner = 'hello'\r"), "'hello'");
    assert.equal(banner('banner = hello ; world'), 'hello ; world');
  });

  it('go on below if the next one begins with a blank, and it is said', () => {
    assert.deepEqual(hostOf('route = 10.0.0.0/8\n\n# comment\n\t10.1.0.0/16').policy.routes.map(formatCidr), ['10.0.0.0/8', '10.1.0.0/16']);
    assert.deepEqual(noticesOf('route = 10.0.0.0/8\n 10.1.0.0/16'), [
      `warning: o.conf:${FIRST_LINE + 1}: the line begins with a blank: it is read as another value of 'route'`,
    ]);
  });

  it('are told apart by number when they are wrong', () => {
    assert.deepEqual(errorsOf('foo\n[vhost:x\nbanner # = x'), [
      `error: o.conf:${FIRST_LINE}: 'key = value' was expected, but the line is 'foo'`,
      `error: o.conf:${FIRST_LINE + 1}: the section has no ']'`,
      `error: o.conf:${FIRST_LINE + 2}: 'key = value' was expected, but the line is 'banner…'`,
    ]);
  });

  it('have a longest length, which is ocserv’s', () => {
    const line = (length: number) => `banner = ${'x'.repeat(length)}`;
    assert.match(errorsOf(line(MAX_LINE_BYTES - 8))[0] ?? '', /longer than 2047 bytes/);
    assert.match(errorsOf(line(MAX_LINE_BYTES - 9))[0] ?? '', /banner size is too long/);
  });

  it('do not show what may be a password', () => {
    assert.doesNotMatch(errorsOf('key-pin very secret').join(), /secret/);
  });

  it('of an unknown key are skipped with a warning', () => {
    assert.deepEqual(noticesOf('Banner = x\nexplicit-ipv4 = 10.1.0.2'), [
      `warning: o.conf:${FIRST_LINE}: skipping unknown option 'Banner'`,
      `warning: o.conf:${FIRST_LINE + 1}: skipping unknown option 'explicit-ipv4': it has its place in the files of users and groups`,
    ]);
  });

  it('without a value are skipped with a warning', () => {
    assert.deepEqual(noticesOf('banner ='), [`warning: o.conf:${FIRST_LINE}: 'banner' has no value: the line is skipped`]);
  });
});

describe('what ocserv refuses', () => {
  it('is refused when it is missing, all of it at once', () => {
    assert.deepEqual(errorsOf('', Object.keys(BASE)), [
      "error: o.conf: the 'auth' configuration option was not specified!",
      "error: o.conf: the 'server-cert' and 'server-key' configuration options must be specified!",
      'error: o.conf: no ipv4-network or ipv6-network options set.',
      'error: o.conf: the tcp-port option is mandatory!',
      "error: o.conf: the 'socket-file' configuration option must be specified!",
      "error: o.conf: the 'device' configuration option must be specified!",
    ]);
  });

  const at = FIRST_LINE;
  const REFUSED: readonly (readonly [lines: string, message: string, without?: readonly string[]])[] = [
    ['listen-clear-file = /x', `${at}: the 'listen-clear-file' option was removed in ocserv 1.1.2`],
    ['dns = local', `${at}: the 'local' DNS keyword is no longer supported.`],
    [
      'match-tls-dtls-ciphers = true',
      `${at}: 'match-tls-dtls-ciphers' cannot be applied when 'dtls-legacy' or 'cisco-client-compat' is on`,
    ],
    ['auth = plain[passwd=/x]', `${at}: vhost:default: you cannot mix multiple authentication methods of plain type`],
    ['auth = pam', `${at}: vhost:default: you cannot mix multiple password authentication methods`],
    ['enable-auth = pam', `${at}: vhost:default: you cannot mix multiple password authentication methods`],
    ['auth = foo', `${at}: vhost:default: unknown or unsupported auth method: foo`],
    ['auth = "plain[passwd=/x"', `${at}: error parsing [passwd=/x`, ['auth']],
    ['auth = plain', `${at}: plain: no password or OTP file specified`, ['auth']],
    ['auth = "plain[password=/x,passwd=/y]"', `${at}: unknown option 'password'`, ['auth']],
    ['auth = gssapi', `${at}: vhost:default: the auth method gssapi is not supported here: take pam, radius or certificate`],
    ['auth = radius', `${at}: No radius configuration specified: write radius[config=FILE]`, ['auth']],
    ['auth = oidc', `${at}: oidc: no configuration file specified: write oidc[config=FILE.json]`, ['auth']],
    ['acct = foo', `${at}: unknown or unsupported accounting method: foo`],
    ['server-cert = /c2.pem', "the specified number of keys doesn't match the certificates"],
    ['ipv4-network = 10.2.0.0/255.255.255.0', `${at}: no mask found for IPv4 network.`],
    ['ipv6-network = fd00::', `${at}: no prefix found for IPv6 network.`],
    ['ipv6-network = fd00::/64\nipv6-subnet-prefix = 64', `${at + 1}: the subnet prefix (64) cannot be smaller or equal to network's (64)`],
    ['ipv6-subnet-prefix = 129', `${at}: invalid IPv6 subnet prefix: 129`],
    ['route = 10.0.0.0', `${at}: route '10.0.0.0' in wrong format, use xxx.xxx.xxx.xxx/xxx.xxx.xxx.xxx`],
    ['rekey-method = foo', `${at}: unknown rekey method 'foo'`],
    ['restrict-user-to-ports = "foo(1)"', `${at}: cannot parse restrict-user-to-ports`],
    ['select-group = a[b', `${at}: error parsing a[b`],
    ['[vhost:]\nauth = pam', `${at}: virtual host name is illegal ''`],
    ['camouflage = true', `${at}: 'camouflage' needs a 'camouflage_secret'`],
    ['udp-port = 70000', `${at}: 'udp-port' is at most 65535, not 70000`],
    ['dpd = -1', `${at}: 'dpd' cannot be negative: '-1'`],
    ['device = "a b"', `${at}: 'device' begins the name of a network device: up to 11 letters and digits, not 'a b'`],
    [
      'server-cert = /c2.pem\nserver-key = pkcs11:id=1;pin-value=1',
      `${at + 1}: keys and certificates in tokens are not supported: name a PEM file instead of 'pkcs11:…'`,
    ],
  ];
  for (const [lines, message, without] of REFUSED) {
    it(`is refused with its line: ${lines.replaceAll('\n', ' · ')}`, () => {
      const errors = errorsOf(lines, without);
      assert.ok(
        errors.some((error) => error.endsWith(message)),
        errors.join('\n'),
      );
    });
  }

  it('names the virtual host it is about', () => {
    assert.deepEqual(errorsOf('[vhost:a.test]\nbanner = x'), [
      `error: o.conf:${FIRST_LINE}: vhost:a.test: the 'auth' configuration option was not specified!`,
      `error: o.conf:${FIRST_LINE}: vhost:a.test: the 'server-cert' and 'server-key' configuration options must be specified!`,
      `error: o.conf:${FIRST_LINE}: vhost:a.test: no ipv4-network or ipv6-network options set.`,
    ]);
  });

  it('is the fourth alternative method', () => {
    const lines = 'enable-auth = certificate\n'.repeat(4);
    assert.ok(
      errorsOf(`${lines}cert-user-oid = 2.5.4.3`).some((error) => error.endsWith('you cannot enable more than 4 authentication methods')),
    );
  });

  it('is a certificate log-in that does not say where the name is', () => {
    assert.ok(errorsOf('auth = certificate').some((error) => error.includes("'cert-user-oid' is not set")));
  });

  it('is files of users beside groups from RADIUS', () => {
    const errors = errorsOf('auth = "radius[config=/x,groupconfig=true]"\nconfig-per-user = /y', ['auth']);
    assert.deepEqual(errors, [
      `error: o.conf:${FIRST_LINE + 1}: specified config-per-user or config-per-group but supplemental config is 'radius'`,
    ]);
  });
});

describe('values of ocserv.conf', () => {
  it('default to ocserv’s built-in ones', () => {
    const config = configOf('');
    const { policy, sessions } = hostOf('');
    assert.deepEqual(config.bans, { maxScore: 30, banTime: 0, resetTime: 300_000, pointsWrongPassword: 10, pointsConnection: 1 });
    assert.deepEqual(config.limits, { maxClients: 0, acceptInterval: 0, loginTime: 1_800_000, drain: 0 });
    assert.equal(config.control.socket, '/var/run/occtl.socket');
    assert.deepEqual(sessions, { cookieTimeout: 120_000, persistentCookies: false });
    assert.deepEqual([policy.keepalive, policy.dpd, policy.mobileDpd, policy.rekeyTime], [3_600_000, 60_000, 60_000, 86_400_000]);
    assert.deepEqual([policy.rekeyMethod, policy.allowsPsk, policy.allowsLegacyDtls, policy.compression], ['new-tunnel', true, true, []]);
  });

  it('turn times off by 0', () => {
    const { policy } = hostOf('idle-timeout = 0\nrekey-time = 0\nsession-timeout = 0\nswitch-to-tcp-timeout = 0');
    assert.deepEqual(
      [policy.idleTimeout, policy.rekeyTime, policy.sessionTimeout, policy.switchToStreamAfter],
      [undefined, undefined, undefined, undefined],
    );
  });

  it('of routes: default, or a network that is everything, is everything', () => {
    for (const route of ['default', '0.0.0.0/0', '0.0.0.0/0.0.0.0', '::/0']) {
      assert.deepEqual(hostOf(`route = 10.0.0.0/8\nroute = ${route}`).policy.routes, [], route);
    }
    assert.deepEqual(hostOf('route = fd00::1\nroute = 10.1.2.3/255.255.0.0').policy.routes.map(formatCidr), ['fd00::1/128', '10.1.0.0/16']);
  });

  it('of ports: bare protocols, numbers and negation', () => {
    const ports = (value: string) => hostOf(`restrict-user-to-ports = "${value}"`).policy.restrictsToPorts;
    assert.deepEqual(ports('tcp(443), UDP( 53 ), icmp(), tcp()'), {
      isNegated: false,
      ports: [{ protocol: 'tcp', port: 443 }, { protocol: 'udp', port: 53 }, { protocol: 'icmp' }, { protocol: 'tcp' }],
    });
    assert.equal(ports('!(tcp(25))')?.isNegated, true);
    assert.equal(hostOf('restrict-user-to-ports = "tcp(1)"').policy.restrictsToRoutes, true);
    for (const wrong of ['!tcp(443)', 'tcp(443) udp(4)', 'tcp(443),', 'tcp(70000)']) {
      assert.match(errorsOf(`restrict-user-to-ports = "${wrong}"`).join(), /cannot parse/, wrong);
    }
  });

  it('of log-ins: how client certificates are asked for', () => {
    const demand = (lines: string) => hostOf(`${lines}\ncert-user-oid = 2.5.4.3`).tls.clientCertificates;
    assert.equal(demand(''), 'no');
    assert.equal(demand('auth = certificate'), 'required');
    assert.equal(demand('auth = certificate\ncisco-client-compat = true'), 'optional');
    assert.equal(demand('enable-auth = certificate'), 'optional');
    // Pulse's clients show theirs inside of what they speak.
    assert.equal(demand('auth = certificate\nvpn-protocols = pulse'), 'no');
    assert.equal(demand('auth = certificate\nvpn-protocols = nc pulse'), 'optional');
    assert.equal(demand('auth = certificate\nvpn-protocols = nc fortinet'), 'required');
    assert.equal(demand('enable-auth = certificate\nvpn-protocols = pulse'), 'optional');
  });

  it('of Cisco’s clients: no TLS 1.3, unless the priorities say so, and old DTLS', () => {
    assert.equal(hostOf('cisco-client-compat = true').tls.policy.maxVersion, 'TLSv1.2');
    assert.equal(hostOf('cisco-client-compat = true\ntls-priorities = NORMAL').tls.policy.maxVersion, 'TLSv1.3');
    assert.equal(hostOf('cisco-client-compat = true\ndtls-legacy = false').policy.allowsLegacyDtls, true);
    assert.equal(hostOf('always-require-cert = true').login.isCiscoCompatible, false);
  });

  it('of names: certificate fields, groups, headers, compression', () => {
    const host = hostOf(
      [
        'cert-user-oid = san(RFC822Name)',
        'select-group = a',
        'select-group = b[The b]',
        'custom-header = "X-A: 1 : 2"',
        'custom-header = nonsense',
        'compression = true',
        'compression-algo-priority = lzs:9,lz4:3,zip:4',
      ].join('\n'),
    );
    assert.deepEqual(host.auth.certificateUser, { alternativeName: 'rfc822name' });
    assert.deepEqual(host.login.groups, [
      { name: 'a', label: 'a' },
      { name: 'b', label: 'The b' },
    ]);
    assert.deepEqual(host.policy.headers, [['X-A', '1 : 2']]);
    assert.deepEqual(host.policy.compression, ['lzs', 'oc-lz4']);
    assert.match(errorsOf('cert-user-oid = foo').join(), /'cert-user-oid' is an object identifier/);
  });

  it('of a portal: its gateways in their order, and for how long a log-in counts there', () => {
    assert.equal(hostOf('portal-gateway = a.example\n').portal, undefined);
    const { portal } = hostOf(
      'portal = true\nportal-gateway = a.example:4443\nportal-gateway = b.example In Berlin\nportal-pass-time = 60\n',
    );
    assert.deepEqual(
      portal?.gateways.map(({ address, label, priority }) => [address, label, priority]),
      [
        ['a.example:4443', 'a.example:4443', 1],
        ['b.example', 'In Berlin', 2],
      ],
    );
    assert.deepEqual([portal?.passTime, portal?.passKey, portal?.reportInterval], [60_000, undefined, 3_600_000]);
    assert.deepEqual(errorsOf('portal = true\nportal-gateway = a/b\nportal-pass-time = 86401\n'), [
      `error: o.conf:${FIRST_LINE + 1}: 'portal-gateway': 'a/b' is no host or host:port`,
      `error: o.conf:${FIRST_LINE + 2}: 'portal-pass-time' is a second at least, and a day at most`,
    ]);
    const many = Array.from({ length: 65 }, (_, i) => `portal-gateway = g${i}.example\n`).join('');
    assert.deepEqual(errorsOf(`portal = true\nportal-pass-time = 0\nportal-report-interval = 119\n${many}`), [
      `error: o.conf:${FIRST_LINE + 67}: 'portal-gateway': there are 64 gateways at most`,
      `error: o.conf:${FIRST_LINE + 1}: 'portal-pass-time' is a second at least, and a day at most`,
      `error: o.conf:${FIRST_LINE + 2}: 'portal-report-interval' is two minutes at least`,
    ]);
  });

  it('keep secrets out of sight', () => {
    const host = hostOf('key-pin = 1234\ncamouflage = yes\ncamouflage_secret = sesame\ncamouflage_realm = Private');
    assert.equal(host.tls.certificates[0]?.pin?.reveal(), '1234');
    assert.equal(host.login.camouflage?.secret.reveal(), 'sesame');
    assert.equal(host.login.camouflage?.realm, 'Private');
    assert.doesNotMatch(JSON.stringify(host), /1234|sesame/);
  });

  it('of a list end at 96, and it is said', () => {
    const lines = Array.from({ length: 100 }, (_, i) => `dns = 10.0.0.${i}`).join('\n');
    assert.equal(hostOf(lines).policy.dns.length, 96);
    assert.equal(hostOf(lines).policy.dns.map(formatIp).at(-1), '10.0.0.95');
    assert.equal(noticesOf(lines).length, 4);
  });
});

describe('the table of keys', () => {
  const specs = KEY_GROUPS.flatMap(({ keys }) => keys);

  it('has each name once', () => {
    const names = specs.flatMap(({ name, aliases = [] }) => [name, ...aliases]);
    assert.deepEqual(names, [...new Set(names)]);
  });

  it('knows every key that the file may have, and reports those that do nothing with their line', () => {
    for (const { name, type, supplements, unsupported } of specs) {
      if (supplements === 'only' || unsupported === undefined) continue;
      const notices = noticesOf(`${name} = ${type === 'flag' ? 'true' : '3'}`);
      assert.ok(
        notices.some((notice) => notice === `warning: o.conf:${FIRST_LINE}: '${name}' has no effect here: ${unsupported}`),
        notices.join('\n'),
      );
    }
  });

  it('has every global key ignored in a virtual host, and says so', () => {
    const host = '[vhost:a.test]\nauth = pam\nserver-cert = /c\nserver-key = /k\nipv4-network = 10.2.0.0/24\n';
    for (const { name, scope } of specs) {
      if (scope !== 'global') continue;
      const notices = noticesOf(`${host}${name} = 3`);
      assert.deepEqual(notices, [`warning: o.conf:${FIRST_LINE + 5}: ${name} is ignored on a.test virtual host`]);
    }
  });
});

describe('keys of virtual hosts', () => {
  it('that would open sockets of their own are ignored, and it is said why', () => {
    const host = '[vhost:a.test]\nauth = pam\nserver-cert = /c\nserver-key = /k\nipv4-network = 10.2.0.0/24\n';
    assert.deepEqual(noticesOf(`${host}listen-host = 127.0.0.2`), [
      `warning: o.conf:${FIRST_LINE + 5}: listen-host is ignored on a.test virtual host: all hosts share the sockets of the default host`,
    ]);
  });
});

describe('hostile files', () => {
  it('bring nothing but a ConfigError', () => {
    const names = KEY_GROUPS.flatMap(({ keys }) => keys).map(({ name }) => name);
    const line = fc.oneof(
      fc
        .tuple(
          fc.constantFrom(...names),
          fc.oneof(fc.string(), fc.constantFrom('true', '-1', '99999999999', '10.0.0.0/8', 'plain[', '[', '"', '\0')),
        )
        .map(([key, value]) => `${key} = ${value}`),
      fc.string(),
      fc.constantFrom('[vhost:a]', '[]', '[vhost:\u0000]', ' x', '[vhost:xn--a]'),
    );
    fc.assert(
      fc.property(fc.array(line, { maxLength: 12 }), (lines) => {
        try {
          parseOcservConfig(lines.join('\n'), 'x');
        } catch (error) {
          assert.ok(error instanceof ConfigError, String(error));
        }
      }),
      { numRuns: 500 },
    );
  });

  it('are refused when they are not there, a folder, or too large', async () => {
    await assert.rejects(loadOcservConfig('/nonexistent/o.conf'), /o\.conf: cannot read it: No such file or directory/);
    await assert.rejects(loadOcservConfig('/'), ConfigError);
  });
});
