import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readCommandLine } from '../../../src/cli/openconnect/command-line.ts';
import { MisuseError } from '../../../src/core/errors.ts';
import { fakeWorld, run, settingsFor } from './fake-world.ts';

const HOST = 'vpn.example';

describe('settings', () => {
  it('have openconnect’s defaults', async () => {
    const { trust, ...settings } = await settingsFor([HOST]);
    assert.deepEqual(settings, {
      server: { host: HOST, port: 443, path: '/' },
      protocol: 'anyconnect',
      mode: 'connect',
      login: { passwordsAllowed: true, nonInteractive: false, formEntries: [], httpAuth: ['Negotiate', 'NTLM', 'Digest'], xmlPost: true },
      connection: { proxyAuth: ['Negotiate', 'NTLM', 'Digest'], resolve: new Map(), keepAlive: true, reconnectTimeout: 300_000 },
      tunnel: { compression: 'stateless', udp: true, ipv6: true, passTos: false },
      network: { script: '/usr/share/vpnc-scripts/vpnc-script', scriptTun: false },
      identity: { userAgent: 'Open AnyConnect VPN Agent v9.01', versionString: 'v9.01', localHostname: 'workstation', os: 'linux-64' },
      hostCheck: {},
      process: { background: false },
      messages: { level: 1, timestamp: false, syslog: false, dumpHttpTraffic: false },
    });
    assert.deepEqual(
      { ...trust, tls: undefined },
      { systemTrust: true, serverCerts: [], certExpireWarning: 60 * 86_400_000, tls: undefined },
    );
    assert.equal(trust.tls.minVersion, 'TLSv1.2');
  });

  it('say that no program reports on this computer where the protocol has no host check here', async () => {
    for (const [protocol, lines] of [
      ['anyconnect', 0],
      ['gp', 0],
      ['nc', 0],
      ['array', 1],
      ['pulse', 1],
    ] as const) {
      const world = fakeWorld();
      const { type } = await readCommandLine([`--protocol=${protocol}`, '--csd-wrapper=W', HOST], world);
      const said = world.said.filter(
        ([stream, line]) => stream === 'stderr' && line.includes(`--csd-wrapper has no effect with --protocol=${protocol}`),
      );
      assert.deepEqual([type, said.length], ['connect', lines]);
    }
  });

  it('carry what each option says', async () => {
    const argv = '-u alice --authgroup=G -g path --no-passwd --non-inter --no-xmlpost -i tun7 -s cmd -S -m 1300 --base-mtu 1400 --no-dtls';
    const more = '--disable-ipv6 --passtos --force-dpd=30 -Q 16 --dtls-ciphers=A --dtls12-ciphers=B --dtls-local-port 5000 --sni name';
    const rest =
      '-b --pid-file=F -l --timestamp --csd-wrapper W --force-trojan 60 --reconnect-timeout 7 --cafile C -x nosuch -e 3 -F a:b=c=d';
    const { login, network, tunnel, connection, process, messages, hostCheck, trust, server } = await settingsFor([
      ...`${argv} ${more} ${rest}`.split(' '),
      HOST,
    ]);
    const { formEntries, ...logins } = login;
    assert.deepEqual(logins, {
      user: 'alice',
      authgroup: 'G',
      passwordsAllowed: false,
      nonInteractive: true,
      xmlPost: false,
      profile: 'nosuch',
      httpAuth: ['Negotiate', 'NTLM', 'Digest'],
    });
    assert.deepEqual(
      formEntries.map(({ form, field, value }) => [form, field, value.reveal()]),
      [['a', 'b', 'c=d']],
    );
    assert.equal(server.path, '/path');
    assert.deepEqual(network, { script: 'cmd', scriptTun: true, interface: 'tun7' });
    assert.deepEqual(tunnel, {
      mtu: 1300,
      baseMtu: 1400,
      compression: 'stateless',
      udp: false,
      ipv6: false,
      passTos: true,
      forceDpd: 30_000,
      dtlsCiphers: 'A',
      dtls12Ciphers: 'B',
      udpLocalPort: 5000,
    });
    assert.equal(connection.sni, 'name');
    assert.equal(connection.reconnectTimeout, 7000);
    assert.deepEqual(process, { background: true, pidFile: 'F' });
    assert.deepEqual(messages, { level: 1, timestamp: true, syslog: true, dumpHttpTraffic: false });
    assert.deepEqual(hostCheck, { wrapper: 'W', interval: 60_000 });
    assert.equal(trust.caFile, 'C');
    assert.equal(trust.certExpireWarning, 3 * 86_400_000);
  });

  it('apply verbosity from left to right', async () => {
    const level = async (...argv: string[]) => (await settingsFor([...argv, HOST])).messages.level;
    assert.equal(await level('-q', '-v'), 1);
    assert.equal(await level('-v', '-q'), 0);
    assert.equal(await level('-vv'), 3);
    assert.equal(await level('-vvvvv'), 3);
    assert.equal(await level('-q', '--dump-http-traffic'), 2);
    assert.equal(await level('--dump-http-traffic', '-q'), 2);
    assert.equal(await level('--dump-http-traffic', '-vv'), 3);
  });

  it('let the last one win, except where options add up', async () => {
    const argv = [
      '-u',
      'a',
      '-u',
      'b',
      '--servercert',
      'x',
      '--servercert',
      'y',
      '--authenticate',
      '--printcookie',
      '-d',
      '--compression=none',
      HOST,
    ];
    const { login, trust, mode, tunnel } = await settingsFor(argv);
    assert.equal(login.user, 'b');
    assert.deepEqual(trust.serverCerts, ['x', 'y']);
    assert.equal(trust.systemTrust, false);
    assert.equal(mode, 'printcookie');
    assert.equal(tunnel.compression, 'none');
  });

  it('search form entries from the last to the first', async () => {
    const { login } = await settingsFor(['-F', 'a:b=1', '-F', 'a:b=2', HOST]);
    assert.deepEqual(
      login.formEntries.map(({ value }) => value.reveal()),
      ['2', '1'],
    );
  });

  it('resolve a host by the last address given for it', async () => {
    const { connection } = await settingsFor(['--resolve=h:1.2.3.4', '--resolve', 'h:2001:db8::1', '--resolve=H:::1', HOST]);
    assert.deepEqual(
      [...connection.resolve],
      [
        ['h', '2001:db8::1'],
        ['H', '::1'],
      ],
    );
  });

  it('take the key from the certificate unless another is named', async () => {
    const { certificate } = await settingsFor(['-c', 'cert.pem', '-p', 'secret', HOST]);
    assert.equal(certificate?.key, 'cert.pem');
    assert.equal(certificate?.password?.reveal(), 'secret');
    const both = await settingsFor(['-c', 'a', '-k', 'b', '--mca-certificate=c', '--mca-key=d', '--key-password-from-fsid', HOST]);
    assert.deepEqual(both.certificate, { certificate: 'a', key: 'b', passwordFromFsid: true });
    assert.deepEqual(both.userCertificate, { certificate: 'c', key: 'd', passwordFromFsid: false });
  });

  it('know HTTP methods in any case and order, strongest first', async () => {
    const { login, connection } = await settingsFor(['--http-auth=basic,bearer,NEGOTIATE,zz', '--proxy-auth=Basic,Bearer,digest', HOST]);
    assert.deepEqual(login.httpAuth, ['Negotiate', 'Basic', 'Bearer']);
    assert.deepEqual(connection.proxyAuth, ['Digest', 'Basic']);
    assert.deepEqual((await settingsFor(['--http-auth=', HOST])).login.httpAuth, []);
  });

  it('are a mobile device where the system is one', async () => {
    const { identity } = await settingsFor([
      '--os=android',
      '--local-hostname=phone',
      '--useragent=AnyConnect',
      '--version-string=4.1',
      HOST,
    ]);
    assert.deepEqual(identity, {
      userAgent: 'AnyConnect',
      chosenUserAgent: 'AnyConnect',
      versionString: '4.1',
      chosenVersion: '4.1',
      localHostname: 'phone',
      os: 'android',
      mobile: { platformVersion: '1.0', deviceType: 'android', uniqueId: 'A'.repeat(40) },
    });
  });

  it('name our own system by platform', async () => {
    assert.equal((await settingsFor([HOST], { platform: 'darwin' })).identity.os, 'mac-intel');
    assert.equal((await settingsFor([HOST], { platform: 'win32' })).identity.os, 'win');
  });

  it('never show a secret by mistake', async () => {
    const argv = [
      '-p',
      'hush',
      '-C',
      'hush',
      '-F',
      'a:b=hush',
      '--token-mode=totp',
      '--token-secret=hush',
      '-c',
      'x',
      '-P',
      'u:hush@p',
      HOST,
    ];
    assert.doesNotMatch(JSON.stringify(await settingsFor(argv)), /hush/);
  });
});

