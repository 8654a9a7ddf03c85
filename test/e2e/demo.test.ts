/** The README's first command, as a newcomer runs it. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import path from 'node:path';
import { describe, it } from 'node:test';
import { promisify } from 'node:util';
import { missing } from '../support/requirements.ts';

const DEMO = path.resolve(import.meta.dirname, '../../examples/demo/demo.ts');

describe('the demo', { skip: missing('root', 'netns', 'tun', 'ocserv', 'openssl'), timeout: 60_000 }, () => {
  it('fetches a file through a tunnel of its own, leaves nothing, and says so', async () => {
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [DEMO]);
    assert.equal(stderr, '');
    for (const words of [/Without the tunnel the client cannot reach it/, /SHA-256 is the same/, /nothing is left/, /It works\.\n$/]) {
      assert.match(stdout, words);
    }
  });
});
