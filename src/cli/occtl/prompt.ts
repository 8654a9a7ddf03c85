/** The prompt: a command a line, with history and the Tab key at a terminal, until `exit`, `quit` or the end of the input. */
import { createInterface, type Interface } from 'node:readline';
import type { ReadStream, WriteStream } from 'node:tty';
import type { ControlTarget } from '../../gateway/control/control-target.ts';
import { completions } from './completion.ts';
import type { Outcome } from './run-command.ts';

export interface PromptOptions {
  readonly input: ReadStream | NodeJS.ReadableStream;
  readonly output: WriteStream | NodeJS.WritableStream;
  /** For names that can be completed. */
  readonly connect: () => Promise<ControlTarget>;
  readonly run: (line: string) => Promise<Outcome>;
  readonly show: (outcome: Outcome) => Promise<void>;
  /** Shows events until somebody presses q. */
  readonly watch: () => Promise<unknown>;
}

const PROMPT = '> ';

/** Clears the screen and sets the terminal as it was when it was switched on: RIS of ECMA-48. */
export const RESET_TERMINAL = '\u001bc';

export async function runPrompt(options: PromptOptions): Promise<void> {
  while ((await readLines(options)) === 'watch') await options.watch();
}

/** While events are watched the keys belong to the watcher, so it begins anew after that. */
async function readLines(options: PromptOptions): Promise<'watch' | 'end'> {
  const { input, output } = options;
  const lines = createInterface({
    input,
    output,
    prompt: PROMPT,
    completer: (line: string, reply: (error: null, result: [string[], string]) => void) => {
      completions(line, options.connect).then(
        (result) => reply(null, result),
        () => reply(null, [[], line]), // no gateway: the command itself will say so
      );
    },
  });
  let isOver = false; // the end of the input is seen before the lines in front of it were run
  lines.on('close', () => {
    isOver = true;
  });
  lines.on('SIGINT', () => lines.close());
  lines.prompt();
  for await (const line of lines) {
    const outcome = await options.run(line);
    if (outcome.next === 'exit' || outcome.next === 'watch') {
      lines.close();
      return outcome.next === 'watch' ? 'watch' : 'end';
    }
    if (outcome.next === 'reset') output.write(RESET_TERMINAL);
    await withoutKeys(lines, input, () => options.show(outcome));
    if (isOver) output.write(PROMPT);
    else lines.prompt();
  }
  return 'end';
}

/** The keys are a pager's meanwhile. */
async function withoutKeys(lines: Interface, input: PromptOptions['input'], show: () => Promise<void>): Promise<void> {
  const keyboard = 'setRawMode' in input && input.isTTY ? input : undefined;
  if (keyboard === undefined) return await show();
  lines.pause();
  keyboard.setRawMode(false);
  await show();
  keyboard.setRawMode(true);
  lines.resume();
}
