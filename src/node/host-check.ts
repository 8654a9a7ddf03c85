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

/** The name of what the gateway sends, in its folder. */
const STUB = 'stub';

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
  const folder = request.stub === undefined ? undefined : await placed(request.stub);
  try {
    const stub = folder === undefined ? '' : path.join(folder, STUB);
    const refused = folder !== undefined && user !== undefined ? await given([folder, stub], user) : undefined;
    const outcome = refused ?? (await run(wrapper, [stub, ...request.arguments], request.environment, options));
    if (signal.aborted) throw new CancelledError();
    if (outcome !== undefined) log.log('warn', 'host check failed', { wrapper, outcome });
  } finally {
    if (folder !== undefined) await rm(folder, { recursive: true, force: true });
  }
}

/** Writes the stub into a folder of its own, in the first place that there is with room for it. Rejects with {@link SallyportError}. */
async function placed(stub: Uint8Array): Promise<string> {
  let reason: unknown;
  for (const place of [process.env.TMPDIR || '/var/tmp', '/var/tmp', '/tmp']) {
    let folder: string | undefined;
    try {
      folder = await mkdtemp(path.join(place, 'csd-'));
      await writeFile(path.join(folder, STUB), stub, { mode: 0o600 });
      return folder;
    } catch (error) {
      reason = error; // not there, full, or closed to us
      if (folder !== undefined) await rm(folder, { recursive: true, force: true });
    }
  }
  throw new SallyportError('ERR_HOST_CHECK', `There is no place for the gateway's host checker: ${systemErrorText(reason)}.`, {
    cause: reason,
  });
}

/** What the system has against it; undefined: they are that user's now. */
async function given(files: readonly string[], { uid, gid }: ProgramUser): Promise<string | undefined> {
  try {
    for (const file of files) await chown(file, uid, gid);
    return undefined;
  } catch (error) {
    return systemErrorText(error);
  }
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
