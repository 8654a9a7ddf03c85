/**
 * A program that a test started: its output as text, a line to wait for, a signal to send, how it ended.
 *
 * Every wait has a deadline and fails with the end of the program's output, so that a red test says why.
 * With SALLYPORT_LAB_TRACE=1 the output of all programs goes to standard error as it comes.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { Socket } from 'node:net';
import type { Millis } from '../../src/core/tunnel/packet.ts';

export interface ProgramOptions {
  /** Added to the environment of the test; undefined removes a variable. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Written to standard input at the start. Without it standard input is empty. */
  readonly input?: string;
  /** Standard input stays open after `input`, for {@link Program.write}. Default false. */
  readonly keepsInputOpen?: boolean;
  /** Opens Node's message channel, for programs that are Node themselves. Default false. */
  readonly hasChannel?: boolean;
}

/** How a program ended: one of the two is null. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** What {@link Program.finish} returns: everything there is to know of a program that has run. */
export interface Finished extends Exit {
  readonly stdout: string;
  readonly stderr: string;
  /** Both as they came. */
  readonly output: string;
}

const DEFAULT_DEADLINE: Millis = 60_000;

/** After the program's end, for the rest of its output: a daemon that it left behind may keep its output open for ever. */
const OUTPUT_GRACE: Millis = 300;

/** How much of its output an error message quotes. */
const QUOTED_CHARACTERS = 3_000;

const isTraced = process.env.SALLYPORT_LAB_TRACE === '1';

export class Program {
  readonly name: string;
  readonly pid: number;
  /** The program's own end (what it started may live on), with all its output read. Never rejects. */
  readonly exited: Promise<Exit>;
  readonly child: ChildProcess;
  #stdout = '';
  #stderr = '';
  #output = '';
  #exit: Exit | undefined;
  readonly #watchers = new Set<() => void>();

