import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { COMMANDS, readCommand } from '../../../src/cli/occtl/command-table.ts';
import { completions } from '../../../src/cli/occtl/completion.ts';
import { runLine } from '../../../src/cli/occtl/run-command.ts';
import { NetworkError, SallyportError } from '../../../src/core/errors.ts';
import { ALICE_STATUS, FakeTarget, NOW, SESSION, STRANGER } from '../../gateway/control/fake-target.ts';

const TEXT = { isJson: false, isVerbose: false };
const JSON_WANTED = { isJson: true, isVerbose: false };

const run = (line: string, target = new FakeTarget(), options = TEXT) => runLine(line, () => Promise.resolve(target), options);

describe('a command of occtl', () => {
  it('shows a user with everything that there is to know', async () => {
    const { stdout, status } = await run('show user alice');
    assert.equal(status, 0);
    assert.equal(
      stdout.replace(/Connected at: \S+ \S+/, 'Connected at: DATE'),
      `\tID: 16708
\tUsername: alice   Groupname: staff
\tState: connected
\tvhost: default
\tDevice: vpns0   MTU: 1434
\tRemote IP: 192.0.2.2   Location: unknown
\tLocal Device IP: 198.51.100.2
\tIPv4: 10.77.0.50   P-t-P IPv4: 10.77.0.1
\tIPv6: fd77::9a7c   P-t-P IPv6: fd77::1
\tUser-Agent: Open AnyConnect VPN Agent v9.01-3
\tLimit RX: 400.0 KB/sec   TX: 500.0 KB/sec
\tRX: 252 (252 bytes)   TX: 48886664 (48.9 MB)
\tAverage bandwidth RX: 4 bytes/sec  TX: 788.5 KB/sec
\tDPD: 90   KeepAlive: 32400
\tHostname: client
\tConnected at: DATE ( 1m:02s)
\tSession: +khaEP
\tTLS ciphersuite: (TLS1.3)-(ECDHE-SECP256R1)-(ECDSA-SECP256R1-SHA256)-(AES-256-GCM)
\tDTLS cipher: (DTLS1.2)-(PSK)-(AES-256-GCM)
\tCSTP compression: oc-lz4   DTLS compression: oc-lz4

\tDNS: 10.77.0.1
\t\tfd77::1
\tNBNS: 10.77.0.2
\tSplit-DNS-Domains: a.test
\t\tb.test
\tRoutes: 10.0.0.0/255.0.0.0
\t\tfd77::/64
\tNo-routes: 10.9.0.0/255.255.0.0
\tiRoutes: 192.168.44.0/255.255.255.0
\t\t192.168.45.0/255.255.255.0
\tRestricted to routes: False
\tRestricted to ports: tcp(443), icmp()
`,
    );
  });

  it('shows the cipher of old DTLS as 1.1.6 does', async () => {
    const target = new FakeTarget();
    target.userList = [{ ...ALICE_STATUS, dtlsCipher: '(DTLS0.9)-(RSA)-(AES-128-CBC)-(SHA1)' }];
    const { stdout } = await run('show users', target);
    assert.equal(
      stdout.split('\n')[1],
      '   16708    alice  default      192.0.2.2     10.77.0.50  vpns0  1m:02s (AES-128-CBC)-(SHA1) connected',
    );
  });

  it('shows nothing where there is nothing, and JSON says so too', async () => {
    const target = new FakeTarget();
    target.userList = [];
    target.sessionList = [];
    for (const line of ['show users', 'show sessions all', 'show cookies valid', 'show ip bans', 'show ip ban points', 'show iroutes']) {
      assert.deepEqual(await run(line, target), { stdout: '', stderr: '', status: 0 }, line);
      assert.deepEqual(await run(line, target, JSON_WANTED), { stdout: '[\n]\n', stderr: '', status: 0 }, line);
    }
  });

  it('shows what networks behind clients would stand under, as soon as there is somebody', async () => {
    const target = new FakeTarget();
    target.userList = [STRANGER];
    assert.match((await run('show iroutes', target)).stdout, /^ +id +user +vhost device +vpn-ip +iroute\n$/);
  });

  it('is JSON that a parser reads, whatever clients call themselves', async () => {
    const target = new FakeTarget();
    const evil = 'x"\\\n\u001b[0m,}';
    target.userList = [{ ...ALICE_STATUS, user: evil, userAgent: evil, hostname: evil }, STRANGER];
    target.sessionList = [{ ...SESSION, userAgent: evil }];
    target.banList = [{ address: '192.0.2.9', score: 40, bannedUntil: NOW + 1_000 }];
    for (const { name, argument } of COMMANDS.filter(({ words }) => words.startsWith('show ') && words !== 'show events')) {
      const value = { 'show session': '+khaEP', 'show id': '16708', 'show user': 'x' }[name as string] ?? '';
      const { stdout } = await run(argument === undefined ? name : `${name} ${value}`, target, JSON_WANTED);
      assert.doesNotThrow(() => JSON.parse(stdout), name);
    }
    const [user] = JSON.parse((await run('show id 16708', target, JSON_WANTED)).stdout);
    assert.deepEqual([user.Username, user['User-Agent'], user.Routes], [evil, evil, ALICE_STATUS.routes]);
    const text = (await run('show users', target)).stdout;
    assert.equal(text.split('\n').length, 4);
    assert.equal(text.includes('\u001b'), false);
  });

  it('finds nobody with exit status 2, as 1.1.6 does', async () => {
    assert.deepEqual(await run('show user bob'), { stdout: 'user or ID not found\n', stderr: '', status: 2 });
    assert.deepEqual(await run('show id 7', undefined, JSON_WANTED), { stdout: '[\n]\n', stderr: '', status: 2 });
    assert.deepEqual(await run('show session nosuch'), { stdout: 'Session ID not found or expired\n', stderr: '', status: 0 });
  });

  it('finds a session by its short and by its full name', async () => {
    const { stdout } = await run(`show session ${SESSION.id}`);
    assert.match(
      stdout,
      /^\tSession: \+khaEP\n\tFull session ID: \+khaEPesHeUIsD29K5PfNvIZm7o=\n\tCreated: [^\n]*\n\tState: authenticated\n/,
    );
    assert.equal((await run('show session +khaEP')).stdout, stdout);
  });

  it('says what came of an action, with --json too', async () => {
    const target = new FakeTarget();
    target.banList = [{ address: '192.0.2.9', score: 40 }];
    const outcomes = [
      ['disconnect user alice', "user 'alice' was disconnected\n", 0],
      ['disconnect user bob', "could not disconnect user 'bob'\n", 1],
      ['disconnect id 16708', "connection ID '16708' was disconnected\n", 0],
      ['disconnect id 5', "could not disconnect ID '5'\n", 1],
      ['unban ip 192.0.2.9', "IP '192.0.2.9' was unbanned\n", 0],
      ['unban ip 192.0.2.8', "could not unban IP '192.0.2.8'\n", 1],
      ['reload', 'Server scheduled to reload\n', 0],
      ['stop now', 'Server scheduled to stop\n', 0],
      ['maintenance on', 'Server maintenance is on\n', 0],
    ] as const;
    for (const [line, stdout, status] of outcomes) {
      assert.deepEqual(await run(line, target), { stdout, stderr: '', status }, line);
      assert.deepEqual(await run(line, target, JSON_WANTED), { stdout, stderr: '', status }, line);
    }
    assert.deepEqual(await run('unban ip foo', target), { stdout: '', stderr: 'Cannot parse IP: foo', status: 1 });
  });

  it('says why a gateway would not reload', async () => {
    const target = new FakeTarget();
    target.failure = new SallyportError('ERR_CONFIG', 'ocserv.conf, line 3: no such file');
    assert.deepEqual(await run('reload', target), {
      stdout: 'Error scheduling server reload\n',
      stderr: 'ocserv.conf, line 3: no such file\n',
      status: 1,
    });
    target.failure = new NetworkError('The process ended before it answered.');
    await assert.rejects(run('reload', target), NetworkError);
  });

  it('asks the gateway only where it must', async () => {
    const connect = () => assert.fail('connected');
    for (const line of ['help', '?', 'show', 'foo', 'show user', 'disconnect id x', 'unban ip foo', '', '  ', 'exit', 'reset'])
      await runLine(line, connect, TEXT);
  });

  it('is read in full words', () => {
    assert.deepEqual(readCommand('  Show   USERS '), { type: 'command', name: 'show users', argument: '' });
    assert.deepEqual(readCommand('disconnect user Bob Jones'), { type: 'command', name: 'disconnect user', argument: 'Bob Jones' });
    assert.deepEqual(readCommand('stop'), { type: 'command', name: 'stop', argument: '' });
    assert.deepEqual(readCommand('stopx').type, 'unknown');
    assert.deepEqual(readCommand('show usersx').type, 'unknown');
    const asked = readCommand('show sta?');
    assert.deepEqual(asked.type === 'incomplete' && asked.candidates.map(({ words }) => words), ['show status']);
  });

  it('is completed word for word, and then with what the gateway knows', async () => {
    const target = new FakeTarget();
    target.banList = [{ address: '192.0.2.9', score: 40 }];
    const complete = async (line: string) => (await completions(line, () => Promise.resolve(target)))[0];
    assert.deepEqual(await complete('sh'), ['show ']);
    assert.deepEqual(await complete('show user'), ['users', 'user']);
    assert.deepEqual(await complete('show ip ban '), ['points ']);
    assert.deepEqual(await complete('disconnect user a'), ['alice ']);
    assert.deepEqual(await complete('show id '), ['16830', '16708']);
    assert.deepEqual(await complete('show session '), ['+khaEP ']);
    assert.deepEqual(await complete('unban ip 192'), ['192.0.2.9 ']);
    assert.deepEqual(await complete('foo '), []);
  });
});
