/** Questions that are drawn on the terminal, by @clack/prompts, which is loaded with the first of them. */
import type { Readable, Writable } from 'node:stream';
import { CancelledError } from '../../core/errors.ts';
import type { Option, Questions } from './questions.ts';

export interface DrawnQuestionsOptions {
  readonly input: Readable;
  /** Standard error: standard output is for results. */
  readonly output: Writable;
  /** Ends a question that is being asked. */
  readonly signal: AbortSignal;
}

type Clack = typeof import('@clack/prompts');

export class DrawnQuestions implements Questions {
  readonly #options: DrawnQuestionsOptions;

  constructor(options: DrawnQuestionsOptions) {
    this.#options = options;
  }

  text(message: string, initial: string): Promise<string> {
    return this.#prompt((clack, common) => clack.text({ message, initialValue: initial, ...common }));
  }

  secret(message: string): Promise<string> {
    return this.#prompt((clack, common) => clack.password({ message, ...common }));
  }

  choose(message: string, options: readonly Option[], initial: string | undefined): Promise<string> {
    return this.#prompt((clack, common) =>
      clack.select({
        message,
        options: options.map(({ value, label }) => ({ value, label })),
        ...(initial !== undefined && { initialValue: initial }),
        showInstructions: false,
        ...common,
      }),
    );
  }

  /** Escape is a no, too. */
  async #prompt<T extends string>(
    ask: (clack: Clack, common: DrawnQuestionsOptions & { withGuide: false }) => Promise<T | symbol>,
  ): Promise<T> {
    const { input, output, signal } = this.#options;
    const clack = await import('@clack/prompts');
    // A signal for each question: clack goes on listening to the one it got, and draws again when it fires.
    const own = new AbortController();
    const abort = () => own.abort();
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    try {
      const answer = await ask(clack, { input, output, signal: own.signal, withGuide: false });
      if (typeof answer === 'symbol') throw new CancelledError();
      return answer;
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }
}
