/**
 * What options wish of the process once the tunnel is there: a file with its number, another user.
 *
 * Read first: spec "CLI", section 3.5.
 */
import { closeSync, constants, existsSync, fstatSync, ftruncateSync, openSync, readFileSync, rmSync, statSync, writeSync } from 'node:fs';
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
  readonly #log: Logger;
  #descriptor: number;
  /** What the file holds while it is ours; undefined: it is not. */
  #ours: string | undefined;

  private constructor(file: string, descriptor: number, isNew: boolean, log: Logger) {
    this.#file = file;
    this.#descriptor = descriptor;
    this.#ours = isNew ? '' : undefined;
    this.#log = log;
  }

  /** Throws {@link SallyportError} if it cannot be written, and says so in openconnect's words. */
  static open(file: string, log: Logger): PidFile {
    try {
      const isNew = !existsSync(file);
      return new PidFile(file, opened(file), isNew, log);
    } catch (error) {
      log.log('error', 'pid file failed', { file, reason: systemErrorText(error) });
      throw new SallyportError(PID_FILE_FAILED, `The pid file ${file} cannot be written.`, { cause: error });
    }
  }

  /** Called once. The tunnel is there, and stays where this fails: openconnect does not even say it. */
  write(): void {
    try {
      this.#writeLine();
      if (fstatSync(this.#descriptor).nlink === 0) {
        // Whose number it had has ended since, and removed it.
        const removed = this.#descriptor;
        this.#descriptor = opened(this.#file);
        closeSync(removed);
        this.#writeLine();
      }
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

  #writeLine(): void {
    if (fstatSync(this.#descriptor).isFile()) ftruncateSync(this.#descriptor);
    this.#ours = ''; // and so it stays where the disk is full
    const line = `${process.pid}\n`;
    this.#ours = line.slice(0, writeSync(this.#descriptor, line));
  }

  #isOurs(): boolean {
    return this.#ours !== undefined && statSync(this.#file).isFile() && readFileSync(this.#file, 'latin1') === this.#ours;
  }
}

function opened(file: string): number {
  return openSync(file, constants.O_WRONLY | constants.O_CREAT, 0o666);
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
