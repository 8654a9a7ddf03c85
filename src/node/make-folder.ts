/** Folders that have to be there before something is written into them. */
import { mkdirSync, statSync } from 'node:fs';
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
 * Makes a folder and those above it, as far as they are missing. Throws {@link SallyportError}, which names it, if it cannot be made.
 * Not by Node's own `recursive`, which never ends below /proc (observed with 24.21).
 */
export function makeFolder(folder: string, { mode = 0o777, code = 'ERR_FOLDER' }: FolderOptions = {}): void {
  try {
    make(path.resolve(folder), mode);
  } catch (cause) {
    throw new SallyportError(code, `The folder ${folder} cannot be made: ${systemErrorText(cause)}.`, { cause });
  }
}

function make(folder: string, mode: number): void {
  try {
    mkdirSync(folder, { mode });
  } catch (error) {
    if (isFolder(folder)) return;
    const parent = path.dirname(folder);
    if (systemErrorCode(error) !== 'ENOENT' || isFolder(parent)) throw error;
    make(parent, mode);
    try {
      mkdirSync(folder, { mode });
    } catch (again) {
      if (!isFolder(folder)) throw again; // else another process has made it meanwhile
    }
  }
}

function isFolder(name: string): boolean {
  try {
    return statSync(name).isDirectory();
  } catch {
    return false; // it is not there, or nobody may look
  }
}
