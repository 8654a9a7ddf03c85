/** The client profile that a user keeps (`--xmlconfig`), which a gateway may replace. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { ProfileStore } from '../core/auth/login-io.ts';
import { SallyportError } from '../core/errors.ts';
import { replaceFile } from './replace-file.ts';
import { systemErrorCode, systemErrorText } from './system-error.ts';

export class ProfileFile implements ProfileStore {
  readonly #file: string;

  constructor(file: string) {
    this.#file = file;
  }

  async sha1(): Promise<string | undefined> {
    try {
      return createHash('sha1')
        .update(await readFile(this.#file))
        .digest('hex')
        .toUpperCase();
    } catch (error) {
      if (systemErrorCode(error) === 'ENOENT') return undefined;
      throw profileError(this.#file, 'read', error);
    }
  }

  async replace(profile: Uint8Array): Promise<void> {
    try {
      await replaceFile(this.#file, profile, { mayWriteInPlace: true });
    } catch (error) {
      throw profileError(this.#file, 'written', error);
    }
  }
}

function profileError(file: string, verb: 'read' | 'written', cause: unknown): SallyportError {
  return new SallyportError('ERR_PROFILE', `The profile ${file} cannot be ${verb}: ${systemErrorText(cause)}`, { cause });
}
