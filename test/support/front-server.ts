/**
 * A gateway without a back end: our front on real sockets (PROXY, TLS, HTTP, AnyConnect), with a played visitor behind it.
 *
 * @example
 * await using server = await FrontServer.start(new PlayedVisitor({ users }), [material]);
 */
import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import { anyconnectGateway } from '../../src/core/protocols/anyconnect/gateway.ts';
import type { ClientFacts, GatewayProtocol, Visitor } from '../../src/core/protocols/gateway-protocol.ts';
import type { Endpoint } from '../../src/core/wire/ip-address.ts';
import { HostContexts } from '../../src/gateway/worker/host-contexts.ts';
import type { HostMaterial } from '../../src/gateway/worker/host-material.ts';
import { readProxyHeader } from '../../src/gateway/worker/proxy-protocol.ts';
import { ServerConnection, type TunnelHandOver } from '../../src/gateway/worker/server-connection.ts';
import type { AcceptedTls } from '../../src/node/tls-acceptor.ts';
import { CollectingSink } from './collecting-sink.ts';
import { PlayedVisitor } from './gateway-visitor.ts';

export interface FrontServerOptions {
  /** Every connection begins with a PROXY header. */
  readonly readsProxyHeader?: boolean;
  /** Default: a port of loopback. */
  readonly unixSocket?: string;
  /** Default: AnyConnect. */
  readonly protocol?: GatewayProtocol;
  /** For all requests of a connection. Default: a minute. */
  readonly loginTime?: number;
}

const NOWHERE: Endpoint = { address: { family: 4, bytes: Uint8Array.of(127, 0, 0, 1) }, port: 0 };

const MATERIAL: Pick<HostMaterial, 'policy' | 'clientCertificates'> = {
  policy: { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.3', prefersServerOrder: false },
  clientCertificates: 'no',
};

export class FrontServer implements AsyncDisposable {
  /** Of every connection that came to a request, in their order. */
  readonly facts: ClientFacts[] = [];
  readonly handOvers: TunnelHandOver[] = [];
  /** Told of each of them. */
  onHandOver: () => void = () => undefined;
  /** What connections failed with, and `probe` for those that said nothing. */
  readonly failures: unknown[] = [];
  #onFailure: (failure: unknown) => void = () => undefined;
  readonly contexts: HostContexts;
  readonly #visitor: (accepted: AcceptedTls) => Visitor;
  readonly #options: FrontServerOptions;
  readonly #server: net.Server;
  readonly #stop = new AbortController();
  readonly #sockets = new Set<net.Socket>();
  readonly #serving = new Set<Promise<void>>();

  private constructor(visitor: (accepted: AcceptedTls) => Visitor, contexts: HostContexts, options: FrontServerOptions) {
    this.#visitor = visitor;
    this.contexts = contexts;
    this.#options = options;
    this.#server = net.createServer({ noDelay: true }, (socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
      const serving = this.#serve(socket)
        .catch((error: unknown) => this.#failed(error))
        .finally(() => this.#serving.delete(serving));
      this.#serving.add(serving);
    });
  }

  static async start(
    visitor: PlayedVisitor | ((accepted: AcceptedTls) => Visitor),
    materials: readonly (Pick<HostMaterial, 'certificates'> & Partial<HostMaterial>)[],
    options: FrontServerOptions = {},
  ): Promise<FrontServer> {
    const contexts = new HostContexts(materials.map((material) => ({ ...MATERIAL, ...material })));
    const server = new FrontServer(visitor instanceof PlayedVisitor ? () => visitor : visitor, contexts, options);
    server.#server.listen(options.unixSocket === undefined ? { port: 0, host: '127.0.0.1' } : { path: options.unixSocket });
    await once(server.#server, 'listening');
    return server;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get authority(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** The next of {@link failures}. */
  nextFailure(): Promise<unknown> {
    return new Promise((resolve) => {
      this.#onFailure = resolve;
    });
  }

  #failed(failure: unknown): void {
    this.failures.push(failure);
    this.#onFailure(failure);
  }

  async #serve(socket: net.Socket): Promise<void> {
    const { signal } = this.#stop;
    const { readsProxyHeader = false, unixSocket, loginTime = 60_000 } = this.#options;
    const proxied = readsProxyHeader ? await readProxyHeader(socket, { signal }) : { ends: undefined, bytesRead: 0 };
    const ends = proxied?.ends ?? (unixSocket === undefined ? undefined : { local: NOWHERE, remote: NOWHERE });
    const accepted =
      proxied && (await this.contexts.server.accept(socket, { signal, bytesRead: proxied.bytesRead, ...(ends !== undefined && { ends }) }));
    if (accepted === undefined) {
      this.#failed('probe');
      return;
    }
    const { connection, identity, certificate, clientChain } = accepted;
    const { local, remote, cipherSuite, peerFinished } = connection;
    const facts: ClientFacts = {
      ...{ local, remote, cipherSuite },
      ...(identity.name !== undefined && { host: identity.name }),
      ...(clientChain !== undefined && { certificateChain: clientChain }),
      ...(peerFinished !== undefined && { clientFinished: peerFinished }),
    };
    this.facts.push(facts);
    const visitor = this.#visitor(accepted);
    const protocol = this.#options.protocol ?? anyconnectGateway;
    const { startsTunnel } = protocol;
    const runs = (handOver: TunnelHandOver) => this.#run(handOver);
    const innerTls = () => this.contexts.innerTls(identity, certificate);
    const server = new ServerConnection(connection, { facts, loginTime, startsTunnel, innerTls, log: visitor.log, runs });
    await protocol.serve(server, visitor);
    await server.close();
  }

  /** Lets the machine answer and no more. */
  #run(handOver: TunnelHandOver): void {
    this.handOvers.push(handOver);
    const { connection, plan } = handOver;
    const { local, remote, cipherSuite } = connection;
    const sink = new CollectingSink();
    const { exporter } = plan;
    const tls = {
      cipherSuite,
      ...(exporter !== undefined && { exported: connection.exportNow(exporter.label, exporter.length) }),
    };
    plan.machine.opened({ kind: 'stream' }, { local, remote, engine: false, tls }, 0, { on: () => sink, event: () => undefined });
    for (const record of sink.records) connection.write(record);
    connection.onData(() => undefined);
    this.onHandOver();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all([closed, ...this.#serving]);
  }
}
