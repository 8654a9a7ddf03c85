import assert from 'node:assert/strict';
import path from 'node:path';
import { describe, it } from 'node:test';
import { type Program, startProgram } from '../../support/program.ts';
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

  it('gets the signals that a terminal sends to its parent', async () => {
    for (const [signal, status] of [
      ['SIGINT', 5],
      ['SIGTERM', 5],
      ['SIGHUP', 0],
    ] as const) {
      const program = await start('waits for a signal');
      await program.waitFor(/^waiting$/m);
      program.signal(signal);
      assert.deepEqual((await outcomeOf(program)).outcome, { type: 'ended', status, said: '' });
    }
  });
});
