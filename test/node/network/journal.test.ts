import assert from 'node:assert/strict';
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, beforeEach, describe, it } from 'node:test';
import { SallyportError } from '../../../src/core/errors.ts';
import { claimJournal, creatorOf, findJournals, Journal, readJournal } from '../../../src/node/network/journal.ts';
import { checkStateDirectory, hasState, prepareStateDirectory, stateDirectory } from '../../../src/node/network/state-directory.ts';
import { thisProcess } from '../../../src/node/processes/process-identity.ts';

const root = mkdtempSync(path.join(tmpdir(), 'sallyport-journal-'));
after(() => rmSync(root, { recursive: true }));
let directory = root;
let count = 0;
beforeEach(() => {
  directory = path.join(root, String(++count), 'state');
});

async function onlyFile(): Promise<string> {
  const [found, ...others] = await findJournals(directory);
  assert.ok(found !== undefined && others.length === 0);
  return found.file;
}

/** Makes a journal look like that of a process that is gone. */
async function abandon(): Promise<void> {
  const file = await onlyFile();
  renameSync(file, file.replace(/\.\d+-\d+\.jsonl$/, '.999999999-1.jsonl'));
}

describe('a journal', () => {
  it('says what it is, and holds what was appended, in order', async () => {
    const journal = Journal.create(directory, 'network', { name: 'tun0', index: 7 });
    journal.append([{ a: 1 }, { b: 'line\nfeed' }]);
    journal.append([{ c: 3 }]);
    const content = await readJournal(await onlyFile());
    assert.deepEqual(content?.entries, [{ a: 1 }, { b: 'line\nfeed' }, { c: 3 }]);
    const { kind, device, boot } = content?.header ?? {};
    assert.deepEqual({ kind, device }, { kind: 'network', device: { name: 'tun0', index: 7 } });
    assert.equal(boot, readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim());
    assert.deepEqual(creatorOf(journal.name), thisProcess());
    journal.remove();
    assert.deepEqual(readdirSync(directory), []);
  });

  it('is for its owner alone', async () => {
    const journal = Journal.create(directory, 'network');
    assert.equal(statSync(await onlyFile()).mode & 0o777, 0o600);
    assert.equal(statSync(directory).mode & 0o777, 0o700);
    journal.remove();
  });

  it('is rewritten as a whole', async () => {
    const journal = Journal.create(directory, 'script');
    journal.append([{ a: 1 }]);
    journal.rewrite([{ b: 2 }]);
    journal.append([{ c: 3 }]);
    assert.deepEqual((await readJournal(await onlyFile()))?.entries, [{ b: 2 }, { c: 3 }]);
    journal.remove();
    assert.deepEqual(readdirSync(directory), []);
  });

  it('has a limit, which it meets before it writes', async () => {
    const journal = Journal.create(directory, 'network');
    const big = { x: 'x'.repeat(3_000_000) };
    journal.append([big]);
    assert.throws(() => journal.append([big]), { code: 'ERR_JOURNAL' });
    assert.throws(() => journal.rewrite([big, big]), { code: 'ERR_JOURNAL' });
    journal.append([{ a: 1 }]);
    assert.deepEqual((await readJournal(await onlyFile()))?.entries, [big, { a: 1 }]);
    journal.remove();
  });

  it('leaves out a last line that was cut short', async () => {
    const journal = Journal.create(directory, 'network');
    journal.append([{ a: 1 }]);
    appendFileSync(await onlyFile(), '{"b":2}');
    assert.deepEqual((await readJournal(await onlyFile()))?.entries, [{ a: 1 }]);
    journal.remove();
  });

  it('says nothing while it is empty', async () => {
    const journal = Journal.create(directory, 'network');
    const file = await onlyFile();
    for (const text of ['', '{"version":1']) {
      writeFileSync(file, text);
      assert.equal(await readJournal(file), undefined);
    }
    journal.remove();
  });

  it('is not read where it is damaged, newer than we are, too long, a link, or no journal', async () => {
    const journal = Journal.create(directory, 'network');
    const file = await onlyFile();
    const header = readFileSync(file, 'utf8');
    const texts = [`${header}nonsense\n`, header.replace('"version":1', '"version":2'), '{}\n', 'null\n', 'x'.repeat(5_000_000)];
    for (const text of texts) {
      writeFileSync(file, text);
      await assert.rejects(readJournal(file), SallyportError);
    }
    symlinkSync(file, path.join(directory, 'link'));
    await assert.rejects(readJournal(path.join(directory, 'link')), { code: 'ELOOP' });
    journal.remove();
  });

  it('belongs to its process while that lives, and then to the one that takes it over first', async () => {
    const journal = Journal.create(directory, 'network');
    const [live] = await findJournals(directory);
    assert.ok(live !== undefined);
    assert.equal(await claimJournal(live), undefined);
    await abandon();
    const [dead] = await findJournals(directory);
    assert.ok(dead !== undefined);
    const claims = await Promise.all([claimJournal(dead), claimJournal(dead), claimJournal(dead)]);
    const [claimed, ...others] = claims.filter((claim) => claim !== undefined);
    assert.equal(others.length, 0);
    assert.equal(claimed?.name, journal.name);
    assert.deepEqual(claimed?.owner, thisProcess());
    assert.ok(existsSync(claimed?.file ?? ''));
    journal.remove();
  });

  it('is found among other files, and an unfinished rewrite of a dead process is removed', async () => {
    const journal = Journal.create(directory, 'network');
    const { pid, startTime } = thisProcess();
    const files = ['1-2-3.999999999-1.jsonl.new', `1-2-3.${pid}-${startTime}.jsonl.new`, 'README', '../x.1-2.jsonl', 'a.b-c.jsonl'];
    for (const name of files.filter((one) => !one.includes('/'))) writeFileSync(path.join(directory, name), '');
    assert.deepEqual(
      (await findJournals(directory)).map(({ name }) => name),
      [journal.name],
    );
    assert.ok(!existsSync(path.join(directory, files[0] ?? '')));
    assert.ok(existsSync(path.join(directory, files[1] ?? '')));
    journal.remove();
  });
});

