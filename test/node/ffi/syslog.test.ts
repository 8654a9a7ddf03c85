/** The system's log is /dev/log: in a mount namespace of its own the test listens there. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { it } from 'node:test';
import { missing } from '../../support/requirements.ts';

it('writes lines to the system log, with % as it is and without what a C string cannot hold', { skip: missing('root', 'unshare') }, () => {
  const dev = mkdtempSync(path.join(tmpdir(), 'sallyport-dev-'));
  const fixture = path.join(import.meta.dirname, 'syslog-listener.ts');
  const script = `mount --bind ${dev} /dev && exec "${process.execPath}" "${fixture}"`;
  let lines: string[];
  try {
    lines = JSON.parse(execFileSync('unshare', ['--mount', '/bin/sh', '-c', script], { encoding: 'utf8', timeout: 60_000 }));
  } finally {
    rmSync(dev, { recursive: true });
  }
  assert.match(lines[0] ?? '', /^<30>.* openconnect\[\d+\]: 100%s done$/); // facility daemon (3 << 3) with severity info (6)
  assert.match(lines[1] ?? '', /^<27>.* openconnect\[\d+\]: cut here$/);
});
