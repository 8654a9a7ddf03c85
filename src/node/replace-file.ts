/** Replaces a file as a whole: whoever reads it sees the old content or the new one, never a part. In place, where that is allowed, it may be one. */
import type { Stats } from 'node:fs';
import { open, realpath, rename, rm, stat } from 'node:fs/promises';
import { systemErrorCode } from './system-error.ts';

/** Mode of a file that was not there before: the user's own. */
const NEW_FILE_MODE = 0o600;

/** So that two replacements at once do not meet. */
let replacements = 0;

/** The folder is closed to us, or the file is a mount point, as containers have them: the file itself need not be closed. */
const ONLY_IN_PLACE: readonly (string | undefined)[] = ['EACCES', 'EROFS', 'EBUSY'];

export interface ReplaceOptions {
  /**
   * A file that cannot be replaced is written in place, if there is one: for users' files, which may stand in folders that are closed to them. Who reads it
   * meanwhile may see a part, and one is left where the disk is full or the power fails. Default: false.
   */
  readonly mayWriteInPlace?: boolean;
}

/** Mode and owner stay as they were, and a link stays one. Rejects as Node's file system does; then the old file is as it was, but for one written in place. */
export async function replaceFile(file: string, content: Uint8Array, { mayWriteInPlace = false }: ReplaceOptions = {}): Promise<void> {
  const target = await unlessMissing(realpath(file), file);
  const before = await unlessMissing(stat(target), undefined);
  try {
    await replace(target, before, content);
  } catch (error) {
    if (!mayWriteInPlace || before === undefined || !ONLY_IN_PLACE.includes(systemErrorCode(error))) throw error;
    await writeInPlace(target, content);
  }
}

async function writeInPlace(target: string, content: Uint8Array): Promise<void> {
  await using handle = await open(target, 'r+');
  await handle.writeFile(content);
  await handle.truncate(content.length);
  await handle.sync();
}

async function replace(target: string, before: Stats | undefined, content: Uint8Array): Promise<void> {
  const temporary = `${target}.${process.pid}.${++replacements}.new`;
  await rm(temporary, { force: true }); // of a process that was killed in the middle, and had the same number
  try {
    await using handle = await open(temporary, 'wx', NEW_FILE_MODE);
    if (before !== undefined) {
      await handle.chown(before.uid, before.gid);
      await handle.chmod(before.mode & 0o7777); // after chown, which takes bits away
    }
    await handle.writeFile(content);
    await handle.sync();
    await rename(temporary, target);
  } catch (error) {
    if (systemErrorCode(error) !== 'EEXIST') await rm(temporary, { force: true });
    throw error;
  }
}

async function unlessMissing<T, U>(found: Promise<T>, otherwise: U): Promise<T | U> {
  try {
    return await found;
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return otherwise;
    throw error;
  }
}
