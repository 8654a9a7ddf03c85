/** Folders that have to be there before something is written into them. */
import { mkdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { SallyportError } from '../core/errors.ts';
import { systemErrorCode, systemErrorText } from './system-error.ts';

export interface FolderOptions {
  /** Of what is made. Default: what the process's mask leaves. */
  readonly mode?: number;
  /** Of the error. */
  readonly code?: string;
}

/**
 * Makes a folder and those above it, as far as they are missing. Rejects with {@link SallyportError}, which names it, if it cannot be made.
 * Not by Node's own `recursive`, which never ends below /proc (observed with 24.21).
 */
export async function makeFolder(folder: string, { mode = 0o777, code = 'ERR_FOLDER' }: FolderOptions = {}): Promise<void> {
  try {
    await make(path.resolve(folder), mode);
  } catch (cause) {
    throw new SallyportError(code, `The folder ${folder} cannot be made: ${systemErrorText(cause)}.`, { cause });
  }
}

async function make(folder: string, mode: number): Promise<void> {
  try {
    await mkdir(folder, { mode });
  } catch (error) {
    if (await isFolder(folder)) return;
    const parent = path.dirname(folder);
    if (systemErrorCode(error) !== 'ENOENT' || (await isFolder(parent))) throw error;
    await make(parent, mode);
    await mkdir(folder, { mode }).catch(async (again: unknown) => {
      if (!(await isFolder(folder))) throw again; // else another process has made it meanwhile
    });
  }
}

async function isFolder(name: string): Promise<boolean> {
  try {
    return (await stat(name)).isDirectory();
  } catch {
    return false; // it is not there, or nobody may look
  }
}
