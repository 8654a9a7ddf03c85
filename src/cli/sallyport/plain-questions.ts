/** Questions line by line, for a terminal that cannot move its cursor (`TERM=dumb`: Emacs, some consoles and editors). */
import { CancelledError } from '../../core/errors.ts';
import { JobControl } from '../job-control.ts';
import { readHiddenLine } from '../openconnect/hidden-line.ts';
import type { LineReader } from '../openconnect/line-reader.ts';
import type { Option, Questions } from './questions.ts';

export interface PlainQuestionsOptions {
  readonly input: LineReader;
  /** Switches the terminal's own editing off, and its echo with it. */
  readonly keyboard: { setRawMode(isRaw: boolean): unknown };
  readonly write: (text: string) => void;
  /** Bytes that were typed, in the character set of the locale. */
  readonly decode: (bytes: Uint8Array) => string;
  /** Ends a question that is being asked. */
  readonly signal: AbortSignal;
}

export class PlainQuestions implements Questions {
  readonly #options: PlainQuestionsOptions;

  constructor(options: PlainQuestionsOptions) {
    this.#options = options;
  }

  async text(message: string, initial: string): Promise<string> {
    const answer = await this.#line(promptOf(initial === '' ? message : `${message} [${initial}]`));
    return answer === '' ? initial : answer;
  }

  /** The echo goes off before the question is seen: whoever types at once is not shown either. */
  async secret(message: string): Promise<string> {
    const { input, keyboard, write, signal } = this.#options;
    keyboard.setRawMode(true);
    try {
      write(promptOf(message));
      using jobControl = new JobControl({ keyboard, askAgain: () => write(promptOf(message)) });
      return this.#decoded(await readHiddenLine(input, { signal, jobControl }));
    } finally {
      keyboard.setRawMode(false);
      write('\n');
    }
  }

  /** By its number, asked again until it is one. */
  async choose(message: string, options: readonly Option[], initial: string | undefined): Promise<string> {
    this.#options.write([message, ...options.map(({ label }, i) => `  ${i + 1}  ${label}`), ''].join('\n'));
    const first =
      Math.max(
        0,
        options.findIndex(({ value }) => value === initial),
      ) + 1;
    for (;;) {
      const answer = await this.#line(`Number [${first}]: `);
      const chosen = options[(answer.trim() === '' ? first : /^\d{1,4}$/.test(answer.trim()) ? Number(answer) : 0) - 1];
      if (chosen !== undefined) return chosen.value;
    }
  }

  async #line(prompt: string): Promise<string> {
    const { input, write, signal } = this.#options;
    write(prompt);
    return this.#decoded(await input.readLine({ signal }));
  }

  #decoded(line: Uint8Array | undefined): string {
    if (line === undefined) throw new CancelledError();
    return this.#options.decode(line);
  }
}

/** Ends with a colon alone: that is how programs around a terminal know a question, Emacs one for a password. */
function promptOf(message: string): string {
  return `${message.replace(/[.:\s]+$/, '')}: `;
}
