/**
 * The folder of the journals: a place that others cannot write to, as what is in it is executed by a recovery, often as root.
 * It goes with the machine's boot, as most of what it describes does; a resolv.conf that stays behind says itself what to put back.
 * It is in memory, and each start looks at it: synchronously.
 */
import { lstatSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { SallyportError } from '../../core/errors.ts';
import { makeFolder } from '../make-folder.ts';
import { systemErrorCode } from '../system-error.ts';

const STATE_DIRECTORY = 'ERR_STATE_DIRECTORY';

/** Where the journals of this user are: /run/sallyport for root, the user's runtime folder, or one of their own in the temporary folder. */
export function stateDirectory(environment: NodeJS.ProcessEnv = process.env, uid: number = process.geteuid?.() ?? 0): string {
  if (uid === 0) return process.platform === 'linux' ? '/run/sallyport' : '/var/run/sallyport';
  const runtime = environment.XDG_RUNTIME_DIR;
  return runtime !== undefined && path.isAbsolute(runtime) ? path.join(runtime, 'sallyport') : path.join(tmpdir(), `sallyport-${uid}`);
}

/** Whether there is anything in the folder, or it cannot be said. */
export function hasState(directory: string = stateDirectory()): boolean {
  try {
    return readdirSync(directory).length > 0;
  } catch (error) {
    return systemErrorCode(error) !== 'ENOENT';
  }
}

/** Makes the folder if it is not there. Throws {@link SallyportError} (`ERR_STATE_DIRECTORY`) if it cannot be made, or is not ours alone. */
export function prepareStateDirectory(directory: string): void {
  makeFolder(directory, { mode: 0o700, code: STATE_DIRECTORY });
  checkStateDirectory(directory);
}

/** Whether the folder exists and is ours alone. Throws {@link SallyportError} (`ERR_STATE_DIRECTORY`) if it exists and is not. */
export function checkStateDirectory(directory: string): boolean {
  const found = lstatSync(directory, { throwIfNoEntry: false });
  if (found === undefined) return false;
  const isOurs = found.isDirectory() && found.uid === (process.geteuid?.() ?? found.uid) && (found.mode & 0o022) === 0;
  if (!isOurs)
    throw new SallyportError(STATE_DIRECTORY, `${directory} is not a folder that only its owner, this user, can write to. Remove it.`);
  return true;
}
