/** A proxy on loopback with the networks behind it in memory, and what tests use it with. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { text } from 'node:stream/consumers';
import { Outward } from '../../../src/client/proxy/outward.ts';
import type { ProxyLogin } from '../../../src/client/proxy/proxy-credentials.ts';
import { ProxyServer, type ProxyServerOptions } from '../../../src/client/proxy/proxy-server.ts';
import { type GatewayNetworks, RouteRules, type UserRule } from '../../../src/client/proxy/route-rules.ts';
import { Secret } from '../../../src/core/secret.ts';
import { encodeGreeting } from '../../../src/core/socks/socks5.ts';
import { parseIp } from '../../../src/core/wire/ip-address.ts';
import { LoopbackNetwork } from './loopback-network.ts';

export const NO_NETWORKS: GatewayNetworks = {
  include: [],
  exclude: [],
  dns: [parseIp('10.0.0.53')].flatMap((ip) => ip ?? []),
  splitDns: [],
};

export const LOGIN: ProxyLogin = { username: 'alice', password: new Secret('correct horse') };

/** node:http takes the end of a client that waits for an answer for its leaving. */
export const OPEN: { readonly ends: boolean } = { ends: false };

export const HELLO5: Uint8Array = encodeGreeting([0]);

export function bytes(...parts: readonly (Uint8Array | string)[]): Buffer {
  return Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part, 'latin1') : part)));
}

export const latin1 = (...values: readonly number[]): string => Buffer.from(values).toString('latin1');
/** Resolves when the other side has ended or broken the connection. */
export async function over(socket: Socket): Promise<void> {
  await collected(socket).catch(() => undefined);
  socket.destroy();
}

export async function collected(socket: Duplex): Promise<string> {
  let received = '';
  for await (const chunk of socket) received += (chunk as Buffer).toString('latin1');
  return received;
}

export interface ProxySceneOptions extends Partial<ProxyServerOptions> {
  readonly rules?: readonly UserRule[];
  readonly gateway?: Partial<GatewayNetworks>;
}

export class ProxyScene implements AsyncDisposable {
  readonly vpn: LoopbackNetwork;
  readonly direct: LoopbackNetwork;
  readonly proxy: ProxyServer;
  readonly #servers: Server[] = [];

  private constructor(proxy: ProxyServer, { vpn, direct }: Pick<ProxyScene, 'vpn' | 'direct'>) {
    this.proxy = proxy;
    this.vpn = vpn;
    this.direct = direct;
  }

  static async open({ rules = [], gateway = {}, ...options }: ProxySceneOptions = {}): Promise<ProxyScene> {
    const routes = new RouteRules(rules, { ...NO_NETWORKS, ...gateway });
    const networks = { vpn: new LoopbackNetwork(), direct: new LoopbackNetwork() };
    const proxy = await ProxyServer.listen({ outward: new Outward({ networks, rules: () => routes }), port: 0, ...options });
    return new ProxyScene(proxy, networks);
  }

  get port(): number {
    return this.proxy.address.port;
  }

  /** A server behind the proxy; its port. */
  async serve(onConnection: (socket: Socket) => void): Promise<number> {
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      socket.on('error', () => undefined); // what is broken on purpose breaks here too
      onConnection(socket);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    this.#servers.push(server);
    return (server.address() as AddressInfo).port;
  }

  /** Sends back what comes, and ends when the client does. */
  echo(): Promise<number> {
    return this.serve((socket) => socket.pipe(socket));
  }

  async dial(): Promise<Socket> {
    const socket = connect({ port: this.port, host: '127.0.0.1', allowHalfOpen: true });
    await once(socket, 'connect');
    return socket;
  }

  /** Sends bytes and ends, then returns all that comes back, as latin1. `ends: false`: the other side is to end first. */
  async exchange(bytes: Uint8Array | string, { ends = true }: { readonly ends?: boolean } = {}): Promise<string> {
    const socket = await this.dial();
    socket.setEncoding('latin1').on('error', () => undefined);
    if (ends) socket.end(bytes);
    else socket.write(bytes);
    try {
      return await text(socket);
    } catch {
      return 'reset';
    } finally {
      socket.destroy();
    }
  }

  async close(): Promise<void> {
    for (const server of this.#servers) server.close();
    await this.proxy.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
