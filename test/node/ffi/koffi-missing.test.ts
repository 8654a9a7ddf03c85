import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { describe, it } from 'node:test';
import { pathToFileURL } from 'node:url';
import { UnsupportedError } from '../../../src/core/errors.ts';
import { koffi, nativeLibrary } from '../../../src/node/ffi/koffi.ts';
import './hide-koffi.ts';

describe('without koffi', () => {
  it('says what to install and what still works', () => {
    for (const load of [koffi, nativeLibrary]) {
      assert.throws(
        () => load('A TUN device'),
        (error: Error) =>
          error instanceof UnsupportedError &&
          error.message.startsWith('A TUN device needs the package koffi') &&
          /Run "npm install koffi"\. Without it .* still work/.test(error.message) &&
          error.cause instanceof Error,
      );
    }
  });

  it('the packet engine does not start, and says the same', () => {
    const preload = pathToFileURL(path.join(import.meta.dirname, 'hide-koffi.ts')).href;
    const program = path.join(import.meta.dirname, '../devices/open-tun.ts');
    const output = execFileSync(process.execPath, ['--import', preload, program, 'tun0'], { encoding: 'utf8', timeout: 60_000 });
    const { code, message } = JSON.parse(output) as { code: string; message: string };
    assert.equal(code, 'ERR_UNSUPPORTED');
    assert.match(message, /^The packet engine needs the package koffi/);
  });
});
