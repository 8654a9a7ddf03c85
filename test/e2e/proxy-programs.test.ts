/** Programs that people use, through `sallyport proxy` and `sallyport exec` as a user that may do nothing, against the real ocserv. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { schemaFaults } from '../support/json-schema.ts';
import { missing } from '../support/requirements.ts';
import { sized } from '../support/size.ts';
import { COMMAND, ProxyE2e } from './proxy-scene.ts';
import { skip } from './tunnel-scene.ts';

const WEB = 'http://web.corp.test:8080/';
const PROXY = '127.0.0.1:1080';
const SCHEMA: unknown = JSON.parse(readFileSync(path.resolve(import.meta.dirname, '../../docs/sallyport-events.schema.json'), 'utf8'));
const timeout = sized(120_000, 240_000);

describe('sallyport proxy', { skip: skip || missing('setpriv', 'curl'), concurrency: 2, timeout }, () => {
  it('takes git over https', { skip: missing('git') }, async () => {
    await using scene = await ProxyE2e.open();
    const { folder } = scene.tunnel.lab;
    const [work, bare] = [path.join(folder, 'work'), path.join(folder, 'site', 'repo.git')];
    const git = (...args: readonly string[]) =>
      execFileSync('git', ['-c', 'user.name=a', '-c', 'user.email=a@b', ...args], { stdio: 'pipe' });
    git('init', '--quiet', work);
    writeFileSync(path.join(work, 'file'), 'through the tunnel\n');
    git('-C', work, 'add', 'file');
    git('-C', work, 'commit', '--quiet', '--message', 'one');
    git('clone', '--quiet', '--bare', work, bare);
    git('-C', bare, 'update-server-info');
    await scene.site(path.join(folder, 'site'));
    const proxy = await scene.proxy();
    for (const way of [`socks5h://${PROXY}`, `http://${PROXY}`]) {
      const to = path.join(scene.home, way.slice(0, 4));
      const words = ['-c', `http.proxy=${way}`, 'clone', '--quiet', 'https://web.corp.test:9443/repo.git', to];
      await scene.run('git', words, { env: { GIT_SSL_CAINFO: scene.authority } });
      assert.equal(readFileSync(path.join(to, 'file'), 'utf8'), 'through the tunnel\n');
    }
    await scene.end(proxy);
  });

  it('takes ssh by nc as its ProxyCommand, and by a forwarded port', { skip: missing('ssh', 'sshd', 'ssh-keygen', 'nc') }, async () => {
    await using scene = await ProxyE2e.open();
    const { home, tunnel } = scene;
    const { lab, client } = tunnel;
    const key = (name: string) => {
      const file = path.join(lab.folder, name);
      execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', file]);
      return file;
    };
    const [host, user] = [key('ssh_host'), key('ssh_user')];
    const config = ['Port 2222', `HostKey ${host}`, `AuthorizedKeysFile ${user}.pub`, 'StrictModes no', 'UsePAM no', 'PermitRootLogin yes'];
    writeFileSync(path.join(lab.folder, 'sshd_config'), `${config.join('\n')}\nPidFile none\n`);
    await lab.server.run('mkdir', ['-p', '/run/sshd']);
    const sshd = await lab.server.start('/usr/sbin/sshd', ['-D', '-e', '-f', path.join(lab.folder, 'sshd_config')]);
    await sshd.waitFor(/listening on 0\.0\.0\.0/);
    const identity = path.join(home, 'id');
    copyFileSync(user, identity);
    await client.run('chown', ['nobody', identity]);
    chmodSync(identity, 0o400);
    const proxy = await scene.proxy(['-L', '2022:web.corp.test:2222']);
    assert.match(proxy.stdout, /^Ready: proxy=127\.0\.0\.1:1080 forward=127\.0\.0\.1:2022->web\.corp\.test:2222$/m);
    const trust = [
      '-F',
      'none',
      '-o',
      'StrictHostKeyChecking=no',
      '-o',
      `UserKnownHostsFile=${path.join(home, 'known')}`,
      '-o',
      'BatchMode=yes',
    ];
    const ssh = (...args: readonly string[]) => scene.run('ssh', [...trust, '-i', identity, ...args]);
    const command = `nc -X 5 -x ${PROXY} %h %p`;
    assert.equal(await ssh('-o', `ProxyCommand=${command}`, '-p', '2222', 'root@web.corp.test', 'echo inside'), 'inside\n');
    assert.equal(await ssh('-p', '2022', 'root@127.0.0.1', 'echo forwarded'), 'forwarded\n');
    await scene.end(proxy);
  });

  it('answers dig by its name server, over UDP and TCP', { skip: missing('dig') }, async () => {
    await using scene = await ProxyE2e.open();
    const proxy = await scene.proxy(['--dns', '5353']);
    assert.match(proxy.stdout, /^Ready: proxy=127\.0\.0\.1:1080 dns=127\.0\.0\.1:5353$/m);
    const dig = async (...args: readonly string[]) => (await scene.run('dig', ['@127.0.0.1', '-p', '5353', '+noedns', ...args])).trim();
    assert.equal(await dig('+short', 'web.corp.test'), '10.77.0.1');
    assert.equal(await dig('+short', '+tcp', 'web.corp.test'), '10.77.0.1');
    assert.match(await dig('nowhere.corp.test'), /status: NXDOMAIN/);
    await scene.end(proxy, 'SIGINT');
  });

  it('takes a browser', { skip: missing('chromium') }, async () => {
    await using scene = await ProxyE2e.open();
    const { folder } = scene.tunnel.lab;
    mkdirSync(path.join(folder, 'site'));
    const page = '<body><script>document.body.textContent = "drawn by " + "a browser at " + location.hostname</script></body>';
    writeFileSync(path.join(folder, 'site', 'index.html'), page);
    await scene.site(path.join(folder, 'site'));
    const proxy = await scene.proxy();
    const quiet = [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-dev-shm-usage',
      '--disable-background-networking',
      '--no-first-run',
    ];
    for (const way of [`--proxy-server=socks5://${PROXY}`, `--proxy-pac-url=http://${PROXY}/proxy.pac`]) {
      const args = [
        ...quiet,
        `--user-data-dir=${path.join(scene.home, way.slice(8, 11))}`,
        way,
        '--dump-dom',
        'http://web.corp.test:9080/',
      ];
      assert.match(await scene.run('chromium', args), /drawn by a browser at web\.corp\.test/);
    }
    await scene.end(proxy);
  });

  it('carries datagrams, sends direct what is to go direct, opens ports inside, counts, and outlives a reconnect', {
    skip: missing('nc'),
  }, async () => {
    await using scene = await ProxyE2e.open();
    const outside = scene.tunnel.lab.addresses.server.ipv4;
    const proxy = await scene.proxy(['--json', '--direct', `${outside}/32`, '-R', '8022:127.0.0.1:3000', '-L', '7007:10.77.0.1:9999']);
    const program = path.join(import.meta.dirname, 'socks-udp-program.ts');
    assert.equal(await scene.run(process.execPath, [program, '1080', '10.77.0.1', 'web.corp.test']), '10.77.0.1\n');
    assert.equal(await scene.curl('--proxy', `socks5h://${PROXY}`, '--data', 'direct', `http://${outside}:8080/`), 'direct');
    // Port 9999 inside calls us back at the port that it is told.
    const listener = await scene.start('nc', ['-l', '127.0.0.1', '3000']);
    const caller = await scene.start('nc', ['127.0.0.1', '7007'], { input: '8022' });
    assert.equal((await listener.finish()).stdout, 'hello from inside');
    await caller.finish();
    const status = JSON.parse(await scene.run(process.execPath, [COMMAND, 'status', '--json']));
    assert.deepEqual([status.sessions.length, status.sessions[0]?.state, status.needsRecovery], [1, 'up', false]);
    const mark = proxy.output.length;
    proxy.signal('SIGUSR2');
    await proxy.waitFor(/"event":"reconnected"/, { after: mark });
    assert.equal(await scene.curl('--proxy', `socks5h://${PROXY}`, '--data', 'again', WEB), 'again');
    const metrics = await scene.curl(`http://${PROXY}/metrics`);
    for (const labels of ['protocol="udp",way="vpn"', 'protocol="socks5",way="direct"', 'protocol="forward",way="vpn"']) {
      assert.match(metrics, new RegExp(`^sallyport_proxy_connections_total\\{${labels}\\} 1$`, 'm'));
    }
    assert.match(metrics, /^sallyport_proxy_connections_total\{protocol="remote-forward",way="vpn"\} 1$/m);
    await scene.end(proxy);
    const events = proxy.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    for (const event of events) assert.deepEqual(schemaFaults(event, SCHEMA, { isClosed: true }), [], JSON.stringify(event));
    const { v: _version, time: _time, ...ready } = events.find(({ event }) => event === 'ready');
    assert.deepEqual(ready, {
      event: 'ready',
      proxy: { host: '127.0.0.1', port: 1080 },
      localForwards: [{ host: '127.0.0.1', port: 7007, to: { host: '10.77.0.1', port: 9999 } }],
    });
  });
});

describe('sallyport exec', { skip: skip || missing('setpriv', 'curl'), concurrency: 2, timeout }, () => {
  it('runs a program whose connections go through the VPN, and nothing else leaves the machine', async () => {
    await using scene = await ProxyE2e.open();
    const watch = await scene.watch();
    const { code, stdout, output } = await scene.exec([], ['curl', '--silent', '--show-error', '--data', 'inside', WEB]);
    assert.equal(code, 0, output);
    assert.equal(stdout, 'inside');
    assert.deepEqual(await watch.strangers(), []);
    await scene.tunnel.ocserv.control.assertNoSessions();
    await scene.tunnel.assertNoTrace();
  });

  it('ends as the program does, or says why it was not run', async () => {
    await using scene = await ProxyE2e.open();
    const environment = await scene.exec([], ['sh', '-c', 'echo "$ALL_PROXY $http_proxy $NO_PROXY"; exit 7']);
    assert.equal(environment.code, 7, environment.output);
    assert.match(environment.stdout, /^socks5h:\/\/127\.0\.0\.1:(\d+) http:\/\/127\.0\.0\.1:\1 localhost,127\.0\.0\.1,::1$/m);
    assert.equal((await scene.exec([], ['sh', '-c', 'kill -9 $$'])).code, 137);
    const absent = await scene.exec([], ['no-such-program-at-all']);
    assert.deepEqual([absent.code, /no-such-program-at-all could not be started/.test(absent.stderr)], [127, true], absent.output);
    const words = scene.words('exec', '--', 'true');
    const wrong = await scene.finish(words[0] ?? '', words.slice(1), { input: 'wrong\n' });
    assert.equal(wrong.code, 3, wrong.output);
    await scene.tunnel.assertNoTrace();
  });

  it('passes signals on', async () => {
    await using scene = await ProxyE2e.open();
    const [node = '', ...words] = scene.words(
      'exec',
      '--',
      'sh',
      '-c',
      'trap "echo caught; exit 5" TERM; echo running; while :; do sleep 0.1; done',
    );
    const program = await scene.start(node, words, { input: 'correct horse\n' });
    await program.waitFor(/^running$/m);
    program.signal('SIGTERM');
    const { code, stdout, output } = await program.finish();
    assert.deepEqual([code, stdout], [5, 'running\ncaught\n'], output);
    await scene.tunnel.ocserv.control.assertNoSessions();
  });
});
