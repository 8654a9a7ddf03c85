import assert from 'node:assert/strict';
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, beforeEach, describe, it } from 'node:test';
import { SallyportError } from '../../../src/core/errors.ts';
import { discardTemporary, readTextFile, replaceTextFile, resolveLinks } from '../../../src/node/network/text-file.ts';

const root = realpathSync(mkdtempSync(path.join(tmpdir(), 'sallyport-text-')));
after(() => rmSync(root, { recursive: true }));
let folder = root;
let count = 0;
beforeEach(() => {
  folder = path.join(root, String(++count));
  mkdirSync(folder);
});

describe('a system file', () => {
  it('is replaced as a whole, with the mode and bytes it had', async () => {
    const file = path.join(folder, 'resolv.conf');
    writeFileSync(file, 'old');
    chmodSync(file, 0o640);
    const { ino } = statSync(file);
    await replaceTextFile(file, 'caf\u00e9\0\n', 'tag');
    assert.deepEqual([...readFileSync(file)], [0x63, 0x61, 0x66, 0xe9, 0, 0x0a]);
    assert.equal(await readTextFile(file), 'caf\u00e9\0\n');
    assert.equal(statSync(file).mode & 0o777, 0o640);
    assert.notEqual(statSync(file).ino, ino, 'another file took its place');
    assert.deepEqual(readdirSync(folder), ['resolv.conf']);
  });

  it('is made where it was not, for all to read, and removed again', async () => {
    const file = path.join(folder, 'sub', 'resolv.conf');
    await replaceTextFile(file, 'new', 'tag');
    assert.equal(statSync(file).mode & 0o777, 0o644);
    await replaceTextFile(file, null, 'tag');
    await replaceTextFile(file, null, 'tag');
    assert.equal(await readTextFile(file), null);
  });

  it('leaves a temporary file only if a crash does, and that can be found and removed', async () => {
    const file = path.join(folder, 'resolv.conf');
    writeFileSync(`${file}.tag`, 'from a crash');
    await replaceTextFile(file, 'new', 'tag');
    assert.deepEqual(readdirSync(folder), ['resolv.conf']);
    writeFileSync(`${file}.tag`, 'from a crash');
    await discardTemporary(file, 'tag');
    assert.deepEqual(readdirSync(folder), ['resolv.conf']);
  });

  it('is found behind symbolic links, also where they lead to nothing', async () => {
    mkdirSync(path.join(folder, 'run'));
    symlinkSync('run/first', path.join(folder, 'resolv.conf'));
    symlinkSync('second', path.join(folder, 'run/first'));
    const target = path.join(folder, 'run/second');
    assert.equal(await resolveLinks(path.join(folder, 'resolv.conf')), target);
    await replaceTextFile(target, 'new', 'tag');
    assert.equal(await resolveLinks(path.join(folder, 'resolv.conf')), target);
    assert.ok(lstatSync(path.join(folder, 'resolv.conf')).isSymbolicLink());
    assert.equal(await resolveLinks(path.join(folder, 'nothing')), path.join(folder, 'nothing'));
  });

  it('is not a link to itself, and not a film', async () => {
    symlinkSync('loop', path.join(folder, 'loop'));
    await assert.rejects(resolveLinks(path.join(folder, 'loop')), { code: 'ELOOP' });
    writeFileSync(path.join(folder, 'film'), Buffer.alloc(300_000));
    await assert.rejects(readTextFile(path.join(folder, 'film')), SallyportError);
  });
});
