import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { PID_FILE_FAILED, PidFile } from '../../../src/cli/openconnect/process-wishes.ts';
import { RecordedLog } from '../../support/forms.ts';

const OURS = `${process.pid}\n`;

describe('the file with the process id', () => {
  let folder = '';
  before(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'sallyport-pid-'));
  });
  after(() => rmSync(folder, { recursive: true }));

  const fileIn = (name: string) => path.join(folder, name);

  it('is there from the beginning, has the number when it is written, and goes in the end', () => {
    const file = fileIn('new');
    const pidFile = PidFile.open(file, new RecordedLog());
    assert.equal(readFileSync(file, 'latin1'), '');
    pidFile.write();
    assert.equal(readFileSync(file, 'latin1'), OURS);
    pidFile.remove();
    assert.equal(existsSync(file), false);
  });

  it('stays another session’s until there is a tunnel', () => {
    const file = fileIn('others');
    writeFileSync(file, '1234567\n');
    const [failed, good] = [PidFile.open(file, new RecordedLog()), PidFile.open(file, new RecordedLog())];
    failed.remove();
    assert.equal(readFileSync(file, 'latin1'), '1234567\n');
    good.write();
    assert.equal(readFileSync(file, 'latin1'), OURS, 'nothing is left of a longer number');
    writeFileSync(file, '42\n');
    good.remove();
    assert.equal(readFileSync(file, 'latin1'), '42\n');
  });

  it('is there anew where the session that had it has removed it meanwhile', () => {
    const file = fileIn('removed');
    writeFileSync(file, '1234567\n');
    const pidFile = PidFile.open(file, new RecordedLog());
    rmSync(file);
    pidFile.write();
    assert.equal(readFileSync(file, 'latin1'), OURS);
    pidFile.remove();
    assert.equal(existsSync(file), false);
  });

  it('goes where there was none, if there is no tunnel, and stays where it was empty', () => {
    const [none, empty] = [fileIn('none'), fileIn('empty')];
    writeFileSync(empty, '');
    for (const file of [none, empty]) PidFile.open(file, new RecordedLog()).remove();
    assert.deepEqual([existsSync(none), existsSync(empty)], [false, true]);
  });

  it('may be no file, which stays, and need not take the number', { skip: process.platform !== 'linux' && 'there is no /dev/full' }, () => {
    const log = new RecordedLog();
    const pidFile = PidFile.open('/dev/full', log);
    pidFile.write();
    assert.match(log.lines.join('\n'), /^error pid file not written file=\/dev\/full reason=No space left on device$/);
    pidFile.remove();
    assert.ok(existsSync('/dev/full'));
  });

  it('that cannot be opened is an error, in openconnect’s words', () => {
    const log = new RecordedLog();
    assert.throws(() => PidFile.open(fileIn('none/pid'), log), { code: PID_FILE_FAILED });
    assert.match(log.lines.join('\n'), /pid file failed .*reason=No such file or directory$/);
  });
});
