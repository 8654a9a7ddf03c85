/** Compiled code is executed, often as root: it comes only from folders that nobody else can write to. Root's home is a folder of the test's own here. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { shellQuoted } from '../../src/cli/openconnect/authenticate-output.ts';
import { missing } from '../support/requirements.ts';

const BUNDLE = path.resolve(import.meta.dirname, '../../dist/bundle');
const MODULE = path.resolve(import.meta.dirname, '../../bin/code-cache.js');
const SHOW_FOLDER = `console.log(require(${JSON.stringify(MODULE)}).folder ?? 'none')`;

/** Loads a command and keeps its code. */
const KEEP = `const code = require(${JSON.stringify(MODULE)}); code.load('openconnect'); code.keepNewCode()`;

let home = '';
beforeEach(() => {
  home = mkdtempSync(path.join(tmpdir(), 'sallyport-home-'));
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

/** What a program of root's says, after `preparation` by a shell in root's home. */
function saidBy(program: string, preparation: string, environment: NodeJS.ProcessEnv = {}): string {
  const command = `mount --bind ${shellQuoted(home)} /root && cd /root && umask 022 && ${preparation} && cd / && exec "$@"`;
  const args = ['--mount', '--propagation', 'private', 'sh', '-c', command, 'sh', process.execPath, '--eval', program];
  const env: NodeJS.ProcessEnv = { ...process.env, ...environment };
  if (environment.NODE_DISABLE_COMPILE_CACHE === undefined) delete env.NODE_DISABLE_COMPILE_CACHE;
  return execFileSync('unshare', args, { encoding: 'utf8', env }).trim();
}

/** Where a command of root's keeps its compiled code. */
function cacheAfter(preparation: string, environment: NodeJS.ProcessEnv = {}): string {
  return saidBy(SHOW_FOLDER, preparation, environment);
}

/** Kept files, by their names in the bundle. */
function kept(): ReadonlyMap<string, { readonly file: string; readonly inode: number }> {
  const folder = path.join(home, '.cache/sallyport/code');
  const entries = readdirSync(folder).map((name) => {
    const file = path.join(folder, name);
    return [name.replace(/^.*-bundle-(.*)-v\d.*$/, '$1'), { file, inode: statSync(file).ino }] as const;
  });
  return new Map(entries);
}

describe('the cache of compiled code', { skip: missing('root', 'unshare') }, () => {
  it('is in the home directory of the user, and for that user alone', () => {
    assert.equal(cacheAfter('true'), '/root/.cache/sallyport/code');
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

  it('is used by the next run, and written by none that has used it', () => {
    saidBy(KEEP, 'true');
    const before = kept();
    assert.ok(before.has('openconnect.cjs'), [...before.keys()].join());
    saidBy(KEEP, 'true');
    assert.deepEqual(kept(), before);
    assert.match(readFileSync(path.join(BUNDLE, 'openconnect.cjs'), 'latin1'), /^\/\/[0-9a-f]{64}\n/);
  });

  const spoilt: Readonly<Record<string, (bytes: Buffer) => Uint8Array>> = {
    'is cut short': (bytes) => bytes.subarray(0, bytes.length / 2),
    'is empty': () => new Uint8Array(0),
    'is of another version of the file': (bytes) => Buffer.concat([bytes.subarray(0, -1), Buffer.from('-')]),
    'is no code at all': (bytes) => Buffer.concat([new Uint8Array(1000), bytes.subarray(-66)]),
  };
  for (const [how, spoil] of Object.entries(spoilt)) {
    it(`is written anew where it ${how}`, () => {
      saidBy(KEEP, 'true');
      const file = kept().get('openconnect.cjs')?.file ?? '';
      const good = readFileSync(file);
      writeFileSync(file, spoil(good));
      saidBy(KEEP, 'true');
      // Not the same to the byte: what else V8 has compiled meanwhile differs.
      const written = readFileSync(file);
      assert.deepEqual(written.subarray(-66), good.subarray(-66));
      assert.ok(written.length > 0.9 * good.length, `${written.length} bytes in the place of ${good.length}`);
    });
  }

  it('grows by what a run has called besides, and leaves nothing else there', () => {
    const lengthOf = (name: string) => readFileSync(kept().get(name)?.file ?? '').length;
    saidBy(`${KEEP}; code.load('openconnect-then'); code.keepNewCode()`, 'true');
    const before = lengthOf('openconnect-then.cjs');
    const asRun = `process.argv.push('openconnect', '--help'); ${KEEP}; code.load('openconnect').main(() => undefined).then(code.keepWarmCode)`;
    assert.match(saidBy(asRun, 'true'), /--authgroup/);
    assert.ok(lengthOf('openconnect-then.cjs') > before);
    assert.deepEqual(
      [...kept().keys()].filter((name) => !existsSync(path.join(BUNDLE, name))),
      [],
    );
  });

  it('stops nobody who may not write there any more, as a gateway’s worker that has given up its rights', () => {
    const asNobody = `const code = require(${JSON.stringify(MODULE)}); code.load('openconnect'); process.setgid(65534); process.setuid(65534)`;
    assert.equal(saidBy(`${asNobody}; code.keepNewCode(); console.log('on')`, 'chmod 700 .'), 'on');
    assert.equal(kept().size, 0);
  });

  it('is neither read nor written where Node shall have none', () => {
    assert.equal(cacheAfter('true', { NODE_DISABLE_COMPILE_CACHE: '1' }), 'none');
  });
});
