/** A user whom nobody without root's rights may become, and calls without those. */
import assert from 'node:assert/strict';
import type { ProgramUser } from '../../src/node/user-program.ts';

export const SOMEBODY: ProgramUser = { uid: 1, gid: 1, name: 'somebody', home: '/nonexistent' };

const NOBODY = 65_534;

/** What a call does at once it does without root's rights, if the test has them. */
export function withoutRights<T>(call: () => T): T {
  const { geteuid, seteuid } = process;
  assert.ok(geteuid !== undefined && seteuid !== undefined);
  const own = geteuid();
  if (own === 0) seteuid(NOBODY);
  try {
    return call();
  } finally {
    if (own === 0) seteuid(own);
  }
}
