/** The file that tells scripts and service managers which process this is. */
import { readFileSync, rmSync } from 'node:fs';
import { chmod } from 'node:fs/promises';
import { SallyportError } from '../../core/errors.ts';
import { replaceFile } from '../replace-file.ts';
import { systemErrorCode, systemErrorText } from '../system-error.ts';

/** Others may read it. */
const MODE = 0o644;

export class PidFile {
  readonly #file: string;
  readonly #content: string;

  /** Replaces what an earlier run left. Rejects with {@link SallyportError} (`ERR_PID_FILE`) if it cannot be written. */
  static async write(file: string, pid: number = process.pid): Promise<PidFile> {
    const content = `${pid}\n`;
    try {
      await replaceFile(file, Buffer.from(content));
      await chmod(file, MODE);
    } catch (cause) {
      throw new SallyportError('ERR_PID_FILE', `The pid file ${file} cannot be written: ${systemErrorText(cause)}.`, { cause });
    }
    return new PidFile(file, content);
  }

  private constructor(file: string, content: string) {
    this.#file = file;
    this.#content = content;
  }

  /** Unless another process has written its own number meanwhile. Synchronous, so that it can be the last thing a process does. Safe to call twice. */
  remove(): void {
    try {
      if (readFileSync(this.#file, 'utf8') === this.#content) rmSync(this.#file);
    } catch (error) {
      if (systemErrorCode(error) !== 'ENOENT') throw error;
    }
  }
}
