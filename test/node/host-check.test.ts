import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { HostCheckRequest } from '../../src/core/auth/login-io.ts';
import { CancelledError, UnsupportedError } from '../../src/core/errors.ts';
import { checkHost } from '../../src/node/host-check.ts';
import { RecordedLog } from '../support/forms.ts';
import { HANG_LIMIT } from '../support/size.ts';
import { SOMEBODY, withoutRights } from '../support/without-rights.ts';

const REQUEST: HostCheckRequest = {
  arguments: ['-ticket', '"T"', '-url', '"https://h/+CSCOE+/sdesktop/start.html"', '-langselen'],
  environment: { CSD_SHA256: 'abc=', CSD_TOKEN: 'token', CSD_HOSTNAME: 'vpn.example' },
};

describe('host check', { skip: process.platform === 'win32' && 'it has no such programs', timeout: HANG_LIMIT }, () => {
  let folder = '';
  before(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'sallyport-check-'));
    chmodSync(folder, 0o777); // for wrappers that another user runs
  });
  after(() => rmSync(folder, { recursive: true }));

  const { signal } = new AbortController();

  /** A program of the user's, made of shell commands. */
  const wrapper = (name: string, commands: string): string => {
    const file = path.join(folder, name);
    writeFileSync(file, `#!/bin/sh\n${commands}\n`, { mode: 0o755 });
    return file;
  };
  const written = (name: string) => readFileSync(path.join(folder, name), 'utf8');

  it('hands arguments and environment to the wrapper', async () => {
    const log = new RecordedLog();
    const program = wrapper(
      'tells',
      `printf '<%s>' "$@" >${folder}/arguments; echo "$CSD_SHA256 $CSD_TOKEN $CSD_HOSTNAME" >${folder}/environment`,
    );
    await checkHost(REQUEST, { wrapper: program, signal, log });
    assert.equal(written('arguments'), '<><-ticket><"T"><-url><"https://h/+CSCOE+/sdesktop/start.html"><-langselen>');
    assert.equal(written('environment'), 'abc= token vpn.example\n');
    assert.deepEqual(log.lines, []);
  });

  it('hands over what the gateway sent as a file that nobody can run, and removes it', async () => {
    const program = wrapper('keeps', `cp "$1" ${folder}/stub; ls -l "$1" >${folder}/mode; echo "$1" >${folder}/name`);
    await checkHost({ ...REQUEST, stub: Buffer.from('#!/bin/sh\nexit 1\n') }, { wrapper: program, signal, log: new RecordedLog() });
    assert.equal(written('stub'), '#!/bin/sh\nexit 1\n');
    assert.match(written('mode'), /^-rw-------/);
    assert.ok(!existsSync(path.dirname(written('name').trim())));
  });

  const withTmpdir = async (place: string, run: () => Promise<void>) => {
    const { TMPDIR } = process.env;
    process.env.TMPDIR = place;
    try {
      await run();
    } finally {
      if (TMPDIR === undefined) delete process.env.TMPDIR;
      else process.env.TMPDIR = TMPDIR;
    }
  };

  it('finds a place for it where $TMPDIR is none', async () => {
    const program = wrapper('looks', `cat "$1" >${folder}/looked`);
    await withTmpdir(path.join(folder, 'nowhere'), () =>
      checkHost({ ...REQUEST, stub: Buffer.from('stub') }, { wrapper: program, signal, log: new RecordedLog() }),
    );
    assert.equal(written('looked'), 'stub');
  });

  it('finds another where $TMPDIR has room for a folder alone, and leaves none there', {
    skip: process.platform !== 'linux' && 'paths have another length',
  }, async () => {
    const longest = 4_095; // of a path; as a full disk it takes the folder, and not the file in it
    let place = folder;
    while (place.length < longest - 250) place = path.join(place, 'p'.repeat(200));
    place = path.join(place, 'p'.repeat(longest - place.length - '//csd-XXXXXX'.length));
    mkdirSync(place, { recursive: true });
    const program = wrapper('looks', `cat "$1" >${folder}/looked-on`);
    await withTmpdir(place, () =>
      checkHost({ ...REQUEST, stub: Buffer.from('stub') }, { wrapper: program, signal, log: new RecordedLog() }),
    );
    assert.equal(written('looked-on'), 'stub');
    assert.deepEqual(readdirSync(place), []);
  });

  it('goes on where we may not become who is to run the wrapper', async () => {
    const log = new RecordedLog();
    await withoutRights(() => checkHost(REQUEST, { wrapper: wrapper('other', 'exit 0'), user: SOMEBODY, signal, log }));
    assert.match(log.lines.join('\n'), /host check failed.*Operation not permitted/);
  });

  it('goes on where we may not give what the gateway sent to who is to run the wrapper', () => {
    const code = `import { checkHost } from ${JSON.stringify(path.resolve(import.meta.dirname, '../../src/node/host-check.ts'))};
      if (process.getuid() === 0) process.setuid(65534);
      const options = { wrapper: '/bin/true', user: ${JSON.stringify(SOMEBODY)}, signal: new AbortController().signal };
      const log = { log: (level, event, { outcome }) => console.log(event, outcome) };
      await checkHost({ ...${JSON.stringify(REQUEST)}, stub: Buffer.from('stub') }, { ...options, log });`;
    const { stdout } = spawnSync(process.execPath, ['--no-warnings', '--input-type=module', '-e', code], { encoding: 'utf8' });
    assert.equal(stdout, 'host check failed Operation not permitted\n');
  });

  it('goes on after a wrapper that fails: the gateway decides', async () => {
    const cases = [
      [wrapper('fails', 'exit 3'), 'returned error 3'],
      [wrapper('dies', 'kill -9 $$'), 'ended by SIGKILL'],
      [path.join(folder, 'nosuch'), 'No such file or directory'],
    ] as const;
    for (const [program, outcome] of cases) {
      const log = new RecordedLog();
      await checkHost(REQUEST, { wrapper: program, signal, log });
      assert.deepEqual(log.lines, [`warn host check failed wrapper=${program} outcome=${outcome}`]);
    }
  });

  it('runs nothing without a wrapper, and says which option names one', async () => {
    await assert.rejects(checkHost(REQUEST, { signal, log: new RecordedLog() }), (error) => {
      return error instanceof UnsupportedError && error.message.includes('--csd-wrapper');
    });
  });

  it('runs the wrapper as another user, who may read the stub', { skip: process.getuid?.() !== 0 && 'only root may' }, async () => {
    const nobody = { uid: 65_534, gid: 65_534, name: 'nobody', home: '/nonexistent' };
    const program = wrapper('as-user', `{ id -u; id -G; echo "$HOME $USER"; cat "$1"; } >${folder}/who`);
    const log = new RecordedLog();
    await checkHost({ ...REQUEST, stub: Buffer.from('stub') }, { wrapper: program, user: nobody, signal, log });
    assert.deepEqual(log.lines, []);
    assert.equal(written('who'), '65534\n65534\n/nonexistent nobody\nstub');
  });

  it('ends with the wrapper when it is cancelled', async () => {
    const controller = new AbortController();
    const started = path.join(folder, 'started');
    const program = wrapper('waits', `echo $$ "$1" >${started}.new; mv ${started}.new ${started}; exec sleep 60`);
    const checking = checkHost(
      { ...REQUEST, stub: Buffer.from('x') },
      { wrapper: program, signal: controller.signal, log: new RecordedLog() },
    );
    while (!existsSync(started)) await new Promise(setImmediate);
    controller.abort();
    await assert.rejects(checking, CancelledError);
    const [pid = '', stub = ''] = written('started').trim().split(' ');
    while (spawnSync('kill', ['-0', pid]).status === 0) await new Promise(setImmediate);
    assert.ok(!existsSync(path.dirname(stub)));
  });

  it('says what the wrapper says on standard error, even where standard output is for a result', () => {
    const program = wrapper('speaks', 'echo spoken');
    const code = `import { checkHost } from ${JSON.stringify(path.resolve(import.meta.dirname, '../../src/node/host-check.ts'))};
      const request = ${JSON.stringify(REQUEST)};
      await checkHost(request, { wrapper: ${JSON.stringify(program)}, signal: new AbortController().signal, log: { log() {} } });
      console.log('result');`;
    const { stdout, stderr } = spawnSync(process.execPath, ['--no-warnings', '--input-type=module', '-e', code], { encoding: 'utf8' });
    assert.deepEqual([stdout, stderr], ['result\n', 'spoken\n']);
  });
});
