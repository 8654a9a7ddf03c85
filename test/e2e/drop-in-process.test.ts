/**
 * What the drop-in does as a process: in the background, with a pid file, to the system's log, with a program in place of the kernel's network, with
 * statistics on demand.
 *
 * Read first: spec "Client command-line contract", sections 3.5 and 5.6.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { shellQuoted } from '../../src/cli/openconnect/authenticate-output.ts';
import { DROP_IN } from '../support/drop-in.ts';
import { ALICE } from '../support/ocserv.ts';
import type { Finished } from '../support/program.ts';
import { HANG_LIMIT } from '../support/size.ts';
import { INSIDE, skip, TunnelScene } from './tunnel-scene.ts';

const OPTIONS = { skip, concurrency: 2, timeout: HANG_LIMIT };

/** Runs the drop-in until the process that was started ends: with `--background` that is the parent. */
async function finish(scene: TunnelScene, args: readonly string[], password: string = ALICE.password): Promise<Finished> {
  const [program, ...leading] = DROP_IN;
  const fixed = ['--servercert', scene.ocserv.pin, '--user', ALICE.name, '--passwd-on-stdin', '--non-inter'];
  const options = { input: `${password}\n` };
  return await scene.client.finish(program, [...leading, ...fixed, ...args, scene.gateway], options);
}

/** A command line for `--script` that runs a program of this folder. */
function scriptOf(program: string, ...args: readonly string[]): string {
  return [process.execPath, '--no-warnings', path.join(import.meta.dirname, program), ...args].map(shellQuoted).join(' ');
}

/** The lines before the first difference that time and chance make: numbers, and what the log-in said. */
function statistics(output: string, after: number): string[] {
  return output
    .slice(after)
    .split('\n')
    .map((line) =>
      line
        .replace(/\d+ packets \(\d+ B\)/g, 'N packets (N B)')
        .replace(/in \d+ seconds/, 'in N seconds')
        .replace(/at \w{3} .*/, 'at TIME'),
    );
}

describe('a drop-in in the background', OPTIONS, () => {
  const pidFile = '/run/drop-in.pid';
  const background = ['--background', '--pid-file', pidFile];

  it('goes on in a session of its own when its parent has said so, and removes its pid file in the end', async () => {
    await using scene = await TunnelScene.open();
    const { code, stdout } = await finish(scene, [...background, '--interface', 'tun0']);
    assert.equal(code, 0);
    const text = readFileSync(scene.client.file(pidFile), 'latin1');
    assert.match(text, /^\d+\n$/);
    const pid = Number(text);
    assert.match(stdout, new RegExp(`^Configured as [^]*\nContinuing in background; pid ${pid}\n$`, 'm'));
    const [, , , , , session] = readFileSync(`/proc/${pid}/stat`, 'latin1').split(' ');
    assert.equal(Number(session), pid);
    await scene.assertAnswers();
    process.kill(pid, 'SIGTERM');
    await scene.ended(pid);
    assert.equal(existsSync(scene.client.file(pidFile)), false);
    await scene.ocserv.control.assertNoSessions();
    await scene.assertNoTrace();
  });

  it('goes there where a file says so, by whatever name the option goes, also one that can be read once', async () => {
    await using scene = await TunnelScene.open();
    const [program, ...leading] = DROP_IN;
    const command = [program, ...leading, '--servercert', scene.ocserv.pin, '--user', ALICE.name, '--passwd-on-stdin']
      .map(shellQuoted)
      .join(' ');
    const config = `background\npid-file=${pidFile}\ninterface=tun0\nserver=${scene.gateway}\n`;
    await scene.client.run('sh', ['-c', `printf '%s' ${shellQuoted(config)} >/run/drop-in.conf`]);
    for (const options of ['--conf=/run/drop-in.conf', '--config <(cat /run/drop-in.conf)']) {
      const { code, stdout } = await scene.client.finish('bash', ['-c', `${command} ${options}`], { input: `${ALICE.password}\n` });
      assert.equal(code, 0);
      const pid = Number(readFileSync(scene.client.file(pidFile), 'latin1'));
      assert.match(stdout, new RegExp(`^Continuing in background; pid ${pid}$`, 'm'));
      await scene.assertAnswers();
      process.kill(pid, 'SIGTERM');
      await scene.ended(pid);
    }
    await scene.assertNoTrace();
  });

  it('has its parent leave with its own status where it does not come up, and leaves no pid file', async () => {
    await using scene = await TunnelScene.open();
    const { code, stderr } = await finish(scene, background, 'wrong');
    assert.equal(code, 1);
    assert.match(stderr, /^Failed to complete authentication$/m);
    assert.equal(existsSync(scene.client.file(pidFile)), false);
    await scene.assertNoTrace();
  });

  it('does not begin with the network where its pid file cannot be written', async () => {
    await using scene = await TunnelScene.open();
    const { code, stderr, stdout } = await finish(scene, [
      '--background',
      '--pid-file',
      '/nowhere/pid',
      '--script',
      'echo "script $reason"',
    ]);
    assert.equal(code, 1);
    assert.match(stderr, /^Failed to open '\/nowhere\/pid' for write: No such file or directory\n$/m);
    assert.doesNotMatch(stdout, /script/);
    await scene.assertNoTrace();
  });
});

