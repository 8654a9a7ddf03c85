/**
 * How a person at a terminal is asked: drawn, with keys (drawn-questions.ts), or line by line where a terminal can draw nothing (plain-questions.ts).
 *
 * Messages and labels are one line each, without control characters. Every question rejects with CancelledError for Ctrl-C, the end of the input and the
 * signal that its maker was given.
 */
export interface Questions {
  /** A line that is shown while it is typed. `initial`: what it is if nothing is typed. */
  text(message: string, initial: string): Promise<string>;
  /** A line that is not shown. */
  secret(message: string): Promise<string>;
  /** The value of one of these. `initial`: the one that is taken if nothing is typed. */
  choose(message: string, options: readonly Option[], initial: string | undefined): Promise<string>;
}

export interface Option {
  readonly value: string;
  readonly label: string;
}
