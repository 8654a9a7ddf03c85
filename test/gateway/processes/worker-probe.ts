/** Stands where a worker does, inside the same fence, and tries what code in it would try that an attacker has brought in. Started by `startWorker`. */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { Worker } from 'node:worker_threads';
import type { ProcessConfig } from '../../../src/gateway/config/gateway-config.ts';
import { type Fence, giveUpRights } from '../../../src/gateway/processes/give-up-rights.ts';
import { parentChannel } from '../../../src/gateway/processes/process-channel.ts';
import { Rpc } from '../../../src/gateway/processes/rpc.ts';
import { errnoName } from '../../../src/node/ffi/errno.ts';
import { LINUX, libc } from '../../../src/node/ffi/libc.ts';

/** What it is to try, by path and port. */
export interface Targets {
  readonly secretFile: string;
  readonly worldReadableFile: string;
  readonly newFile: string;
  readonly tcpPort: number;
  readonly otherProcess: number;
}

/** What became of each attempt: `done`, or the code of the error. */
export type Outcomes = Readonly<Record<string, string>>;

/** What main asks of it. */
export interface ProbeService {
  enter(rights: Pick<ProcessConfig, 'user' | 'group' | 'chroot'>, fence: Fence): Promise<void>;
  attempt(targets: Targets): Promise<Outcomes>;
}

/** Numbers of x86-64, which is enough to show it. */
const EXECVE = 59;
const PTRACE = 101;
const IO_URING_SETUP = 425;
const PTRACE_ATTACH = 16;

const O_RDONLY = 0;

async function attempt({ secretFile, worldReadableFile, newFile, tcpPort, otherProcess }: Targets): Promise<Outcomes> {
  const c = libc('a probe');
  const native = (result: number) => (result < 0 ? errnoName(c.errno()) : 'done');
  return {
    'read a secret file': tried(() => readFileSync(secretFile)),
    'read a file that everybody may read': tried(() => readFileSync(worldReadableFile)),
    'read it past Node': native(c.open(worldReadableFile, O_RDONLY)),
    'read a secret file past Node': native(c.open(secretFile, O_RDONLY)),
    'read its own code': tried(() => readFileSync(import.meta.filename)),
    'list the root folder': tried(() => readdirSync('/')),
    'write a file': tried(() => writeFileSync(newFile, 'x')),
    'start a program': tried(() => execFileSync('/bin/true')),
    'start a program past Node': native(c.syscall(EXECVE, 0, 0, 0)),
    'end another process': tried(() => process.kill(otherProcess, 'SIGTERM')),
    'look into another process': native(c.syscall(PTRACE, PTRACE_ATTACH, otherProcess, 0)),
    'be root again': tried(() => process.setuid?.(0)),
    'leave its root folder': native(c.chroot('.')),
    'have io_uring do it': native(c.syscall(IO_URING_SETUP, 8, 0, 0)),
    'open a TCP connection': await connected(tcpPort),
    'make a UDP socket': native(c.socket(LINUX.AF_INET, LINUX.SOCK_DGRAM, 0)),
    'read a secret file in another thread': await inThread(secretFile),
  };
}

function tried(work: () => unknown): string {
  try {
    work();
    return 'done';
  } catch (error) {
    return codeOf(error);
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : String(error);
}

function connected(port: number): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const socket = net.connect(port, '127.0.0.1', () => {
    socket.destroy();
    resolve('done');
  });
  socket.once('error', (error) => resolve(codeOf(error)));
  return promise;
}

function inThread(file: string): Promise<string> {
  const code = `const { parentPort, workerData } = require('node:worker_threads');
    try { require('node:fs').readFileSync(workerData); parentPort.postMessage('done'); } catch (error) { parentPort.postMessage(error.code); }`;
  const { promise, resolve } = Promise.withResolvers<string>();
  new Worker(code, { eval: true, workerData: file }).once('message', resolve).once('error', (error) => resolve(codeOf(error)));
  return promise;
}

const channel = parentChannel();
if (channel !== undefined) {
  new Rpc(channel, {
    peer: 'the test',
    serves: {
      enter: (...[rights, fence]: Parameters<ProbeService['enter']>) => giveUpRights(rights, { log: () => undefined }, fence),
      attempt,
    },
    onFault: (error) => {
      throw error;
    },
  });
  channel.onClose(() => process.exit(0));
}
