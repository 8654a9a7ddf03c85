/**
 * A line that is typed without being shown, key by key, on a terminal in raw mode. The terminal's own editing is off there with its echo, so the
 * usual keys are done here.
 */
import { MisuseError } from '../../core/errors.ts';
import { MAX_LINE_BYTES } from './line-reader.ts';

const KEYS = {
  interrupt: 0x03, // Ctrl-C
  endOfFile: 0x04, // Ctrl-D
  backspace: 0x08,
  lineFeed: 0x0a,
  carriageReturn: 0x0d,
  eraseLine: 0x15, // Ctrl-U
  eraseWord: 0x17, // Ctrl-W
  delete: 0x7f,
} as const;

const FIRST_PRINTING = 0x20;

export class HiddenLine {
  readonly #bytes: number[] = [];

  /** What is on the line so far. */
  get bytes(): Uint8Array {
    return Uint8Array.from(this.#bytes);
  }

  /** `end`: the end of the input, on an empty line. */
  key(byte: number): 'more' | 'done' | 'end' | 'interrupt' {
    switch (byte) {
      case KEYS.interrupt:
        return 'interrupt';
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
      case KEYS.eraseWord: // nobody sees where a word begins
        this.#bytes.length = 0;
        return 'more';
    }
    if (byte < FIRST_PRINTING) return 'more';
    if (this.#bytes.length >= MAX_LINE_BYTES) throw new MisuseError(`A line of standard input is longer than ${MAX_LINE_BYTES} bytes.`);
    this.#bytes.push(byte);
    return 'more';
  }

  /** A character of UTF-8 is erased whole. */
  #eraseCharacter(): void {
    let byte = this.#bytes.pop();
    while (byte !== undefined && (byte & 0xc0) === 0x80) byte = this.#bytes.pop();
  }
}
