import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import path from 'node:path';
import { arch, platform } from 'node:process';
import { describe, it } from 'node:test';
import { promisify } from 'node:util';
import { koffi } from '../../../src/node/ffi/koffi.ts';

const run = promisify(execFile);

const isLookedFor = platform === 'linux' && (arch === 'x64' || arch === 'arm64');

describe('koffi', { skip: isLookedFor ? false : 'its own JavaScript finds it here' }, () => {
  it('is its compiled part alone, which is where we look for it', () => {
    const libc = koffi('This test').load(null);
    const files = Object.keys(createRequire(import.meta.url).cache);
    assert.equal(libc.func('int getpid(void)')(), process.pid);
    assert.ok(files.some((file) => file.endsWith('/koffi.node')));
    assert.deepEqual(
      files.filter((file) => file.includes('/node_modules/koffi/')),
      [],
      'koffi’s JavaScript was loaded: has another version its compiled part elsewhere?',
    );
  });

  it('is there for a process that may read the program and its packages alone, as a worker of the gateway', async () => {
    const root = path.resolve(import.meta.dirname, '../../..');
    const fence = ['--permission', '--allow-addons', `--allow-fs-read=${root}/`];
    const program = `const { koffi } = await import('./src/node/ffi/koffi.ts'); process.stdout.write(typeof koffi('This test').load);`;
    const { stdout } = await run(process.execPath, [...fence, '--input-type=module', '--eval', program], { cwd: root, timeout: 20_000 });
    assert.equal(stdout, 'function');
  });
});
