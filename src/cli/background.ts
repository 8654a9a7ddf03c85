/**
 * `--background`: a child does everything from the start, on the inherited terminal; the parent waits until the child's tunnel is up, says where it
 * goes on, and leaves. Node cannot fork, so nothing that has begun could be handed over later.
 *
 * Read first: spec "CLI", section 3.5.
 *
 *   parent ── spawns ──► child
 *          ◄── its pid, once the tunnel is up ── over the child's descriptor 3
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { Socket } from 'node:net';

/** Tells a child what it is. It is taken out of the environment before anything else runs. */
const CHILD_VARIABLE = 'SALLYPORT_BACKGROUND_CHILD';
const CHILD_DESCRIPTOR = 3;

/** What a terminal sends to the parent, which is in its foreground: the child is in a session of its own. */
const FORWARDED: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP'];

export interface BackgroundReport {
  /** The tunnel is up: the parent leaves. */
  up(): void;
}

/** In the child: the way to the parent; undefined in any other process. Call once, first of all. */
export function backgroundReport(environment: NodeJS.ProcessEnv): BackgroundReport | undefined {
  if (environment[CHILD_VARIABLE] === undefined) return undefined;
  delete environment[CHILD_VARIABLE];
  const socket = new Socket({ fd: CHILD_DESCRIPTOR, readable: false });
  socket.unref();
  socket.on('error', () => undefined); // the parent was killed: the child goes on all the same
  return { up: () => socket.end(`${process.pid}\n`) };
}

export type BackgroundOutcome = { readonly type: 'up'; readonly pid: number } | { readonly type: 'ended'; readonly status: number };

/** In the parent: starts the child and waits until its tunnel is up, or it has ended. `programArguments`: the script, then what it is called with. */
export async function runInBackground(programArguments: readonly string[]): Promise<BackgroundOutcome> {
  const child = spawn(process.execPath, [...process.execArgv, ...programArguments], {
    stdio: ['inherit', 'inherit', 'inherit', 'pipe'],
    env: { ...process.env, [CHILD_VARIABLE]: '1' },
    detached: true,
  });
  const forward = (signal: NodeJS.Signals) => void child.kill(signal);
  for (const signal of FORWARDED) process.on(signal, forward);
  try {
    return await Promise.race([reported(child), ended(child)]);
  } finally {
    for (const signal of FORWARDED) process.off(signal, forward);
  }
}

function reported(child: ChildProcess): Promise<BackgroundOutcome> {
  const { promise, resolve } = Promise.withResolvers<BackgroundOutcome>();
  const { pid } = child;
  if (pid !== undefined) child.stdio[CHILD_DESCRIPTOR]?.once('data', () => resolve({ type: 'up', pid }));
  return promise;
}

function ended(child: ChildProcess): Promise<BackgroundOutcome> {
  const { promise, resolve } = Promise.withResolvers<BackgroundOutcome>();
  child.once('error', () => resolve({ type: 'ended', status: 1 }));
  child.once('exit', (status) => resolve({ type: 'ended', status: status ?? 1 }));
  return promise;
}
