import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { SallyportError } from '../../src/core/errors.ts';
import { makeFolder } from '../../src/node/make-folder.ts';
import { HANG_LIMIT } from '../support/size.ts';

const here = mkdtempSync(path.join(tmpdir(), 'sallyport-folder-'));
after(() => rmSync(here, { recursive: true }));

describe('a folder', () => {
  it('is made with those above it, and may be there already', () => {
    const folder = path.join(here, 'a/b/c');
    makeFolder(folder, { mode: 0o700 });
    assert.equal(statSync(folder).mode & 0o777, 0o700);
    makeFolder(folder);
    assert.equal(statSync(folder).mode & 0o777, 0o700, 'what is there stays as it is');
  });

  it('that cannot be made is named, with the reason; below /proc too, where Node would go on for ever', { timeout: HANG_LIMIT }, () => {
    writeFileSync(path.join(here, 'file'), '');
    for (const [folder, reason] of [
      [path.join(here, 'file'), 'File already exists'],
      [path.join(here, 'file/x/y'), 'Not a directory'],
      ['/proc/sallyport/x/y', 'No such file or directory'],
    ] as const) {
      assert.throws(
        () => makeFolder(folder, { code: 'ERR_STATE_DIRECTORY' }),
        (error) => {
          assert.ok(error instanceof SallyportError);
          assert.deepEqual([error.code, error.message], ['ERR_STATE_DIRECTORY', `The folder ${folder} cannot be made: ${reason}.`]);
          return true;
        },
      );
    }
  });
});
