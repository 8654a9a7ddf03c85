import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import path from 'node:path';
import { arch, platform } from 'node:process';
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

  it('is found behind the fence of a gateway’s worker, which reads nothing but the program and its packages', () => {
    const root = path.resolve(import.meta.dirname, '../../..');
    const module = path.join(root, 'src/node/ffi/koffi.ts');
    const script = `import { koffi } from ${JSON.stringify(module)}; console.log(koffi('This').load(null).func('int getpid(void)')() === process.pid)`;
    const packages = path.dirname(path.dirname(createRequire(import.meta.url).resolve('koffi')));
    const fence = ['--permission', '--allow-addons', `--allow-fs-read=${root}/`, `--allow-fs-read=${packages}/`];
    const { stdout, stderr } = spawnSync(process.execPath, [...fence, '--input-type=module', '-e', script], { encoding: 'utf8' });
    assert.equal(stdout, 'true\n', stderr);
  });
});
