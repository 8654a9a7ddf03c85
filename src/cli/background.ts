/**
 * `--background`, and a daemon's start: a child does everything from the beginning; the parent waits until the child's tunnel is up, or its gateway, says
 * where it goes on, and leaves. Node cannot fork, so nothing that has begun could be handed over later.
 *
 * Read first: spec "CLI", section 3.5.
 *
 *   parent ── spawns ──► child
 *          ── what was read ahead of files that can be read once ──► over a descriptor behind it
 *          ◄── its pid, once it is up, or why it will not be ── over a descriptor behind the terminal's; closed when the parent is gone
 *
 * To the terminal and its shell the two are one: what stops or ends the parent stops or ends the child, as long as the parent is there. After that the
 * child is a session of its own, which the terminal has nothing to say to.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { fstatSync, readFileSync } from 'node:fs';
import { Socket } from 'node:net';
import type { Readable, Writable } from 'node:stream';
import { STOP_LIMIT } from './job-control.ts';

/** Tells a child what it is, and which descriptors it has: for its report, and perhaps for files. Taken out of the environment before anything else runs. */
const CHILD_VARIABLE = 'SALLYPORT_BACKGROUND_CHILD';
const FIRST_DESCRIPTOR = 3;

/** What a terminal, or a person who knows the parent only, sends to it: the child is in a session of its own. */
const FORWARDED: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR1', 'SIGUSR2'];

/** Characters that a parent takes of its child. */
const MAX_REPORT = 65_536;

/** What a file held that cannot be read a second time. */
export interface ReadAhead {
  readonly file: string;
  readonly bytes: Uint8Array;
}

export interface BackgroundReport {
  /** What the parent has read ahead, in that order. */
  readonly files: readonly ReadAhead[];
  /** The tunnel is up, or the gateway: the parent leaves. */
  up(): void;
  /** It will not be: lines for the parent to say. After {@link up} they are nobody's. */
  failed(text: string): void;
  /** Quits or suspends, as keys of the terminal do: the parent first, whom the shell knows. */
  raise(signal: 'SIGQUIT' | 'SIGTSTP'): void;
}

/** `kept`: the child goes on with the parent's terminal, input and outputs. `left`: it has none, and nobody waits for its outputs to be closed. */
export type ChildTerminal = 'kept' | 'left';

/** In the child: the way to the parent; undefined in any other process. Call once, first of all. */
export function backgroundReport(environment: NodeJS.ProcessEnv): BackgroundReport | undefined {
  const given = environment[CHILD_VARIABLE];
  if (given === undefined) return undefined;
  delete environment[CHILD_VARIABLE];
  const [report = FIRST_DESCRIPTOR, files] = given.split(',').map(Number);
  const parent = process.ppid;
  let isParentNeeded = true;
  const socket = new Socket({ fd: report });
  const parentLeft = () => {
    if (isParentNeeded) process.kill(process.pid, 'SIGTERM'); // it was killed: whoever did that knows of no other process
    isParentNeeded = false;
  };
  socket.resume().unref();
  socket.on('error', () => undefined).on('end', parentLeft);
  const end = (text: string) => {
    isParentNeeded = false;
    if (!socket.writableEnded) socket.end(text);
  };
  return {
    files: files === undefined ? [] : parseFiles(readFileSync(files, 'utf8')),
    up: () => end(`${process.pid}\n`),
    failed: end,
    raise: (signal) => void process.kill(isParentNeeded ? parent : 0, signal),
  };
}

export type BackgroundOutcome =
  | { readonly type: 'up'; readonly pid: number }
  /** `said`: what it gave as the reason; empty where it had a terminal of its own to say it on. */
  | { readonly type: 'ended'; readonly status: number; readonly said: string };

export interface BackgroundOptions {
  /** Default: `kept`. */
  readonly terminal?: ChildTerminal;
  /** For {@link BackgroundReport.files}. */
  readonly files?: readonly ReadAhead[];
}

