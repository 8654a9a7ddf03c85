/**
 * A worker: takes connections from main, does their TLS and HTTP, and runs their tunnels.
 *
 *   connection ─► PROXY header ─► TLS ─► first request: which vendor? ─► its log-in ─► tunnel
 *
 * Everything that the network sends is parsed here, without root and without files.
 */
import type { Socket as UdpSocket } from 'node:dgram';
import type { Socket } from 'node:net';
import { SallyportError } from '../../core/errors.ts';
import type { Logger } from '../../core/log.ts';
import type { ClientFacts, GatewayProtocol, GatewaySession, TunnelPlan } from '../../core/protocols/gateway-protocol.ts';
import { loadGatewayProtocol } from '../../core/protocols/registry.ts';
import { type Endpoint, formatIp } from '../../core/wire/ip-address.ts';
import { NodeCrypto } from '../../node/crypto/node-crypto.ts';
import { type AcceptedTls, TlsServer } from '../../node/tls-server.ts';
import type { HostConfig } from '../config/gateway-config.ts';
import type { DisconnectReason } from '../processes/auth-service.ts';
import type { Arrival, DeskNotices, DeskService, TunnelReport, WorkerSetup } from '../processes/worker-contract.ts';
import type { DeviceSwitch } from './device-switch.ts';
import { hostPage, tlsIdentities } from './host-identities.ts';
import { readProxyHeader } from './proxy-header.ts';
import { ServerConnection } from './server-connection.ts';
import { TunnelHost } from './tunnel-host.ts';
import { type LeasedSession, workerVisitor } from './worker-visitor.ts';

export interface WorkerOptions {
  readonly setup: WorkerSetup;
  readonly device: DeviceSwitch;
  readonly desk: DeskService;
  readonly notify: DeskNotices;
  readonly log: Logger;
}

const now = () => performance.now();

export class Worker {
  readonly #options: WorkerOptions;
  readonly #crypto = new NodeCrypto();
  readonly #tunnels: TunnelHost;
  readonly #protocol: GatewayProtocol;
  readonly #cancel = new AbortController();
  #setup: WorkerSetup;
  #tls: TlsServer;

  static async start(options: WorkerOptions): Promise<Worker> {
    return new Worker(options, await loadGatewayProtocol('anyconnect'));
  }

  private constructor(options: WorkerOptions, protocol: GatewayProtocol) {
    const { setup, device, desk, notify, log } = options;
    this.#options = options;
    this.#protocol = protocol;
    this.#setup = setup;
    this.#tls = new TlsServer(tlsIdentities(setup.config, setup.files));
    this.#tunnels = new TunnelHost({ device, desk, notify, log, now });
  }

  /** New connections see the new configuration. Throws {@link MisuseError} for certificates that OpenSSL refuses; the old stay then. */
  reload(setup: WorkerSetup): void {
    this.#tls = new TlsServer(tlsIdentities(setup.config, setup.files));
    this.#setup = setup;
  }

  /** Serves a connection to its end, or to its tunnel. */
  async serve(arrival: Arrival, socket: Socket): Promise<void> {
    const { notify, log } = this.#options;
    try {
      const isTunnel = await this.#serve(arrival, socket);
      if (!isTunnel) notify.disconnected(arrival.connection);
    } catch (error) {
      socket.destroy();
      notify.disconnected(arrival.connection);
      const reason = error instanceof Error ? error.message : String(error);
      if (error instanceof SallyportError) log.log('debug', 'connection ended', { reason });
      else log.log('error', 'connection failed', { reason });
    }
  }

  flow(tunnel: number, remote: Endpoint, first: Uint8Array, socket: UdpSocket): Promise<void> {
    return this.#tunnels.flow(tunnel, remote, first, socket);
  }

  deliver(packets: readonly Uint8Array[]): void {
    this.#tunnels.deliver(packets);
  }

  closeTunnel(tunnel: number, reason: DisconnectReason): Promise<void> {
    return this.#tunnels.close(tunnel, reason);
  }

  reports(): TunnelReport[] {
    return this.#tunnels.reports();
  }

  async #serve(arrival: Arrival, socket: Socket): Promise<boolean> {
    const ends = await this.#endsOf(arrival, socket);
    if (ends === undefined) return false;
    const { bytesRead, ...addresses } = ends;
    const accepted = await this.#tls.accept(socket, { ends: addresses, bytesRead, signal: this.#cancel.signal });
    if (accepted === undefined) return false; // a health probe
    return this.#serveHttp(arrival, accepted);
  }

  /** Where the client is; undefined: it is not wanted. */
  async #endsOf({ connection, remote, local, hasProxyHeader }: Arrival, socket: Socket) {
    const { desk } = this.#options;
    const here = local ?? NOWHERE;
    if (!hasProxyHeader) return { remote: remote ?? NOWHERE, local: here, bytesRead: 0 };
    const header = await readProxyHeader(socket);
    const real = header.remote ?? remote ?? NOWHERE;
    if (await desk.admits(connection, real)) return { remote: real, local: header.local ?? here, bytesRead: header.length };
    socket.destroy();
    return undefined;
  }

  async #serveHttp(arrival: Arrival, accepted: AcceptedTls): Promise<boolean> {
    const { desk, log } = this.#options;
    const { config, files, serverName } = this.#setup;
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
      facts,
      loginTime: config.limits.loginTime,
      run: (session: GatewaySession, plan: TunnelPlan, rest: Uint8Array) => {
        const lease = (session as LeasedSession).lastLease; // the visitor below makes all sessions
        if (lease !== undefined) tunnel = this.#tunnels.start(lease, plan, tls, rest);
      },
    });
    const visitor = workerVisitor({
      ...{ connection: arrival.connection, desk, log, now, crypto: this.#crypto },
      host: hostPage(host, files, serverName, certificate),
    });
    try {
      const outcome = await this.#protocol.serve(connection, visitor);
      await tunnel;
      return outcome === 'tunnel';
    } finally {
      await connection.close();
    }
  }
}

/** A unix socket has no address. */
const NOWHERE: Endpoint = { address: { family: 4, bytes: Uint8Array.of(127, 0, 0, 1) }, port: 0 };

function hostNamed(hosts: readonly HostConfig[], name: string | undefined): HostConfig {
  const host = hosts.find((other) => other.name === name) ?? hosts[0];
  if (host === undefined) throw new SallyportError('ERR_CONFIG', 'The gateway has no host.');
  return host;
}
