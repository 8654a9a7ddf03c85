/**
 * Loads koffi, the optional package that calls C functions, when it is first needed.
 *
 * Everything of Sallyport that needs it passes through here, so that a machine without it hears the same plain sentence everywhere.
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { machine } from 'node:os';
import { UnsupportedError } from '../../core/errors.ts';

/** A bound C function. Numbers for integers and addresses, strings for `str` parameters; a variadic call names the type before each extra value. */
export type NativeFunction = (...values: readonly (number | string)[]) => number;

/** A bound C function that returns text, called on a thread of the pool: the last value is the call-back. null: C's NULL. */
export interface NativeTextFunction {
  async(...values: readonly (number | string | ((error: unknown, result: string | null) => void))[]): void;
}

export interface NativeLibrary {
  /** Binds a C function by its prototype. Throws where the symbol does not exist. */
  func(prototype: string): NativeFunction;
}

interface Koffi {
  /** null: the running executable with all it is linked to: the C library and, in Node, OpenSSL. Else a library by its name or path. */
  load(path: string | null): NativeLibrary;
  address(memory: ArrayBuffer): bigint;
  /** C's errno of this thread, as the last call left it. */
  errno(): number;
  /** A call-back's type by its prototype. */
  proto(prototype: string): object;
  pointer(type: object): object;
  /** Makes a C function of a call-back, to be called by C in this thread while it lives: its address. */
  register(callback: (...values: readonly number[]) => number, type: object): bigint;
  /** Reads a value of C's memory: set-up calls only, and only what C says is there. */
  decode(address: bigint, offset: number, type: 'uintptr_t' | 'uint32_t' | 'int'): number;
  decode(address: bigint, offset: number, type: 'str'): string | null;
  /** Writes a value into C's memory. */
  encode(address: bigint, offset: number, type: 'uintptr_t' | 'int', value: number): void;
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
    const require = createRequire(import.meta.url);
    loaded = nativePart(require) ?? (require('koffi') as Koffi);
    return loaded;
  } catch (cause) {
    throw new UnsupportedError(
      `${purpose} needs the package koffi, which is not installed or has no build for this platform. Run "npm install koffi". ` +
        'Without it the userspace device, portable UDP and everything else still work.',
      { cause },
    );
  }
}

/**
 * koffi's compiled part alone, which has all that we use: the JavaScript around it takes nine times as long to load, some 8 ms, for finding it and for
 * names that are deprecated. Undefined where it is not where we look for it.
 */
function nativePart(require: NodeJS.Require): Koffi | undefined {
  const { platform, arch } = process;
  try {
    // That of musl has a folder of its own; who has both C libraries asks koffi which one it is, as does who may not look (a gateway's worker).
    if (platform !== 'linux' || existsSync(`/lib/ld-musl-${machine()}.so.1`)) return undefined;
    return require(`@koromix/koffi-${platform}-${arch}/${platform}_${arch}/koffi.node`) as Koffi;
  } catch {
    return undefined; // another version, another package manager or another processor: koffi itself knows where it is, or that it is missing
  }
}

/** The running executable's own symbols and those of the libraries it is linked to. Throws {@link UnsupportedError} without koffi. */
export function nativeLibrary(purpose: string): NativeLibrary {
  return koffi(purpose).load(null);
}
