/** The file of one-time codes: checks a code and writes down that it was used, in one step. Comments and lines of other kinds stay as they are. */
import { readFile, stat } from 'node:fs/promises';
import { MisuseError } from '../../core/errors.ts';
import type { Secret } from '../../core/secret.ts';
import { replaceFile } from '../../node/replace-file.ts';
import { MAX_FILE_BYTES } from './current-file.ts';
import { acceptOtp, parseOtpLine, renderOtpLine } from './otp-record.ts';

export class OtpFile {
  readonly path: string;
  readonly #now: () => number;
  /** One at a time: two log-ins with the same code must not both find it unused. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(path: string, now: () => number) {
    this.path = path;
    this.#now = now;
  }

  /** Whether this is a code of the user's that was not used yet. Rejects as Node's file system does; then the code was not taken. */
  check(user: string, answer: Secret): Promise<boolean> {
    const checked = this.#last.then(() => this.#check(user, answer.reveal()));
    this.#last = checked.catch(() => undefined); // who asked hears of it; the next one begins anew
    return checked;
  }

  async #check(user: string, answer: string): Promise<boolean> {
    const { size } = await stat(this.path);
    if (size > MAX_FILE_BYTES) throw new MisuseError(`${this.path} is larger than ${MAX_FILE_BYTES} bytes`);
    const lines = (await readFile(this.path, 'utf8')).split('\n');
    for (const [i, line] of lines.entries()) {
      const record = parseOtpLine(line);
      if (record?.user !== user) continue;
      const used = acceptOtp(record, answer, this.#now());
      if (used === undefined) return false;
      lines[i] = renderOtpLine(used);
      await replaceFile(this.path, Buffer.from(lines.join('\n')));
      return true;
    }
    return false;
  }
}
