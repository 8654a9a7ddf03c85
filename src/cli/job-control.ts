/**
 * What a terminal does by itself with Ctrl-\ and Ctrl-Z, for a question that is asked while it is raw: it is itself again before the signal goes out. And
 * raw again when the process goes on, whoever has stopped it: the shell has made it show what is typed.
 */
import type { Millis } from '../core/tunnel/packet.ts';

/** How long a stop that was asked for may take to come. Where there is nobody to go on after it (an orphaned process group), there is none. */
export const STOP_LIMIT: Millis = 200;

export interface JobControlOptions {
  readonly keyboard: { setRawMode(isRaw: boolean): unknown };
  /** Shows the question once more, behind what the shell has written. */
  readonly askAgain: () => void;
  /** Default: to the whole process group, as the terminal does. */
  readonly raise?: (signal: 'SIGQUIT' | 'SIGTSTP') => void;
}

/** For one question, from when the terminal is raw until it is disposed of. */
export class JobControl implements Disposable {
  readonly #options: JobControlOptions;
  readonly #goOn = () => this.#continued();
  /** Of {@link suspend}. */
  #resume: (() => void) | undefined;

  constructor(options: JobControlOptions) {
    this.#options = options;
    process.on('SIGCONT', this.#goOn);
  }

  [Symbol.dispose](): void {
    process.off('SIGCONT', this.#goOn);
  }

  /** Ends the process, unless somebody has seen to it that this signal does not. */
  quit(): void {
    this.#options.keyboard.setRawMode(false);
    this.#raise('SIGQUIT');
  }

  /** Stops the process; resolves when it goes on. */
  async suspend(): Promise<void> {
    this.#options.keyboard.setRawMode(false);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#resume = resolve;
    const limit = setTimeout(this.#goOn, STOP_LIMIT);
    try {
      this.#raise('SIGTSTP');
      await promise; // not at once: it may take a moment until this thread stops too
    } finally {
      clearTimeout(limit);
      this.#resume = undefined;
    }
  }

  #continued(): void {
    const { keyboard, askAgain } = this.#options;
    keyboard.setRawMode(false); // first: libuv does nothing where it takes the terminal for raw already
    keyboard.setRawMode(true);
    askAgain();
    this.#resume?.();
  }

  #raise(signal: 'SIGQUIT' | 'SIGTSTP'): void {
    const { raise = (name) => process.kill(0, name) } = this.#options;
    raise(signal);
  }
}
