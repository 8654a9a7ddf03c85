import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { EXIT, EXIT_MEANINGS } from '../../../src/cli/sallyport/exit-codes.ts';
import { type Invocation, readInvocation } from '../../../src/cli/sallyport/program.ts';

interface Said {
  readonly invocation: Invocation;
  readonly out: string;
  readonly err: string;
}

function say(...args: readonly string[]): Said {
  let out = '';
  let err = '';
  const invocation = readInvocation(args, {
    version: '1.2.3',
    out: (text) => (out += text),
    err: (text) => (err += text),
    columns: 100,
  });
  return { invocation, out, err };
}

function connect(...args: readonly string[]) {
  const { invocation, err } = say('connect', ...args);
  assert.equal(invocation.command, 'connect', err);
  return invocation.command === 'connect' ? invocation : assert.fail();
}

describe('the command line of sallyport', () => {
  it('examines the engine, and nothing that it does not know', () => {
    assert.deepEqual(say('doctor', 'engine', '--json').invocation, { command: 'doctor', given: { json: true } });
    assert.deepEqual(say('doctor', 'vpn.example').invocation, { command: 'doctor', host: 'vpn.example', given: {} });
    assert.deepEqual(say('doctor').invocation, { command: 'none', isMistake: true });
  });

  it('connects to a host, with defaults for the rest', () => {
    const { host, given } = connect('vpn.example.com');
    assert.equal(host, 'vpn.example.com');
    assert.deepEqual(given, {
      tokenMode: 'totp',
      systemTrust: true,
      protocol: 'auto',
      network: true,
      udp: true,
      ipv6: true,
      compression: 'none',
    });
  });

  it('takes every option of a connection', () => {
    const { given } = connect(
      ...['-u', 'alice', '-g', 'staff', '--password-stdin', '--token', 't', '--token-mode', 'hotp', '--answers', 'a'],
      ...['-c', 'c.pem', '-k', 'k.pem', '--key-password-stdin', '--pin', 'p1', '--pin', 'p2', '--ca-file', 'ca.pem', '--no-system-trust'],
      ...['--allow-legacy', 'tls', '--allow-legacy', 'dtls', '--protocol', 'anyconnect', '--proxy', 'http://p:3128', '--proxy-login', 'pl'],
      ...[
        '--resolve',
        'a:10.0.0.1',
        '--resolve',
        'b:::1',
        '--user-agent',
        'AnyConnect',
        '-v',
        '--verbose',
        '-v',
        '--json',
        '--cookie-stdin',
      ],
      ...[
        '-i',
        'vpn0',
        '--no-network',
        '--script',
        'vpnc-script',
        '--mtu',
        '1300',
        '--no-udp',
        '--no-ipv6',
        '--compression',
        'all',
        '--reconnect-timeout',
        '60',
        '-b',
      ],
      'vpn.example.com',
    );
    assert.deepEqual(given, {
      user: 'alice',
      group: 'staff',
      passwordStdin: true,
      token: 't',
      tokenMode: 'hotp',
      answers: 'a',
      certificate: 'c.pem',
      key: 'k.pem',
      keyPasswordStdin: true,
      pin: ['p1', 'p2'],
      caFile: 'ca.pem',
      systemTrust: false,
      allowLegacy: ['tls', 'dtls'],
      protocol: 'anyconnect',
      proxy: 'http://p:3128',
      proxyLogin: 'pl',
      resolve: ['a:10.0.0.1', 'b:::1'],
      userAgent: 'AnyConnect',
      verbose: 2,
      json: true,
      cookieStdin: true,
      interface: 'vpn0',
      network: false,
      script: 'vpnc-script',
      mtu: 1300,
      udp: false,
      ipv6: false,
      compression: 'all',
      reconnectTimeout: 60,
      background: true,
    });
  });

  it('logs in only, and prints the cookie in one of three forms', () => {
    const plain = say('login', 'vpn.example.com').invocation;
    assert.deepEqual(plain, {
      command: 'login',
      host: 'vpn.example.com',
      format: 'json',
      given: { tokenMode: 'totp', systemTrust: true, protocol: 'auto' },
    });
    const shell = say('login', 'vpn.example.com', '--format', 'shell').invocation;
    assert.equal(shell.command === 'login' && shell.format, 'shell');
    assert.match(say('login', 'vpn.example.com', '--mtu', '1300').err, /^Unknown option '--mtu'/);
  });

  it('asks about sessions', () => {
    assert.deepEqual(say('status', '--json').invocation, { command: 'status', given: { json: true } });
    assert.deepEqual(say('recover').invocation, { command: 'recover', given: {} });
    assert.deepEqual(say('disconnect').invocation, { command: 'disconnect', session: undefined, given: {} });
    assert.deepEqual(say('disconnect', 'tun0', '--keep-cookie').invocation, {
      command: 'disconnect',
      session: 'tun0',
      given: { keepCookie: true },
    });
    assert.deepEqual(say('disconnect', '--all').invocation, { command: 'disconnect', session: undefined, given: { all: true } });
    assert.deepEqual(say('reconnect', '4711').invocation, { command: 'reconnect', session: '4711', given: {} });
  });

  it('says what it does not understand, and what would be right', () => {
    for (const [args, message] of [
      [['connect'], /^Missing required argument 'host'\n/],
      [['connect', 'a', 'b'], /^Too many arguments/],
      [['connect', 'a', '--mtu', '575'], /Expected a number from 576 to 65535/],
      [['connect', 'a', '--mtu', '1e3'], /Expected a number/],
      [['connect', 'a', '--reconnect-timeout', '-1'], /Expected a number|argument missing/],
      [['connect', 'a', '--compression', 'gzip'], /Allowed choices are none, stateless, all/],
      [['connect', 'a', '--allow-legacy', 'ssl'], /Allowed: tls, dtls/],
      [['connect', 'a', '--protocol', 'nullppp'], /Allowed choices are auto, anyconnect, fortinet/],
      [['connect', 'a', '--gruop', 'x'], /^Unknown option '--gruop'\n\(Did you mean --group\?\)/],
      [['conect', 'a'], /^Unknown command 'conect'\n\(Did you mean connect\?\)/],
      [['help', 'conect'], /^Unknown command 'conect'\n\(Did you mean connect\?\)/],
      [['vpn.example.com'], /To connect: sallyport connect vpn\.example\.com/],
    ] as const) {
      const { invocation, err, out } = say(...args);
      assert.deepEqual(invocation, { command: 'none', isMistake: true }, args.join(' '));
      assert.match(err, message);
      assert.match(err, /Try --help\./);
      assert.equal(out, '');
    }
  });

  it('has no option that takes a secret: those would be seen by every process', () => {
    for (const option of ['--password', '--cookie', '--key-password', '--token-secret']) {
      for (const words of [[option, 'hunter2'], [`${option}=hunter2`]]) {
        const { invocation, err } = say('connect', 'a', ...words);
        assert.deepEqual(invocation, { command: 'none', isMistake: true }, option);
        assert.match(err, new RegExp(`^Unknown option '${option}'`));
        assert.doesNotMatch(err, /hunter2/);
      }
    }
  });

  it('prints its version and its help on standard output', () => {
    assert.deepEqual(say('--version'), { invocation: { command: 'none', isMistake: false }, out: '1.2.3\n', err: '' });
    const { invocation, out } = say('--help');
    assert.deepEqual(invocation, { command: 'none', isMistake: false });
    for (const command of ['connect', 'login', 'status', 'disconnect', 'reconnect', 'recover', 'openconnect']) {
      assert.match(out, new RegExp(`^  ${command}\\b`, 'm'));
    }
    assert.match(say('help', 'connect').out, /--cookie-stdin/);
    assert.match(say('connect', '--help').out, /^Trust:$/m);
  });

  it('prints the help as a mistake where nothing is asked for', () => {
    const { invocation, err } = say();
    assert.deepEqual(invocation, { command: 'none', isMistake: true });
    assert.match(err, /^Usage: sallyport/);
  });

  it('explains every exit code in its help, each once', () => {
    assert.deepEqual(
      EXIT_MEANINGS.map(([code]) => code),
      Object.values(EXIT).toSorted((a, b) => a - b),
    );
    const { out } = say('--help');
    for (const [code, meaning] of EXIT_MEANINGS) assert.ok(out.includes(`  ${String(code).padEnd(4)} ${meaning}`), meaning);
  });
});
