/**
 * Starts the user's host checker where it is one that goes on speaking with us (`--csd-wrapper` with Network Connect). It has a socket for its standard
 * input, in both directions, and sees the end of that when this process ends, however it does.
 *
 * Read first: spec "Juniper NC", section 4.2; spec "Client command line", section 9.
 */
import type { Socket } from 'node:net';
import type { HelperConnection, HelperRequest } from '../core/auth/login-io.ts';
import { CancelledError, NetworkError } from '../core/errors.ts';
import type { Millis } from '../core/tunnel/packet.ts';
import type { HostCheckOptions } from './host-check.ts';
import { systemErrorText } from './system-error.ts';
import { startUserProgram } from './user-program.ts';

/** Node reads nothing from a child's standard input: so the socket comes as another descriptor, and a shell puts it in place. */
const SOCKET = 3;
const PUT_IN_PLACE = `exec "$0" "$@" <&${SOCKET} ${SOCKET}<&-`;

/** Bytes that wait for a program that does not read; what is said to it is repeated anyway. */
const MAX_UNREAD = 65_536;

/** For `LoginIo.startHelper`: the connection rejects with NetworkError where there is no such program. Rejects with that, and with CancelledError. */
export function startHostHelper(
  options: HostCheckOptions & { readonly wrapper: string },
): (request: HelperRequest) => Promise<HelperConnection> {
  const { wrapper, user, signal, log } = options;
  return async (request) => {
    if (signal.aborted) throw new CancelledError();
    const parameters = ['-c', PUT_IN_PLACE, wrapper, ...request.arguments];
    const child = startUserProgram(
      { program: '/bin/sh', parameters, environment: request.environment, user },
      // Its output is for people. It is in a session of its own: what a terminal sends is for us, and it is needed until the end.
      { stdio: ['ignore', 2, 2, 'pipe'], detached: true },
    );
    if (typeof child === 'string') throw new NetworkError(`The host checker ${wrapper} cannot be started: ${child}.`);
    const connection = new HostHelper(child.stdio[SOCKET] as Socket, signal);
    child.once('error', (error) => connection.end(systemErrorText(error)));
    child.once('exit', (status, by) => {
      const outcome = by === null ? `returned ${status}` : `ended by ${by}`;
      if (!signal.aborted) log.log('warn', 'host check failed', { wrapper, outcome });
      connection.end(outcome);
    });
    child.unref();
    return connection;
  };
}

class HostHelper implements HelperConnection {
  readonly #socket: Socket;
  readonly #signal: AbortSignal;
  #ended: string | undefined;
  #timer: NodeJS.Timeout | undefined;
  #wake: () => void = () => undefined;

  constructor(socket: Socket, signal: AbortSignal) {
    this.#socket = socket;
    this.#signal = signal;
    socket.on('readable', () => this.#wake());
    socket.on('error', () => this.end('closed its input'));
    socket.on('close', () => this.end('closed its input'));
    signal.addEventListener('abort', () => socket.destroy(), { once: true });
  }

  async read(): Promise<Uint8Array> {
    for (;;) {
      const bytes: Buffer | null = this.#socket.read();
      if (bytes !== null) {
        this.#socket.unref(); // what it says from now on keeps nobody waiting
        return bytes;
      }
      if (this.#signal.aborted) throw new CancelledError();
      if (this.#ended !== undefined) throw new NetworkError(`The host checker has ended: it ${this.#ended}.`);
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      this.#socket.ref();
      await promise;
    }
  }

  write(bytes: Uint8Array): void {
    if (this.#ended === undefined && this.#socket.writableLength < MAX_UNREAD) this.#socket.write(bytes);
  }

  repeat(bytes: Uint8Array, every: Millis): void {
    clearInterval(this.#timer);
    this.#timer = setInterval(() => this.write(bytes), every).unref();
  }

  end(outcome: string): void {
    this.#ended ??= outcome;
    clearInterval(this.#timer);
    this.#socket.unref(); // a program that it has left running may hold it open
    this.#wake();
  }
}
