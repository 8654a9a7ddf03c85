import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import path from 'node:path';
import { PassThrough } from 'node:stream';
import { after, before, describe, it } from 'node:test';
import { LineReader } from '../../../src/cli/openconnect/line-reader.ts';
import { defaultScript, lookupUser, readBounded, systemWorld } from '../../../src/cli/openconnect/system-world.ts';
import { systemErrorText } from '../../../src/node/system-error.ts';

describe('users of this computer', { skip: process.platform === 'win32' ? 'Windows has no such users' : false }, () => {
  it('are found by name and by number', () => {
    const root = { name: 'root', uid: 0, gid: 0 };
    const found = lookupUser('root');
    assert.deepEqual({ ...found, home: undefined }, { ...root, home: undefined });
    assert.ok(found?.home.startsWith('/'));
    assert.deepEqual(lookupUser('0'), found);
    assert.equal(lookupUser(userInfo().username)?.uid, userInfo().uid);
  });

  it('are not found where there are none', () => {
    for (const name of ['', 'nosuchuser', '4294967', '-1', 'root:x', 'root\n', '--help', '*'])
      assert.equal(lookupUser(name), undefined, name);
  });
});

describe('files that are read whole', () => {
  let folder = '';
  before(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'sallyport-cli-'));
  });
  after(() => rmSync(folder, { recursive: true }));

  it('have a limit', async () => {
    const file = path.join(folder, 'file');
    writeFileSync(file, 'x'.repeat(200_000));
    assert.equal((await readBounded(file, 200_000)).length, 200_000);
    await assert.rejects(readBounded(file, 199_999), /longer than 199999 bytes/);
  });

  it('fail in the words of the C library', async () => {
    const text = async (file: string) => readBounded(file, 1).then(undefined, systemErrorText);
    assert.equal(await text(path.join(folder, 'none')), 'No such file or directory');
    assert.equal(await text(folder), 'Is a directory');
    assert.equal(await text(path.join(folder, 'x'.repeat(300))), 'File name too long');
  });
});

describe('the real world', () => {
  it('reads lines in the character set of the locale', async () => {
    const input = new PassThrough();
    input.end(Buffer.from([0xe9, 0x0a]));
    const world = systemWorld({
      streams: { stdout: process.stdout, stderr: process.stderr },
      programName: 'openconnect',
      input: new LineReader(input),
      decode: (bytes) => Buffer.from(bytes).toString('latin1'),
    });
    assert.equal(await world.readLine(), 'é');
    assert.equal(await world.readLine(), undefined);
    assert.equal(world.platform, process.platform);
  });

  it('has a script where nothing is installed', () => {
    assert.match(defaultScript('linux'), /vpnc-script$/);
    assert.equal(defaultScript('win32'), 'vpnc-script-win.js');
  });
});
