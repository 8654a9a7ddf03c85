/** Ours beside Debian's ocpasswd: the same arguments, input and files; messages, exit codes and what becomes of the file are compared. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, it } from 'node:test';
import { Secret } from '../../../src/core/secret.ts';
import { parsePasswordFile } from '../../../src/gateway/auth/password-file.ts';
import { PasswordHasher } from '../../../src/gateway/auth/password-hash.ts';
import { startProgram } from '../../support/program.ts';
import { missing } from '../../support/requirements.ts';

const OURS = path.join(import.meta.dirname, 'ocpasswd.ts');

/** Reports of our mistakes would go to the wrong people. */
const THEIR_ADDRESS = '\nPlease send bug reports to:  openconnect-devel@lists.infradead.org\n';

interface Call {
  readonly args: readonly string[];
  readonly input?: string;
  readonly before?: string;
  readonly isLocked?: boolean;
}

/** What a call says and leaves; results of hashing, which differ by salt, struck out. */
interface Result {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly file: string | undefined;
  readonly mode: number | undefined;
  readonly leavesLock: boolean;
}

async function run(command: readonly string[], { args, input = '', before, isLocked = false }: Call): Promise<Result> {
  const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-ocpasswd-'));
  const file = path.join(folder, 'users');
  try {
    if (before !== undefined) writeFileSync(file, before, { mode: 0o644 });
    if (isLocked) writeFileSync(`${file}.tmp`, '');
    const words = args.map((word) => word.replace('FILE', file));
    const [program = '', ...first] = command;
    const { code, stdout, stderr } = await (await startProgram(program, [...first, ...words], 'ocpasswd', { input })).finish();
    const there = existsSync(file);
    return {
      code,
      stdout,
      stderr: stderr.replaceAll(folder, 'FOLDER').replace('ocpasswd.ts: ', 'ocpasswd: ').replace(THEIR_ADDRESS, ''),
      file: there ? readFileSync(file, 'utf8').replace(/\$5\$[./\w]{16}\$[./\w]{43}/g, '$5$SALT$HASH') : undefined,
      mode: there ? statSync(file).mode & 0o777 : undefined,
      leavesLock: existsSync(`${file}.tmp`),
    };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const theirs = (call: Call) => run(['ocpasswd'], call);
const ours = (call: Call) => run([process.execPath, OURS], call);

const TWO = 'alice:*:$5$abc$one\nbob:staff,admins:!$5$abc$two\n';

const SAME: Readonly<Record<string, Call>> = {
  'a new file': { args: ['-c', 'FILE', 'alice'], input: 'pw\npw\n' },
  'a new user with groups': { args: ['--passwd=FILE', '-g', 'a, bc', 'carol'], input: 'pw\n', before: TWO },
  'the long name of groups': { args: ['--passwd', 'FILE', '--groupname', 'staff', 'carol'], input: 'pw\n', before: TWO },
  'a unique beginning of a long name': { args: ['--pa=FILE', '--group=staff', 'carol'], input: 'pw\n', before: TWO },
  'a changed password': { args: ['-c', 'FILE', 'alice'], input: 'other\nother\n', before: TWO },
  'a changed password of one who is there twice': { args: ['-c', 'FILE', '-g', 'x', 'alice'], input: 'pw\n', before: `${TWO}alice:y:z\n` },
  'an empty password': { args: ['-c', 'FILE', 'alice'], input: '\n\n', before: TWO },
  'a locked user': { args: ['-c', 'FILE', '-l', 'alice'], before: TWO },
  'a user locked twice': { args: ['-c', 'FILE', '--lock', 'bob'], before: TWO },
  'an unlocked user': { args: ['-c', 'FILE', '-u', 'bob'], before: TWO },
  'a user unlocked twice': { args: ['-c', 'FILE', '--unlock', 'alice'], before: TWO },
  'two marks, one taken': { args: ['-c', 'FILE', '-u', 'alice'], before: 'alice:*:!!abc\n' },
  'a deleted user': { args: ['-c', 'FILE', '-d', 'alice'], before: TWO },
  'nobody to delete': { args: ['-c', 'FILE', '-d', 'nobody'], before: TWO },
  'nobody to lock': { args: ['-c', 'FILE', '-l', 'nobody'], before: TWO },
  'a name with blanks around': { args: ['-c', 'FILE', '-l', 'alice'], before: ' alice : staff :hash\n' },
  'no file to delete from': { args: ['-c', 'FILE', '-d', 'alice'] },
  'no file to lock in': { args: ['-c', 'FILE', '-l', 'alice'] },
  'no folder': { args: ['-c', 'FILE/there', 'alice'], input: 'pw\n' },
  'a file that is locked': { args: ['-c', 'FILE', 'alice'], input: 'pw\n', before: TWO, isLocked: true },
  'a delete in a file that is locked': { args: ['-c', 'FILE', '-d', 'alice'], before: TWO, isLocked: true },
  'two things at once': { args: ['-c', 'FILE', '-d', '-l', 'alice'], before: TWO },
  'lock and unlock at once': { args: ['-c', 'FILE', '-l', '-u', 'alice'], before: TWO },
  'two users': { args: ['-c', 'FILE', 'alice', 'bob'], before: TWO },
  'no user': { args: ['-c', 'FILE'], before: TWO },
  'nothing at all': { args: [] },
  'an unknown long option': { args: ['--bogus'] },
  'an unknown short option': { args: ['-x'] },
  'a missing argument': { args: ['-c'] },
  'a missing argument of a long option': { args: ['--groupname'] },
  help: { args: ['--help'] },
  'help before everything': { args: ['-h', '-d', '-l'] },
};

describe('ocpasswd beside Debian’s', { skip: missing('ocpasswd') }, () => {
  for (const [name, call] of Object.entries(SAME)) {
    it(`does the same: ${name}`, async () => assert.deepEqual(await ours(call), await theirs(call)));
  }

  it('says its version in the same place', async () => {
    const call = { args: ['--version'] };
    const [our, their] = [await ours(call), await theirs(call)];
    assert.deepEqual([our.code, our.stdout, our.stderr.split('\n')[0]], [their.code, their.stdout, their.stderr.split('\n')[0]]);
  });

  it('makes hashes of the same kind, that both know', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-ocpasswd-'));
    try {
      for (const command of [['ocpasswd'], [process.execPath, OURS]]) {
        const [program = '', ...first] = command;
        const file = path.join(folder, path.basename(command.at(-1) ?? ''));
        const made = await startProgram(program, [...first, '-c', file, 'alice'], 'ocpasswd', { input: 'pässword\n' });
        assert.equal((await made.finish()).code, 0);
        const hash = parsePasswordFile(readFileSync(file, 'utf8')).get('alice')?.hash ?? '';
        assert.match(hash, /^\$5\$[./\w]{16}\$[./\w]{43}$/);
        assert.equal(await new PasswordHasher().verify(new Secret('pässword'), hash), 'right');
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  for (const [first, second, outcome] of [
    ['pw', 'pw', ''],
    ['pw', 'other', 'Passwords do not match'],
  ] as const) {
    it(`asks twice at a terminal${outcome === '' ? '' : ', and says that they differ'}`, { skip: missing('script') }, async () => {
      const said: string[] = [];
      for (const command of ['ocpasswd', `${process.execPath} ${OURS}`]) {
        const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-ocpasswd-'));
        const file = path.join(folder, 'users');
        const program = await startProgram('script', ['-qec', `${command} -c ${file} alice`, '/dev/null'], 'script', {
          keepsInputOpen: true,
        });
        await program.waitFor(/Enter password: /);
        program.write(`${first}\n`);
        await program.waitFor(/Re-enter password: /);
        program.write(`${second}\n`);
        const { code, stdout } = await program.finish();
        said.push(`${code} ${existsSync(file)} ${stdout.trim()}`);
        rmSync(folder, { recursive: true });
      }
      assert.equal(said[1], said[0]);
      assert.ok(said[0]?.endsWith(outcome));
    });
  }
});

describe('ocpasswd where Debian’s is wrong', { skip: missing('ocpasswd') }, () => {
  it('keeps comments and lines that it cannot read', async () => {
    const { file } = await ours({ args: ['-c', 'FILE', '-l', 'alice'], before: `# the staff\n${TWO}what is this\n` });
    assert.equal(file, `# the staff\n${TWO.replace('alice:*:', 'alice:*:!')}what is this\n`);
  });

  it('does not run a new user into a last line without an end', async () => {
    const { file } = await ours({ args: ['-c', 'FILE', 'bob'], input: 'pw\n', before: 'alice:*:x' });
    assert.equal(file, 'alice:*:x\nbob:*:$5$SALT$HASH\n');
  });

  it('does not go on without an option that it has refused: a password would be set instead', async () => {
    const call = { args: ['-c', 'FILE', '--lock=yes', 'alice'], input: 'pw\n', before: TWO };
    const { code, stderr, file } = await ours(call);
    assert.deepEqual([code, file], [1, TWO]);
    assert.match(stderr, /^ocpasswd: option '--lock' doesn't allow an argument\n/);
    assert.notEqual((await theirs(call)).file, TWO);
  });

  it('makes no empty password of no input', async () => {
    const { code, stderr, file } = await ours({ args: ['-c', 'FILE', 'bob'] });
    assert.deepEqual([code, stderr, file], [1, 'Please specify a password\n', undefined]);
  });

  it('writes no entry that would be another one', async () => {
    for (const args of [['a:b'], [''], ['-g', 'a:b', 'carol']]) {
      const { code, file } = await ours({ args: ['-c', 'FILE', ...args], input: 'pw\n' });
      assert.deepEqual([code, file], [1, undefined]);
    }
  });
});
