/** One connection of a client to the proxy, from its first byte: its time limit, its log lines, and what it is joined with in the end. */
import type { Socket } from 'node:net';
import { CancelledError, SallyportError } from '../../core/errors.ts';
import type { Logger } from '../../core/log.ts';
import type { SocksDestination } from '../../core/socks/socks5.ts';
import type { Millis } from '../../core/tunnel/packet.ts';
import { type Connected, failureCode, type Outward } from './outward.ts';
import type { ProxyCounters, ProxyProtocol } from './proxy-counters.ts';
import type { ProxyCredentials } from './proxy-credentials.ts';
import { splice } from './splice.ts';

export interface VisitContext {
  readonly outward: Outward;
  readonly counters: ProxyCounters;
  /** Undefined: everybody is welcome. */
  readonly credentials: ProxyCredentials | undefined;
  /** For a client to say what it wants. */
  readonly handshakeLimit: Millis;
  readonly log: Logger;
}

export class Visit {
  readonly socket: Socket;
  readonly #context: VisitContext;
  readonly #gone = new AbortController();
  readonly #timer: NodeJS.Timeout;

  constructor(socket: Socket, context: VisitContext) {
    this.socket = socket;
    this.#context = context;
    this.#timer = setTimeout(() => this.refuse('handshake-timeout'), context.handshakeLimit);
    socket.on('error', () => undefined); // 'close' follows
    socket.once('close', () => {
      clearTimeout(this.#timer);
      this.#gone.abort();
    });
  }

  /** Aborted when the client has gone. */
  get signal(): AbortSignal {
    return this.#gone.signal;
  }

  get credentials(): ProxyCredentials | undefined {
    return this.#context.credentials;
  }

  get context(): VisitContext {
    return this.#context;
  }

  /** The client has said what it wants: from now on others have limits. */
  understood(): void {
    clearTimeout(this.#timer);
  }

  /** Connects to where the client wants to go. Rejects as {@link Outward.connect} does; that is counted. */
  async connect(protocol: ProxyProtocol, destination: SocksDestination): Promise<Connected> {
    const { outward, counters, log } = this.#context;
    try {
      const connected = await outward.connect(destination, this.signal);
      counters.connected(protocol, connected.way);
      log.log('debug', 'proxy connection', { protocol, ...destination, way: connected.way });
      return connected;
    } catch (error) {
      if (error instanceof CancelledError) throw error;
      const reason = failureCode(error);
      counters.failed(reason);
      log.log('debug', 'proxy connection failed', { protocol, ...destination, reason });
      throw error;
    }
  }

  /** Carries bytes until both ends are closed. */
  async join(far: Connected['socket']): Promise<void> {
    await splice(this.socket, far);
    this.#context.counters.carried(this.socket);
  }

  /** The client has broken a rule; `reason` is counted. `last`: what it is told. */
  refuse(reason: string, last?: Uint8Array | string): void {
    const { counters, log } = this.#context;
    counters.failed(reason);
    log.log('debug', 'proxy client refused', { reason });
    clearTimeout(this.#timer);
    leave(this.socket, last);
  }
}

/** For a client to take its last words and go. */
const LAST_WORDS_LIMIT: Millis = 5_000;

/** Says the last words, if there are any, and closes. What still comes is read: closing on unread bytes resets, and the words would be lost. */
export function leave(socket: Socket, last?: Uint8Array | string): void {
  if (last === undefined || socket.destroyed) {
    socket.destroy();
    return;
  }
  const timer = setTimeout(() => socket.destroy(), LAST_WORDS_LIMIT);
  socket.once('close', () => clearTimeout(timer));
  socket.end(last);
  socket.resume();
}

/** Whose fault a failed handshake was, for the counters. */
export function handshakeFault(error: unknown): string {
  return error instanceof SallyportError ? 'bad-handshake' : 'internal';
}
