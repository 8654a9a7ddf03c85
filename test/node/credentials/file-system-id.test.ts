import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { describe, it } from 'node:test';
import { CredentialError } from '../../../src/node/credentials/credential-error.ts';
import { fileSystemId } from '../../../src/node/credentials/file-system-id.ts';
import { missing } from '../../support/requirements.ts';

describe('file-system id as a password', { skip: process.platform !== 'linux' ? 'only Linux has this stat' : missing('stat') }, () => {
  it('is what the documented command prints', async () => {
    for (const file of [import.meta.filename, '/proc/self/status']) {
      assert.equal((await fileSystemId(file)).reveal(), execFileSync('stat', ['-f', '-c', '%i', file], { encoding: 'utf8' }).trim());
    }
  });

  it('differs from file system to file system, and is hidden when it is printed', async () => {
    const [here, proc] = await Promise.all([fileSystemId(import.meta.filename), fileSystemId('/proc/self/status')]);
    assert.notEqual(here.reveal(), proc.reveal());
    assert.equal(`${here}`, '[secret]');
  });

  it('fails for a file that is not there, also one that looks like an option', async () => {
    await assert.rejects(fileSystemId('/nonexistent/key.pem'), CredentialError);
    await assert.rejects(fileSystemId('--help'), CredentialError);
  });
});
