import assert from 'node:assert/strict';
import { existsSync, readFileSync, readlinkSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { processIdentity } from '../support/process-identity.ts';
import { startProgram } from '../support/program.ts';
import { missing } from '../support/requirements.ts';

const VICTIM = path.join(import.meta.dirname, 'crash-victim.ts');

describe('a test that is killed', { skip: missing('root', 'netns', 'ocserv') }, () => {
  it('leaves no process, no namespace and no file behind', async () => {
    const victim = await startProgram(process.execPath, [VICTIM], 'victim');
    const [report] = await victim.waitFor(/^{.*}$/m);
    const { folder, pids }: { folder: string; pids: number[] } = JSON.parse(report);
    const identities = pids.map(processIdentity);
    const namespaces = new Set(pids.map((pid) => readlinkSync(`/proc/${pid}/ns/net`)));
    assert.ok(pids.length >= 6 && !identities.includes(undefined), 'three holders, ocserv with its security module, a daemon');
    assert.equal(namespaces.size, 3);
    assert.ok(existsSync(folder));

    victim.signal('SIGKILL');
    assert.equal((await victim.exited).signal, 'SIGKILL');

    const living = (): number[] => pids.filter((pid, i) => processIdentity(pid) !== undefined && processIdentity(pid) === identities[i]);
    for (const deadline = Date.now() + 5_000; (living().length > 0 || existsSync(folder)) && Date.now() < deadline; ) await setTimeout(10);
    assert.deepEqual(living(), []);
    assert.equal(existsSync(folder), false);
    // A namespace without a process and without a name is gone: ours never have a name.
    assert.equal(readFileSync('/proc/self/mountinfo', 'utf8').includes(folder), false);
  });
});