/** In the parent: starts the child and waits until it is up, or has ended. `programArguments`: the script, then what it is called with. */
export async function runInBackground(
  programArguments: readonly string[],
  { terminal = 'kept', files = [] }: BackgroundOptions = {},
): Promise<BackgroundOutcome> {
  const own = terminal === 'kept' ? 'inherit' : 'ignore';
  const named = namedDescriptors(programArguments);
  const free = Array.from({ length: named.length + 2 }, (_, i) => FIRST_DESCRIPTOR + i).filter((descriptor) => !named.includes(descriptor));
  const pipes = free.slice(0, files.length === 0 ? 1 : 2);
  const behind = Array.from({ length: Math.max(...pipes, ...named) + 1 - FIRST_DESCRIPTOR }, (_, i) => {
    const descriptor = FIRST_DESCRIPTOR + i;
    return pipes.includes(descriptor) ? 'pipe' : named.includes(descriptor) ? descriptor : 'ignore';
  });
  const child = spawn(process.execPath, [...process.execArgv, ...programArguments], {
    stdio: [own, own, own, ...behind],
    env: { ...process.env, [CHILD_VARIABLE]: pipes.join() },
    detached: true,
  });
  const [report = FIRST_DESCRIPTOR, filesDescriptor] = pipes;
  if (filesDescriptor !== undefined) handOver(child, filesDescriptor, files);
  const forward = (signal: NodeJS.Signals) => void child.kill(signal);
  for (const signal of FORWARDED) process.on(signal, forward);
  const endJobControl = followJobControl(child);
  try {
    return await outcomeOf(child, report);
  } finally {
    endJobControl();
    for (const signal of FORWARDED) process.off(signal, forward);
  }
}

/** The descriptors that arguments name as files (`<(…)` of a shell): Node would not hand them on. Those that are not open are an error of who reads them. */
function namedDescriptors(words: readonly string[]): readonly number[] {
  const names = words.flatMap((word) => [...word.matchAll(/\/(?:dev|proc\/self)\/fd\/(\d{1,3})\b/g)].map(([, digits]) => Number(digits)));
  return [...new Set(names)].filter((descriptor) => descriptor >= FIRST_DESCRIPTOR && isOpen(descriptor));
}

function isOpen(descriptor: number): boolean {
  try {
    fstatSync(descriptor);
    return true;
  } catch {
    return false; // EBADF
  }
}

function handOver(child: ChildProcess, descriptor: number, files: readonly ReadAhead[]): void {
  const pipe = child.stdio[descriptor] as Writable | null | undefined;
  pipe?.on('error', () => undefined); // it ended at once, and has said why
  pipe?.end(JSON.stringify(files.map(({ file, bytes }) => ({ file, bytes: Buffer.from(bytes).toString('base64') }))));
}

/** Ours alone writes it. */
function parseFiles(text: string): readonly ReadAhead[] {
  const files: readonly { readonly file: string; readonly bytes: string }[] = JSON.parse(text);
  return files.map(({ file, bytes }) => ({ file, bytes: Buffer.from(bytes, 'base64') }));
}

/**
 * Ctrl-Z stops the parent and its job, which alone are in the terminal's foreground. A child that read on would take what is typed for the shell.
 * Returns what ends this.
 */
function followJobControl(child: ChildProcess): () => void {
  let limit: NodeJS.Timeout | undefined;
  const goOn = () => {
    clearTimeout(limit);
    process.off('SIGTSTP', suspend).on('SIGTSTP', suspend);
    child.kill('SIGCONT');
  };
  const suspend = () => {
    child.kill('SIGSTOP');
    process.off('SIGTSTP', suspend); // the system stops us then
    limit = setTimeout(goOn, STOP_LIMIT);
    process.kill(0, 'SIGTSTP');
  };
  process.on('SIGTSTP', suspend).on('SIGCONT', goOn);
  return () => {
    clearTimeout(limit);
    process.off('SIGTSTP', suspend).off('SIGCONT', goOn);
  };
}

function outcomeOf(child: ChildProcess, descriptor: number): Promise<BackgroundOutcome> {
  const { promise, resolve } = Promise.withResolvers<BackgroundOutcome>();
  const { pid } = child;
  let said = '';
  const report = child.stdio[descriptor] as Readable | null | undefined; // null, or not there, where nothing could be started
  report?.on('data', (bytes: Buffer) => {
    said = (said + String(bytes)).slice(0, MAX_REPORT);
    if (said === `${pid}\n`) resolve({ type: 'up', pid: pid ?? 0 });
  });
  child.once('error', () => resolve({ type: 'ended', status: 1, said }));
  child.once('close', (status) => resolve({ type: 'ended', status: status ?? 1, said }));
  return promise;
}
