/**
 * Runs the user's network script (`--script`), as openconnect does: `/bin/sh -c VALUE`, everything else in the environment.
 *
 * Read first: spec "vpnc-script", section 1.
 *
 * Ctrl-C reaches every process of the terminal's foreground group: us and a script that runs at that moment. A `disconnect` cut in the middle
 * leaves routes and DNS behind, and a `connect` cut in the middle leaves what `disconnect` does not expect. So the script runs with the
 * terminal's signals (INT, QUIT, HUP) ignored, and only the caller ends it, by the AbortSignal. It stays in our process group and
 * session, as `sudo` within it must be able to ask for a password at the terminal.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { CancelledError, MisuseError } from '../../core/errors.ts';
import type { Millis } from '../../core/tunnel/packet.ts';
import { identify, type ProcessIdentity } from '../processes/process-identity.ts';

/** What is put into the script's environment on top of ours, and what is taken out of it. */
export interface ScriptEnvironment {
  readonly set: Readonly<Record<string, string>>;
  readonly unset: readonly string[];
}

export type ScriptOutcome =
  | { readonly kind: 'ok' }
  | { readonly kind: 'failed'; readonly status: number }
  /** The shell found no such program, or none that it can run (status 127 or 126), or could not be started itself. */
  | { readonly kind: 'not-executed'; readonly status?: number; readonly why?: string }
  | { readonly kind: 'killed'; readonly signal: NodeJS.Signals };

export interface ScriptRunnerOptions {
  /** The value of `--script`: a shell command line of the user's. */
  readonly command: string;
  /** Where the script's output goes: ours (the default), nowhere, or an open descriptor. */
  readonly stdout?: 'inherit' | 'ignore' | number;
  readonly stderr?: 'inherit' | 'ignore' | number;
  readonly stdin?: 'inherit' | 'ignore' | number;
  /** Where it runs, or the root where that is gone. Absent: in our own folder, which may be gone as well. */
  readonly cwd?: string;
}

/** How long a cancelled script has to clean up between TERM and KILL. */
const GRACE: Millis = 5_000;

// The outer shell sets the signals to "ignored", which survives exec, and becomes the shell openconnect would have started. The value
// travels as an argument, so there is nothing to quote.
const IGNORE_TERMINAL_SIGNALS = 'trap "" HUP INT QUIT; exec /bin/sh -c "$1"';

export interface ScriptRunOptions {
  /** Ends the script early. */
  readonly signal?: AbortSignal;
  /** Told which process it is, as soon as it runs. */
  readonly onStart?: (script: ProcessIdentity) => void;
}

export class ScriptRunner {
  readonly command: string;
  /** Where it runs. */
  readonly cwd: string;
  readonly #options: ScriptRunnerOptions;

  constructor(options: ScriptRunnerOptions) {
    if (options.command.includes('\0')) throw new MisuseError('The script command contains a NUL character.');
    this.command = options.command;
    this.cwd = options.cwd ?? ownFolder();
    this.#options = options;
  }

  /**
   * Runs the script once and waits for it, for ever if need be (as openconnect does); `signal` ends it early.
   * Throws {@link CancelledError} after such an end, and {@link MisuseError} for an environment that cannot be one.
   */
  async run(environment: ScriptEnvironment, { signal, onStart }: ScriptRunOptions = {}): Promise<ScriptOutcome> {
    const env = mergedEnvironment(process.env, environment);
    if (signal?.aborted) throw new CancelledError();
    const { cwd, stdin = 'inherit', stdout = 'inherit', stderr = 'inherit' } = this.#options;
    const place = cwd === undefined ? {} : { cwd: existsSync(cwd) ? cwd : '/' };
    let child: ChildProcess;
    try {
      child = spawn('/bin/sh', ['-c', IGNORE_TERMINAL_SIGNALS, 'sh', this.command], { stdio: [stdin, stdout, stderr], env, ...place });
    } catch (error) {
      return { kind: 'not-executed', why: error instanceof Error ? error.message : String(error) }; // E2BIG: a variable is too long for the kernel
    }
    let killTimer: NodeJS.Timeout | undefined;
    const onAbort = () => {
      child.kill('SIGTERM');
      killTimer = setTimeout(() => child.kill('SIGKILL'), GRACE);
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    const script = child.pid === undefined ? undefined : identify(child.pid);
    if (script !== undefined) onStart?.(script);
    try {
      const outcome = await new Promise<ScriptOutcome>((resolve) => {
        child.on('error', (error) => resolve({ kind: 'not-executed', why: error.message }));
        child.on('exit', (status, killedBy) => resolve(outcomeOf(status, killedBy))); // not 'close': a companion it left may hold the streams
      });
      if (signal?.aborted) throw new CancelledError(`The script '${this.command}' was cancelled.`);
      return outcome;
    } finally {
      clearTimeout(killTimer);
      signal?.removeEventListener('abort', onAbort);
    }
  }
}

/** A folder may be removed while somebody works in it: then it has no name. */
function ownFolder(): string {
  try {
    return process.cwd();
  } catch {
    return '/';
  }
}

function outcomeOf(status: number | null, signal: NodeJS.Signals | null): ScriptOutcome {
  if (signal !== null) return { kind: 'killed', signal };
  if (status === 0) return { kind: 'ok' };
  return status === 126 || status === 127 ? { kind: 'not-executed', status } : { kind: 'failed', status: status ?? 1 };
}

/** The base environment with `set` on top and without `unset`. Throws {@link MisuseError} for names and values that no environment can hold. */
export function mergedEnvironment(base: NodeJS.ProcessEnv, { set, unset }: ScriptEnvironment): NodeJS.ProcessEnv {
  for (const [name, value] of Object.entries(set)) {
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) throw new MisuseError(`"${name}" cannot be the name of an environment variable.`);
    if (value.includes('\0')) throw new MisuseError(`The value of ${name} contains a NUL character.`);
  }
  const removed = new Set(unset);
  const kept = Object.entries(base).filter(([name]) => !removed.has(name));
  return { ...Object.fromEntries(kept), ...set };
}

/** What openconnect says of the outcome, but for a signal's name in place of its number; undefined when all is well. Spec "vpnc-script", section 1. */
export function describeScriptOutcome(command: string, outcome: ScriptOutcome): string | undefined {
  switch (outcome.kind) {
    case 'ok':
      return undefined;
    case 'failed':
      return `Script '${command}' returned error ${outcome.status}`;
    case 'killed':
      return `Script '${command}' exited abnormally (${outcome.signal})`;
    case 'not-executed':
      return outcome.status === undefined
        ? `Script '${command}' could not be started: ${outcome.why ?? 'unknown reason'}`
        : `Script '${command}' returned error ${outcome.status}`;
  }
}
