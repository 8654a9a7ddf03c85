import assert from 'node:assert/strict';
import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { CancelledError, SallyportError, UnsupportedError } from '../../../src/core/errors.ts';
import { holdersOf } from '../../../src/node/processes/open-files.ts';
import { type ProgramResult, runProgram } from '../../../src/node/processes/run-program.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-programs-'));
after(() => rmSync(folder, { recursive: true }));

const script = (text: string, options?: Parameters<typeof runProgram>[2]): Promise<ProgramResult> =>
  runProgram('sh', ['-c', text], options);

describe('a program that is run', () => {
  it('gets its arguments as they are and its input, and gives back what it said', async () => {
    const odd = `a b;$(id) 'x' "y" *`;
    const result = await runProgram('sh', ['-c', 'printf "%s|" "$@"; cat; echo oops >&2; exit 3', 'sh', odd], { input: 'in\n' });
    assert.deepEqual(result, { status: 3, signal: null, stdout: `${odd}|in\n`, stderr: 'oops\n' });
  });

  it('is found in the folders of system programs, and speaks English', async () => {
    const { stdout } = await script('echo "$LC_ALL"; echo "$PATH"');
    assert.match(stdout, /^C\n.*\/usr\/sbin/);
  });

  it('may end without reading its input', async () => {
    const { status } = await script('exit 0', { input: 'x'.repeat(1_000_000) });
    assert.equal(status, 0);
  });

  it('is reported with the signal that ended it', async () => {
    assert.deepEqual(await script('kill -TERM $$'), { status: null, signal: 'SIGTERM', stdout: '', stderr: '' });
  });

  it('is run again when Ctrl-C ended it, which reaches only those that have not begun', async () => {
    const file = path.join(folder, 'interrupted');
    const { status, stdout } = await script(`test -e ${file} && cat || { touch ${file}; kill -INT $$; }`, { input: 'again' });
    assert.deepEqual({ status, stdout }, { status: 0, stdout: 'again' });
    assert.equal((await script('kill -INT $$')).signal, 'SIGINT');
  });

  it('is said to be missing where it is', async () => {
    await assert.rejects(runProgram('no-such-program-here', []), UnsupportedError);
  });

  it('is killed when it takes too long, says too much, or is cancelled', async () => {
    const isProgramError = (pattern: RegExp) => (error: unknown) =>
      error instanceof SallyportError && error.code === 'ERR_PROGRAM' && pattern.test(error.message);
    await assert.rejects(script('exec sleep 60', { timeout: 50 }), isProgramError(/more than 50 ms/));
    await assert.rejects(script('exec cat /dev/zero', { maxOutput: 100_000 }), isProgramError(/more than 100000 bytes/));
    await assert.rejects(script('exec sleep 60', { signal: AbortSignal.timeout(50) }), CancelledError);
    await assert.rejects(script('exec sleep 60', { signal: AbortSignal.abort() }), CancelledError);
  });

  it('holds a file open while it runs, for others to see', { skip: process.platform !== 'linux' }, async () => {
    const file = path.join(folder, 'held');
    const descriptor = openSync(file, 'w');
    try {
      const stop = new AbortController();
      const running = script('echo ready >&3; exec sleep 60', { holds: descriptor, signal: stop.signal });
      const rejected = assert.rejects(running, CancelledError);
      while (holdersOf(file).length === 0) await new Promise(setImmediate);
      stop.abort();
      await rejected;
      assert.deepEqual(holdersOf(file), []);
    } finally {
      closeSync(descriptor);
    }
  });
});
