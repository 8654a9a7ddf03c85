/** A file that an administrator edits while we run: read again when it has changed, looked at whenever it is needed. */
import { open } from 'node:fs/promises';
import { MisuseError } from '../../core/errors.ts';

/** Nobody writes a password file by hand that is larger; what is larger is another file. */
export const MAX_FILE_BYTES: number = 1 << 26;

export class CurrentFile<T> {
  readonly path: string;
  readonly #parse: (content: Buffer) => T;
  #known: { readonly mark: string; readonly value: T } | undefined;

  constructor(path: string, parse: (content: Buffer) => T) {
    this.path = path;
    this.#parse = parse;
  }

  /** What the file says now. Rejects as Node's file system does, and as `parse` does. */
  async read(): Promise<T> {
    await using handle = await open(this.path, 'r');
    const { dev, ino, size, mtimeNs, ctimeNs } = await handle.stat({ bigint: true });
    const mark = [dev, ino, size, mtimeNs, ctimeNs].join(' ');
    if (this.#known?.mark === mark) return this.#known.value;
    if (size > MAX_FILE_BYTES) throw new MisuseError(`${this.path} is larger than ${MAX_FILE_BYTES} bytes`);
    const value = this.#parse(await handle.readFile());
    this.#known = { mark, value };
    return value;
  }
}
