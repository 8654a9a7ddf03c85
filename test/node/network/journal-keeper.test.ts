import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, beforeEach, describe, it } from 'node:test';
import { JournalKeeper } from '../../../src/node/network/journal-keeper.ts';
import { HANG_LIMIT } from '../../support/size.ts';

const directory = mkdtempSync(path.join(tmpdir(), 'sallyport-keeper-'));
after(() => rmSync(directory, { recursive: true }));
const file = path.join(directory, '-rf it\'s "a" $(journal)');
beforeEach(() => writeFileSync(file, ''));

const MODULE = path.resolve(import.meta.dirname, '../../../src/node/network/journal-keeper.ts');

/** What a process does that starts a keeper and has nothing else to wait for. */
const PROGRAM = `const { JournalKeeper } = await import(${JSON.stringify(MODULE)}); new JournalKeeper(process.argv[1]);`;

describe('the keeper of a journal', { skip: process.platform !== 'linux' && 'reads /proc', timeout: HANG_LIMIT }, () => {
  it('removes it when all is undone, whatever its name', async () => {
    await new JournalKeeper(file).remove();
    assert.equal(existsSync(file), false);
  });

  it('does not keep its process alive, and leaves a journal whose process ends without a word', async () => {
    const child = spawn(process.execPath, ['--no-warnings', '--input-type=module', '--eval', PROGRAM, '--', file], { stdio: 'inherit' });
    assert.deepEqual(await once(child, 'close'), [0, null]);
    assert.equal(existsSync(file), true);
  });

  it('may have been ended by somebody: then the journal stays too', async () => {
    const keeper = new JournalKeeper(file);
    const [pid = ''] = readFileSync(`/proc/self/task/${process.pid}/children`, 'latin1').trim().split(' ');
    process.kill(Number(pid), 'SIGKILL');
    await keeper.remove();
    assert.equal(existsSync(file), true);
  });
});
