/**
 * The person at the terminal: questions on standard error, answers by lines of standard input, which need not be a terminal at all.
 *
 * Read first: spec "CLI", section 6.
 */
import { SallyportError } from '../../core/errors.ts';
import { printable } from '../../core/wire/text.ts';
import { JobControl, type JobControlOptions } from '../job-control.ts';
import { readHiddenLine } from './hidden-line.ts';
import { END_OF_INPUT, type LineReader, type ReadOptions } from './line-reader.ts';
import type { TextSink } from './output.ts';

export interface TerminalOptions {
  readonly input: LineReader;
  /** Standard input, where it is a terminal. */
  readonly keyboard?: { setRawMode(isRaw: boolean): unknown };
  /** As in {@link JobControlOptions}. */
  readonly raise?: NonNullable<JobControlOptions['raise']>;
  /** Standard error. */
  readonly screen: TextSink;
  /** Bytes that were typed, in the character set of the locale. */
  decode(bytes: Uint8Array): string;
  /** `--non-inter`: nobody is there. */
  readonly nonInteractive: boolean;
  /** `--passwd-on-stdin` was given: further lines of standard input answer even if nobody is there. */
  readonly answersOnStdin: boolean;
}

/** An answer was wanted and there was none. The terminal has already said so. */
export class NoAnswerError extends SallyportError {
  constructor(message: string) {
    super('ERR_NO_ANSWER', message);
  }
}

export interface AskOptions extends ReadOptions {
  /** Do not show what is typed. Default: false. */
  readonly hidden?: boolean;
}

/** What openconnect prints where a signal comes while it waits for a line. */
const INTERRUPTED = 'fgets (stdin): Interrupted system call';

const NOBODY_THERE = 'User input required in non-interactive mode';

export class Terminal {
  readonly #options: TerminalOptions;
  /** Of the question that is being asked. */
  #asking: AbortController | undefined;

  constructor(options: TerminalOptions) {
    this.#options = options;
  }

  get isNonInteractive(): boolean {
    return this.#options.nonInteractive;
  }

  /** Shows lines; control characters are taken out. */
  show(text: string): void {
    this.#options.screen.write(`${printable(text)}\n`);
  }

  /**
   * Shows the prompt as it is, without a blank or line feed, and reads one line.
   * Rejects with {@link NoAnswerError} where there is none, and with CancelledError for Ctrl-C and the signal.
   */
  async ask(prompt: string, options: AskOptions = {}): Promise<string> {
    const { screen, nonInteractive, answersOnStdin } = this.#options;
    if (nonInteractive && !answersOnStdin) {
      screen.write(printable(prompt));
      throw this.#nobodyThere();
    }
    const line = await this.#line(prompt, options);
    if (line !== undefined) return this.#options.decode(line);
    if (nonInteractive) throw this.#nobodyThere();
    screen.write(`${END_OF_INPUT}\n`);
    throw new NoAnswerError(END_OF_INPUT);
  }

  /** A signal that is not for an answer: the question that is being asked has none. False: none is. */
  interrupt(): boolean {
    this.#asking?.abort();
    return this.#asking !== undefined;
  }

  async #line(prompt: string, options: AskOptions): Promise<Uint8Array | undefined> {
    const asking = new AbortController();
    const { signal, hidden = false } = options;
    const reading = { signal: signal === undefined ? asking.signal : AbortSignal.any([signal, asking.signal]) };
    this.#asking = asking;
    try {
      return await (hidden ? this.#askHidden(prompt, reading) : this.#askShown(prompt, reading));
    } catch (error) {
      if (!asking.signal.aborted || signal?.aborted === true) throw error;
      this.#options.screen.write(`${INTERRUPTED}\n`);
      throw new NoAnswerError(INTERRUPTED);
    } finally {
      this.#asking = undefined;
    }
  }

  #nobodyThere(): NoAnswerError {
    this.#options.screen.write(`***\n${NOBODY_THERE}\n`);
    return new NoAnswerError(NOBODY_THERE);
  }

  async #askShown(prompt: string, options: ReadOptions): Promise<Uint8Array | undefined> {
    this.#options.screen.write(printable(prompt));
    return this.#options.input.readLine(options);
  }

  /** The echo goes off before the prompt is seen: whoever types at once is not shown either. */
  async #askHidden(prompt: string, options: ReadOptions): Promise<Uint8Array | undefined> {
    const { input, keyboard, screen, raise } = this.#options;
    keyboard?.setRawMode(true);
    try {
      screen.write(printable(prompt));
      if (keyboard === undefined) return await input.readLine(options);
      using jobControl = new JobControl({
        keyboard,
        askAgain: () => screen.write(printable(prompt)),
        ...(raise !== undefined && { raise }),
      });
      return await readHiddenLine(input, { ...options, jobControl });
    } finally {
      keyboard?.setRawMode(false);
      screen.write('\n');
    }
  }
}
