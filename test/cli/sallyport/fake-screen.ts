/** A terminal in memory, with as much of ECMA-48 as the status line needs; or none, where everything is just written. */
import type { Screen } from '../../../src/cli/sallyport/status-line.ts';

export class FakeScreen implements Screen {
  readonly isTerminal: boolean;
  width = 80;
  written = '';
  writes = 0;

  constructor(isTerminal = true) {
    this.isTerminal = isTerminal;
  }

  write(text: string): void {
    this.written += text;
    this.writes++;
  }

  columns(): number {
    return this.width;
  }

  /** What a person sees; the last line is where the cursor is. */
  lines(): string[] {
    const lines = [''];
    let column = 0;
    for (const [token] of this.written.matchAll(/\u001b\[2K|[^\u001b]/g)) {
      const last = lines.length - 1;
      const line = lines[last] ?? '';
      if (token === '\u001b[2K') lines[last] = '';
      else if (token === '\r') column = 0;
      else if (token === '\n') column = lines.push('') * 0;
      else lines[last] = line.slice(0, column).padEnd(column) + token + line.slice(++column);
    }
    return lines;
  }
}
