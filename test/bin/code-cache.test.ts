/** Compiled code is executed, often as root: it comes only from folders that nobody else can write to. Root's home is a folder of the test's own here. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { shellQuoted } from '../../src/cli/openconnect/authenticate-output.ts';
import { missing } from '../support/requirements.ts';

const MODULE = path.resolve(import.meta.dirname, '../../bin/code-cache.js');
const PROGRAM = `require(${JSON.stringify(MODULE)}).keepCompiledCode(); console.log(require('node:module').getCompileCacheDir() ?? 'none')`;

let home = '';
beforeEach(() => {
  home = mkdtempSync(path.join(tmpdir(), 'sallyport-home-'));
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

/** Where a command of root's keeps its compiled code, after `preparation` by a shell in root's home. */
function cacheAfter(preparation: string, environment: NodeJS.ProcessEnv = {}): string {
  const command = `mount --bind ${shellQuoted(home)} /root && cd /root && umask 022 && ${preparation} && cd / && exec "$@"`;
  const args = ['--mount', '--propagation', 'private', 'sh', '-c', command, 'sh', process.execPath, '--eval', PROGRAM];
  const env: NodeJS.ProcessEnv = { ...process.env, ...environment };
  delete env.NODE_COMPILE_CACHE;
  delete env.NODE_DISABLE_COMPILE_CACHE;
  return execFileSync('unshare', args, { encoding: 'utf8', env }).trim();
}

describe('the cache of compiled code', { skip: missing('root', 'unshare') }, () => {
  it('is in the home directory of the user, and for that user alone', () => {
    assert.match(cacheAfter('true'), /^\/root\/\.cache\/sallyport\/code\//);
    const modes = execFileSync('stat', [
      '-c',
      '%a',
      ...['.cache', '.cache/sallyport', '.cache/sallyport/code'].map((name) => path.join(home, name)),
    ]);
    assert.equal(String(modes), '700\n700\n700\n');
  });

  it('is not where the environment says: sudo may leave the caller’s', () => {
    assert.match(cacheAfter('true', { HOME: '/tmp', XDG_CACHE_HOME: '/tmp' }), /^\/root\/\.cache\//);
  });

  const unsafe = {
    'the home directory can be written by a group': 'chmod 770 .',
    'the home directory can be written by everybody': 'chmod 1777 .',
    'a folder on the way belongs to another user': 'mkdir .cache && chown nobody .cache',
    'the folder itself belongs to another user': 'mkdir -p .cache/sallyport/code && chown nobody .cache/sallyport/code',
    'the folder itself can be written by others': 'mkdir -p .cache/sallyport/code && chmod 777 .cache/sallyport/code',
    'a folder on the way is a link': 'mkdir elsewhere && ln -s elsewhere .cache',
    'the folder itself is a link': 'mkdir -p .cache/sallyport elsewhere && ln -s /root/elsewhere .cache/sallyport/code',
    'a file is in its place': 'mkdir -p .cache && touch .cache/sallyport',
  };
  for (const [why, preparation] of Object.entries(unsafe)) {
    it(`is not used where ${why}`, () => assert.equal(cacheAfter(preparation), 'none'));
  }
});
