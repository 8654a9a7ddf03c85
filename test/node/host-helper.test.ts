import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { CancelledError, NetworkError } from '../../src/core/errors.ts';
import { readCheckResult, renderStart } from '../../src/core/protocols/nc/host-checker.ts';
import { fromUtf8, utf8 } from '../../src/core/wire/text.ts';
import { startHostHelper } from '../../src/node/host-helper.ts';
import { RecordedLog } from '../support/forms.ts';
import { HANG_LIMIT } from '../support/size.ts';
import { SOMEBODY, withoutRights } from '../support/without-rights.ts';

const REQUEST = { arguments: ['vpn.example'], environment: { TNCC_SHA256: 'abc=', TNCC_HOSTNAME: 'laptop' } };

describe('a host checker that goes on speaking', {
  skip: process.platform === 'win32' && 'it has no such programs',
  timeout: HANG_LIMIT,
}, () => {
  let folder = '';
  before(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'sallyport-helper-'));
  });
  const all = new AbortController();
  after(async () => {
    all.abort();
    while (!readFileSync(path.join(folder, 'heard'), 'utf8').endsWith('end\n')) await setImmediate(); // the last that is written there
    rmSync(folder, { recursive: true });
  });

  const start = (name: string, commands: string, signal = all.signal) => {
    const wrapper = path.join(folder, name);
    writeFileSync(wrapper, `#!/bin/sh\n${commands}\n`, { mode: 0o755 });
    return startHostHelper({ wrapper, signal, log: new RecordedLog() })(REQUEST);
  };

  it('has its standard input in both directions, and is told of the gateway', async () => {
    const answer = `echo "$1 $TNCC_SHA256 $TNCC_HOSTNAME" >${folder}/told; while read line; do echo "$line" >>${folder}/heard; case "$line" in DSSIGNIN*) printf '200\\n3\\nafter\\n60\\n\\n' >&0;; esac; done; echo end >>${folder}/heard`;
    const checker = await start('answers', answer);
    checker.write(renderStart('vpn.example', 'before', undefined));
    assert.deepEqual(await readCheckResult(checker), { cookie: 'after', interval: 60_000 });
    assert.equal(readFileSync(path.join(folder, 'told'), 'utf8'), 'vpn.example abc= laptop\n');
    assert.equal(readFileSync(path.join(folder, 'heard'), 'utf8'), 'start\nIC=vpn.example\nCookie=before\nDSSIGNIN=null\n');
  });

  it('is told the same again and again', async () => {
    const checker = await start('echoes', 'while read line; do echo "heard $line" >&0; done');
    checker.repeat(utf8('again\n'), 10);
    let heard = '';
    while (!heard.includes('heard again\nheard again\n')) heard += fromUtf8(await checker.read());
  });

  it('is missed where it has ended, or never was, and waited for no longer than the log-in', async () => {
    await assert.rejects((await start('ends', 'exit 3')).read(), NetworkError);
    const missing = startHostHelper({ wrapper: path.join(folder, 'nosuch'), signal: all.signal, log: new RecordedLog() });
    await assert.rejects((await missing(REQUEST)).read(), NetworkError);
    const user = startHostHelper({ wrapper: path.join(folder, 'ends'), signal: all.signal, log: new RecordedLog(), user: SOMEBODY });
    const refused = withoutRights(() => user(REQUEST));
    await assert.rejects(refused, (error) => error instanceof NetworkError && /Operation not permitted/.test(error.message));
    const controller = new AbortController();
    const checker = await start('waits', `while read line; do echo $line >&0; done; echo over >${folder}/over`, controller.signal);
    checker.write(utf8('a\n'));
    assert.equal(fromUtf8(await checker.read()), 'a\n');
    const reading = checker.read();
    controller.abort();
    await assert.rejects(reading, CancelledError);
    while (!existsSync(path.join(folder, 'over'))) await setImmediate(); // it has seen the end
    await assert.rejects(start('late', 'exit 0', controller.signal), CancelledError);
  });
});