describe('a drop-in that shows its statistics', OPTIONS, () => {
  it('prints them on SIGUSR1 even where it is quiet', async () => {
    await using scene = await TunnelScene.open({ settings: { 'session-timeout': 40_000 } });
    const client = await scene.start({ args: ['--quiet', '--no-dtls'] });
    await client.program.waitFor(/^script connect ended with 0$/m);
    const mark = client.program.stdout.length;
    client.program.signal('SIGUSR1');
    await client.program.waitFor(/^Next SSL rekey in \d+ seconds$/m);
    const [first = '', ...rest] = statistics(client.program.stdout, mark);
    assert.match(first, /^Configured as 10\.77\.0\.\d+ \+ fd77::[0-9a-f:]+\/128, with SSL connected and DTLS disabled$/);
    assert.deepEqual(rest, [
      'Session authentication will expire at TIME',
      '',
      'RX: N packets (N B); TX: N packets (N B)',
      'SSL ciphersuite: TLSv1.3-TLS_AES_256_GCM_SHA384',
      'Next SSL rekey in N seconds',
      '',
    ]);
    await scene.disconnect(client);
  });
});

describe('a drop-in with the system’s log', OPTIONS, () => {
  it('writes there from the moment that it is configured, and no more to the terminal', async () => {
    await using scene = await TunnelScene.open();
    // A /dev of its own, with everything of this machine's but the log.
    await scene.client.run('sh', [
      '-c',
      'mkdir /run/dev && mount --rbind /dev /run/dev && mount -t tmpfs none /dev && ln -s /run/dev/* /dev/ && rm -f /dev/log',
    ]);
    const log = await scene.client.start(process.execPath, ['--no-warnings', path.join(import.meta.dirname, 'log-program.ts')]);
    await log.waitFor(/^listening$/m);
    const client = await scene.connect({ args: ['--syslog'] });
    const { code, stdout, stderr } = await client.disconnect().then(() => client.program.finish());
    assert.equal(code, 0);
    const name = `sallyport-openconnect\\[${client.program.pid}\\]`;
    await log.waitFor(new RegExp(`^<30>.* ${name}: Send BYE packet: Aborted by caller$`, 'm'));
    await log.waitFor(new RegExp(`^<30>.* ${name}: User cancelled \\(SIGINT/SIGTERM\\); exiting\\.$`, 'm'));
    assert.doesNotMatch(log.output, /Configured as/);
    assert.match(stdout, /^Configured as /m);
    assert.doesNotMatch(stdout + stderr, /BYE|exiting/);
    assert.match(stdout, /^script disconnect ended with 0$/m, 'the script still has the terminal');
    await log.stop();
    await scene.assertNoTrace();
  });
});

describe('a drop-in with a program in place of the network', OPTIONS, () => {
  it('gives it the packets, runs no script and makes no device, and ends it', async () => {
    await using scene = await TunnelScene.open();
    const client = await scene.start({ args: ['--script-tun', '--script', scriptOf('packet-program.ts', INSIDE.ipv4)] });
    await client.program.waitFor(/^program has VPNFD=\d+ reason=undefined TUNDEV=undefined$/m);
    await client.program.waitFor(/^program got an answer from 10\.77\.0\.1$/m);
    assert.equal(existsSync(scene.client.file('/sys/class/net/tun0')), false);
    const { code } = await client.disconnect();
    assert.equal(code, 0);
    assert.match(client.program.output, /^program ended by SIGHUP$/m);
    await scene.assertNoTrace();
  });

  it('ends when the program does', async () => {
    await using scene = await TunnelScene.open();
    const client = await scene.start({ args: ['--script-tun', '--script', 'exit 3'] });
    const { code, stdout } = await client.program.finish();
    assert.equal(code, 1);
    assert.match(stdout, /^Send BYE packet: Aborted by caller\nUnrecoverable I\/O error; exiting\.$/m);
    await scene.assertNoTrace();
  });
});
