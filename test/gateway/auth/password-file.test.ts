import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { editEntries } from '../../../src/cli/ocpasswd/edit-entries.ts';
import { Secret } from '../../../src/core/secret.ts';
import { parsePasswordFile, parsePasswordLine } from '../../../src/gateway/auth/password-file.ts';
import { PasswordHasher, portableCrypt } from '../../../src/gateway/auth/password-hash.ts';
import { Libcrypt } from '../../../src/node/ffi/libcrypt.ts';

describe('password file', () => {
  it('has users with groups, locked or not', () => {
    const entries = parsePasswordFile('alice: staff , admins :$5$s$h\nbob:*:!$5$s$h\ncarol:x:$5$s$h\r\n# comment\nnonsense\n:a:b\n');
    assert.deepEqual(
      [...entries.values()],
      [
        { user: 'alice', groups: ['staff', 'admins'], hash: '$5$s$h', isLocked: false },
        { user: 'bob', groups: [], hash: '$5$s$h', isLocked: true },
        { user: 'carol', groups: [], hash: '$5$s$h', isLocked: false },
      ],
    );
  });

  it('is read without an error, whatever it holds', () => {
    fc.assert(fc.property(fc.string({ maxLength: 200 }), (text) => void parsePasswordFile(text)));
    fc.assert(
      fc.property(fc.array(fc.constantFrom(':', ',', '!', '\n', '*', 'a', 'bc', ' ')), (parts) => void parsePasswordFile(parts.join(''))),
    );
  });

  it('keeps everything but the entries of the user that an edit is about', () => {
    const lines = fc.array(fc.constantFrom('alice:*:x', 'bob:g1:y', 'bob:*:!z', '# note', '', 'broken'), { maxLength: 8 });
    fc.assert(
      fc.property(lines, fc.constantFrom('delete', 'lock', 'unlock'), (text, kind) => {
        const others = (all: readonly string[]) => all.filter((line) => !line.startsWith('bob:') && line !== '');
        const edited = editEntries(text.map((line) => `${line}\n`).join(''), { kind, user: 'bob' }).split('\n');
        assert.deepEqual(others(edited), others(text));
        const states = edited.flatMap((line) => (line.startsWith('bob:') ? [parsePasswordLine(line)?.isLocked] : []));
        const expected = text.filter((line) => line.startsWith('bob:')).map(() => kind === 'lock');
        assert.deepEqual(states, kind === 'delete' ? [] : expected);
      }),
    );
  });
});

describe('password hashes', () => {
  /** Beginnings of hashes: kind, cost, salt. */
  const HASHES = {
    'MD5 crypt': '$1$abcdefgh$',
    'SHA-256 crypt': '$5$rounds=1000$abcdefgh$',
    'SHA-512 crypt': '$6$abcdefgh$',
    bcrypt: '$2b$04$abcdefghijklmnopqrstuu',
    'bcrypt of PHP': '$2y$04$abcdefghijklmnopqrstuu',
    yescrypt: '$y$j75$abcdefgh0123456789012.$',
  };

  it('are known in all kinds that libcrypt knows', async () => {
    const libcrypt = Libcrypt.open();
    const hasher = new PasswordHasher();
    for (const [kind, setting] of Object.entries(HASHES)) {
      const hash = await libcrypt.crypt('correct horse', setting);
      assert.ok(hash !== undefined, kind);
      assert.ok(hash.startsWith(setting.slice(0, 3)), kind);
      assert.equal(await hasher.verify(new Secret('correct horse'), hash), 'right', kind);
      assert.equal(await hasher.verify(new Secret('correct horsf'), hash), 'wrong', kind);
      // Without libcrypt the packages say the same, for what they know.
      if (/^\$[256]/.test(setting)) assert.equal(await portableCrypt('correct horse', hash), hash, kind);
      else assert.equal(await portableCrypt('correct horse', hash), undefined, kind);
    }
  });

  it('of an unknown kind are no match for anything', async () => {
    const hasher = new PasswordHasher();
    for (const hash of ['', '*', 'x', '$9$abc$def', 'plain text']) {
      assert.notEqual(await hasher.verify(new Secret(hash), hash), 'right', hash);
      assert.equal(await portableCrypt(hash, hash), undefined);
    }
  });

  it('wait for each other up to a limit, and then refuse', async () => {
    const pending: (() => void)[] = [];
    const hasher = new PasswordHasher(() => new Promise((resolve) => pending.push(() => resolve('$5$x'))));
    const outcomes = Array.from({ length: 300 }, () => hasher.verify(new Secret('p'), '$5$x'));
    assert.equal(await outcomes[299], 'busy');
    assert.equal(pending.length, 3);
    for (let i = 0; i < 259; i++) {
      pending.shift()?.();
      await outcomes[i];
      await Promise.resolve();
    }
    const all = await Promise.all(outcomes);
    assert.equal(all.filter((outcome) => outcome === 'right').length, 259);
  });
});
