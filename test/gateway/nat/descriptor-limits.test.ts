/** How many flows a process has descriptors for. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { describe, it } from 'node:test';
import { DEFAULT_NAT_LIMITS } from '../../../src/core/nat/limits.ts';
import { withinDescriptors } from '../../../src/gateway/nat/descriptor-limits.ts';

describe('flows and descriptors', () => {
  it('leaves the limits as they are where there are enough, or nobody knows', () => {
    assert.equal(withinDescriptors(DEFAULT_NAT_LIMITS, 1_048_576), DEFAULT_NAT_LIMITS);
    assert.equal(withinDescriptors(DEFAULT_NAT_LIMITS, undefined), DEFAULT_NAT_LIMITS);
  });

  it('keeps a quarter for others, and three quarters of the rest for other sessions', () => {
    const { flows, flowsPerSession, dialsPerSession } = withinDescriptors(DEFAULT_NAT_LIMITS, 1_024);
    assert.deepEqual([flows, flowsPerSession, dialsPerSession], [768, 192, DEFAULT_NAT_LIMITS.dialsPerSession]);
    assert.equal(withinDescriptors({ ...DEFAULT_NAT_LIMITS, flowsPerSession: 10 }, 1_024).flowsPerSession, 10);
  });

  it('knows the limit of the process', { skip: process.platform === 'win32' && 'there is none' }, () => {
    const module = new URL('../../../src/gateway/nat/descriptor-limits.ts', import.meta.url).href;
    const program = `import(${JSON.stringify(module)}).then(({ descriptorLimit }) => console.log(descriptorLimit()))`;
    const said = execFileSync('/bin/sh', ['-c', 'ulimit -n 300 && exec "$0" -e "$1"', process.execPath, program], { encoding: 'utf8' });
    assert.equal(Number(said), 300);
  });
});
