/** A TCP port that waits for connections (RFC 9293, LISTEN). */
import type { IpAddress } from '../../wire/ip-address.ts';
import { TcpConnection } from './connection.ts';
import type { ControlBlock } from './control-block.ts';

export class TcpListener {
  /** Undefined: every address of the host. */
  readonly address: IpAddress | undefined;
  readonly port: number;
  /** Connections in the making and those that nobody has taken, together. */
  readonly backlog: number;
  isReadyQueued = false;
  onReady: (() => void) | undefined;
  readonly #pending = new Set<ControlBlock>();
  readonly #made: ControlBlock[] = [];
  readonly #onClose: (listener: TcpListener) => void;
  #isClosed = false;

  constructor(address: IpAddress | undefined, port: number, backlog: number, onClose: (listener: TcpListener) => void) {
    this.address = address;
    this.port = port;
    this.backlog = backlog;
    this.#onClose = onClose;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  get isFull(): boolean {
    return this.#pending.size + this.#made.length >= this.backlog;
  }

  /** The next connection that was made; undefined: there is none. One that has ended meanwhile is handed out all the same. */
  accept(): TcpConnection | undefined {
    const block = this.#made.shift();
    return block && new TcpConnection(block);
  }

  /** Ends it, and what nobody has taken. Safe to call twice. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const block of [...this.#pending, ...this.#made.splice(0)]) new TcpConnection(block).abort();
    this.#pending.clear();
    this.#onClose(this);
  }

  // For the host of all connections.

  began(block: ControlBlock): void {
    this.#pending.add(block);
  }

  /** True: it was one of this listener's. */
  made(block: ControlBlock): boolean {
    if (!this.#pending.delete(block)) return false;
    this.#made.push(block);
    return true;
  }

  gone(block: ControlBlock): void {
    this.#pending.delete(block);
  }
}
