import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { replaceFile } from '../../src/node/replace-file.ts';

describe('a file that is replaced', { skip: process.platform === 'win32' && 'Windows has other modes and owners' }, () => {
  let folder = '';
  before(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'sallyport-replace-'));
  });
  after(() => rmSync(folder, { recursive: true }));

  const write = (name: string, content: string): string => {
    const file = path.join(folder, name);
    writeFileSync(file, content);
    return file;
  };
  const modeOf = (file: string) => statSync(file).mode & 0o7777;

  it('has the new content and the old mode, whatever the umask', async () => {
    const file = write('moded', 'old');
    chmodSync(file, 0o664);
    await replaceFile(file, Buffer.from('new'));
    assert.equal(readFileSync(file, 'utf8'), 'new');
    assert.equal(modeOf(file), 0o664);
  });

  it('is the user’s own where there was none', async () => {
    const file = path.join(folder, 'none');
    await replaceFile(file, Buffer.from('new'));
    assert.equal(modeOf(file), 0o600);
  });

  it('keeps its owner', { skip: process.getuid?.() !== 0 && 'only root may write for others' }, async () => {
    const file = write('owned', 'old');
    chownSync(file, 12_345, 23_456);
    await replaceFile(file, Buffer.from('new'));
    assert.deepEqual([statSync(file).uid, statSync(file).gid], [12_345, 23_456]);
  });

  it('is written in place where its folder is closed to us and the caller allows it, else left as it was', {
    skip: process.getuid?.() !== 0 && 'only root can become somebody else',
  }, async () => {
    const closed = path.join(folder, 'closed');
    mkdirSync(closed);
    const file = path.join(closed, 'open');
    writeFileSync(file, 'the old content', { mode: 0o666 });
    chmodSync(file, 0o666);
    for (const each of [folder, closed]) chmodSync(each, 0o755);
    const program = `
      const { readFileSync } = await import('node:fs');
      const { replaceFile } = await import(${JSON.stringify(path.resolve(import.meta.dirname, '../../src/node/replace-file.ts'))});
      process.setuid(65534);
      const refused = await replaceFile(${JSON.stringify(file)}, Buffer.from('refused')).catch(({ code }) => code);
      const before = readFileSync(${JSON.stringify(file)}, 'utf8');
      await replaceFile(${JSON.stringify(file)}, Buffer.from('new'), { mayWriteInPlace: true });
      console.log(JSON.stringify([refused, before]));`;
    const said = execFileSync(process.execPath, ['--no-warnings', '--input-type=module', '--eval', program], { encoding: 'utf8' });
    assert.deepEqual(JSON.parse(said), ['EACCES', 'the old content']);
    assert.equal(readFileSync(file, 'utf8'), 'new');
    assert.deepEqual(readdirSync(closed), ['open']);
  });

  it('may be reached by a link, which stays one', async () => {
    const file = write('target', 'old');
    const link = path.join(folder, 'link');
    symlinkSync(file, link);
    await replaceFile(link, Buffer.from('new'));
    assert.ok(lstatSync(link).isSymbolicLink());
    assert.equal(readFileSync(file, 'utf8'), 'new');
  });

  it('is replaced though a process of the same number was killed while it replaced it', async () => {
    const file = write('left', 'old');
    for (let i = 1; i <= 20; i++) write(`left.${process.pid}.${i}.new`, 'half');
    await replaceFile(file, Buffer.from('new'));
    assert.equal(readFileSync(file, 'utf8'), 'new');
  });

  it('is as it was if it cannot be replaced, and nothing lies beside it', async () => {
    const directory = path.join(folder, 'directory');
    mkdirSync(directory);
    const names = readdirSync(folder);
    await assert.rejects(replaceFile(directory, Buffer.from('new')), { code: 'EISDIR' });
    await assert.rejects(replaceFile(path.join(folder, 'nosuch', 'file'), Buffer.from('new')), { code: 'ENOENT' });
    assert.deepEqual(readdirSync(folder), names);
  });
});
