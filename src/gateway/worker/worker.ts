/**
 * A worker: takes connections from main, does their TLS and HTTP, and runs their tunnels.
 *
 *   connection ─► PROXY header ─► TLS ─► first request: which vendor? ─► its log-in ─► tunnel
 *
 * Everything that the network sends is parsed here, without root and without files.
 */
import type { Socket as UdpSocket } from 'node:dgram';
import type { Socket } from 'node:net';
import type { CertificateIdentity } from '../../core/crypto/provider.ts';
import { MovedServer } from '../../core/dtls/moved-association.ts';
import type { MovedAssociation } from '../../core/dtls/state.ts';
import { SallyportError } from '../../core/errors.ts';
import type { Logger } from '../../core/log.ts';
import type { ClientFacts, Visitor } from '../../core/protocols/gateway-protocol.ts';
import { type Endpoint, formatIp } from '../../core/wire/ip-address.ts';
import { NodeCrypto } from '../../node/crypto/node-crypto.ts';
import type { PacketEngine } from '../../node/engine/packet-engine.ts';
import type { AcceptedTls } from '../../node/tls-acceptor.ts';
import { adoptDatagramPath } from '../../node/udp-socket.ts';
import type { HostConfig } from '../config/gateway-config.ts';
import type { DisconnectReason } from '../processes/auth-service.ts';
import type { Arrival, ClosingManner, DeskNotices, DeskService, TunnelReport, WorkerSetup } from '../processes/worker-contract.ts';
import { datagramIdentity, MAX_STRANGERS, receiveStranger } from './datagram-reception.ts';
import type { DeviceSwitch } from './device-switch.ts';
import { ExpectedTunnels, receiveExpected } from './expected-tunnels.ts';
import { HostContexts } from './host-contexts.ts';
import { hostPage } from './host-page.ts';
import { readProxyHeader } from './proxy-protocol.ts';
import type { FlowKeeper } from './running-tunnel.ts';
import { ServerConnection, type TunnelHandOver } from './server-connection.ts';
import { TunnelHost } from './tunnel-host.ts';
import { VendorTable } from './vendor-table.ts';
import { type LeasedSession, workerVisitor } from './worker-visitor.ts';

export interface WorkerOptions {
  readonly setup: WorkerSetup;
  readonly device: DeviceSwitch;
  readonly engine: PacketEngine | undefined;
  readonly flows: FlowKeeper | undefined;
  readonly desk: DeskService;
  readonly notify: DeskNotices;
  readonly log: Logger;
  /** TLS by node:tls, whatever else there is. */
  readonly hasPortableTls: boolean;
}

const now = () => performance.now();

export class Worker {
  readonly #options: WorkerOptions;
  readonly #crypto = new NodeCrypto();
  readonly #tunnels: TunnelHost;
  readonly #vendors = new VendorTable();
  readonly #expected = new ExpectedTunnels(now);
  readonly #cancel = new AbortController();
  readonly #sockets = new Map<number, Socket>();
  #setup: WorkerSetup;
  /** By which clients that come by UDP know the gateway; undefined: none has come since the configuration changed. */
  #identity: { readonly setup: WorkerSetup; readonly identity: CertificateIdentity | undefined } | undefined;
  /** Clients by UDP of whom nobody knows yet who they are. */
  #strangers = 0;
  readonly #hosts: HostContexts;

  static async start(options: WorkerOptions): Promise<Worker> {
    const worker = new Worker(options);
    await worker.#vendors.load(options.setup.config.hosts);
    return worker;
  }

  private constructor(options: WorkerOptions) {
    const { setup, device, engine, flows, desk, notify, log, hasPortableTls } = options;
    this.#options = options;
    this.#setup = setup;
    this.#hosts = new HostContexts(setup.material.hosts, hasPortableTls);
    this.#tunnels = new TunnelHost({ device, engine, flows, desk, notify, log, now });
  }

  /** New connections see the new configuration. Rejects with {@link MisuseError} for certificates that OpenSSL refuses; the old stay then. */
  async reload(setup: WorkerSetup): Promise<void> {
    await this.#vendors.load(setup.config.hosts);
    this.#hosts.replace(setup.material.hosts);
    this.#setup = setup;
  }

  /** Serves a connection to its end, its tunnel's included. */
  async serve(arrival: Arrival, socket: Socket): Promise<void> {
    const { notify, log } = this.#options;
    const { connection } = arrival;
    this.#sockets.set(connection, socket);
    try {
      await this.#serve(arrival, socket);
    } catch (error) {
      socket.destroy();
      logEnd(log, error);
    } finally {
      this.#sockets.delete(connection);
      this.#tunnels.forget(connection);
      notify.disconnected(connection);
    }
  }

