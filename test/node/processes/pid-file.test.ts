import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { PidFile } from '../../../src/node/processes/pid-file.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-pid-'));
after(() => rmSync(folder, { recursive: true, force: true }));

describe('a pid file', () => {
  it('has the number of the process, for everybody to read, and goes with it', async () => {
    const file = path.join(folder, 'one.pid');
    const pidFile = await PidFile.write(file);
    assert.equal(readFileSync(file, 'utf8'), `${process.pid}\n`);
    assert.equal(statSync(file).mode & 0o777, 0o644);
    pidFile.remove();
    assert.equal(existsSync(file), false);
    pidFile.remove();
  });

  it('takes the place of one that was left', async () => {
    const file = path.join(folder, 'two.pid');
    writeFileSync(file, '1\n', { mode: 0o600 });
    await PidFile.write(file, 4711);
    assert.equal(readFileSync(file, 'utf8'), '4711\n');
    assert.equal(statSync(file).mode & 0o777, 0o644);
  });

  it('of another process stays', async () => {
    const file = path.join(folder, 'three.pid');
    const old = await PidFile.write(file, 4711);
    await PidFile.write(file, 4712);
    old.remove();
    assert.equal(readFileSync(file, 'utf8'), '4712\n');
  });

  it('that cannot be written is said to be so', async () => {
    const file = path.join(folder, 'no/such/folder.pid');
    const message = `The pid file ${file} cannot be written: No such file or directory.`;
    await assert.rejects(PidFile.write(file), { code: 'ERR_PID_FILE', message });
  });
});