describe('lines of standard input', () => {
  it('go to the options in the order in which they stand', async () => {
    const { login } = await settingsFor(['--passwd-on-stdin', '--cookie-on-stdin', HOST], { input: 'password\ncookie\n' });
    assert.equal(login.password?.reveal(), 'password');
    assert.equal(login.cookie?.reveal(), 'cookie');
    const other = await settingsFor(['--cookie-on-stdin', '--passwd-on-stdin', HOST], { input: 'cookie\npassword' });
    assert.equal(other.login.password?.reveal(), 'password');
  });

  it('are as long as they are', async () => {
    const cookie = 'x'.repeat(5000);
    assert.equal((await settingsFor(['--cookie-on-stdin', HOST], { input: `${cookie}\n` })).login.cookie?.reveal(), cookie);
  });

  it('mean no cookie where they are empty, even if there was one', async () => {
    assert.equal((await settingsFor(['-C', 'x', '--cookie-on-stdin', HOST], { input: '\n' })).login.cookie, undefined);
    assert.equal((await settingsFor(['--passwd-on-stdin', HOST], { input: '\n' })).login.password?.reveal(), '');
  });

  it('are read where a configuration file says so', async () => {
    const files = { conf: 'passwd-on-stdin\nuser=bob\n' };
    const { login } = await settingsFor(['--cookie-on-stdin', '--config=conf', HOST], { input: 'c\np\n', files });
    assert.equal(login.cookie?.reveal(), 'c');
    assert.equal(login.password?.reveal(), 'p');
    assert.equal(login.user, 'bob');
  });
});

