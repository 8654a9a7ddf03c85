/**
 * Runs another program to its end and hands back what it said: argument arrays, never a shell, with a limit on its time and on its output.
 */
import { spawn } from 'node:child_process';
import path from 'node:path';
import { CancelledError, SallyportError, UnsupportedError } from '../../core/errors.ts';
import type { Millis } from '../../core/tunnel/packet.ts';
import { printable } from '../../core/wire/text.ts';

export interface ProgramResult {
  /** The exit status; null if a signal ended the program. */
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  /** What the program reads; without it, its standard input is empty. */
  readonly input?: string;
  /** Ends the program; the call then rejects with {@link CancelledError}. */
  readonly signal?: AbortSignal;
  /** Milliseconds after which the program is killed; 15 seconds if absent. */
  readonly timeout?: Millis;
  /** Bytes it may write to either stream before it is killed; 16 MiB if absent. */
  readonly maxOutput?: number;
  /** An open file that the program keeps open while it runs, so that others can see that it does, even if we are gone. */
  readonly holds?: number | undefined;
}

/** How programs are run. Tests hand in one that plays a whole machine. */
export type CommandRunner = (program: string, args: readonly string[], options?: RunOptions) => Promise<ProgramResult>;

const DEFAULT_TIMEOUT: Millis = 15_000;
const DEFAULT_MAX_OUTPUT = 16 * 1024 * 1024;

/**
 * Runs a program with these arguments and waits for it. A status other than 0 is a result, not an error.
 *
 * Throws {@link UnsupportedError} if there is no such program, {@link CancelledError} on abort, and a {@link SallyportError} with code
 * `ERR_PROGRAM` if it could not be started, took too long or said too much.
 */
export const runProgram: CommandRunner = async (program, args, options) => {
  const result = await runOnce(program, args, options);
  // Ctrl-C can meet a child in the instant before it has left the terminal's group: it has not begun with anything.
  return result.signal === 'SIGINT' ? runOnce(program, args, options) : result;
};

const runOnce: CommandRunner = async (program, args, options = {}) => {
  if (options.signal?.aborted) throw new CancelledError();
  const maxOutput = options.maxOutput ?? DEFAULT_MAX_OUTPUT;
  const child = spawn(program, args, {
    stdio: ['pipe', 'pipe', 'pipe', ...(options.holds === undefined ? [] : [options.holds])],
    env: programEnvironment(),
    detached: true, // Ctrl-C at the terminal is for us to answer: a program that sets something up, or takes it back, must not be cut short by it
  });
  let verdict: SallyportError | undefined; // why we ended it
  const end = (why: SallyportError) => {
    verdict ??= why;
    child.kill('SIGKILL');
  };
  const collect = (stream: NodeJS.ReadableStream | null): (() => string) => {
    const chunks: Buffer[] = [];
    let size = 0;
    stream?.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size > maxOutput) end(new SallyportError('ERR_PROGRAM', `The program "${program}" wrote more than ${maxOutput} bytes.`));
      else chunks.push(chunk);
    });
    return () => Buffer.concat(chunks).toString('utf8');
  };
  const stdout = collect(child.stdout);
  const stderr = collect(child.stderr);
  const timeout = options.timeout ?? DEFAULT_TIMEOUT;
  const timer = setTimeout(() => end(new SallyportError('ERR_PROGRAM', `The program "${program}" took more than ${timeout} ms.`)), timeout);
  const onAbort = () => end(new CancelledError());
  options.signal?.addEventListener('abort', onAbort, { once: true });
  child.stdin?.on('error', () => undefined); // it ended without reading its input: its status says why
  child.stdin?.end(options.input ?? '');
  try {
    return await new Promise((resolve, reject) => {
      child.on('error', (cause) => reject(startError(program, cause)));
      child.on('close', (status, signal) => {
        if (verdict === undefined) resolve({ status, signal, stdout: stdout(), stderr: stderr() });
        else reject(verdict);
      });
    });
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener('abort', onAbort);
  }
};

/** Why a program failed: its own first words, or how it ended. */
export function reasonOfResult({ stderr, status, signal }: ProgramResult): string {
  const firstLine = printable(stderr).trim().split('\n', 1)[0]?.slice(0, 300) ?? '';
  return firstLine !== '' ? firstLine : signal === null ? `status ${status}` : `ended by ${signal}`;
}

function startError(program: string, cause: NodeJS.ErrnoException): SallyportError {
  if (cause.code === 'ENOENT') return new UnsupportedError(`The program "${program}" is not installed, or not on the PATH.`, { cause });
  return new SallyportError('ERR_PROGRAM', `The program "${program}" could not be started: ${cause.message}`, { cause });
}

/** Ours, with messages in English (we read some) and with the folders of system programs, which a user's PATH often lacks. */
export function programEnvironment(): NodeJS.ProcessEnv {
  return { ...process.env, LC_ALL: 'C', PATH: programFolders().join(path.delimiter) };
}

/** Where programs are looked for. */
export function programFolders(): readonly string[] {
  const folders = (process.env.PATH ?? '').split(path.delimiter).filter((folder) => folder !== '');
  return [...new Set([...folders, '/usr/sbin', '/usr/bin', '/sbin', '/bin'])];
}
