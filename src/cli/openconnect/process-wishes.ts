/**
 * What options wish of the process once the tunnel is there: a file with its number, another user.
 *
 * Read first: spec "CLI", section 3.5.
 */
import { closeSync, openSync, rmSync, writeSync } from 'node:fs';
import { SallyportError } from '../../core/errors.ts';
import type { Logger } from '../../core/log.ts';
import { systemErrorText } from '../../node/system-error.ts';
import type { SystemUser } from './settings.ts';

/** The file of `--pid-file`: opened before anything changes on the machine, written when there is a tunnel, removed at the end. */
export class PidFile {
  readonly #file: string;
  readonly #descriptor: number;

  private constructor(file: string, descriptor: number) {
    this.#file = file;
    this.#descriptor = descriptor;
  }

  /** Throws {@link SallyportError} if it cannot be written, and says so in openconnect's words. */
  static open(file: string, log: Logger): PidFile {
    try {
      return new PidFile(file, openSync(file, 'w', 0o666));
    } catch (error) {
      log.log('error', 'pid file failed', { file, reason: systemErrorText(error) });
      throw new SallyportError('ERR_PID_FILE', `The pid file ${file} cannot be written.`, { cause: error });
    }
  }

  /** Called once. */
  write(): void {
    writeSync(this.#descriptor, `${process.pid}\n`);
    closeSync(this.#descriptor);
  }

  remove(): void {
    try {
      rmSync(this.#file, { force: true });
    } catch {
      // After --setuid it may not be ours to remove (spec 3.5).
    }
  }
}

/** `--setuid`: for the rest of the process's life. */
export function becomeUser({ name, uid, gid }: SystemUser): void {
  // Documented, and missing in the types.
  (process as NodeJS.Process & { initgroups?: (user: string, group: number) => void }).initgroups?.(name, gid);
  process.setgid?.(gid);
  process.setuid?.(uid);
}