describe('standard input that cannot be read', () => {
  it('ends the command', async () => {
    const world = fakeWorld();
    const readLine = async () => {
      throw new MisuseError('fgets (stdin): EIO');
    };
    const commandLine = await readCommandLine(['--passwd-on-stdin', HOST], { ...world, readLine });
    assert.deepEqual(commandLine, { type: 'usage-error', lines: ['fgets (stdin): EIO'], showUsage: false });
  });
});

describe('configuration file on the command line', () => {
  it('counts where it stands: later options win', async () => {
    const files = { conf: 'user=file\nmtu=1300\nservercert=a' };
    const { login, tunnel, trust } = await settingsFor(['-u', 'first', '--config', 'conf', '-m', '1400', '--servercert=b', HOST], {
      files,
    });
    assert.equal(login.user, 'file');
    assert.equal(tunnel.mtu, 1400);
    assert.deepEqual(trust.serverCerts, ['a', 'b']);
  });

  it('cannot name another one', async () => {
    const { stderr, stdout, status } = await run(['--config=conf', HOST], { files: { conf: 'config=other' } });
    assert.deepEqual([stderr, stdout, status], ["Cannot use 'config' option inside config file\n", '', 1]);
  });
});

describe('environment', () => {
  it('names a proxy, which options replace or forget', async () => {
    const environment = { https_proxy: 'http://proxy:3128' };
    const proxy = async (...argv: string[]) => (await settingsFor([...argv, HOST], { environment })).connection.proxy?.host;
    assert.equal(await proxy(), 'proxy');
    assert.equal(await proxy('-P', 'other'), 'other');
    assert.equal(await proxy('--no-proxy'), undefined);
    assert.equal(await proxy('-P', 'other', '--no-proxy'), undefined);
    assert.equal(await proxy('--no-proxy', '-P', 'other'), 'other');
  });

  it('names no proxy where the variable is empty or in capitals', async () => {
    for (const environment of [{ https_proxy: '' }, { HTTPS_PROXY: 'proxy' }]) {
      assert.equal((await settingsFor([HOST], { environment })).connection.proxy, undefined);
    }
  });
});

