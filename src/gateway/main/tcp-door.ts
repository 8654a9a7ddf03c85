/**
 * Where clients knock: listens on TCP and on a unix socket, and hands each connection to a worker before a byte of it was read.
 *
 * Main has the port and root's rights; so it looks at addresses here, and at nothing else.
 */

import { chmodSync, rmSync } from 'node:fs';
import net, { type Server, type Socket } from 'node:net';
import { NetworkError } from '../../core/errors.ts';
import { type Endpoint, parseIp } from '../../core/wire/ip-address.ts';
import { systemErrorText } from '../../node/system-error.ts';
import { TCP_OPTIONS } from '../../node/tcp-options.ts';
import type { ListenConfig } from '../config/gateway-config.ts';

/** Connections that wait in the kernel to be accepted. */
export const BACKLOG = 1024;

/** Of the unix socket: for the proxy's user, whoever that is; the folder decides who gets there. */
const SOCKET_MODE = 0o666;

export interface Knock {
  readonly socket: Socket;
  /** Undefined on the unix socket. */
  readonly remote?: Endpoint;
  readonly local?: Endpoint;
}

/** Listening sockets, ours or those that systemd has opened. */
export class TcpDoor {
  readonly #servers: Server[] = [];
  readonly #unixSocket: string | undefined;
  readonly #onKnock: (knock: Knock) => void;

  /** Rejects with {@link NetworkError} for an address that is taken or not ours. `inherited`: descriptors that take the place of the port. */
  static async open(
    listen: Pick<ListenConfig, 'host' | 'tcpPort' | 'unixSocket'>,
    onKnock: (knock: Knock) => void,
    inherited: readonly number[] = [],
  ): Promise<TcpDoor> {
    const door = new TcpDoor(listen.unixSocket, onKnock);
    try {
      for (const fd of inherited) await door.#listen({ fd }, 'the socket that was handed over');
      if (inherited.length === 0 && listen.tcpPort > 0) {
        const { host, tcpPort: port } = listen;
        await door.#listen({ port, ...(host !== undefined && { host }) }, `TCP port ${port}${host === undefined ? '' : ` of ${host}`}`);
      }
      if (listen.unixSocket !== undefined) await door.#listenUnix(listen.unixSocket);
      return door;
    } catch (error) {
      door.close();
      throw error;
    }
  }

  private constructor(unixSocket: string | undefined, onKnock: (knock: Knock) => void) {
    this.#unixSocket = unixSocket;
    this.#onKnock = onKnock;
  }

  /** The port that the kernel chose where 0 was asked for. */
  get port(): number | undefined {
    for (const server of this.#servers) {
      const address = server.address();
      if (address !== null && typeof address === 'object') return address.port;
    }
    return undefined;
  }

  /** No more connections; those that were handed on stay. Safe to call twice. */
  close(): void {
    for (const server of this.#servers.splice(0)) server.close();
    if (this.#unixSocket !== undefined) rmSync(this.#unixSocket, { force: true });
  }

  async #listenUnix(path: string): Promise<void> {
    rmSync(path, { force: true }); // of a gateway that was killed
    await this.#listen({ path }, `the unix socket ${path}`);
    chmodSync(path, SOCKET_MODE);
  }

  async #listen(where: { readonly fd: number } | { readonly port: number } | { readonly path: string }, what: string): Promise<void> {
    // Paused: what a client sends is for the worker to read.
    const server = net.createServer({ pauseOnConnect: true, ...TCP_OPTIONS }, (socket) => this.#accept(socket));
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    server.once('error', (cause) => reject(new NetworkError(`Cannot listen on ${what}: ${systemErrorText(cause)}.`, { cause })));
    server.listen({ ...where, backlog: BACKLOG }, resolve);
    await promise;
    server.removeAllListeners('error').on('error', () => undefined); // a connection that was gone before it was accepted
    this.#servers.push(server);
  }

  #accept(socket: Socket): void {
    socket.on('error', () => undefined); // it is the worker's business; here it only must not end the process
    const remote = endpointOf(socket.remoteAddress, socket.remotePort);
    const local = endpointOf(socket.localAddress, socket.localPort);
    this.#onKnock({ socket, ...(remote !== undefined && { remote }), ...(local !== undefined && { local }) });
  }
}

/** An IPv4 client of an IPv6 socket is an IPv4 client. */
function endpointOf(address: string | undefined, port: number | undefined): Endpoint | undefined {
  const ip = parseIp((address ?? '').replace(/^::ffff:(?=\d+\.)/i, ''));
  return ip === undefined || port === undefined ? undefined : { address: ip, port };
}
