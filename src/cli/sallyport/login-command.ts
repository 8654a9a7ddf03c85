/** `sallyport login`: logs in and prints the cookie, for `connect --cookie-stdin` and for other programs. */
import { authenticate } from '../../client/index.ts';
import { recoverLeftovers } from '../../client/leftovers.ts';
import { CancelledError, SallyportError } from '../../core/errors.ts';
import type { Logger } from '../../core/log.ts';
import type { CookieFormat, LoginArguments } from './arguments.ts';
import { loginOptions } from './client-options.ts';
import { commandScene } from './command-scene.ts';
import { renderCookie } from './cookie-text.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';
import { explainError } from './explanation.ts';

export async function runLogin(host: string, format: CookieFormat, given: LoginArguments): Promise<ExitCode> {
  const cancel = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => cancel.abort());
  const { reporter, ...scene } = commandScene(given, { configuresNetwork: false, goesToBackground: false, signal: cancel.signal });
  reporter.starting(host);
  try {
    await undoLeftovers(reporter, cancel.signal);
    const credential = await authenticate(host, await loginOptions(given, { ...scene, signal: cancel.signal, log: reporter }));
    reporter.authenticated(undefined);
    process.stdout.write(renderCookie(credential, format));
    return EXIT.ok;
  } catch (error) {
    const why = explainError(error, 'logging in');
    reporter.ended(why, undefined);
    return why.exitCode;
  }
}

/** A session that was killed may have left name servers that answer no more. */
async function undoLeftovers(log: Logger, signal: AbortSignal): Promise<void> {
  try {
    await recoverLeftovers(log, signal, { scriptOutput: process.stderr.fd });
  } catch (error) {
    if (!(error instanceof SallyportError) || error instanceof CancelledError) throw error;
    log.log('warn', 'recovery failed', { reason: error.message });
  }
}
