/**
 * Reads a small system file and puts another in its place, all at once: whoever reads it sees the old content or the new, never half of it.
 * A file that is a mount point (`ip netns exec` and containers mount one over /etc/resolv.conf) cannot be replaced; it is written in place.
 */
import { type FileHandle, mkdir, open, readFile, readlink, realpath, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { SallyportError } from '../../core/errors.ts';

/** A system file that is longer is not what we take it for. */
const MAX_FILE_BYTES = 256 * 1024;
/** Links that point to links: as many as the kernel follows. */
const MAX_LINKS = 40;

/** The bytes of a file as Latin-1, or null if it is not there. Throws {@link SallyportError} if it is too long. */
export async function readTextFile(file: string): Promise<string | null> {
  let bytes: Buffer;
  try {
    bytes = await readFile(file);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null;
    throw error;
  }
  if (bytes.length > MAX_FILE_BYTES) throw new SallyportError('ERR_FILE', `${file} is longer than ${MAX_FILE_BYTES} bytes.`);
  return bytes.toString('latin1');
}

/** The file that a path means once all symbolic links are followed. Unlike realpath(3) it also answers for a link to nothing. */
export async function resolveLinks(file: string): Promise<string> {
  let at = path.resolve(file);
  for (let links = 0; links < MAX_LINKS; links++) {
    try {
      return await realpath(at);
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') throw error;
    }
    try {
      at = path.resolve(path.dirname(at), await readlink(at));
    } catch (error) {
      if (codeOf(error) === 'EINVAL' || codeOf(error) === 'ENOENT') return at; // not a link: this is the file, there or not
      throw error;
    }
  }
  throw new SallyportError('ERR_FILE', `${file} is a symbolic link to itself.`);
}

/** Replaces the content of `file` (null: removes it), keeping owner and mode. `tag` makes the name of the temporary file beside it. */
export async function replaceTextFile(file: string, content: string | null, tag: string): Promise<void> {
  await discardTemporary(file, tag);
  if (content === null) return await rm(file, { force: true });
  const bytes = Buffer.from(content, 'latin1');
  try {
    await mkdir(path.dirname(file), { recursive: true });
    await writeBeside(file, temporaryOf(file, tag), bytes);
    await rename(temporaryOf(file, tag), file);
  } catch (error) {
    await discardTemporary(file, tag).catch(() => undefined); // a folder where we cannot write: then it is not there either
    // EBUSY: a mount point. EROFS, EACCES: the folder is closed to us, the file need not be.
    if (!['EBUSY', 'EROFS', 'EACCES'].includes(codeOf(error) ?? '')) throw error;
    await writeInPlace(file, bytes);
  }
}

/** Removes what a {@link replaceTextFile} with this tag left behind when it was cut short. */
export async function discardTemporary(file: string, tag: string): Promise<void> {
  await rm(temporaryOf(file, tag), { force: true });
}

function temporaryOf(file: string, tag: string): string {
  return `${file}.${tag}`;
}

async function writeBeside(file: string, temporary: string, bytes: Buffer): Promise<void> {
  const before = await stat(file).catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  });
  const handle = await open(temporary, 'wx', 0o600);
  try {
    await handle.writeFile(bytes);
    if (before !== undefined) await handle.chown(before.uid, before.gid);
    await handle.chmod(before === undefined ? 0o644 : before.mode & 0o777);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Writes from the start and then cuts off the rest: at every moment the file begins with old or new bytes and is never empty. */
async function writeInPlace(file: string, bytes: Buffer): Promise<void> {
  const handle: FileHandle = await open(file, 'r+');
  try {
    await handle.write(bytes, 0, bytes.length, 0);
    await handle.truncate(bytes.length);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code;
}