  /** @internal {@link startProgram} makes these. */
  constructor(name: string, child: ChildProcess, pid: number) {
    this.name = name;
    this.child = child;
    this.pid = pid;
    child.stdout?.setEncoding('utf8').on('data', (text: string) => this.#take('stdout', text));
    child.stderr?.setEncoding('utf8').on('data', (text: string) => this.#take('stderr', text));
    this.exited = new Promise((resolve) => {
      const ended = (): void => {
        clearTimeout(grace);
        this.#exit = { code: child.exitCode, signal: child.signalCode };
        resolve(this.#exit);
        for (const watch of this.#watchers) watch();
      };
      let grace: NodeJS.Timeout | undefined;
      child.once('exit', () => {
        grace = setTimeout(ended, OUTPUT_GRACE);
        // A daemon may go on writing: we go on reading, but do not keep the test alive for it.
        for (const stream of [child.stdout, child.stderr]) if (stream instanceof Socket) stream.unref();
      });
      child.once('close', ended);
    });
  }

  get stdout(): string {
    return this.#stdout;
  }

  get stderr(): string {
    return this.#stderr;
  }

  /** Standard output and standard error as they came. Its length is a mark for `after` of {@link waitFor}. */
  get output(): string {
    return this.#output;
  }

  get isRunning(): boolean {
    return this.#exit === undefined;
  }

  /**
   * Waits until a line of the output matches. Rejects at the deadline, or when the program ends without it.
   *
   * @param after Where in {@link output} to begin; default 0, so that a line which has already come counts.
   */
  waitFor(pattern: RegExp, { after = 0, within = DEFAULT_DEADLINE }: { after?: number; within?: Millis } = {}): Promise<RegExpExecArray> {
    let from = after;
    const look = (): RegExpExecArray | undefined => {
      const match = new RegExp(pattern, pattern.flags.replace(/[gy]/g, '')).exec(this.#output.slice(from));
      if (match !== null) return match;
      from = Math.max(from, this.#output.lastIndexOf('\n') + 1); // whole lines that did not match need no second look
      return undefined;
    };
    return this.#until(`a line matching ${pattern}`, within, look);
  }

  /** Waits for the program's end. Rejects at the deadline. */
  async finish({ within = DEFAULT_DEADLINE }: { within?: Millis } = {}): Promise<Finished> {
    const exit = await this.#until('its end', within, () => this.#exit);
    return { ...exit, stdout: this.#stdout, stderr: this.#stderr, output: this.#output };
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /** Writes to standard input, where `keepsInputOpen` was asked for. */
  write(text: string): void {
    if (this.child.stdin === null) throw new Error(`${this.name}: standard input is not open`);
    this.child.stdin.write(text);
  }

  /** Ends the program: first with `signal`, and with SIGKILL if it has not ended `within` that time. Safe to call twice. */
  async stop({ signal = 'SIGTERM', within = 5_000 }: { signal?: NodeJS.Signals; within?: Millis } = {}): Promise<Exit> {
    this.signal(signal);
    const killer = setTimeout(() => this.signal('SIGKILL'), within);
    const exit = await this.exited;
    clearTimeout(killer);
    return exit;
  }

  /** The end of the output, for messages. */
  describe(): string {
    const state = this.#exit === undefined ? 'is running' : `ended with ${this.#exit.signal ?? `code ${this.#exit.code}`}`;
    return `${this.name} (pid ${this.pid}) ${state}; its output ends:\n${this.#output.slice(-QUOTED_CHARACTERS)}`;
  }

  /** Looks again after every piece of output and after the end. */
  #until<T>(what: string, within: Millis, look: () => T | undefined): Promise<T> {
    return new Promise((resolve, reject) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#watchers.delete(watch);
      };
      const watch = (): void => {
        const found = look();
        if (found !== undefined) {
          done();
          resolve(found);
        } else if (this.#exit !== undefined) {
          done();
          reject(new Error(`waited for ${what}, but ${this.describe()}`));
        }
      };
      const timer = setTimeout(() => {
        done();
        reject(new Error(`waited ${within} ms for ${what}; ${this.describe()}`));
      }, within);
      this.#watchers.add(watch);
      watch();
    });
  }

  #take(stream: 'stdout' | 'stderr', text: string): void {
    if (stream === 'stdout') this.#stdout += text;
    else this.#stderr += text;
    this.#output += text;
    if (isTraced) process.stderr.write(text.replace(/^(?=.)/gm, `[${this.name} ${this.pid}] `));
    for (const watch of this.#watchers) watch();
  }
}

/** Starts a program. Rejects if it cannot be started at all. `name` is for messages. */
export function startProgram(
  command: string,
  args: readonly string[],
  name: string,
  { env, input, keepsInputOpen = false, hasChannel = false }: ProgramOptions = {},
): Promise<Program> {
  const child = spawn(command, args, {
    env: environment(env),
    serialization: 'advanced', // of messages: numbers like Infinity arrive as they are
    stdio: [input === undefined && !keepsInputOpen ? 'ignore' : 'pipe', 'pipe', 'pipe', ...(hasChannel ? ['ipc' as const] : [])],
  });
  // A program may end before it has read its input; how it ended says more than EPIPE.
  child.stdin?.on('error', () => undefined);
  if (input !== undefined) child.stdin?.write(input);
  if (!keepsInputOpen) child.stdin?.end();
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('spawn', () => {
      child.off('error', reject);
      child.on('error', () => undefined); // a signal or message to a program that has just ended
      resolve(new Program(name, child, child.pid ?? 0));
    });
  });
}

/** The environment of the test without what node:test tells its children, with plain C messages and the folders of system programs. */
function environment(changes: ProgramOptions['env']): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin`, LC_ALL: 'C.UTF-8', ...changes };
  delete env.NODE_TEST_CONTEXT;
  for (const [name, value] of Object.entries(env)) if (value === undefined) delete env[name];
  return env;
}
