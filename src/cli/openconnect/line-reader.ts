/**
 * Lines of standard input, for everything that reads it: `--passwd-on-stdin`, `--cookie-on-stdin`, and then the prompts. One reader keeps what
 * arrived too early, so that a here-document with several answers works. Between reads the stream is paused and keeps no process alive.
 */
import type { Readable } from 'node:stream';
import { CancelledError, MisuseError } from '../../core/errors.ts';

/** What openconnect prints where a line was wanted and there is none. Its own text after the colon is whatever errno says. */
export const END_OF_INPUT = 'fgets (stdin): end of input';

/** No password and no cookie is anywhere near; whoever sends more has the wrong file. */
export const MAX_LINE_BYTES: number = 1 << 20;

const LINE_FEED = 0x0a;

export interface ReadOptions {
  /** When it fires the read rejects with {@link CancelledError}; what has arrived stays for the next read. */
  readonly signal?: AbortSignal;
}

export class LineReader {
  readonly #input: Readable;
  /** Arrived and not yet wanted. */
  #held: Buffer = Buffer.alloc(0);
  #isReading = false;

  /** Reads nothing before the first call. The stream must not have an encoding. */
  constructor(input: Readable) {
    this.#input = input;
  }

  /** The next line without its line feed; the last one need not have one. undefined at the end of the input. */
  async readLine(options: ReadOptions = {}): Promise<Buffer | undefined> {
    let searched = 0;
    for (;;) {
      const end = this.#held.indexOf(LINE_FEED, searched);
      if (end >= 0) return this.#take(end + 1).subarray(0, end);
      if (this.#held.length > MAX_LINE_BYTES) throw new MisuseError(`A line of standard input is longer than ${MAX_LINE_BYTES} bytes.`);
      searched = this.#held.length;
      const chunk = await this.#nextChunk(options);
      if (chunk === undefined) return searched > 0 ? this.#take(searched) : undefined;
      this.#held = Buffer.concat([this.#held, chunk]);
    }
  }

  /** Whatever is there or comes next, at least one byte: for a terminal that is read key by key. undefined at the end of the input. */
  async readSome(options: ReadOptions = {}): Promise<Buffer | undefined> {
    return this.#held.length > 0 ? this.#take(this.#held.length) : this.#nextChunk(options);
  }

  /** Gives back the end of what {@link readSome} returned. */
  unread(bytes: Uint8Array): void {
    this.#held = Buffer.concat([bytes, this.#held]);
  }

  #take(length: number): Buffer {
    const taken = this.#held.subarray(0, length);
    this.#held = this.#held.subarray(length);
    return taken;
  }

  async #nextChunk(options: ReadOptions): Promise<Buffer | undefined> {
    if (this.#isReading) throw new MisuseError('standard input is already being read');
    this.#isReading = true;
    try {
      return await nextChunk(this.#input, options.signal);
    } finally {
      this.#isReading = false;
    }
  }
}

/** One chunk of a paused stream, which is paused again afterwards: what comes later waits inside the stream. */
function nextChunk(input: Readable, signal: AbortSignal | undefined): Promise<Buffer | undefined> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) return reject(new CancelledError());
    if (input.readableEnded || input.destroyed) return resolve(undefined);
    const stop = () => {
      input.pause();
      input.off('data', onData).off('end', onEnd).off('close', onEnd).off('error', onError);
      signal?.removeEventListener('abort', onAbort);
    };
    const onData = (chunk: Buffer) => {
      stop();
      resolve(chunk);
    };
    const onEnd = () => {
      stop();
      resolve(undefined);
    };
    const onError = (cause: Error) => {
      stop();
      reject(new MisuseError(`fgets (stdin): ${cause.message}`, { cause }));
    };
    const onAbort = () => {
      stop();
      reject(new CancelledError());
    };
    signal?.addEventListener('abort', onAbort);
    input.on('data', onData).on('end', onEnd).on('close', onEnd).on('error', onError);
    input.resume();
  });
}
