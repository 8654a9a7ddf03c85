/** Runs something until a person presses `q`, or Ctrl-C where keys come unprocessed. */
import type { ReadStream } from 'node:tty';

const CONTROL_C = '\u0003';

/** The end of the input is no key: a service whose input is empty may watch for ever. */
export async function untilQuitKey(input: ReadStream | NodeJS.ReadableStream, run: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const quit = new AbortController();
  const onData = (bytes: Buffer | string) => {
    const keys = bytes.toString().toLowerCase();
    if (keys.includes('q') || keys.includes(CONTROL_C)) quit.abort();
  };
  const keyboard = 'setRawMode' in input && input.isTTY ? input : undefined;
  keyboard?.setRawMode(true);
  input.on('data', onData).resume();
  try {
    await run(quit.signal);
  } finally {
    input.off('data', onData).pause();
    keyboard?.setRawMode(false);
  }
}
