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

/** Code of the error of a pid file that cannot be written. */
export const PID_FILE_FAILED = 'ERR_PID_FILE';

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
      throw new SallyportError(PID_FILE_FAILED, `The pid file ${file} cannot be written.`, { cause: error });
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

/** `--setuid`: for the rest of the process's life. Says what the system refuses, and then returns false: the rights are those of before, or some of them. */
export function becomeUser({ name, uid, gid }: SystemUser, log: Logger): boolean {
  // Documented, and missing in the types.
  const { initgroups } = process as NodeJS.Process & { initgroups?: (user: string, group: number) => void };
  const steps = [
    { what: 'gid', id: gid, take: () => process.setgid?.(gid) },
    { what: 'groups of', id: name, take: () => initgroups?.(name, gid) },
    { what: 'uid', id: uid, take: () => process.setuid?.(uid) },
  ];
  for (const { what, id, take } of steps) {
    try {
      take();
    } catch (error) {
      log.log('error', 'user not changed', { what, id, reason: systemErrorText(error) });
      return false;
    }
  }
  return true;
}
