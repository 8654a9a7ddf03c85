/**
 * A line that is typed without being shown, key by key, on a terminal in raw mode. The terminal's own editing is off there with its echo, so the
 * usual keys are done here.
 */
import { CancelledError, MisuseError } from '../../core/errors.ts';
import type { JobControl } from '../job-control.ts';
import { type LineReader, MAX_LINE_BYTES, type ReadOptions } from './line-reader.ts';

const KEYS = {
  interrupt: 0x03, // Ctrl-C
  endOfFile: 0x04, // Ctrl-D
  backspace: 0x08,
  lineFeed: 0x0a,
  carriageReturn: 0x0d,
  eraseLine: 0x15, // Ctrl-U
  eraseWord: 0x17, // Ctrl-W
  suspend: 0x1a, // Ctrl-Z
  quit: 0x1c, // Ctrl-\
  delete: 0x7f,
} as const;

const BLANK = 0x20;
const FIRST_PRINTING = BLANK;

export interface HiddenLineOptions extends ReadOptions {
  /** Who quits and suspends the process. Default: these keys do nothing. */
  readonly jobControl?: Pick<JobControl, 'quit' | 'suspend'>;
}

/**
 * The next line of a terminal in raw mode; undefined at the end of the input. Rejects with {@link CancelledError} for Ctrl-C, for Ctrl-\ that has not ended the
 * process, and for the signal.
 */
export async function readHiddenLine(input: LineReader, { jobControl, ...options }: HiddenLineOptions): Promise<Uint8Array | undefined> {
  const line = new HiddenLine();
  for (;;) {
    const keys = await input.readSome(options);
    if (keys === undefined) return line.bytes.length > 0 ? line.bytes : undefined;
    for (const [i, byte] of keys.entries()) {
      const outcome = line.key(byte);
      if (outcome === 'more' || ((outcome === 'quit' || outcome === 'suspend') && jobControl === undefined)) continue;
      if (outcome === 'suspend') {
        await jobControl?.suspend();
        continue;
      }
      input.unread(keys.subarray(i + 1));
      if (outcome === 'quit') jobControl?.quit();
      if (outcome === 'quit' || outcome === 'interrupt') throw new CancelledError();
      return outcome === 'end' ? undefined : line.bytes;
    }
  }
}

export class HiddenLine {
  readonly #bytes: number[] = [];

  /** What is on the line so far. */
  get bytes(): Uint8Array {
    return Uint8Array.from(this.#bytes);
  }

  /** `end`: the end of the input, on an empty line. */
  key(byte: number): 'more' | 'done' | 'end' | 'interrupt' | 'quit' | 'suspend' {
    switch (byte) {
      case KEYS.interrupt:
        return 'interrupt';
      case KEYS.quit:
        return 'quit';
      case KEYS.suspend:
        return 'suspend';
      case KEYS.lineFeed:
      case KEYS.carriageReturn:
        return 'done';
      case KEYS.endOfFile:
        return this.#bytes.length === 0 ? 'end' : 'done';
      case KEYS.backspace:
      case KEYS.delete:
        this.#eraseCharacter();
        return 'more';
      case KEYS.eraseLine:
        this.#bytes.length = 0;
        return 'more';
      case KEYS.eraseWord:
        this.#eraseWord();
        return 'more';
    }
    if (byte < FIRST_PRINTING) return 'more';
    if (this.#bytes.length >= MAX_LINE_BYTES) throw new MisuseError(`A line of standard input is longer than ${MAX_LINE_BYTES} bytes.`);
    this.#bytes.push(byte);
    return 'more';
  }

  /** As the terminal's own editing does: the blanks at the end, and what is before them up to the next blank. */
  #eraseWord(): void {
    while (this.#bytes.at(-1) === BLANK) this.#bytes.pop();
    while (this.#bytes.length > 0 && this.#bytes.at(-1) !== BLANK) this.#bytes.pop();
  }

  /** A character of UTF-8 is erased whole. */
  #eraseCharacter(): void {
    let byte = this.#bytes.pop();
    while (byte !== undefined && (byte & 0xc0) === 0x80) byte = this.#bytes.pop();
  }
}
