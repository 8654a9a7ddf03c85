/**
 * A log-in in the user's web browser: opens a page there, and waits on a port of this machine for the browser to come back with what the gateway gave it.
 *
 * Read first: spec "Fortinet", section 2.6. Only loopback is listened on, only what `read` accepts is taken, and the port is closed after it.
 */
import { spawn } from 'node:child_process';
import { createServer, type Server } from 'node:http';
import type { BrowseRequest } from '../core/auth/login-io.ts';
import { CancelledError, NetworkError, PeerRefusedError, UnsupportedError } from '../core/errors.ts';
import { systemErrorText } from './system-error.ts';

const LOOPBACK = '127.0.0.1';
const DONE = '<!doctype html><title>Logged in</title><p>You are logged in. You may close this page.</p>\n';

/** How a page is opened: a program that takes its address, or a function. */
export type Browser = string | ((url: string) => Promise<void>);

/** Rejects with NetworkError for a port that is taken, UnsupportedError for a program that cannot be run, PeerRefusedError if nobody comes in time. */
export async function browseWith(browser: Browser, request: BrowseRequest, signal: AbortSignal): Promise<string> {
  const { url, port, read, timeout } = request;
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const server = createServer((asked, answer) => {
    const brought = asked.method === 'GET' ? read(asked.url ?? '') : undefined;
    const status = brought === undefined ? 404 : 200;
    answer.writeHead(status, { 'Content-Type': 'text/html; charset=utf-8', Connection: 'close', 'Cache-Control': 'no-store' });
    answer.end(brought === undefined ? '' : DONE, () => brought !== undefined && resolve(brought));
  });
  const cancel = () => reject(new CancelledError());
  const timer = setTimeout(
    () => reject(new PeerRefusedError(`The browser did not come back within ${timeout / 60_000} minutes. Log in again.`)),
    timeout,
  );
  signal.addEventListener('abort', cancel, { once: true });
  try {
    if (signal.aborted) throw new CancelledError();
    await listen(server, port);
    const opening = typeof browser === 'string' ? run(browser, url) : browser(url);
    opening.catch(reject);
    return await promise;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', cancel);
    server.close();
    server.closeAllConnections();
  }
}

async function listen(server: Server, port: number): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', (cause) =>
    reject(
      new NetworkError(`The browser is to come back to port ${port} of this machine, which cannot be had: ${systemErrorText(cause)}.`, {
        cause,
      }),
    ),
  );
  server.listen(port, LOOPBACK, resolve);
  await promise;
}

/** Browsers stay, or hand the page to one that is there: how they end says nothing. */
async function run(program: string, url: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const child = spawn(program, [url], { stdio: 'ignore', detached: true });
  child.once('spawn', resolve);
  child.once('error', (cause) =>
    reject(new UnsupportedError(`The browser ${program} cannot be run: ${systemErrorText(cause)}.`, { cause })),
  );
  child.unref();
  await promise;
}
