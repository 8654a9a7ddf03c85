/**
 * One line at the bottom of the terminal that is written again and again, with other lines passing above it. Where there is no terminal the
 * other lines are all there is.
 *
 *   clear, line, line feed, status …      the cursor always stands at the end of the status
 */
export interface Screen {
  write(text: string): void;
  readonly isTerminal: boolean;
  /** Of the terminal, now. */
  columns(): number;
}

/** To the left edge, and everything on the line away: also what the terminal echoed of a key. */
const CLEAR_LINE = '\r\u001b[2K';
const MIN_COLUMNS = 20;

export class StatusLine {
  readonly #screen: Screen;
  readonly #cutMark: string;
  #text = '';
  #isHidden = false;

  /** `cutMark`: one column, in place of what does not fit. */
  constructor(screen: Screen, cutMark = '…') {
    this.#screen = screen;
    this.#cutMark = cutMark;
  }

  /** Shows this from now on; empty: nothing. Text of one line, without control sequences. */
  show(text: string): void {
    this.#text = text;
    this.#write(this.#line());
  }

  /** Prints whole lines above it. */
  print(text: string): void {
    this.#write(`${this.#clear()}${text}\n${this.#line()}`);
  }

  /** The terminal is somebody else's until it is shown again; lines that are printed meanwhile come as they are. */
  hide(): void {
    this.#write(this.#clear());
    this.#isHidden = true;
  }

  unhide(): void {
    this.#isHidden = false;
    this.#write(this.#line());
  }

  /** At once: what is written in parts flickers. */
  #write(text: string): void {
    if (text !== '') this.#screen.write(text);
  }

  #clear(): string {
    return this.#screen.isTerminal && !this.#isHidden ? CLEAR_LINE : '';
  }

  #line(): string {
    if (!this.#screen.isTerminal || this.#isHidden) return '';
    // The last column stays free: some terminals go to the next line when it is written.
    const room = Math.max(MIN_COLUMNS, this.#screen.columns()) - 1;
    return CLEAR_LINE + (this.#text.length > room ? `${this.#text.slice(0, room - 1)}${this.#cutMark}` : this.#text);
  }
}
