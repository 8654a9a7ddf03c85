/**
 * The road between client and gateway: one port for TCP and UDP, and a barrier for UDP, as many a hotel has it.
 *
 *   client ──► road ──► gateway, the same port on another loopback address: clients use the port that the gateway tells them
 */
import { createSocket, type RemoteInfo, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import net, { type AddressInfo, type Server } from 'node:net';

/** A busy machine lets a road wait; it should not lose for that. The system gives what it may. */
const BUFFER_BYTES: number = 4 * 1024 * 1024;

/** Clients of one demo. */
const MAX_UDP_FLOWS = 64;

export class Road {
  readonly host: string;
  readonly port: number;
  /** Datagrams that came to the barrier. */
  stopped = 0;
  #isCut = false;
  readonly #target: string;
  readonly #server: Server;
  readonly #udp: UdpSocket;
  readonly #flows = new Map<string, UdpSocket>();
  readonly #sockets = new Set<net.Socket>();

  /** Rejects if the port that the system has chosen for TCP is taken for UDP. */
  static async open(host: string, target: string): Promise<Road> {
    const server = net.createServer({ noDelay: true, allowHalfOpen: true });
    server.listen(0, host);
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const udp = createSocket(net.isIPv6(host) ? 'udp6' : 'udp4');
    try {
      udp.bind(port, host);
      await once(udp, 'listening');
    } catch (error) {
      server.close();
      udp.close();
      throw error;
    }
    udp.setRecvBufferSize(BUFFER_BYTES);
    return new Road(host, port, target, server, udp);
  }

  private constructor(host: string, port: number, target: string, server: Server, udp: UdpSocket) {
    this.host = host;
    this.port = port;
    this.#target = target;
    this.#server = server;
    this.#udp = udp;
    server.on('connection', (client) => this.#connected(client));
    udp.on('message', (bytes, from) => this.#datagram(bytes, from));
  }

  /** No datagram passes any more. */
  cutUdp(): void {
    this.#isCut = true;
  }

  close(): void {
    this.#server.close();
    this.#udp.close();
    for (const socket of this.#sockets) socket.destroy();
    for (const socket of this.#flows.values()) socket.close();
  }

  #connected(client: net.Socket): void {
    const upstream = net.connect({ port: this.port, host: this.#target, noDelay: true, allowHalfOpen: true });
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      this.#sockets.add(socket);
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        this.#sockets.delete(socket);
        other.destroySoon();
      });
      socket.pipe(other);
    }
  }

  #datagram(bytes: Buffer, from: RemoteInfo): void {
    if (this.#isCut) {
      this.stopped++;
      return;
    }
    this.#flowOf(from)?.send(bytes, this.port, this.#target);
  }

  #flowOf(client: RemoteInfo): UdpSocket | undefined {
    const key = `${client.address} ${client.port}`;
    const known = this.#flows.get(key);
    if (known !== undefined || this.#flows.size >= MAX_UDP_FLOWS) return known;
    const socket = createSocket({ type: 'udp4', recvBufferSize: BUFFER_BYTES });
    socket.on('message', (bytes) => {
      if (!this.#isCut) this.#udp.send(bytes, client.port, client.address);
    });
    socket.on('error', () => undefined); // the gateway has ended
    this.#flows.set(key, socket);
    return socket;
  }
}
