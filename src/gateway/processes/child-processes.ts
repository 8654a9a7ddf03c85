/**
 * Starts the gateway's other processes: `auth`, which keeps the secrets, and the workers, which parse what the network sends.
 *
 *   main (root) ─┬─ auth     root: passwords, RADIUS, PAM, cookies; hears no network
 *                └─ worker…  no root, no files but the program's own, no other processes
 *
 * A child ends when its channel does: none outlives main, however main ends.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { childChannel } from './process-channel.ts';
import { Rpc, type RpcOptions } from './rpc.ts';

/** How long a child has to end by itself before it is killed. */
const END_LIMIT_MS = 3000;

export interface GatewayChild {
  readonly rpc: Rpc;
  readonly pid: number;
  /** Resolves when it has ended, with how: `exit status 1`, `signal SIGKILL`. */
  readonly ended: Promise<string>;
  /** Asks it to end, and sees to it. */
  end(): Promise<void>;
}

/** Where a child of the gateway finds what it inherits, one behind the other. */
export const FIRST_INHERITED = 4;

export function startAuth(rpc: RpcOptions): GatewayChild {
  return startChild(programFile('gateway-auth'), {}, rpc);
}

/**
 * @param device descriptors of the device, which this worker inherits from {@link FIRST_INHERITED} on
 * @param program runs in the worker's place, to look at its fence
 */
export function startWorker(rpc: RpcOptions, device: readonly number[], program: string = programFile('gateway-worker')): GatewayChild {
  // Observed: Node 24 lets a thread read all that is below the folder that its process is in, whatever the fence says; and a service is in /.
  return startChild(program, { execArgv: permissions(), cwd: ownFolder(), inherits: device }, rpc);
}

interface ChildOptions {
  readonly execArgv?: readonly string[];
  /** Default: ours. */
  readonly cwd?: string;
  /** Descriptors. */
  readonly inherits?: readonly number[];
}

function startChild(program: string, { execArgv = [], inherits = [], cwd }: ChildOptions, options: RpcOptions): GatewayChild {
  const child = fork(program, [], {
    cwd,
    // Node opens its inspector on SIGUSR1.
    execArgv: ['--disable-sigusr1', ...execArgv],
    serialization: 'advanced', // bytes stay bytes
    stdio: ['ignore', 'inherit', 'inherit', 'ipc', ...inherits],
    detached: true, // Ctrl-C at the terminal is for main to answer
  });
  const { promise: ended, resolve } = Promise.withResolvers<string>();
  child.once('error', (error) => resolve(error.message));
  child.once('exit', (code, signal) => resolve(signal === null ? `exit status ${code}` : `signal ${signal}`));
  return { rpc: new Rpc(childChannel(child), options), pid: child.pid ?? 0, ended, end: () => endChild(child, ended) };
}

async function endChild(child: ChildProcess, ended: Promise<string>): Promise<void> {
  if (child.connected) child.disconnect();
  const timer = setTimeout(() => child.kill('SIGKILL'), END_LIMIT_MS);
  await ended;
  clearTimeout(timer);
}

/** The child's file beside this one: TypeScript in the source tree, JavaScript in the package, one file in the bundle. */
function programFile(name: string): string {
  const own = fileURLToPath(import.meta.url);
  return path.join(path.dirname(own), `${name}${path.extname(own)}`);
}

/** Node's own fence around a worker: it reads the program's files and no others, writes none, and starts no processes. */
function permissions(): string[] {
  // Node warns of the two that a native library and a thread need, on standard error.
  const quiet = ['PERM0001', 'PERM0006'].map((code) => `--disable-warning=${code}`);
  // From Node 25 on the network is behind the fence too; the connections that it is handed are the worker's business.
  const network = process.allowedNodeEnvironmentFlags.has('--allow-net') ? ['--allow-net'] : [];
  return [
    ...quiet,
    '--permission',
    '--allow-addons',
    '--allow-worker',
    ...network,
    ...readableFolders().map((folder) => `--allow-fs-read=${folder}`),
  ];
}

/** The program itself, and the packages that it uses, which may lie beside it. */
function readableFolders(): string[] {
  const resolver = createRequire(import.meta.url);
  const folders = [ownFolder()];
  try {
    folders.push(packagesFolder(resolver.resolve('koffi')));
  } catch {
    // It is not installed: then there is no device, which the start says.
  }
  return [...new Set(folders.map((folder) => `${folder}${path.sep}`))];
}

/** The package's: the folder above `src` or `dist` that this file is in. */
function ownFolder(): string {
  const parts = fileURLToPath(import.meta.url).split(path.sep);
  return parts.slice(0, Math.max(parts.lastIndexOf('src'), parts.lastIndexOf('dist'))).join(path.sep);
}

/** The innermost `node_modules` that a file is in. */
function packagesFolder(file: string): string {
  const parts = file.split(path.sep);
  return parts.slice(0, parts.lastIndexOf('node_modules') + 1).join(path.sep);
}
