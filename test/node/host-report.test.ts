import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os, { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { CancelledError } from '../../src/core/errors.ts';
import { hostFacts, reportOnHost } from '../../src/node/host-report.ts';
import { RecordedLog } from '../support/forms.ts';
import { HANG_LIMIT } from '../support/size.ts';
import { SOMEBODY, withoutRights } from '../support/without-rights.ts';

const REQUEST = { arguments: ['--cookie', 'user=alice', '--md5', 'ab'], environment: { APP_VERSION: '6.3.3' } };

describe('host report', { skip: process.platform === 'win32' && 'it has no such programs', timeout: HANG_LIMIT }, () => {
  let folder = '';
  before(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'sallyport-report-'));
  });
  after(() => rmSync(folder, { recursive: true }));

  const wrapper = (name: string, commands: string): string => {
    const file = path.join(folder, name);
    writeFileSync(file, `#!/bin/sh\n${commands}\n`, { mode: 0o755 });
    return file;
  };
  const { signal } = new AbortController();

  it('is what the wrapper writes, with its arguments and environment', async () => {
    const report = await reportOnHost(REQUEST, {
      ...{ wrapper: wrapper('writes', 'echo "$APP_VERSION"; printf "<%s>" "$@"'), signal, log: new RecordedLog() },
    });
    assert.ok(report?.kind === 'written');
    assert.equal(Buffer.from(report.bytes).toString(), '6.3.3\n<--cookie><user=alice><--md5><ab>');
  });

  it('is none where the wrapper fails, or writes without end', async () => {
    const cases = [
      [wrapper('fails', 'echo half; exit 3'), 'returned error 3'],
      [wrapper('floods', 'trap "" TERM; exec cat /dev/zero'), 'wrote more than 1048576 bytes'],
      [path.join(folder, 'nosuch'), 'No such file or directory'],
    ] as const;
    for (const [program, outcome] of cases) {
      const log = new RecordedLog();
      assert.equal(await reportOnHost(REQUEST, { wrapper: program, signal, log }), undefined);
      assert.match(log.lines.join('\n'), new RegExp(outcome));
    }
  });

  it('is what was written when the wrapper has ended, though a program that it has left running holds its output open', async () => {
    const left = path.join(folder, 'left');
    const program = wrapper('leaves', `sleep 60 & echo $! >${left}; echo report`);
    const report = await reportOnHost(REQUEST, { wrapper: program, signal, log: new RecordedLog() });
    process.kill(Number(readFileSync(left, 'utf8')));
    assert.ok(report?.kind === 'written');
    assert.equal(Buffer.from(report.bytes).toString(), 'report\n');
  });

  it('is none where we may not become who is to run the wrapper, which is said in words', async () => {
    const log = new RecordedLog();
    const options = { wrapper: wrapper('other', 'echo report'), user: SOMEBODY, signal, log };
    assert.equal(await withoutRights(() => reportOnHost(REQUEST, options)), undefined);
    assert.match(log.lines.join('\n'), /host report failed.*Operation not permitted/);
  });

  it('is given up with the wrapper when nobody wants it any more', async () => {
    const cancel = new AbortController();
    const reporting = reportOnHost(REQUEST, { wrapper: wrapper('waits', 'exec sleep 60'), signal: cancel.signal, log: new RecordedLog() });
    cancel.abort();
    await assert.rejects(reporting, CancelledError);
  });

  it('is what is true of this machine where there is no wrapper', async () => {
    const report = await reportOnHost(REQUEST, { signal, log: new RecordedLog() });
    assert.deepEqual(report, { kind: 'facts', facts: hostFacts() });
    const { os: name, interfaces } = hostFacts();
    assert.notEqual(name, '');
    const outward = Object.entries(os.networkInterfaces()).filter(([, all = []]) => all.some(({ internal }) => !internal));
    assert.deepEqual(
      interfaces.map((each) => each.name),
      outward.map(([each]) => each),
    );
  });
});
