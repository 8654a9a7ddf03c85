/** What processes and all below them have used. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { describe, it } from 'node:test';
import { cpuSeconds, memoryOf, processTree, treeCpuSeconds, treeMemory } from '../../bench/process-usage.ts';
import { type Program, startProgram } from '../support/program.ts';

const skip = existsSync('/proc/self/smaps_rollup') ? false : 'needs /proc of Linux';

/** A shell that does this, says `ready`, and stays until its input ends; `(…)` is a child of it. */
function shell(work: string): Promise<Program> {
  return startProgram('sh', ['-c', `${work}; echo ready; read -r end`], 'shell', { keepsInputOpen: true });
}

/** Counts until it has used some tenths of a second. */
const BUSY = 'i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done';

describe('usage of processes', { skip }, () => {
  it('is of a process and all below it', async () => {
    // The child's name in /proc has a blank and a parenthesis in it, as names may have. All end with the input.
    const child = `printf "a) b" >/proc/self/comm; cat <&3 & echo "grandchild $!"; wait`;
    const program = await shell(`exec 3<&0; sh -c '${child}' & echo "child $!"`);
    try {
      const pids: number[] = [];
      for (const line of [/^child (\d+)$/m, /^grandchild (\d+)$/m]) pids.push(Number((await program.waitFor(line))[1]));
      assert.deepEqual(processTree(program.pid), [program.pid, ...pids]);
      const { resident, proportional } = treeMemory(program.pid);
      const single = memoryOf(program.pid);
      assert.ok(resident > 2 * single.resident, `${resident} and ${single.resident}`);
      assert.ok(proportional > single.proportional && proportional < resident, `${proportional}`);
    } finally {
      await program.stop();
    }
  });

  it('counts the time of children that have ended, where the whole tree is asked for', async () => {
    const program = await shell(`(${BUSY})`);
    try {
      await program.waitFor(/ready/);
      assert.ok(treeCpuSeconds(program.pid) >= 0.05, `${treeCpuSeconds(program.pid)}`);
      assert.ok(cpuSeconds(program.pid) < treeCpuSeconds(program.pid));
    } finally {
      await program.stop();
    }
  });

  it('counts what a process does itself', async () => {
    const program = await shell(BUSY);
    try {
      await program.waitFor(/ready/);
      assert.ok(cpuSeconds(program.pid) >= 0.05, `${cpuSeconds(program.pid)}`);
      assert.equal(treeCpuSeconds(program.pid), cpuSeconds(program.pid));
    } finally {
      await program.stop();
    }
  });

  it('is not 0 of a process that has ended, but an error', async () => {
    const program = await shell('true');
    await program.stop();
    assert.throws(() => cpuSeconds(program.pid), /has ended/);
  });
});
