/** The id of a file system as a password: ties a key's file to the disk that it is on. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { UnsupportedError } from '../../core/errors.ts';
import { Secret } from '../../core/secret.ts';
import { CredentialError } from './credential-error.ts';

/** Milliseconds: a network file system whose server is gone answers never. */
const TIME_LIMIT = 10_000;

/**
 * The id of the file system that a file is on, as `stat -f -c %i` prints it (hex, no leading zeros): spec "Command line", section 3.2,
 * `--key-password-from-fsid`. The program is asked because Node's `fs.statfs` leaves the id out.
 *
 * Throws {@link CredentialError} if there is no such file, {@link UnsupportedError} where the system's `stat` does not tell.
 */
export async function fileSystemId(path: string): Promise<Secret> {
  const { stdout } = await promisify(execFile)('stat', ['-f', '-c', '%i', '--', path], { timeout: TIME_LIMIT }).catch((error) => {
    throw new CredentialError(`${path}: its file system's id cannot be read: ${error.message}`, { cause: error });
  });
  const id = stdout.trim();
  if (!/^[0-9a-f]{1,32}$/.test(id)) throw new UnsupportedError('this system does not tell the id of a file system');
  return new Secret(id);
}
