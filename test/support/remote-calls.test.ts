import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { pathToFileURL } from 'node:url';
import { startProgram } from './program.ts';
import { RemoteProgram } from './remote-calls.ts';

const calls = {
  double: (number: number): number => 2 * number,
  fail: (): never => {
    throw new TypeError('on purpose');
  },
  end: (): never => process.exit(7),
};

/** A program that serves these calls. */
async function serving(): Promise<RemoteProgram<typeof calls>> {
  const module = pathToFileURL(`${import.meta.dirname}/remote-calls.ts`).href;
  const served = Object.entries(calls).map(([name, call]) => `${name}: ${call.toString()}`);
  const script = `import { serveCalls } from '${module}'; serveCalls({ ${served.join(', ')} });`;
  return new RemoteProgram(await startProgram(process.execPath, ['--input-type=module', '-e', script], 'server', { hasChannel: true }));
}

describe('RemoteProgram', () => {
  it('returns what the function in the program returns, also numbers that JSON does not know', async () => {
    const remote = await serving();
    assert.deepEqual(await Promise.all([remote.call('double', 21), remote.call('double', Infinity)]), [42, Infinity]);
    await remote.program.stop();
  });

  it('rejects with the error of the function, and when the program ends before or without an answer', async () => {
    const remote = await serving();
    await assert.rejects(remote.call('fail'), /server: TypeError: on purpose/);
    await assert.rejects(remote.call('end'), /no answer: server .* ended with code 7/);
    await assert.rejects(remote.call('double', 1), /cannot call double: server .* ended with code 7/);
  });

  it('ends the program when its test lets go of the channel', async () => {
    const remote = await serving();
    remote.program.child.disconnect();
    assert.deepEqual(await remote.program.exited, { code: 0, signal: null });
  });
});
