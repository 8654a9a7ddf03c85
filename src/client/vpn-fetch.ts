/** HTTP through the VPN: undici's agent and fetch over its sockets. Loaded when first used. */
import { type ConnectionOptions as TlsOptions, connect as tlsConnect } from 'node:tls';
import type { Agent, buildConnector, fetch as undiciFetch } from 'undici';
import { NetworkError } from '../core/errors.ts';
import type { IpNetwork } from '../node/ip/ip-network.ts';

export type FetchInput = Parameters<typeof undiciFetch>[0];
export type FetchInit = NonNullable<Parameters<typeof undiciFetch>[1]>;
export type FetchResponse = Awaited<ReturnType<typeof undiciFetch>>;

/** What {@link VpnFetch.dispatcher} may be told: undici's options for agents, all but how to connect, and Node's for TLS. */
export interface DispatcherOptions {
  readonly agent?: Omit<Agent.Options, 'connect' | 'factory'>;
  readonly tls?: Pick<TlsOptions, 'ca' | 'cert' | 'key' | 'rejectUnauthorized' | 'minVersion'>;
}

export class VpnFetch {
  readonly #network: () => IpNetwork;
  readonly #agents = new Set<Agent>();
  #shared: Promise<Agent> | undefined;

  constructor(network: () => IpNetwork) {
    this.#network = network;
  }

  /** As the web's fetch, with undici's types. */
  async fetch(input: FetchInput, init: FetchInit = {}): Promise<FetchResponse> {
    const { fetch } = await import('undici');
    this.#shared ??= this.dispatcher({});
    return fetch(input, { dispatcher: await this.#shared, ...init });
  }

  /** An agent for undici's functions, closed with the connection. */
  async dispatcher({ agent: options = {}, tls = {} }: DispatcherOptions): Promise<Agent> {
    const { Agent } = await import('undici');
    const agent = new Agent({ ...options, connect: (target, done) => this.#connect(target, tls, done) });
    this.#agents.add(agent);
    return agent;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#agents].map((agent) => agent.destroy()));
    this.#agents.clear();
  }

  #connect(target: buildConnector.Options, tls: TlsOptions, done: buildConnector.Callback): void {
    const { hostname, protocol, servername } = target;
    const isSecure = protocol === 'https:';
    const port = Number(target.port) || (isSecure ? 443 : 80);
    const host = hostname.replace(/^\[(.*)\]$/, '$1');
    const plain = this.#network().createConnection({ host, port, noDelay: true });
    const socket = isSecure ? tlsConnect({ ...tls, socket: plain, servername: servername ?? host, ALPNProtocols: ['http/1.1'] }) : plain;
    const ready = isSecure ? 'secureConnect' : 'connect';
    const failed = (error: Error) => {
      plain.destroy();
      done(error, null);
    };
    const closed = () => failed(new NetworkError(`${host} closed the connection.`, { code: 'ECONNRESET' }));
    socket.once('error', failed);
    socket.once('close', closed);
    // TLS does not tell what ended the stream below it.
    if (isSecure) plain.once('error', (error) => socket.destroy(error));
    socket.once(ready, () => {
      socket.removeListener('error', failed);
      socket.removeListener('close', closed);
      // undici uses what net.Socket and Duplex have in common, and setNoDelay, setKeepAlive, ref, unref: all are here.
      done(null, socket as never);
    });
  }
}
