/**
 * Reads the PROXY header off a connection that a proxy hands on, and leaves the rest of its bytes where they are.
 *
 * Read first: `core/wire/proxy-header.ts`. Only for listeners that are configured so: from anybody else such a header is a lie.
 */
import type { Socket } from 'node:net';
import { CancelledError, NetworkError } from '../../core/errors.ts';
import { type ProxyHeader, parseProxyHeader } from '../../core/wire/proxy-header.ts';

/** How long a proxy may take to say whose connection it is: it writes the header at once. */
const HEADER_LIMIT_MS = 5_000;

export interface ProxyReading {
  /** Undefined: the proxy speaks for itself, or cannot say. What it says of the client's TLS is not believed: we do that TLS ourselves. */
  readonly ends: ProxyHeader['ends'];
  /** Bytes of the header: whoever reads on counts from here. */
  readonly bytesRead: number;
}

export interface ProxyReadingOptions {
  readonly signal: AbortSignal;
}

/**
 * The header in front of the connection, which is paused then. Undefined if the proxy left without a word: a health check. Rejects with
 * PeerMisbehavedError, NetworkError or CancelledError; the socket is destroyed then.
 */
export async function readProxyHeader(socket: Socket, { signal }: ProxyReadingOptions): Promise<ProxyReading | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<ProxyReading | undefined>();
  let held: Buffer = Buffer.alloc(0);
  const settle = () => {
    clearTimeout(timer);
    signal.removeEventListener('abort', cancel);
    socket.off('readable', read).off('end', ended).off('close', ended);
  };
  const fail = (error: unknown) => {
    settle();
    socket.destroy();
    reject(error);
  };
  const read = () => {
    try {
      for (let bytes: Buffer | null = socket.read(); bytes !== null; bytes = socket.read()) held = Buffer.concat([held, bytes]);
      const parsed = parseProxyHeader(held);
      if (parsed === undefined) return;
      settle();
      socket.pause();
      if (held.length > parsed.length) socket.unshift(held.subarray(parsed.length));
      resolve({ ends: parsed.header.ends, bytesRead: parsed.length });
    } catch (error) {
      fail(error);
    }
  };
  const ended = () => {
    if (held.length > 0) {
      fail(new NetworkError('The proxy left inside its PROXY header.'));
      return;
    }
    settle();
    socket.destroy();
    resolve(undefined);
  };
  const cancel = () => fail(new CancelledError());
  const timer = setTimeout(() => fail(new NetworkError('The proxy took too long for its PROXY header.')), HEADER_LIMIT_MS);
  socket.on('error', () => undefined); // the end that follows says enough
  socket.on('readable', read).once('end', ended).once('close', ended);
  if (signal.aborted) cancel();
  signal.addEventListener('abort', cancel, { once: true });
  if (socket.destroyed) ended();
  return promise;
}
