/**
 * A log-in in the user's web browser: opens a page there, and waits on a port of this machine for what it has brought: with the browser, which is sent there
 * by the gateway, or copied by the person into a page that is served there.
 *
 * Read first: spec "Fortinet", section 2.6; spec "GlobalProtect", sections 4.3 and 17. Only loopback is listened on, only what is asked for is taken, and the
 * port is closed after it.
 */
import { spawn } from 'node:child_process';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { BrowseRequest, ReturningBrowse } from '../core/auth/login-io.ts';
import { CancelledError, NetworkError, PeerRefusedError, SallyportError, UnsupportedError } from '../core/errors.ts';
import { CopyPage } from './browser-copy-page.ts';
import { systemErrorText } from './system-error.ts';

const LOOPBACK = '127.0.0.1';
const DONE = '<!doctype html><title>Logged in</title><p>You are logged in. You may close this page.</p>\n';

/** How a page is opened: a program that takes its address, or a function. */
export type Browser = string | ((url: string) => Promise<void>);

/** What comes to the port. `brought`: what the wait was for. */
type Serve = (asked: IncomingMessage, answer: ServerResponse, brought: (text: string) => void) => Promise<void> | void;

/** Rejects with NetworkError for a port that is taken, UnsupportedError for a program that cannot be run, PeerRefusedError if nobody comes in time. */
export async function browseWith(browser: Browser, request: BrowseRequest, signal: AbortSignal): Promise<string> {
  const page = request.kind === 'copied' ? new CopyPage(request) : undefined;
  const serve: Serve = page === undefined ? returning(request as ReturningBrowse) : (...visit) => page.serve(...visit);
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const server = createServer((asked, answer) => {
    Promise.resolve(serve(asked, answer, resolve)).catch((error: unknown) => {
      answer.destroy();
      if (error instanceof SallyportError) reject(error); // of a browser that has gone, nobody need hear
    });
  });
  const cancel = () => reject(new CancelledError());
  const { timeout } = request;
  const timer = setTimeout(
    () => reject(new PeerRefusedError(`The browser did not come back within ${timeout / 60_000} minutes. Log in again.`)),
    timeout,
  );
  signal.addEventListener('abort', cancel, { once: true });
  try {
    if (signal.aborted) throw new CancelledError();
    await listen(server, request.kind === 'copied' ? 0 : request.port);
    const { port } = server.address() as AddressInfo; // it listens on TCP
    const url = page === undefined ? (request as ReturningBrowse).url : `http://${LOOPBACK}:${port}${page.path}`;
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

function returning({ read }: ReturningBrowse): Serve {
  return (asked, answer, brought) => {
    const text = asked.method === 'GET' ? read(asked.url ?? '') : undefined;
    answer.writeHead(text === undefined ? 404 : 200, PAGE_HEADERS);
    answer.end(text === undefined ? '' : DONE, () => text !== undefined && brought(text));
  };
}

const PAGE_HEADERS = { 'Content-Type': 'text/html; charset=utf-8', Connection: 'close', 'Cache-Control': 'no-store' };

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
