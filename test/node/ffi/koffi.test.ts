import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';
import path from 'node:path';
import { arch, execPath, platform } from 'node:process';
import { describe, it } from 'node:test';
import { koffi } from '../../../src/node/ffi/koffi.ts';

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

  it('is found by a process that may read nothing but the package, as a worker of the gateway is', () => {
    const root = path.resolve(import.meta.dirname, '../../..');
    const program =
      "import { koffi } from './src/node/ffi/koffi.ts'; console.log(koffi('This test').load(null).func('int getpid(void)')() > 0)";
    const may = ['--permission', '--allow-addons', `--allow-fs-read=${root}`];
    assert.equal(
      execFileSync(execPath, [...may, '--input-type=module-typescript', '-e', program], { cwd: root, encoding: 'utf8' }),
      'true\n',
    );
  });
});
