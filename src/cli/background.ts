/**
 * `--background`, and a daemon's start: a child does everything from the beginning; the parent waits until the child's tunnel is up, or its gateway, says
 * where it goes on, and leaves. Node cannot fork, so nothing that has begun could be handed over later.
 *
 * Read first: spec "CLI", section 3.5.
 *
 *   parent ── spawns ──► child
 *          ◄── its pid, once it is up, or why it will not be ── over the child's descriptor 3
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { Socket } from 'node:net';
import type { Readable } from 'node:stream';

/** Tells a child what it is. It is taken out of the environment before anything else runs. */
const CHILD_VARIABLE = 'SALLYPORT_BACKGROUND_CHILD';
const CHILD_DESCRIPTOR = 3;

/** What a terminal sends to the parent, which is in its foreground: the child is in a session of its own. */
const FORWARDED: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP'];

/** Characters that a parent takes of its child. */
const MAX_REPORT = 65_536;

export interface BackgroundReport {
  /** The tunnel is up, or the gateway: the parent leaves. */
  up(): void;
  /** It will not be: lines for the parent to say. After {@link up} they are nobody's. */
  failed(text: string): void;
}

/** `kept`: the child goes on with the parent's terminal, input and outputs. `left`: it has none, and nobody waits for its outputs to be closed. */
export type ChildTerminal = 'kept' | 'left';

/** In the child: the way to the parent; undefined in any other process. Call once, first of all. */
export function backgroundReport(environment: NodeJS.ProcessEnv): BackgroundReport | undefined {
  if (environment[CHILD_VARIABLE] === undefined) return undefined;
  delete environment[CHILD_VARIABLE];
  const socket = new Socket({ fd: CHILD_DESCRIPTOR, readable: false });
  socket.unref();
  socket.on('error', () => undefined); // the parent was killed: the child goes on all the same
  return {
    up: () => void socket.end(`${process.pid}\n`),
    failed: (text) => {
      if (!socket.writableEnded) socket.end(text);
    },
  };
}

export type BackgroundOutcome =
  | { readonly type: 'up'; readonly pid: number }
  /** `said`: what it gave as the reason; empty where it had a terminal of its own to say it on. */
  | { readonly type: 'ended'; readonly status: number; readonly said: string };

/** In the parent: starts the child and waits until it is up, or has ended. `programArguments`: the script, then what it is called with. */
export async function runInBackground(programArguments: readonly string[], terminal: ChildTerminal = 'kept'): Promise<BackgroundOutcome> {
  const own = terminal === 'kept' ? 'inherit' : 'ignore';
  const child = spawn(process.execPath, [...process.execArgv, ...programArguments], {
    stdio: [own, own, own, 'pipe'],
    env: { ...process.env, [CHILD_VARIABLE]: '1' },
    detached: true,
  });
  const forward = (signal: NodeJS.Signals) => void child.kill(signal);
  for (const signal of FORWARDED) process.on(signal, forward);
  try {
    return await outcomeOf(child);
  } finally {
    for (const signal of FORWARDED) process.off(signal, forward);
  }
}

function outcomeOf(child: ChildProcess): Promise<BackgroundOutcome> {
  const { promise, resolve } = Promise.withResolvers<BackgroundOutcome>();
  const { pid } = child;
  let said = '';
  const report = child.stdio[CHILD_DESCRIPTOR] as Readable | null | undefined; // null, or not there, where nothing could be started
  report?.on('data', (bytes: Buffer) => {
    said = (said + String(bytes)).slice(0, MAX_REPORT);
    if (said === `${pid}\n`) resolve({ type: 'up', pid: pid ?? 0 });
  });
  child.once('error', () => resolve({ type: 'ended', status: 1, said }));
  child.once('close', (status) => resolve({ type: 'ended', status: status ?? 1, said }));
  return promise;
}
