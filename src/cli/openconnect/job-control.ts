/** What a terminal does by itself with Ctrl-\ and Ctrl-Z, for a question that is asked while it is raw: it is itself again before the signal goes out. */

/** How long a stop that was asked for may take to come. Where there is nobody to go on after it (an orphaned process group), there is none. */
const STOP_LIMIT_MS = 200;

export interface JobControlOptions {
  readonly keyboard: { setRawMode(isRaw: boolean): unknown };
  /** Shows the question once more, behind what the shell has written. */
  readonly askAgain: () => void;
  /** Default: to the whole process group, as the terminal does. */
  readonly raise?: (signal: 'SIGQUIT' | 'SIGTSTP') => void;
}

export class JobControl {
  readonly #options: JobControlOptions;

  constructor(options: JobControlOptions) {
    this.#options = options;
  }

  /** Ends the process, unless somebody has seen to it that this signal does not. */
  quit(): void {
    this.#options.keyboard.setRawMode(false);
    this.#raise('SIGQUIT');
  }

  /** Stops the process; resolves when it goes on. */
  async suspend(): Promise<void> {
    const { keyboard, askAgain } = this.#options;
    keyboard.setRawMode(false);
    const { promise, resolve } = Promise.withResolvers<void>();
    process.once('SIGCONT', resolve);
    const limit = setTimeout(resolve, STOP_LIMIT_MS);
    try {
      this.#raise('SIGTSTP');
      await promise; // not at once: it may take a moment until this thread stops too
    } finally {
      clearTimeout(limit);
      process.off('SIGCONT', resolve);
    }
    keyboard.setRawMode(true);
    askAgain();
  }

  #raise(signal: 'SIGQUIT' | 'SIGTSTP'): void {
    const { raise = (name) => process.kill(0, name) } = this.#options;
    raise(signal);
  }
}
