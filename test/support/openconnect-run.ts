/** Debian's openconnect 9.01, or a drop-in for it, run against a gateway of ours. Say `skip: missing('openconnect')` where you use the former. */
import { spawn } from 'node:child_process';
import type { FakeGateway } from './fake-gateway.ts';

export interface OpenconnectRun {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface OpenconnectOptions {
  readonly args?: readonly string[];
  readonly stdin?: string;
  /** Default: `/`. */
  readonly path?: string;
  /** What to run. Default: `['openconnect']`. */
  readonly command?: readonly [string, ...string[]];
  /** Tells it to leave, as SIGTERM does. */
  readonly leave?: AbortSignal;
}

/** It is told to leave after this long, whatever the test waits for. */
const LIMIT_MS = 60_000;

/** Runs it to its end: it trusts the gateway's certificate and asks nobody. */
export async function runOpenconnect(
  gateway: Pick<FakeGateway, 'authority' | 'certificate'>,
  options: OpenconnectOptions = {},
): Promise<OpenconnectRun> {
  const { args = [], stdin = '', path = '/', command: [program, ...leading] = ['openconnect'], leave } = options;
  const fixed = ['--non-inter', `--servercert=${gateway.certificate.pin}`];
  const child = spawn(program, [...leading, ...fixed, ...args, `https://${gateway.authority}${path}`], { stdio: 'pipe' });
  const timer = setTimeout(() => child.kill('SIGTERM'), LIMIT_MS);
  leave?.addEventListener('abort', () => child.kill('SIGTERM'), { once: true });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (bytes: Buffer) => {
    stdout += bytes.toString();
  });
  child.stderr.on('data', (bytes: Buffer) => {
    stderr += bytes.toString();
  });
  child.stdin.on('error', () => undefined); // it left without reading everything
  child.stdin.end(stdin);
  const { promise, resolve, reject } = Promise.withResolvers<number | null>();
  child.on('close', resolve).on('error', reject);
  try {
    return { exitCode: await promise, stdout, stderr };
  } finally {
    clearTimeout(timer);
  }
}

/** The value of a shell assignment that `--authenticate` prints. */
export function printed(run: OpenconnectRun, name: string): string | undefined {
  return new RegExp(`^${name}='(.*)'$`, 'm').exec(run.stdout)?.[1];
}
