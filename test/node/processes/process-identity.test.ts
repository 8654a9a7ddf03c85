import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { bootId, identify, isRunning, thisProcess } from '../../../src/node/processes/process-identity.ts';

describe('a process identity', { skip: process.platform !== 'linux' }, () => {
  it('holds for a process while it runs, and no longer', async () => {
    const child = spawn('sleep', ['60']);
    const identity = identify(child.pid ?? 0);
    assert.ok(identity !== undefined && isRunning(identity));
    child.kill();
    await once(child, 'exit');
    assert.equal(isRunning(identity), false);
    assert.equal(identify(identity.pid), undefined);
  });

  it('does not hold for another process that got the same number', () => {
    const self = thisProcess();
    assert.equal(isRunning(self), true);
    assert.equal(isRunning({ ...self, startTime: String(Number(self.startTime) - 1) }), false);
  });

  it('takes a process that only waits to be collected for gone', async () => {
    // The child ends while its parent, a shell that became sleep, never collects it.
    const parent = spawn('sh', ['-c', 'sh -c "exit 0" & echo $!; exec sleep 60'], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [chunk] = (await once(parent.stdout, 'data')) as [Buffer];
    const pid = Number(chunk.toString());
    while (identify(pid) !== undefined) await new Promise(setImmediate);
    parent.kill();
    await once(parent, 'exit');
  });

  it('is not confused by the name of a process', async () => {
    const child = spawn('sh', ['-c', 'printf ") R 1 2 (x" > /proc/self/comm; echo; exec 3<&0; read line <&3'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const plain = identify(child.pid ?? 0)?.startTime;
    await once(child.stdout, 'data');
    assert.equal(identify(child.pid ?? 0)?.startTime, plain);
    child.stdin.end();
    await once(child, 'exit');
  });

  it('knows which run of the machine it is', () => {
    assert.match(bootId(), /^[0-9a-f-]{36}$/);
  });
});
