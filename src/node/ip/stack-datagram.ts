/** A UDP socket of the stack, in the manner of `dgram.Socket`. */
import { EventEmitter } from 'node:events';
import { MisuseError, NetworkError } from '../../core/errors.ts';
import type { UdpSocket } from '../../core/ip/udp.ts';
import { formatEndpoint, formatIp, type IpAddress, parseIp } from '../../core/wire/ip-address.ts';
import type { StackDevice } from '../devices/stack-device.ts';
import type { DatagramOptions, IpAddressInfo, IpDatagram, IpDatagramEvents } from './ip-network.ts';
import { icmpError } from './stack-errors.ts';

export class StackDatagram extends EventEmitter<IpDatagramEvents> implements IpDatagram {
  readonly #device: StackDevice;
  readonly #family: 4 | 6;
  #socket: UdpSocket | undefined;
  #isClosed = false;

  constructor(device: StackDevice, { family = 4, signal }: DatagramOptions) {
    super();
    this.#device = device;
    this.#family = family;
    const abort = () => this.close();
    if (signal?.aborted === true) abort();
    else signal?.addEventListener('abort', abort, { once: true });
    this.once('close', () => signal?.removeEventListener('abort', abort));
  }

  bind(options: { readonly port?: number; readonly address?: string } = {}): this {
    if (this.#isClosed || this.#socket !== undefined) throw new MisuseError('this UDP socket is bound or closed already');
    const { port = 0, address } = options;
    const local = address === undefined ? undefined : this.#parse(address);
    const socket = this.#device.stack.openUdp(this.#family, { port, ...(local !== undefined && { address: local }) });
    this.#socket = socket;
    socket.onReady = () => this.#look(socket);
    queueMicrotask(() => this.emit('listening'));
    return this;
  }

  send(message: Uint8Array, port: number, address: string): void {
    if (this.#socket === undefined) this.bind();
    const to = { address: this.#parse(address), port };
    const sent = this.#socket?.send(message, to);
    this.#device.wake();
    if (sent === 'too-big') this.#fail(new NetworkError(`${message.length} bytes do not fit into a datagram.`, { code: 'EMSGSIZE' }));
    if (sent === 'no-route') this.#fail(new NetworkError(`There is no way to ${formatEndpoint(to)}.`, { code: 'ENETUNREACH' }));
  }

  address(): IpAddressInfo {
    const socket = this.#socket;
    if (socket === undefined) throw new MisuseError('this UDP socket is not bound');
    const any = this.#family === 4 ? '0.0.0.0' : '::';
    const address = socket.address === undefined ? any : formatIp(socket.address);
    return { address, family: `IPv${this.#family}`, port: socket.port };
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#socket?.close();
    queueMicrotask(() => this.emit('close'));
  }

  #look(socket: UdpSocket): void {
    const failed = socket.takeError();
    if (failed !== undefined) this.emit('error', icmpError(failed.error, formatEndpoint(failed.to)));
    for (let datagram = socket.receive(); datagram !== undefined && !this.#isClosed; datagram = socket.receive()) {
      const { bytes, from } = datagram;
      const info = { address: formatIp(from.address), family: `IPv${from.address.family}` as const, port: from.port };
      this.emit('message', Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length), info);
    }
  }

  #fail(error: Error): void {
    queueMicrotask(() => this.emit('error', error));
  }

  #parse(text: string): IpAddress {
    const address = parseIp(text);
    if (address === undefined || address.family !== this.#family) throw new MisuseError(`"${text}" is no IPv${this.#family} address`);
    return address;
  }
}
