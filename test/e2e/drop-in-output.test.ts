/**
 * Where the drop-in's words go when nobody reads them any more: a pipe whose reader has left, a terminal that was closed.
 *
 * Read first: spec "Client command-line contract", section 8 (signals, and SIGPIPE, which is ignored).
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { shellQuoted } from '../../src/cli/openconnect/authenticate-output.ts';
import { DROP_IN } from '../support/drop-in.ts';
import { ALICE } from '../support/ocserv.ts';
import { VPNC_SCRIPT } from '../support/openconnect.ts';
import { missing } from '../support/requirements.ts';
import { HANG_LIMIT } from '../support/size.ts';
import { INSIDE, skip as skipTunnel, TunnelScene } from './tunnel-scene.ts';

const skip = skipTunnel || missing('script', 'bash', 'sed');

const DNS = { settings: { dns: [INSIDE.ipv4] } };

/** The drop-in as a shell command: as Alice, whose password is its standard input. */
function commandOf({ gateway, ocserv }: TunnelScene, ...args: readonly string[]): string {
  return [...DROP_IN, '--servercert', ocserv.pin, '--user', ALICE.name, '--passwd-on-stdin', ...args, gateway].map(shellQuoted).join(' ');
}

const PASSWORD = { input: `${ALICE.password}\n` };

/** The drop-in's process, by the name that it gives itself. */
function processOf({ client }: TunnelScene): number {
  const found = client.processes().find(({ command }) => command === 'sallyport-openconnect');
  assert.ok(found, 'the drop-in runs');
  return found.pid;
}

describe('a drop-in whose output nobody reads', { skip, concurrency: 2, timeout: HANG_LIMIT }, () => {
  for (const [what, readers] of [
    ['standard output', "| sed '/^Configured/q'"],
    ['standard error', "3>&1 2> >(sed '/^script connect/q' >&3)"],
  ] as const) {
    it(`goes on when ${what} is closed, and undoes everything at its end`, async () => {
      await using scene = await TunnelScene.open(DNS);
      const script = `${VPNC_SCRIPT} && case $reason in connect) echo "script connect ended" >&2;; esac`;
      const command = `${commandOf(scene, '--script', script)} ${readers}; echo "status \${PIPESTATUS[0]}"`;
      const shell = await scene.client.start('bash', ['-c', command], PASSWORD);
      await shell.waitFor(/^script connect ended$/m);
      await scene.assertAnswers();
      const pid = processOf(scene);
      process.kill(pid, 'SIGUSR1');
      process.kill(pid, 'SIGUSR2');
      await scene.assertAnswers();
      process.kill(pid, 'SIGTERM');
      await shell.waitFor(/^status 0$/m);
      await shell.finish();
      await scene.assertNoTrace();
    });
  }

  it('goes on in the background when its terminal is closed, and undoes everything at its end', async () => {
    await using scene = await TunnelScene.open(DNS);
    const pidFile = '/run/drop-in.pid';
    const command = `stty -echo; ${commandOf(scene, '--background', '--pid-file', pidFile)}; echo "parent ended with $?"`;
    const terminal = await scene.client.start('script', ['--quiet', '--flush', '--return', '--command', command, '/dev/null'], {
      ...PASSWORD,
      keepsInputOpen: true,
      env: { SHELL: '/bin/sh' },
    });
    await terminal.waitFor(/parent ended with 0/);
    await terminal.finish();
    const pid = Number(readFileSync(scene.client.file(pidFile), 'utf8'));
    for (const signal of ['SIGUSR1', 'SIGUSR2'] as const) process.kill(pid, signal);
    await scene.assertAnswers();
    process.kill(pid, 'SIGTERM');
    await scene.ended(pid);
    assert.equal(existsSync(scene.client.file(pidFile)), false);
    await scene.assertNoTrace();
  });
});