describe('the folder of the journals', () => {
  it('is a place of the user: the system for root, the session for others', () => {
    assert.equal(stateDirectory({}, 0), '/run/sallyport');
    assert.equal(stateDirectory({ XDG_RUNTIME_DIR: '/run/user/7' }, 0), '/run/sallyport', "root has root's, whatever sudo has kept");
    assert.equal(stateDirectory({ XDG_RUNTIME_DIR: '/run/user/7' }, 7), '/run/user/7/sallyport');
    assert.equal(stateDirectory({ XDG_RUNTIME_DIR: 'relative' }, 7), path.join(tmpdir(), 'sallyport-7'));
  });

  it('has something in it or not, and what is no folder is not overlooked', () => {
    assert.equal(hasState(directory), false);
    prepareStateDirectory(directory);
    assert.equal(hasState(directory), false);
    const file = path.join(directory, 'file');
    writeFileSync(file, '');
    assert.equal(hasState(directory), true);
    assert.equal(hasState(file), true);
  });

  it('is refused where others can write to it, or where it is something else', async () => {
    assert.equal(checkStateDirectory(directory), false);
    prepareStateDirectory(directory);
    assert.equal(checkStateDirectory(directory), true);
    chmodSync(directory, 0o770);
    assert.throws(() => prepareStateDirectory(directory), { code: 'ERR_STATE_DIRECTORY' });
    assert.throws(() => prepareStateDirectory('/proc/sallyport'), { code: 'ERR_STATE_DIRECTORY' }, 'one that cannot be made');
    const elsewhere = path.join(path.dirname(directory), 'link');
    mkdirSync(`${elsewhere}-target`);
    symlinkSync(`${elsewhere}-target`, elsewhere);
    assert.throws(() => checkStateDirectory(elsewhere), { code: 'ERR_STATE_DIRECTORY' });
  });
});
