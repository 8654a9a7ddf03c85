/**
 * A TCP connection of the stack as a stream, in the manner of `net.Socket`.
 *
 * Back-pressure goes through: what nobody reads stays in the connection, whose window closes; a write is called back when the connection has taken
 * all of it, which is when its send buffer has had room.
 */
import { Duplex, type DuplexOptions } from 'node:stream';
import { CancelledError, MisuseError, NetworkError } from '../../core/errors.ts';
import type { TcpConnection } from '../../core/ip/tcp/connection.ts';
import type { Millis } from '../../core/tunnel/packet.ts';
import { type Endpoint, formatEndpoint, formatIp, type IpAddress } from '../../core/wire/ip-address.ts';
import type { StackDevice } from '../devices/stack-device.ts';
import { type ConnectionOptions, DEFAULT_CONNECT_TIMEOUT, type IpSocket } from './ip-network.ts';
import { tcpError } from './stack-errors.ts';

/** Where a connection goes: the addresses to try, in their order. */
export type Resolve = (host: string, family: 0 | 4 | 6, signal: AbortSignal) => Promise<readonly IpAddress[]>;

/** What a socket is told beside what it is connected to. */
export type SocketBehaviour = Pick<ConnectionOptions, 'allowHalfOpen' | 'noDelay' | 'keepAlive' | 'keepAliveInitialDelay'>;

/** RFC 9293 §3.8.4: not less, unless somebody says so. */
const DEFAULT_KEEP_ALIVE_DELAY: Millis = 7_200_000;

/** More than a socket of the system reads at once, so that what comes from one and is taken at once does not stop it each time. Bytes. */
const WRITE_AHEAD = 128 * 1024;

interface PendingWrite {
  readonly chunks: readonly Uint8Array[];
  index: number;
  at: number;
  readonly done: (error?: Error | null) => void;
}

export class StackSocket extends Duplex implements IpSocket {
  readonly #device: StackDevice;
  readonly #cancel = new AbortController();
  #connection: TcpConnection | undefined;
  #isConnecting = true;
  #local: Endpoint | undefined;
  #remote: Endpoint | undefined;
  #noDelay: boolean;
  #keepAlive: Millis;
  #write: PendingWrite | undefined;
  #final: ((error?: Error | null) => void) | undefined;
  #wantsRead = false;
  #hasEnded = false;
  #bytesRead = 0;
  #bytesWritten = 0;
  #timeout: Millis = 0;
  #timer: NodeJS.Timeout | undefined;

  /** Begins to connect. */
  static connect(device: StackDevice, options: ConnectionOptions, resolve: Resolve): StackSocket {
    const { signal } = options;
    const socket = new StackSocket(device, options);
    if (signal !== undefined) socket.#obey(signal);
    void socket.#connect(options, resolve);
    return socket;
  }

  /** One that a server has accepted. */
  static accepted(device: StackDevice, connection: TcpConnection, behaviour: SocketBehaviour): StackSocket {
    const socket = new StackSocket(device, behaviour);
    socket.#attach(connection);
    socket.#isConnecting = false;
    return socket;
  }

  private constructor(device: StackDevice, behaviour: SocketBehaviour) {
    const { allowHalfOpen = false, noDelay = false, keepAlive = false, keepAliveInitialDelay = DEFAULT_KEEP_ALIVE_DELAY } = behaviour;
    const options: DuplexOptions = { allowHalfOpen, decodeStrings: true, emitClose: true, writableHighWaterMark: WRITE_AHEAD };
    super(options);
    this.#device = device;
    this.#noDelay = noDelay;
    this.#keepAlive = keepAlive ? keepAliveInitialDelay : 0;
  }

  get connecting(): boolean {
    return this.#isConnecting && !this.destroyed;
  }

  get remoteAddress(): string | undefined {
    return this.#remote && formatIp(this.#remote.address);
  }

  get remotePort(): number | undefined {
    return this.#remote?.port;
  }

