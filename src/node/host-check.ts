/**
 * Runs the user's host checker (`--csd-wrapper`). What a gateway sends to be run is only handed to it, as a file; it is never executed here.
 *
 * Read first: spec "AnyConnect", section 3.16; spec "Client command line", section 9.
 */
import { chown, mkdtemp, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { HostCheckRequest } from '../core/auth/login-io.ts';
import { CancelledError, SallyportError, UnsupportedError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import { systemErrorText } from './system-error.ts';
import { type ProgramUser, startUserProgram } from './user-program.ts';

export interface HostCheckOptions {
  /** The program to run; without one there is no check. */
  readonly wrapper?: string;
  /** Who runs it; ourselves by default. */
  readonly user?: ProgramUser;
  /** Ends the wrapper, and the waiting for it. */
  readonly signal: AbortSignal;
  readonly log: Logger;
}

/**
 * Runs the wrapper and waits. Its failure is only a warning, as the gateway decides. Rejects with {@link UnsupportedError} if there is no wrapper,
 * with {@link SallyportError} where the gateway's part of it has no place, and with CancelledError.
 */
export async function checkHost(request: HostCheckRequest, options: HostCheckOptions): Promise<void> {
  const { wrapper, user, signal, log } = options;
  if (wrapper === undefined) {
    throw new UnsupportedError(
      'The gateway wants this machine to be checked (CSD host scan). Name a program that does it with --csd-wrapper.',
    );
  }
  const folder = request.stub === undefined ? undefined : await makeFolder();
  try {
    const stub = folder === undefined ? '' : path.join(folder, 'stub');
    if (folder !== undefined && request.stub !== undefined) await writeFile(stub, request.stub, { mode: 0o600 });
    if (folder !== undefined && user !== undefined) for (const each of [folder, stub]) await chown(each, user.uid, user.gid);
    const outcome = await run(wrapper, [stub, ...request.arguments], request.environment, options);
    if (signal.aborted) throw new CancelledError();
    if (outcome !== undefined) log.log('warn', 'host check failed', { wrapper, outcome });
  } finally {
    if (folder !== undefined) await rm(folder, { recursive: true, force: true });
  }
}

/** Where the stub goes: a folder of its own, in the first place that there is. Rejects with {@link SallyportError}. */
async function makeFolder(): Promise<string> {
  let reason: unknown;
  for (const place of [process.env.TMPDIR || '/var/tmp', '/var/tmp', '/tmp']) {
    try {
      return await mkdtemp(path.join(place, 'csd-'));
    } catch (error) {
      reason = error; // not there, full, or closed to us
    }
  }
  throw new SallyportError('ERR_HOST_CHECK', `There is no place for the gateway's host checker: ${systemErrorText(reason)}.`, {
    cause: reason,
  });
}

/** What went wrong, in a few words; undefined if nothing did. */
function run(
  program: string,
  parameters: readonly string[],
  environment: HostCheckRequest['environment'],
  { user, signal }: HostCheckOptions,
): Promise<string | undefined> {
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  // Its output is for people: standard output may be for a program that reads the cookie.
  const child = startUserProgram({ program, parameters, environment, user }, { stdio: ['inherit', 2, 2], signal });
  if (typeof child === 'string') return Promise.resolve(child);
  child.once('error', (error) => resolve(systemErrorText(error)));
  child.once('exit', (status, signal) => {
    if (signal !== null) resolve(`ended by ${signal}`);
    else resolve(status === 0 ? undefined : `returned error ${status}`);
  });
  return promise;
}
