/**
 * Sockets that need no socket of the system: what a program gets of a userspace stack, inside a VPN or at a gateway without rights.
 *
 * The faces follow `node:net` and `node:dgram`, so that what takes a `Duplex` (TLS, HTTP, SSH) takes these. Addresses are text, as Node has them.
 * Errors carry Node's codes: ECONNREFUSED, ECONNRESET, ETIMEDOUT, EHOSTUNREACH, ENETUNREACH, EADDRINUSE, EADDRNOTAVAIL, EMSGSIZE, ENOTFOUND.
 */
import type { EventEmitter } from 'node:events';
import type { Duplex } from 'node:stream';
import type { Millis } from '../../core/tunnel/packet.ts';

export interface IpNetwork {
  /**
   * Connects by TCP. The socket is returned at once and emits `connect`, or `error` and `close`. A name is looked up by {@link lookup}, and its
   * addresses are tried in turn.
   */
  createConnection(options: ConnectionOptions): IpSocket;
  /** A TCP server; {@link IpServer.listen} starts it. `onConnection` is a listener of its event `connection`. */
  createServer(options?: ServerOptions, onConnection?: (socket: IpSocket) => void): IpServer;
  /** A UDP socket. */
  createDatagram(options?: DatagramOptions): IpDatagram;
  /**
   * The addresses of a name, those of the family that is reached first. Text that is an address already is its own answer. Rejects with NetworkError:
   * ENOTFOUND where the name has no address, ETIMEOUT where no server answers, and with CancelledError.
   */
  lookup(name: string, options?: LookupOptions): Promise<readonly IpLookupAddress[]>;
  /** Sends one ICMP echo request and waits for its answer. Rejects with NetworkError (ETIMEDOUT, EHOSTUNREACH, …) and CancelledError. */
  ping(host: string, options?: PingOptions): Promise<PingAnswer>;
  /** The addresses that this end has. */
  readonly addresses: readonly string[];
}

export interface ConnectionOptions {
  /** A name, or an IPv4 or IPv6 address. */
  readonly host: string;
  /** 1 to 65535. */
  readonly port: number;
  /** One of {@link IpNetwork.addresses}. Default: the one that suits the destination. */
  readonly localAddress?: string;
  /** Default: a random free one. */
  readonly localPort?: number;
  /** Only addresses of this family. Default: 0, both. */
  readonly family?: 0 | 4 | 6;
  /** Small writes leave at once, without waiting for the acknowledgement of those before (Nagle's algorithm off). Default: false. */
  readonly noDelay?: boolean;
  /** Asks a silent peer for a sign of life. Default: false. */
  readonly keepAlive?: boolean;
  /** Silence before the first question, in milliseconds. Default: two hours. */
  readonly keepAliveInitialDelay?: Millis;
  /** The writing side stays open when the peer has ended its own. Default: false. */
  readonly allowHalfOpen?: boolean;
  /** How long an address is tried, in milliseconds. Default: {@link DEFAULT_CONNECT_TIMEOUT}. */
  readonly connectTimeout?: Millis;
  /** Destroys the socket, with a CancelledError. */
  readonly signal?: AbortSignal;
}

/** A TCP connection. Emits `connect`, `ready`, `timeout`, and all that a Duplex emits. */
export interface IpSocket extends Duplex {
  /** Until the first address has answered. */
  readonly connecting: boolean;
  readonly remoteAddress: string | undefined;
  readonly remotePort: number | undefined;
  readonly remoteFamily: 'IPv4' | 'IPv6' | undefined;
  readonly localAddress: string | undefined;
  readonly localPort: number | undefined;
  readonly localFamily: 'IPv4' | 'IPv6' | undefined;
  /** Bytes that arrived in order, and that were written. */
  readonly bytesRead: number;
  readonly bytesWritten: number;
  setNoDelay(noDelay?: boolean): this;
  setKeepAlive(enable?: boolean, initialDelay?: Millis): this;
  /** `timeout` is emitted after this much silence, each time; 0: never. */
  setTimeout(timeout: Millis, onTimeout?: () => void): this;
  /** Ends the connection with a reset. */
  resetAndDestroy(): this;
  /**
   * For readers who are done with a chunk of the event `data`, and move much: its memory is used again for what comes next, on whichever connection, and
   * nobody may look at it any more. Once for each chunk. Who does not call it leaves it to the garbage collector.
   */
  giveBack(chunk: Uint8Array): void;
  /** Sockets of a userspace stack keep no process alive: both do nothing, and are here because callers of `net.Socket` call them. */
  ref(): this;
  unref(): this;
}

export interface ServerOptions {
  /** Connections whose peer has ended its side stay open for writing. Default: false. */
  readonly allowHalfOpen?: boolean;
  readonly noDelay?: boolean;
  readonly keepAlive?: boolean;
  readonly keepAliveInitialDelay?: Millis;
}

export interface IpServerEvents {
  listening: [];
  connection: [socket: IpSocket];
  error: [error: Error];
  close: [];
}

/** A TCP server. Connections outlive it. */
export interface IpServer extends EventEmitter<IpServerEvents> {
  /** Starts listening, and emits `listening` or `error`. `port` 0: a free one. */
  listen(options: ListenOptions, onListening?: () => void): this;
  address(): IpAddressInfo | null;
  readonly listening: boolean;
  /** Connections that were accepted wait here no longer; `close` is emitted. Safe to call twice. */
  close(onClose?: () => void): this;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface ListenOptions {
  readonly port: number;
  /** Default: every address of this end. */
  readonly host?: string;
  /** Connections that wait to be taken. Default: 128. */
  readonly backlog?: number;
}

export interface IpAddressInfo {
  readonly address: string;
  readonly family: 'IPv4' | 'IPv6';
  readonly port: number;
}

export interface DatagramOptions {
  /** Default: 4. */
  readonly family?: 4 | 6;
  /** Closes the socket. */
  readonly signal?: AbortSignal;
}

export interface IpDatagramEvents {
  listening: [];
  message: [message: Buffer, from: IpAddressInfo];
  /** What the network says of an earlier datagram (ECONNREFUSED, EHOSTUNREACH, …), and other errors. The socket stays open. */
  error: [error: Error];
  close: [];
}

/** A UDP socket. Datagrams that nobody takes in time are dropped, as the system does. */
export interface IpDatagram extends EventEmitter<IpDatagramEvents> {
  /** Default port: a free one; default address: every one of this end. Called by the first {@link send} where it was not called before. Throws NetworkError (EADDRINUSE, EADDRNOTAVAIL). */
  bind(options?: { readonly port?: number; readonly address?: string }): this;
  /** Sends one datagram to an IP address. What cannot be sent is an `error`; what the queue has no room for is dropped. */
  send(message: Uint8Array, port: number, address: string): void;
  address(): IpAddressInfo;
  close(): void;
}

export interface LookupOptions {
  /** Default: 0, both. */
  readonly family?: 0 | 4 | 6;
  readonly signal?: AbortSignal;
}

export interface IpLookupAddress {
  readonly address: string;
  readonly family: 4 | 6;
}

export interface PingOptions {
  /** Bytes of payload. Default: 56. */
  readonly length?: number;
  /** Default: 5 000. */
  readonly timeout?: Millis;
  readonly family?: 0 | 4 | 6;
  readonly signal?: AbortSignal;
}

export interface PingAnswer {
  readonly address: string;
  /** Milliseconds from request to answer. */
  readonly roundTrip: Millis;
  readonly length: number;
}

/** How long one address is tried where the caller does not say. */
export const DEFAULT_CONNECT_TIMEOUT: Millis = 30_000;
