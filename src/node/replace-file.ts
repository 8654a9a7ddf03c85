/** Replaces a file as a whole: whoever reads it sees the old content or the new one, never a part. */
import { open, rename, rm, stat } from 'node:fs/promises';

/** Mode of a file that was not there before: the user's own. */
const NEW_FILE_MODE = 0o600;

/** The new file has the mode of the old one. Rejects as Node's file system does; then the old file is as it was. */
export async function replaceFile(file: string, content: Uint8Array): Promise<void> {
  const temporary = `${file}.${process.pid}.new`;
  const mode = await modeOf(file);
  try {
    await using handle = await open(temporary, 'wx', mode);
    await handle.writeFile(content);
    await handle.sync();
    await rename(temporary, file);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

async function modeOf(file: string): Promise<number> {
  try {
    return (await stat(file)).mode & 0o7777;
  } catch {
    return NEW_FILE_MODE; // it is not there, or the rename will say what is wrong
  }
}
