import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { describe, it } from 'node:test';
import { shellQuoted } from '../../../src/cli/openconnect/authenticate-output.ts';
import { type Program, startProgram } from '../../support/program.ts';
import { missing } from '../../support/requirements.ts';
import { HANG_LIMIT } from '../../support/size.ts';

const PROGRAM = path.join(import.meta.dirname, 'background-program.ts');

/** Starts the parent of a child that behaves so. */
function start(behaviour: string, options: { readonly input?: string } = {}): Promise<Program> {
  return startProgram(process.execPath, ['--no-warnings', PROGRAM, behaviour], behaviour, options);
}

/** What the parent said of the child, and the child's process id. */
async function outcomeOf(program: Program) {
  const { code, stdout } = await program.finish();
  assert.equal(code, 0, stdout);
  const outcome = /^\{.*\}$/m.exec(stdout)?.[0] ?? '';
  return { outcome: JSON.parse(outcome), pid: Number(/^child (\d+)/m.exec(stdout)?.[1]), stdout };
}

describe('a command in the background', { skip: process.platform === 'win32' && 'Windows has none', timeout: HANG_LIMIT }, () => {
  it('lets its parent leave when it is up, and is told by its process id', async () => {
    const { outcome, pid } = await outcomeOf(await start('up'));
    assert.deepEqual(outcome, { type: 'up', pid });
  });

  it('does not hand on what tells it that it is one', async () => {
    const { stdout } = await outcomeOf(await start('up'));
    assert.match(stdout, /environment \[\]$/m);
  });

  it('reads the standard input that its parent left alone', async () => {
    const { outcome, pid, stdout } = await outcomeOf(await start('asks', { input: 'the answer\n' }));
    assert.deepEqual(outcome, { type: 'up', pid });
    assert.match(stdout, /^read the answer$/m);
  });

  it('gives its parent its status if it ends before it is up, and 1 if it is killed', async () => {
    assert.deepEqual((await outcomeOf(await start('fails'))).outcome, { type: 'ended', status: 3, said: '' });
    assert.deepEqual((await outcomeOf(await start('is killed'))).outcome, { type: 'ended', status: 1, said: '' });
  });

  it('hands on what it gives as its reason, before it is up', async () => {
    assert.deepEqual((await outcomeOf(await start('fails with a reason'))).outcome, { type: 'ended', status: 4, said: 'no luck\n' });
  });

  it('gets the signals that are sent to its parent', async () => {
    for (const [signal, status] of [
      ['SIGINT', 5],
      ['SIGTERM', 5],
      ['SIGHUP', 0],
      ['SIGUSR1', 5],
      ['SIGUSR2', 5],
    ] as const) {
      const program = await start('waits for a signal');
      await program.waitFor(/^waiting$/m);
      program.signal(signal);
      assert.deepEqual((await outcomeOf(program)).outcome, { type: 'ended', status, said: '' });
    }
  });

  it('ends with its parent, before it is up, whatever ended that', async () => {
    for (const signal of ['SIGQUIT', 'SIGKILL'] as const) {
      const program = await start('waits for a signal');
      await program.waitFor(/^waiting$/m);
      program.signal(signal);
      await program.waitFor(/^ended by SIGTERM$/m);
      await program.finish();
    }
  });

  it('has what its parent has read of files', async () => {
    const { stdout } = await outcomeOf(await start('has files'));
    assert.match(stdout, /^\/one 6669727374ff$/m);
  });

  it('has the descriptors that its arguments name, wherever they are', {
    skip: process.platform !== 'linux' && 'there is no /proc',
  }, async () => {
    for (const file of ['/dev/fd/3', '/proc/self/fd/4', '/dev/fd/9']) {
      const descriptor = file.slice(file.lastIndexOf('/') + 1);
      const shell = `exec "$@" ${descriptor}<<end\nthe content\nend\n`;
      const program = await startProgram('/bin/sh', ['-c', shell, 'sh', process.execPath, '--no-warnings', PROGRAM, 'reads', file], file);
      const { outcome, pid, stdout } = await outcomeOf(program);
      assert.deepEqual(outcome, { type: 'up', pid });
      assert.match(stdout, /^read the content$/m);
    }
  });

  it('leaves the terminal to the shell while its parent is stopped', {
    skip: process.platform === 'linux' ? missing('script', 'bash') : 'script(1) has other options here',
  }, async () => {
    const jobs = `'${process.execPath}' --no-warnings '${PROGRAM}' asks; read -r line; echo "shell: $line"; fg`;
    using shell = spawn('script', ['-qec', `bash -mc ${shellQuoted(jobs)}`, '/dev/null'], { env: { ...process.env, SHELL: '/bin/sh' } });
    const closed = once(shell, 'close');
    let screen = '';
    shell.stdout.on('data', (chunk) => (screen += chunk));
    const sees = async (text: RegExp) => {
      while (!text.test(screen)) {
        const isOver = await Promise.race([once(shell.stdout, 'data').then(() => false), closed.then(() => true)]);
        assert.ok(!isOver || text.test(screen), screen);
      }
    };
    await sees(/asking/);
    shell.stdin.write('\x1a');
    await sees(/Stopped/);
    shell.stdin.write('for the shell\n');
    await sees(/shell: for the shell/);
    shell.stdin.write('the answer\n');
    await sees(/read the answer/);
    await sees(/"type":"up"/);
    await closed;
  });
});
