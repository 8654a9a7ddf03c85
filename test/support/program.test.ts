import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Program, type ProgramOptions, startProgram } from './program.ts';

/** Runs a line of shell. */
const shell = (script: string, options?: ProgramOptions): Promise<Program> => startProgram('sh', ['-c', script], 'shell', options);

describe('Program', () => {
  it('waits for a line, whether it has come already or comes later', async () => {
    const program = await shell('echo one; read word; echo "two $word"', { keepsInputOpen: true });
    await program.waitFor(/^one$/m);
    assert.equal((await program.waitFor(/o(n)e/))[1], 'n');
    const mark = program.output.length;
    program.write('three\n');
    assert.equal((await program.waitFor(/two (\w+)/, { after: mark }))[1], 'three');
    await assert.rejects(program.waitFor(/one/, { after: mark }), /waited for a line matching .*ended with code 0/);
  });

  it('gives up at the deadline and quotes the output', async () => {
    const program = await shell('echo working; exec sleep 60');
    await program.waitFor(/working/);
    await assert.rejects(
      program.waitFor(/done/, { within: 20 }),
      /waited 20 ms for a line matching \/done\/; shell .* is running.*\nworking/,
    );
    assert.deepEqual(await program.stop(), { code: null, signal: 'SIGTERM' });
  });

  it('says how a program ended, with both its outputs', async () => {
    const program = await shell('cat; echo trouble >&2; exit 3', { input: 'text' });
    assert.deepEqual(await program.finish(), { code: 3, signal: null, stdout: 'text', stderr: 'trouble\n', output: 'texttrouble\n' });
    assert.equal(program.isRunning, false);
    await assert.rejects(program.waitFor(/more/), /ended with code 3/);
  });

  it('does not wait for a daemon that keeps the output open', async () => {
    const program = await shell('sleep 60 & echo $!');
    const { code, stdout } = await program.finish({ within: 5_000 });
    assert.equal(code, 0);
    process.kill(Number(stdout)); // ours, and it sleeps: this number is still its own
  });

  it('kills a program that does not stop', async () => {
    const program = await shell('trap "" TERM; echo deaf; while :; do sleep 0.05; done');
    await program.waitFor(/deaf/);
    assert.deepEqual(await program.stop({ within: 50 }), { code: null, signal: 'SIGKILL' });
    assert.deepEqual(await program.stop(), { code: null, signal: 'SIGKILL' });
  });

  it('says so when there is no such program', async () => {
    await assert.rejects(startProgram('/no/such/program', [], 'nothing'), /ENOENT/);
  });

  it('removes variables from the environment, and what node:test tells its children', async () => {
    const program = await shell('echo "[$LEFT][$GONE][$NODE_TEST_CONTEXT]"', { env: { LEFT: 'here', GONE: undefined } });
    assert.equal((await program.finish()).stdout, '[here][][]\n');
  });
});