  get remoteFamily(): 'IPv4' | 'IPv6' | undefined {
    return this.#remote && `IPv${this.#remote.address.family}`;
  }

  get localAddress(): string | undefined {
    return this.#local && formatIp(this.#local.address);
  }

  get localPort(): number | undefined {
    return this.#local?.port;
  }

  get localFamily(): 'IPv4' | 'IPv6' | undefined {
    return this.#local && `IPv${this.#local.address.family}`;
  }

  get bytesRead(): number {
    return this.#bytesRead;
  }

  get bytesWritten(): number {
    return this.#bytesWritten;
  }

  setNoDelay(noDelay = true): this {
    this.#noDelay = noDelay;
    this.#connection?.setNoDelay(noDelay);
    this.#device.wake();
    return this;
  }

  setKeepAlive(enable = false, initialDelay: Millis = 0): this {
    this.#keepAlive = enable ? initialDelay || this.#keepAlive || DEFAULT_KEEP_ALIVE_DELAY : 0;
    this.#connection?.setKeepAlive(this.#keepAlive);
    this.#device.wake();
    return this;
  }

  setTimeout(timeout: Millis, onTimeout?: () => void): this {
    this.#timeout = timeout;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (onTimeout !== undefined) {
      if (timeout === 0) this.removeListener('timeout', onTimeout);
      else this.once('timeout', onTimeout);
    }
    this.#active();
    return this;
  }

  resetAndDestroy(): this {
    this.#connection?.abort();
    this.#device.wake();
    this.destroy();
    return this;
  }

  giveBack(chunk: Uint8Array): void {
    this.#connection?.giveBack(chunk);
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }

  override _read(): void {
    this.#wantsRead = true;
    this.#readOn();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#begin([chunk], done);
  }

  override _writev(chunks: readonly { readonly chunk: Buffer }[], done: (error?: Error | null) => void): void {
    this.#begin(
      chunks.map(({ chunk }) => chunk),
      done,
    );
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#final = done;
    this.#finish();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#cancel.abort();
    clearTimeout(this.#timer);
    const connection = this.#connection;
    if (connection !== undefined) {
      connection.onReady = undefined;
      connection.close();
      this.#device.wake();
    }
    const write = this.#write;
    this.#write = undefined;
    write?.done(error ?? new NetworkError('The connection was closed.', { code: 'ECONNABORTED' }));
    this.#final?.(error);
    this.#final = undefined;
    done(error);
  }

  async #connect(options: ConnectionOptions, resolve: Resolve): Promise<void> {
    const { host, port, family = 0 } = options;
    try {
      if (typeof host !== 'string') throw new MisuseError('A connection wants a host: { host, port }.');
      const addresses = await resolve(host, family, this.#cancel.signal);
      await this.#tryEach(addresses, port, options);
    } catch (error) {
      this.destroy(error instanceof Error ? error : new NetworkError(String(error)));
    }
  }

  /** In turn, as Node does without its happy eyeballs: behind a VPN both families end at the same gateway. */
  async #tryEach(addresses: readonly IpAddress[], port: number, options: ConnectionOptions): Promise<void> {
    let last: Error = new NetworkError(`${options.host} has no address that this end can reach.`, { code: 'ENETUNREACH' });
    for (const address of addresses) {
      if (this.destroyed) return;
      try {
        await this.#tryOne({ address, port }, options);
        return;
      } catch (error) {
        last = error as Error; // nothing else is thrown by it
      }
    }
    throw last;
  }

  #tryOne(remote: Endpoint, options: ConnectionOptions): Promise<void> {
    const { localPort, connectTimeout = DEFAULT_CONNECT_TIMEOUT } = options;
    const now = this.#device.now();
    const local = this.#localOf(options);
    const connection = this.#device.stack.connect(remote, now, {
      ...(local !== undefined && { address: local }),
      ...(localPort !== undefined && { port: localPort }),
    });
    connection.giveUpAt(now + connectTimeout);
    this.#connection = connection;
    this.#device.wake();
    return new Promise((resolve, reject) => {
      connection.onReady = () => {
        if (connection.error !== undefined) {
          this.#connection = undefined;
          reject(tcpError(connection.error, formatEndpoint(remote)));
        } else if (connection.isMade) {
          this.#attach(connection);
          this.#connected();
          resolve();
        }
      };
    });
  }

  #localOf({ localAddress }: ConnectionOptions): IpAddress | undefined {
    if (localAddress === undefined) return undefined;
    const own = this.#device.stack.addresses.find((address) => formatIp(address) === localAddress);
    if (own === undefined) throw new NetworkError(`${localAddress} is no address of this end.`, { code: 'EADDRNOTAVAIL' });
    return own;
  }

  #attach(connection: TcpConnection): void {
    this.#connection = connection;
    this.#local = connection.local;
    this.#remote = connection.remote;
    connection.onReady = () => this.#look();
    if (this.#noDelay) connection.setNoDelay(true);
    if (this.#keepAlive > 0) connection.setKeepAlive(this.#keepAlive);
  }

  #connected(): void {
    this.#isConnecting = false;
    this.emit('connect');
    this.emit('ready');
    this.#look();
  }

  /** The connection has changed. */
  #look(): void {
    const connection = this.#connection;
    if (connection === undefined || this.destroyed) return;
    this.#readOn();
    if (connection.error !== undefined) {
      this.destroy(tcpError(connection.error, this.#remote === undefined ? 'The peer' : formatEndpoint(this.#remote)));
      return;
    }
    this.#writeOn();
    this.#finish();
  }

  #readOn(): void {
    const connection = this.#connection;
    if (connection === undefined || this.#hasEnded) return;
    let hasRead = false;
    while (this.#wantsRead) {
      const chunk = connection.read();
      if (chunk === undefined) break;
      hasRead = true;
      this.#bytesRead += chunk.length;
      this.#wantsRead = this.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length));
    }
    if (hasRead) {
      this.#active();
      this.#device.wake(); // the window may have opened
    }
    if (!connection.hasEnded) return;
    this.#hasEnded = true;
    this.push(null);
  }

  #begin(chunks: readonly Uint8Array[], done: (error?: Error | null) => void): void {
    this.#write = { chunks, index: 0, at: 0, done };
    this.#writeOn();
  }

  #writeOn(): void {
    const { write, connection } = { write: this.#write, connection: this.#connection };
    if (write === undefined || connection === undefined || this.#isConnecting) return;
    for (let chunk = write.chunks[write.index]; chunk !== undefined; chunk = write.chunks[write.index]) {
      const taken = connection.write(chunk, write.at);
      write.at += taken;
      this.#bytesWritten += taken;
      if (write.at < chunk.length) {
        this.#device.wake();
        return;
      }
      write.index++;
      write.at = 0;
    }
    this.#write = undefined;
    this.#active();
    this.#device.wake();
    write.done();
  }

  /** Everything was written: FIN follows it. */
  #finish(): void {
    const done = this.#final;
    if (done === undefined || this.#isConnecting || this.#connection === undefined) return;
    this.#final = undefined;
    this.#connection.end();
    this.#device.wake();
    done();
  }

  #active(): void {
    if (this.#timeout === 0 || this.destroyed) return;
    if (this.#timer === undefined) this.#timer = setTimeout(() => this.#silent(), this.#timeout).unref();
    else this.#timer.refresh();
  }

  #silent(): void {
    this.emit('timeout');
  }

  #obey(signal: AbortSignal): void {
    const abort = () => this.destroy(new CancelledError());
    if (signal.aborted) {
      abort();
      return;
    }
    signal.addEventListener('abort', abort, { once: true });
    this.once('close', () => signal.removeEventListener('abort', abort));
  }
}
