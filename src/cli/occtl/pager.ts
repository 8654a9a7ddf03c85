/** Shows text a page at a time where it is longer than the screen, with `less` or what $PAGER names. */
import { spawn } from 'node:child_process';
import type { WriteStream } from 'node:tty';

/** For less: leave at once what fits, keep colours, leave the screen as it is. */
const LESS_FLAGS = 'FRX';

/** Rows that are needed for the prompt. */
const PROMPT_ROWS = 1;

/** Resolves when the person has seen it. Without a terminal, and where there is no pager, the text is written as it is. */
export async function showPaged(text: string, screen: WriteStream | NodeJS.WritableStream): Promise<void> {
  const rows = 'isTTY' in screen && screen.isTTY === true && 'rows' in screen ? screen.rows : undefined;
  const isLong = rows !== undefined && text.split('\n').length > rows - PROMPT_ROWS;
  if (!isLong || !(await page(text))) screen.write(text);
}

/** False: there is no such program. Its arguments are words; no shell reads them. */
function page(text: string): Promise<boolean> {
  const [program = 'less', ...args] = (process.env.PAGER ?? '').split(/\s+/).filter((word) => word !== '');
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const child = spawn(program, args, { stdio: ['pipe', 'inherit', 'inherit'], env: { LESS: LESS_FLAGS, ...process.env } });
  child.once('error', () => resolve(false));
  child.once('close', () => resolve(true));
  child.stdin.on('error', () => undefined); // it was left before the end
  child.stdin.end(text);
  return promise;
}