  /** Serves a client that has come by UDP, to the end of its tunnel. */
  serveStranger(arrival: Arrival, first: Uint8Array, socket: UdpSocket): Promise<void> {
    const { desk, log } = this.#options;
    return this.#whileHere(arrival, async () => {
      const visit = await this.#greet(arrival, first, socket);
      if (visit?.kind === 'tunnel') await this.#tunnels.runDatagrams(visit.lease, visit, visit.path);
      else if (visit !== undefined && !(await desk.greeted(arrival.connection, visit.greetingId, visit.dtls)))
        log.log('info', 'a client has come by UDP for a tunnel that is not there');
    });
  }

  /** The same for one that was told the keys of its tunnel before. */
  serveExpected(arrival: Arrival, datagramId: Uint8Array, first: Uint8Array, socket: UdpSocket): Promise<void> {
    return this.#whileHere(arrival, async () => {
      const visit = await this.#meet(arrival, datagramId, first, socket);
      if (visit !== undefined) await this.#tunnels.runDatagrams(visit.lease, visit, visit.path);
    });
  }

  /** A new flow of a tunnel, whose client another worker, or this one, has shaken hands with. */
  async greeted(tunnel: number, remote: Endpoint, dtls: MovedAssociation, socket: UdpSocket): Promise<void> {
    let association: MovedServer;
    try {
      association = new MovedServer(this.#crypto, dtls);
    } catch (error) {
      socket.close();
      logEnd(this.#options.log, error); // another worker's word, which may have fallen into an attacker's hands
      return;
    }
    await this.#tunnels.flow(tunnel, remote, association, socket);
  }

  /** Ends a connection that has no tunnel yet, without a word. */
  drop(connection: number): void {
    this.#sockets.get(connection)?.destroy();
  }

  flow(tunnel: number, remote: Endpoint, first: Uint8Array, socket: UdpSocket): Promise<void> {
    return this.#tunnels.flow(tunnel, remote, first, socket);
  }

  deliver(packets: readonly Uint8Array[]): void {
    this.#tunnels.deliver(packets);
  }

  closeTunnel(tunnel: number, reason: DisconnectReason, manner: ClosingManner): Promise<void> {
    return this.#tunnels.close(tunnel, reason, manner);
  }

  reports(): TunnelReport[] {
    return this.#tunnels.reports();
  }

  async #serve(arrival: Arrival, socket: Socket): Promise<void> {
    const ends = await this.#endsOf(arrival, socket);
    if (ends === undefined) return;
    const { bytesRead, remote, local } = ends;
    const accepted = await this.#hosts.server.accept(socket, { ends: { remote, local }, bytesRead, signal: this.#cancel.signal });
    if (accepted !== undefined) await this.#serveHttp(arrival, accepted); // else a health probe
  }

  /** A client by UDP is a connection like any other to main. */
  async #whileHere({ connection }: Arrival, serve: () => Promise<void>): Promise<void> {
    const { notify, log } = this.#options;
    try {
      await serve();
    } catch (error) {
      logEnd(log, error);
    } finally {
      this.#tunnels.forget(connection);
      notify.disconnected(connection);
    }
  }

  /** Undefined: it is not who was expected, and its flow is closed. */
  async #meet(arrival: Arrival, datagramId: Uint8Array, first: Uint8Array, socket: UdpSocket) {
    const { connection, remote = NOWHERE } = arrival;
    const { log, engine, notify } = this.#options;
    const [certificate = new Uint8Array(0)] = this.#datagramIdentity()?.chain ?? []; // it is not shown
    const flow = this.#expected.claim(datagramId, first);
    if (flow === undefined) {
      socket.close();
      return undefined;
    }
    const path = await adoptDatagramPath(socket, { remote, first, strayed: (bytes, from) => notify.strayed(bytes, from) }, engine);
    const received = await receiveExpected(flow, path, this.#datagramVisitor(connection, certificate), log);
    return received && { ...received, path };
  }

  /** Undefined: it is nobody's, and its flow is closed. */
  async #greet({ connection, remote = NOWHERE }: Arrival, first: Uint8Array, socket: UdpSocket) {
    const { log, engine, notify } = this.#options;
    const { config, helloSecret } = this.#setup;
    const identity = this.#datagramIdentity();
    const [certificate] = identity?.chain ?? [];
    if (identity === undefined || certificate === undefined || this.#strangers >= MAX_STRANGERS) {
      socket.close();
      return undefined;
    }
    this.#strangers++;
    try {
      const path = await adoptDatagramPath(socket, { remote, first, strayed: (bytes, from) => notify.strayed(bytes, from) }, engine);
      const visitor = this.#datagramVisitor(connection, certificate);
      const fronts = this.#vendors.datagramFronts;
      const allowsLegacy = config.hosts.some(({ policy }) => policy.allowsLegacyDtls);
      const options = { crypto: this.#crypto, log, now, helloSecret, identity, fronts, allowsLegacy, visitor };
      const received = await receiveStranger(path, first, options);
      return received && { ...received, path };
    } finally {
      this.#strangers--;
    }
  }

  /** Who comes by UDP alone names no host. */
  #datagramVisitor(connection: number, certificate: Uint8Array): Visitor {
    const { desk, log } = this.#options;
    const { config, serverName } = this.#setup;
    const host = hostPage(hostNamed(config.hosts, undefined), { serverName, certificate });
    return workerVisitor({
      connection,
      desk,
      log,
      now,
      crypto: this.#crypto,
      host,
      expect: (session, flow) => this.#expected.expect(session, flow),
    });
  }

  /** Of the default host. Read once for each configuration: strangers are many, and a key may be kept under a password that takes long. */
  #datagramIdentity(): CertificateIdentity | undefined {
    if (this.#identity?.setup !== this.#setup) {
      const [material] = this.#setup.material.hosts;
      this.#identity = { setup: this.#setup, identity: material && datagramIdentity(material, this.#options.log) };
    }
    return this.#identity.identity;
  }

  /** Where the client is; undefined: it is not wanted, or has left. */
  async #endsOf({ connection, remote = NOWHERE, local = NOWHERE, hasProxyHeader }: Arrival, socket: Socket) {
    if (!hasProxyHeader) return { remote, local, bytesRead: 0 };
    const reading = await readProxyHeader(socket, { signal: this.#cancel.signal });
    if (reading === undefined) return undefined;
    const { ends = { remote, local }, bytesRead } = reading;
    if (await this.#options.desk.admits(connection, ends.remote, ends.local)) return { ...ends, bytesRead };
    socket.destroy();
    return undefined;
  }

  async #serveHttp(arrival: Arrival, accepted: AcceptedTls): Promise<void> {
    const { desk, log } = this.#options;
    const { config, material, serverName } = this.#setup;
    const { connection: tls, identity, certificate, clientChain } = accepted;
    const host = hostNamed(config.hosts, identity.name);
    if (accepted.clientCertificateFault !== undefined) {
      log.log('info', 'client certificate refused', { reason: accepted.clientCertificateFault, remote: formatIp(tls.remote.address) });
    }
    const { peerFinished } = tls;
    const facts: ClientFacts = {
      ...{ local: tls.local, remote: tls.remote, cipherSuite: tls.cipherSuite },
      ...(identity.name !== undefined && { host: identity.name }),
      ...(clientChain !== undefined && { certificateChain: clientChain }),
      ...(peerFinished !== undefined && { clientFinished: peerFinished }),
    };
    let tunnel: Promise<void> | undefined;
    const connection = new ServerConnection(tls, {
      ...{ facts, log, loginTime: config.limits.loginTime, startsTunnel: this.#vendors.startsTunnel },
      innerTls: () => this.#hosts.innerTls(identity, certificate),
      runs: ({ session, plan, early }: TunnelHandOver) => {
        const lease = (session as LeasedSession).lastLease; // the visitor below makes all sessions
        if (lease === undefined) return;
        tunnel = this.#tunnels.run(lease, plan, tls, early);
        tunnel.catch(() => undefined); // waited for below, unless what is said to the client fails first
      },
    });
    const issuer = this.#hosts.issuerOf(certificate);
    const profile = material.profiles.find(({ path }) => path === host.login.profile)?.bytes;
    const visitor = workerVisitor({
      ...{ connection: arrival.connection, desk, log, now, crypto: this.#crypto },
      expect: (session, flow) => this.#expected.expect(session, flow),
      host: hostPage(host, {
        ...{ serverName, certificate },
        ...(issuer !== undefined && { issuer }),
        ...(profile !== undefined && { profile }),
      }),
    });
    try {
      const first = await connection.peek();
      if (first !== undefined) await this.#vendors.vendorOf(first, host).serve(connection, visitor);
      await tunnel;
    } finally {
      await connection.close();
    }
  }
}

/** One client's connection is not worth all the others', whatever has happened to it. */
function logEnd(log: Logger, error: unknown): void {
  const reason = error instanceof Error ? error.message : String(error);
  if (error instanceof SallyportError) log.log('debug', 'connection ended', { reason });
  else log.log('error', 'connection failed', { reason });
}

/** A unix socket has no address. */
const NOWHERE: Endpoint = { address: { family: 4, bytes: Uint8Array.of(127, 0, 0, 1) }, port: 0 };

function hostNamed(hosts: readonly HostConfig[], name: string | undefined): HostConfig {
  const host = hosts.find((other) => other.name === name) ?? hosts[0];
  if (host === undefined) throw new SallyportError('ERR_CONFIG', 'The gateway has no host.');
  return host;
}
