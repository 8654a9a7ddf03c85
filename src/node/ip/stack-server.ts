/** A TCP server of the stack, in the manner of `net.Server`. */
import { EventEmitter } from 'node:events';
import { MisuseError, NetworkError } from '../../core/errors.ts';
import type { TcpListener } from '../../core/ip/tcp/listener.ts';
import { formatIp, parseIp } from '../../core/wire/ip-address.ts';
import type { StackDevice } from '../devices/stack-device.ts';
import type { IpAddressInfo, IpServer, IpServerEvents, ListenOptions } from './ip-network.ts';
import { type SocketBehaviour, StackSocket } from './stack-socket.ts';

export class StackServer extends EventEmitter<IpServerEvents> implements IpServer {
  readonly #device: StackDevice;
  readonly #behaviour: SocketBehaviour;
  #listener: TcpListener | undefined;
  #isClosed = false;

  constructor(device: StackDevice, behaviour: SocketBehaviour) {
    super();
    this.#device = device;
    this.#behaviour = behaviour;
  }

  get listening(): boolean {
    return this.#listener?.isClosed === false;
  }

  listen(options: ListenOptions, onListening?: () => void): this {
    if (this.#listener !== undefined) throw new MisuseError('this server listens already');
    if (onListening !== undefined) this.once('listening', onListening);
    try {
      this.#open(options);
      queueMicrotask(() => this.emit('listening'));
    } catch (error) {
      queueMicrotask(() => this.emit('error', error as Error)); // what the stack throws is an error
    }
    return this;
  }

  address(): IpAddressInfo | null {
    const listener = this.#listener;
    if (listener === undefined) return null;
    const address = listener.address ?? this.#device.stack.addresses[0];
    if (address === undefined) return null;
    return { address: formatIp(address), family: `IPv${address.family}`, port: listener.port };
  }

  close(onClose?: () => void): this {
    if (onClose !== undefined) this.once('close', onClose);
    if (this.#isClosed) return this;
    this.#isClosed = true;
    this.#listener?.close();
    this.#device.wake();
    queueMicrotask(() => this.emit('close'));
    return this;
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.close();
    return Promise.resolve();
  }

  #open({ port, host, backlog }: ListenOptions): void {
    const address = host === undefined ? undefined : parseIp(host);
    if (host !== undefined && address === undefined) throw new NetworkError(`"${host}" is no IP address.`, { code: 'EADDRNOTAVAIL' });
    const listener = this.#device.stack.listen(port, {
      ...(address !== undefined && { address }),
      ...(backlog !== undefined && { backlog }),
    });
    this.#listener = listener;
    listener.onReady = () => {
      for (let connection = listener.accept(); connection !== undefined; connection = listener.accept()) {
        this.emit('connection', StackSocket.accepted(this.#device, connection, this.#behaviour));
      }
    };
  }
}
