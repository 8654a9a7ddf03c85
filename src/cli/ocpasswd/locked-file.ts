/** Replaces the password file the way ocpasswd does: what is written next to it as `FILE.tmp` locks it for others, and takes its place. */
import { open, readFile, rename, rm } from 'node:fs/promises';
import { SallyportError } from '../../core/errors.ts';
import { systemErrorCode } from '../../node/system-error.ts';

/** Observed: whatever mode the file had before. */
const OWNER_ONLY = 0o600;

/** In ocpasswd's words. */
export class PasswordFileError extends SallyportError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_PASSWORD_FILE', message, options);
  }
}

/** @param mustExist a file that is not there is an error, and not an empty one */
export async function rewriteLocked(file: string, mustExist: boolean, edit: (text: string) => string): Promise<void> {
  if (mustExist) await read(file, mustExist); // Observed: said before anything about the lock
  const temporary = `${file}.tmp`;
  await using handle = await lock(file, temporary);
  try {
    await handle.writeFile(edit(await read(file, mustExist)), 'latin1');
    await handle.sync();
    await rename(temporary, file);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

async function lock(file: string, temporary: string) {
  try {
    return await open(temporary, 'wx', OWNER_ONLY);
  } catch (cause) {
    if (systemErrorCode(cause) === 'EEXIST') throw new PasswordFileError(`file '${file}' is locked.`, { cause });
    throw new PasswordFileError(`Cannot open '${temporary}' for writing.`, { cause });
  }
}

async function read(file: string, mustExist: boolean): Promise<string> {
  try {
    // Latin-1 keeps every byte as it is.
    return await readFile(file, 'latin1');
  } catch (cause) {
    if (!mustExist && systemErrorCode(cause) === 'ENOENT') return '';
    throw new PasswordFileError(`Cannot open '${file}' for reading.`, { cause });
  }
}
