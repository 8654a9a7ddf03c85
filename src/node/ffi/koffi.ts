/**
 * Loads koffi, the optional package that calls C functions, when it is first needed.
 *
 * Everything of Sallyport that needs it passes through here, so that a machine without it hears the same plain sentence everywhere.
 */
import { createRequire } from 'node:module';
import { UnsupportedError } from '../../core/errors.ts';

/** A bound C function. Numbers for integers and addresses, strings for `str` parameters; a variadic call names the type before each extra value. */
export type NativeFunction = (...values: readonly (number | string)[]) => number;

export interface NativeLibrary {
  /** Binds a C function by its prototype. Throws where the symbol does not exist. */
  func(prototype: string): NativeFunction;
}

interface Koffi {
  /** null: the running executable with all it is linked to: the C library and, in Node, OpenSSL. */
  load(path: null): NativeLibrary;
  address(memory: ArrayBuffer): bigint;
  /** C's errno of this thread, as the last call left it. */
  errno(): number;
}

let loaded: Koffi | undefined;

/**
 * koffi itself.
 *
 * @param purpose what could not be done without it, as the subject of a sentence: `A TUN device`
 * @throws UnsupportedError if the package is not installed, or has no build for this platform
 */
export function koffi(purpose: string): Koffi {
  if (loaded !== undefined) return loaded;
  try {
    // Not import(): callers are synchronous, and so is koffi.
    loaded = createRequire(import.meta.url)('koffi') as Koffi;
    return loaded;
  } catch (cause) {
    throw new UnsupportedError(
      `${purpose} needs the package koffi, which is not installed or has no build for this platform. Run "npm install koffi". ` +
        'Without it the userspace device, portable UDP and everything else still work.',
      { cause },
    );
  }
}

/** The running executable's own symbols and those of the libraries it is linked to. Throws {@link UnsupportedError} without koffi. */
export function nativeLibrary(purpose: string): NativeLibrary {
  return koffi(purpose).load(null);
}
