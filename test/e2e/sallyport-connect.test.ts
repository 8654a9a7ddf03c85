/**
 * `sallyport connect` as programs use it: with events, a password on standard input, and commands of other processes.
 *
 * Read first: docs/manual.md; docs/network-setup.md.
 */
import assert from 'node:assert/strict';
import { chmodSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { Ocserv } from '../support/ocserv.ts';
import { HANG_LIMIT } from '../support/size.ts';
import { assertUnchanged, type NetworkSnapshot, takeSnapshot } from '../support/snapshot.ts';
import { connectArgs, literally, NAMES, PASSWORD, SallyportRun, sallyport, startSallyport } from './sallyport-scene.ts';
import { INSIDE, ROUTES, skip, TunnelScene } from './tunnel-scene.ts';

const EXIT = { ok: 0, refused: 2, loginFailed: 3, notTrusted: 4, noConnection: 5, localSetup: 6, ended: 7, noSession: 8, usage: 64 };

/** A second gateway beside the scene's, for a second session. */
const OTHER = {
  settings: {
    'tcp-port': 4443,
    'udp-port': 4443,
    device: 'other',
    'ipv4-network': '10.88.0.0/24',
    'ipv6-network': 'fd88::/64',
    route: ['10.88.0.0/16'],
  },
};

/** All but processes: a reconnect starts some of its own anew. */
async function network({ client }: TunnelScene): Promise<NetworkSnapshot> {
  return new Map([...(await takeSnapshot(client))].filter(([subject]) => subject !== 'process'));
}

describe('sallyport connect', { skip, concurrency: 2, timeout: HANG_LIMIT }, () => {
  it('sets up addresses, routes and DNS by itself, carries packets, and puts everything back', async () => {
    await using scene = await TunnelScene.open(NAMES);
    const session = await SallyportRun.connect(scene);
    await scene.assertAnswers(INSIDE.ipv4);
    await scene.assertAnswers(INSIDE.ipv6);
    const routes = await scene.client.run('sh', ['-c', 'ip route; ip -6 route']);
    for (const route of ROUTES) assert.match(routes, new RegExp(`^${route} dev tun0 `, 'm'));
    assert.match(readFileSync(scene.client.file('/etc/resolv.conf'), 'utf8'), /^nameserver 10\.77\.0\.1\nsearch inside\.test/m);
    await scene.transfer(INSIDE.ipv4, { up: 4e6, down: 4e6 });

    const { code, stdout } = await sallyport(scene, ['disconnect']);
    assert.deepEqual([code, stdout], [EXIT.ok, `Disconnected from ${scene.gateway}.\n`]);
    const { events, end } = await session.finish();
    assert.equal(end.exitCode, EXIT.ok);
    assert.deepEqual(
      events.map(({ event, state }) => state ?? event),
      ['start', 'authenticating', 'authenticated', 'opening', 'bringing-up', 'up', 'connected', 'closing', 'closed', 'end'],
    );
    await scene.ocserv.control.assertNoSessions();
    await scene.assertNoTrace();
  });

  it('ends with a code that says who has to do something, and sets nothing up', async () => {
    await using scene = await TunnelScene.open(NAMES);
    const { gateway, ocserv } = scene;
    const ends = [
      {
        args: connectArgs(scene, '--password-stdin'),
        input: 'wrong\n',
        code: EXIT.loginFailed,
        says: /^Error: The gateway refused the password: Login failed\.$/m,
      },
      {
        args: connectArgs(scene),
        input: '',
        code: EXIT.loginFailed,
        says: /"Password", and nobody is there to answer\. .*--password-stdin/,
      },
      {
        args: ['connect', gateway],
        input: '',
        code: EXIT.notTrusted,
        says: new RegExp(`no authority .* Its key is ${literally(ocserv.pin)}\\.$`, 'm'),
      },
      {
        args: ['connect', gateway, '--pin', `pin-sha256:${'A'.repeat(43)}=`],
        input: '',
        code: EXIT.notTrusted,
        says: /none of those that you named/,
      },
      {
        args: ['connect', `${gateway}:444`],
        input: '',
        code: EXIT.noConnection,
        says: /Cannot connect to 198\.51\.100\.2 port 444 .*refused/,
      },
      { args: ['connect', 'nowhere.invalid'], input: '', code: EXIT.noConnection, says: /The name nowhere\.invalid cannot be resolved/ },
      { args: ['connect', gateway, '--ca-file', '/nowhere'], input: '', code: EXIT.usage, says: /\/nowhere/ },
      {
        args: ['proxy', gateway, '--listen', '0.0.0.0:0'],
        input: '',
        code: EXIT.usage,
        says: /Others can reach 0\.0\.0\.0: .* --auth, .* --open\.$/m,
      },
      { args: ['proxy', gateway, '--dns', '0.0.0.0:0'], input: '', code: EXIT.usage, says: /Others can reach 0\.0\.0\.0: .* --open\.$/m },
    ];
    for (const { args, input, code, says } of ends) {
      const finished = await sallyport(scene, args, { input });
      assert.equal(finished.code, code, `${args.join(' ')}: ${finished.output}`);
      assert.match(finished.stderr, says);
      assert.equal(finished.stdout, '');
    }
    // What is done before the log-in has its reason said too.
    chmodSync(scene.client.file('/run/sallyport'), 0o777);
    const unsafe = await sallyport(scene, connectArgs(scene, '--password-stdin'), PASSWORD);
    assert.equal(unsafe.code, EXIT.localSetup, unsafe.output);
    assert.match(unsafe.stderr, /^Error: \/run\/sallyport is not a folder that only its owner/m);
    chmodSync(scene.client.file('/run/sallyport'), 0o700);
    await scene.assertNoTrace();
  });

  it('says in an event which key a gateway has that nobody vouches for', async () => {
    await using scene = await TunnelScene.open(NAMES);
    const { code, stdout } = await sallyport(scene, ['connect', scene.gateway, '--json']);
    assert.equal(code, EXIT.notTrusted);
    const refused = stdout.split('\n').find((line) => line.includes('"certificate-refused"')) ?? '{}';
    assert.equal(JSON.parse(refused).pin, scene.ocserv.pin);
  });

  it('takes the cookie of a log-in elsewhere, once, and says when it is no longer good for anything', async () => {
    await using scene = await TunnelScene.open(NAMES);
    const [, ...login] = connectArgs(scene, '--password-stdin');
    const { code, stdout: cookie } = await sallyport(scene, ['login', ...login], PASSWORD);
    assert.equal(code, EXIT.ok);
    const byCookie = ['connect', scene.gateway, '--cookie-stdin']; // the key that the log-in saw comes with it
    const session = await startSallyport(scene, byCookie, { input: cookie });
    await session.waitFor(/^Connected to /m);
    await scene.assertAnswers();
    session.signal('SIGTERM');
    assert.equal((await session.finish()).code, EXIT.ok);
    const again = await sallyport(scene, byCookie, { input: cookie });
    assert.equal(again.code, EXIT.refused, again.output);
    assert.match(again.stderr, /no longer accepts the session cookie.*\n.*sallyport login/);
    await scene.assertNoTrace();
  });

  it('shows two sessions, and ends the one that is named', async () => {
    await using scene = await TunnelScene.open(NAMES);
    const other = await Ocserv.start(scene.lab, OTHER);
    const beside = await takeSnapshot(scene.client);
    const one = await SallyportRun.connect(scene);
    const two = await startSallyport(
      scene,
      ['connect', `${other.gateway}:4443`, '--pin', other.pin, '--user', 'alice', '--password-stdin', '--interface', 'vpn9'],
      PASSWORD,
    );
    await two.waitFor(/^Connected to /m);

    const { code, stdout } = await sallyport(scene, ['status']);
    assert.equal(code, EXIT.ok);
    assert.match(
      stdout,
      /^198\.51\.100\.2: connected for .*\n {2}User {12}alice\n {2}This machine {4}10\.77\.0\.\d+ and fd77:\S+ on tun0, MTU \d+$/m,
    );
    assert.match(stdout, /on vpn9, MTU \d+\n {2}Transport {7}DTLS 1\.2, AES-256-GCM\n/);
    const { sessions, needsRecovery } = JSON.parse((await sallyport(scene, ['status', '--json'])).stdout);
    assert.deepEqual(
      sessions.map(({ device, state, pid }: Record<string, unknown>) => [device, state, pid]),
      [
        ['tun0', 'up', one.program.pid],
        ['vpn9', 'up', two.pid],
      ],
    );
    assert.equal(needsRecovery, false);

    for (const [args, wanted] of [
      [['disconnect'], EXIT.usage],
      [['disconnect', 'vpn7'], EXIT.noSession],
    ] as const) {
      const refused = await sallyport(scene, args);
      assert.equal(refused.code, wanted);
      assert.match(refused.stderr, /^ {2}tun0 {2}198\.51\.100\.2\n {2}vpn9 {2}198\.51\.100\.2:4443$/m);
    }
    assert.equal((await sallyport(scene, ['disconnect', 'vpn9'])).code, EXIT.ok);
    assert.equal((await two.finish()).code, EXIT.ok);
    await scene.assertAnswers();
    assert.equal((await sallyport(scene, ['disconnect', '--all', '--json'])).code, EXIT.ok);
    await one.finish();
    assertUnchanged(beside, await takeSnapshot(scene.client));
    assert.equal((await sallyport(scene, ['status'])).code, EXIT.noSession);
    await scene.assertNoTrace();
  });

  it('goes to the background when the tunnel is up', async () => {
    await using scene = await TunnelScene.open(NAMES);
    const started = await sallyport(scene, connectArgs(scene, '--password-stdin', '--background'), PASSWORD);
    assert.equal(started.code, EXIT.ok, started.output);
    const [, pid] = /^Going on in the background as process (\d+)\./m.exec(started.stderr) ?? [];
    await scene.assertAnswers();
    assert.equal((await sallyport(scene, ['disconnect'])).code, EXIT.ok);
    assert.equal((await sallyport(scene, ['status'])).code, EXIT.noSession, 'it is not found any more');
    while (scene.client.processes().some((process) => process.pid === Number(pid))) await setImmediate(); // it has nothing left to do
    await scene.assertNoTrace();
    const failed = await sallyport(scene, connectArgs(scene, '--password-stdin', '--background'), { input: 'wrong\n' });
    assert.equal(failed.code, EXIT.loginFailed);
    await scene.assertNoTrace();
  });

  it('leaves the set-up to a script, or to nobody, where that is wanted', async () => {
    await using scene = await TunnelScene.open(NAMES);
    const scripted = await SallyportRun.connect(scene, ['--script', '/usr/share/vpnc-scripts/vpnc-script']);
    await scene.assertAnswers();
    scripted.program.signal('SIGINT');
    assert.equal((await scripted.finish()).code, EXIT.ok);
    await scene.assertNoTrace();

    const alone = await SallyportRun.connect(scene, ['--no-network', '--interface', 'vpn9']);
    assert.doesNotMatch(await scene.client.run('ip', ['route']), /vpn9/);
    await scene.client.ip('address add 10.77.0.200/32 dev vpn9', 'link set vpn9 up');
    alone.program.signal('SIGINT');
    await alone.finish();
    await scene.assertNoTrace();
  });

  it('reconnects when it is told to, by a command or a signal, and nothing on the machine changes', async () => {
    await using scene = await TunnelScene.open(NAMES);
    const session = await SallyportRun.connect(scene);
    const during = await network(scene);
    for (const ask of [() => sallyport(scene, ['reconnect']), () => session.program.signal('SIGUSR2')]) {
      const after = session.mark;
      await ask();
      assert.equal((await session.until('lost', { after })).reason, 'renew');
      await session.until('reconnected', { after });
      await scene.assertAnswers();
    }
    assertUnchanged(during, await network(scene));
    session.program.signal('SIGINT');
    await session.finish();
    await scene.assertNoTrace();
  });

  it('says why the gateway ended the session', async () => {
    await using scene = await TunnelScene.open(NAMES);
    const session = await SallyportRun.connect(scene);
    await scene.ocserv.control.disconnectUser('alice');
    const { code, events } = await session.finish();
    assert.equal(code, EXIT.ended, session.program.output);
    assert.equal(events.at(-2)?.event, 'error');
    await scene.assertNoTrace();
  });

  it('follows the network underneath when it goes and comes back', async () => {
    await using scene = await TunnelScene.open(NAMES);
    const session = await SallyportRun.connect(scene);
    const { client } = scene;
    await client.ip('link set eth0 down');
    assert.equal((await session.until('underlay')).isLost, true);
    const after = session.mark;
    await client.ip('link set eth0 up', 'route add default via 192.0.2.1 dev eth0');
    const back = await session.until('underlay', { after });
    assert.deepEqual([back.isLost, back.device], [false, 'eth0']);
    await scene.assertAnswers(INSIDE.ipv4, { deadline: 20_000 });
    session.program.signal('SIGINT');
    assert.equal((await session.finish()).code, EXIT.ok);
    assert.deepEqual(scene.leftFiles(), []);
  });
});