describe('profile', () => {
  const entry = '<HostEntry><HostName>Work</HostName><HostAddress>vpn.work:8443</HostAddress><UserGroup>staff</UserGroup></HostEntry>';
  const files = { profile: `<?xml version="1.0"?><AnyConnectProfile xmlns="x"><ServerList>${entry}</ServerList></AnyConnectProfile>` };

  it('gives a server its address and group, and says so', async () => {
    const { server } = await settingsFor(['-x', 'profile', 'Work', '-g', 'mine'], { files });
    assert.deepEqual(server, { host: 'vpn.work', port: 8443, path: '/staff' });
    const said = await run(['-x', 'profile', 'Work'], { files });
    assert.equal(said.stdout, 'Host "Work" has address "vpn.work:8443"\nHost "Work" has UserGroup "staff"\n');
  });

  it('keeps standard output free where that is for the result', async () => {
    const said = await run(['--authenticate', '-x', 'profile', 'Work'], { files });
    assert.equal(said.stdout, '');
    assert.match(said.stderr, /Host "Work" has address/);
  });

  it('leaves a name that it does not have alone', async () => {
    const { server } = await settingsFor(['-x', 'profile', 'work'], { files });
    assert.deepEqual(server, { host: 'work', port: 443, path: '/' });
    const { stderr } = await run(['-x', 'profile', 'work'], { files });
    assert.equal(stderr, 'Host "work" not listed in config; treating as raw hostname\n');
  });

  it('is said to be none where it is none', async () => {
    const { stderr } = await run(['-x', 'bad', '--timestamp', 'Work'], { files: { bad: 'not xml' } });
    assert.equal(stderr, '[2026-11-03 04:05:06] Failed to parse XML config file bad\nTreating host "Work" as a raw hostname\n');
  });
});

describe('tokens', () => {
  it('have a mode and a secret', async () => {
    const { login } = await settingsFor(['--token-secret', 'base32:ABCD', '--token-mode', 'TOTP', HOST]);
    assert.equal(login.token?.mode, 'totp');
    assert.equal(login.token?.secret.reveal(), 'base32:ABCD');
    assert.equal((await settingsFor(['--token-secret', 'x', HOST])).login.token, undefined);
  });

  it('are refused without a secret', async () => {
    for (const argv of [['--token-mode=totp'], ['--token-mode=hotp', '--token-secret=']]) {
      assert.deepEqual(await run([...argv, HOST]), { stdout: '', stderr: 'Soft token string is invalid\n', status: 1 });
    }
  });
});

describe('where we are stricter than openconnect', () => {
  it('refuses a local port that is none', async () => {
    for (const port of ['65536', '-1']) {
      assert.deepEqual(await run(['--dtls-local-port', port, HOST]), { stdout: '', stderr: `Invalid local port '${port}'\n`, status: 1 });
    }
  });

  it('does not take an empty user for root', async () => {
    assert.equal((await run(['-U', '', HOST])).stderr, 'Invalid user "": Success\n');
  });
});

describe('values', () => {
  it('are only the ones that are listed', async () => {
    for (const value of ['constructor', '__proto__', 'toString']) {
      assert.equal((await run([`--compression=${value}`, HOST])).stderr, `Invalid compression mode '${value}'\n`);
      assert.equal((await run([`--protocol=${value}`, HOST])).stderr, `Unknown VPN protocol '${value}'\n`);
    }
  });
});

describe('names', () => {
  it('are what we were called by', async () => {
    assert.equal((await run(['--nosuch'], { programName: 'my-vpn' })).stderr, "my-vpn: unrecognized option '--nosuch'\n");
  });

  it('leave completion to the shell that asks', async () => {
    const commandLine = await readCommandLine(['--autocomplete', '-c', ''], fakeWorld({ environment: { COMP_CWORD: '2' } }));
    assert.deepEqual(commandLine, { type: 'autocomplete', words: ['-c', ''], index: 2 });
  });
});
