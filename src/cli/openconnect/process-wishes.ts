/**
 * What options wish of the process once the tunnel is there: a file with its number, another user.
 *
 * Read first: spec "CLI", section 3.5.
 */
import { closeSync, constants, fstatSync, ftruncateSync, openSync, readFileSync, rmSync, statSync, writeSync } from 'node:fs';
import { SallyportError } from '../../core/errors.ts';
import type { Logger } from '../../core/log.ts';
import { systemErrorText } from '../../node/system-error.ts';
import type { SystemUser } from './settings.ts';

/** Code of the error of a pid file that cannot be written. */
export const PID_FILE_FAILED = 'ERR_PID_FILE';

/**
 * The file of `--pid-file`: opened before anything changes on the machine, written when there is a tunnel, removed at the end. Until it is written it stays
 * as it was: it may be another session's. So it may be at the end, or no file at all, and then it stays too.
 */
export class PidFile {
  readonly #file: string;
  readonly #descriptor: number;
  readonly #log: Logger;
  readonly #line = `${process.pid}\n`;

  private constructor(file: string, descriptor: number, log: Logger) {
    this.#file = file;
    this.#descriptor = descriptor;
    this.#log = log;
  }

  /** Throws {@link SallyportError} if it cannot be written, and says so in openconnect's words. */
  static open(file: string, log: Logger): PidFile {
    try {
      return new PidFile(file, openSync(file, constants.O_WRONLY | constants.O_CREAT, 0o666), log);
    } catch (error) {
      log.log('error', 'pid file failed', { file, reason: systemErrorText(error) });
      throw new SallyportError(PID_FILE_FAILED, `The pid file ${file} cannot be written.`, { cause: error });
    }
  }

  /** Called once. The tunnel is there, and stays where this fails: openconnect does not even say it. */
  write(): void {
    try {
      if (fstatSync(this.#descriptor).isFile()) ftruncateSync(this.#descriptor);
      writeSync(this.#descriptor, this.#line);
    } catch (error) {
      this.#log.log('error', 'pid file not written', { file: this.#file, reason: systemErrorText(error) });
    }
    closeSync(this.#descriptor);
  }

  remove(): void {
    try {
      if (this.#isOurs()) rmSync(this.#file, { force: true });
    } catch {
      // After --setuid it may not be ours to read or to remove (spec 3.5).
    }
  }

  #isOurs(): boolean {
    if (!statSync(this.#file).isFile()) return false;
    const content = readFileSync(this.#file, 'latin1');
    return content === this.#line || content === '';
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
