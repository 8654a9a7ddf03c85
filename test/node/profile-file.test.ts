import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { utf8 } from '../../src/core/wire/text.ts';
import { ProfileFile } from '../../src/node/profile-file.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-profile-'));
after(() => rmSync(folder, { recursive: true }));
const file = path.join(folder, 'profile.xml');

describe('the profile that a user keeps', () => {
  it('has no hash while it is not there', async () => {
    assert.equal(await new ProfileFile(path.join(folder, 'none.xml')).sha1(), undefined);
  });

  it('has the SHA-1 of its bytes, in the spelling of gateways', async () => {
    writeFileSync(file, 'abc');
    assert.equal(await new ProfileFile(file).sha1(), 'A9993E364706816ABA3E25717850C26C9CD0D89D'); // FIPS 180-4, "abc"
  });

  it('is replaced as a whole, and its mode stays', async () => {
    writeFileSync(file, 'old');
    chmodSync(file, 0o640);
    await new ProfileFile(file).replace(utf8('<new/>'));
    assert.equal(readFileSync(file, 'utf8'), '<new/>');
    assert.equal(statSync(file).mode & 0o777, 0o640);
    assert.deepEqual(readdirSync(folder), ['profile.xml']);
  });

  it('is written in place where its folder is closed to the user', {
    skip: process.getuid?.() !== 0 && 'only root can become somebody else',
  }, () => {
    writeFileSync(file, 'old');
    chmodSync(file, 0o666);
    chmodSync(folder, 0o755);
    const program = `
      const { ProfileFile } = await import(${JSON.stringify(path.resolve(import.meta.dirname, '../../src/node/profile-file.ts'))});
      process.setuid(65534);
      await new ProfileFile(${JSON.stringify(file)}).replace(Buffer.from('<new/>'));`;
    execFileSync(process.execPath, ['--no-warnings', '--input-type=module', '--eval', program]);
    assert.equal(readFileSync(file, 'utf8'), '<new/>');
  });

  it('says which file cannot be read or written, and why', async () => {
    const inTheWay = path.join(folder, 'folder.xml');
    mkdirSync(inTheWay);
    await assert.rejects(new ProfileFile(inTheWay).sha1(), { code: 'ERR_PROFILE', message: /folder\.xml cannot be read: / });
    await assert.rejects(new ProfileFile(inTheWay).replace(utf8('x')), { code: 'ERR_PROFILE', message: /folder\.xml cannot be written: / });
  });
});
