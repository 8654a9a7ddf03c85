import assert from 'node:assert/strict';
import { registerHooks } from 'node:module';
import { it } from 'node:test';
import { UnsupportedError } from '../../../src/core/errors.ts';
import { koffi, nativeLibrary } from '../../../src/node/ffi/koffi.ts';

it('says what to install and what still works where koffi is missing', () => {
  registerHooks({
    resolve(specifier, context, next) {
      if (specifier === 'koffi') throw new Error("Cannot find package 'koffi'");
      return next(specifier, context);
    },
  });
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
