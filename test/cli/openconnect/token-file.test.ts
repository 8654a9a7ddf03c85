import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { loadToken, TOKEN_REFUSED } from '../../../src/cli/openconnect/token-file.ts';
import { SallyportError } from '../../../src/core/errors.ts';
import { Secret } from '../../../src/core/secret.ts';
import { RecordedLog } from '../../support/forms.ts';

/** RFC 4226, appendix D. */
const KEY = '12345678901234567890';
const CODES = ['755224', '287082', '359152'];

let folder = '';
before(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'sallyport-token-'));
});
after(() => rmSync(folder, { recursive: true }));

const write = (name: string, content: string): string => {
  const file = path.join(folder, name);
  writeFileSync(file, content);
  return file;
};

async function hotp(secret: string, log = new RecordedLog()) {
  const token = await loadToken({ mode: 'hotp', secret: new Secret(secret) }, log);
  assert.ok(token.mode !== 'oidc');
  const next = async () => {
    const code = token.secret.token.nextCode().reveal();
    await token.keep(token.secret.render());
    return code;
  };
  return { next };
}

describe('secret of a software token', () => {
  it('is the text itself, or in a file that is named with or without @', async () => {
    for (const secret of [KEY, write('plain', KEY), `@${write('named', KEY)}`]) assert.equal(await (await hotp(secret)).next(), CODES[0]);
  });

  it('is written back with the next counter, its line end as it was', async () => {
    for (const lineEnd of ['', '\n', '\r\n']) {
      const file = write('counted', `0x${Buffer.from(KEY).toString('hex')},1${lineEnd}`);
      assert.equal(await (await hotp(`@${file}`)).next(), CODES[1]);
      assert.equal(readFileSync(file, 'latin1'), `0x3132333435363738393031323334353637383930,2${lineEnd}`);
      assert.equal(await (await hotp(file)).next(), CODES[2]);
    }
  });

  it('that cannot be written back is said, and the log-in goes on', {
    skip: process.platform !== 'linux' && 'there is no /proc',
  }, async () => {
    const log = new RecordedLog();
    const token = await hotp('@/proc/self/comm', log); // a file with a secret, in a folder that nobody writes to
    assert.match(await token.next(), /^\d{6}$/);
    assert.match(log.lines.join('\n'), /^error token not kept reason=\S/);
  });

  it('is written in place where its folder is closed to the user', {
    skip: process.getuid?.() !== 0 && 'only root can become somebody else',
  }, () => {
    const file = write('closed', `${KEY},1`);
    chmodSync(file, 0o666);
    chmodSync(folder, 0o755);
    const program = `
      const { loadToken } = await import(${JSON.stringify(path.resolve(import.meta.dirname, '../../../src/cli/openconnect/token-file.ts'))});
      const { Secret } = await import(${JSON.stringify(path.resolve(import.meta.dirname, '../../../src/core/secret.ts'))});
      const token = await loadToken({ mode: 'hotp', secret: new Secret(${JSON.stringify(file)}) }, { log: console.log });
      process.setuid(65534);
      token.secret.token.nextCode();
      await token.keep(token.secret.render());`;
    assert.equal(execFileSync(process.execPath, ['--no-warnings', '--input-type=module', '--eval', program], { encoding: 'utf8' }), '');
    assert.match(readFileSync(file, 'latin1'), /,2$/);
  });

  it('that was given as it is, is kept nowhere', async () => {
    const token = await hotp(`${KEY},2`);
    assert.equal(await token.next(), CODES[2]);
  });

  it('is said to be invalid in the words that tools look for, and is not shown', async () => {
    for (const secret of ['base32:!!!', '0xzz', '', `base32:GEZDGNBVGY3TQOJQ,abc`, write('invalid', 'base32:!!!')]) {
      await assert.rejects(loadToken({ mode: 'totp', secret: new Secret(secret) }, new RecordedLog()), (error: Error) => {
        assert.ok(error instanceof SallyportError && error.code === TOKEN_REFUSED);
        assert.equal(error.message, 'Soft token string is invalid');
        return true;
      });
    }
  });

  it('names the file that cannot be read', async () => {
    const loading = loadToken({ mode: 'totp', secret: new Secret('@/nonexistent/token') }, new RecordedLog());
    await assert.rejects(loading, { code: TOKEN_REFUSED, message: 'Failed to open /nonexistent/token: No such file or directory' });
  });

  it('of an OpenID provider is a bearer token, without the line end of its file', async () => {
    const token = await loadToken({ mode: 'oidc', secret: new Secret(write('bearer', 'abc.def\n')) }, new RecordedLog());
    assert.equal(token.mode === 'oidc' && token.bearer.reveal(), 'abc.def');
  });
});
