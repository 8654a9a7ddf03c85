/**
 * A gateway on loopback that needs nothing and changes nothing: for users and integrators to test their automation with, offline. Log-ins are scripted; what
 * speaks the protocol is what the real gateway has. Behind its tunnels is a host of the userspace stack, which answers pings and a web request.
 *
 *   TCP ─► TLS ─► the vendor's front ─► FakeVisitors
 *                       └─► tunnel ─► TunnelDriver ─► StackDevice (10.99.0.1, fd99::1)
 *
 * No UDP: tunnels are by TLS.
 */
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import net, { type AddressInfo, type Socket } from 'node:net';
import type { ProtocolId } from '../../core/auth/protocol-id.ts';
import { MisuseError, SallyportError } from '../../core/errors.ts';
import { type Logger, silentLogger } from '../../core/log.ts';
import type { ClientFacts, GatewayProtocol, PortalPage } from '../../core/protocols/gateway-protocol.ts';
import { asksInside, loadGatewayProtocol } from '../../core/protocols/registry.ts';
import type { Packet } from '../../core/tunnel/packet.ts';
import type { SessionTerms } from '../../core/tunnel/session-terms.ts';
import { formatIp, type IpAddress, parseIp } from '../../core/wire/ip-address.ts';
import { NodeCrypto } from '../../node/crypto/node-crypto.ts';
import { StackDevice } from '../../node/devices/stack-device.ts';
import { TunnelDriver } from '../../node/driver/tunnel-driver.ts';
import { InnerTlsContexts } from '../../node/inner-tls-server.ts';
import { StackServer } from '../../node/ip/stack-server.ts';
import { derBlocks } from '../../node/pem-blocks.ts';
import { TlsServer } from '../../node/tls-server.ts';
import { pinOf } from '../../node/trust/fingerprints.ts';
import { ServerConnection, type TunnelHandOver } from '../worker/server-connection.ts';
import { type FakeUser, FakeVisitors } from './fake-visitor.ts';
import { selfSigned } from './self-signed.ts';

export interface FakeGatewayOptions {
  readonly protocol: ProtocolId;
  /** Default: one, `alice` with the password `secret`. */
  readonly users?: readonly FakeUser[];
  /** Default: the system's choice. */
  readonly port?: number;
  /**
   * People log in with a browser, at a page of the fake gateway, whose address clients are told (`redirect`), or a page that goes there (`post`). Where the
   * protocol has such (GlobalProtect's). Default: by forms of the client.
   */
  readonly browserLogin?: 'redirect' | 'post';
  /**
   * PEM. Clients must show a certificate of this authority, for which they are asked inside of the log-in, and then a password as ever. Where the protocol has
   * such (Pulse's EAP-TTLS). Default: nobody is asked.
   */
  readonly clientAuthority?: string;
  readonly log?: Logger;
}

export const DEFAULT_USER: FakeUser = { name: 'alice', password: 'secret' };

const LOOPBACK = '127.0.0.1';
const LOGIN_LIMIT = 240_000;
const COOKIE_LIFE = 300_000;
const LINK_MTU = 1500;
const WEB_PORT = 80;
/** Sessions have addresses of their own: as many as the last byte of one holds. */
const FIRST_CLIENT = 2;
const CLIENTS = 250;

/** Of protocols that have one: it names this gateway. */
const PORTAL: PortalPage = { name: 'sallyport fake', gateways: [], regions: [], reportInterval: 3_600_000, asksBy: 'xml' };

const WELCOME = 'You are inside.\n';

/** The gateway's own addresses, inside. */
export const INSIDE = { ipv4: '10.99.0.1', ipv6: 'fd99::1' } as const;

export class FakeGateway implements AsyncDisposable {
  /** For `--servercert` and `pins`. */
  readonly pin: string;
  readonly #server: net.Server;
  readonly #tls: TlsServer;
  readonly #inner = new InnerTlsContexts();
  readonly #protocol: GatewayProtocol;
  readonly #visitors: FakeVisitors;
  readonly #log: Logger;
  readonly #device = new StackDevice({ addresses: [address(INSIDE.ipv4), address(INSIDE.ipv6)], mtu: LINK_MTU - 100 });
  readonly #drivers = new Map<string, TunnelDriver>();
  readonly #sockets = new Set<Socket>();
  readonly #stop = new AbortController();
  #closed: Promise<void> | undefined;

  /** Rejects with an error of the system for a port that is taken, and with MisuseError for a log-in of a kind that the protocol has not. */
  static async start(options: FakeGatewayOptions): Promise<FakeGateway> {
    const protocol = await loadGatewayProtocol(options.protocol);
    if (options.browserLogin !== undefined && protocol.hasBrowserLogin !== true) {
      throw new MisuseError(`A gateway of ${options.protocol} cannot play a log-in with a browser.`);
    }
    if (options.clientAuthority !== undefined && !asksInside(options.protocol)) {
      throw new MisuseError(`A gateway of ${options.protocol} cannot play a log-in with a certificate.`);
    }
    if (options.clientAuthority !== undefined && !hasCertificate(options.clientAuthority)) {
      throw new MisuseError('The authority of clients is no certificate in PEM.');
    }
    const gateway = new FakeGateway(options, protocol, await selfSigned());
    gateway.#server.listen(options.port ?? 0, LOOPBACK);
    await once(gateway.#server, 'listening');
    await gateway.#serveInside();
    return gateway;
  }

  private constructor(options: FakeGatewayOptions, protocol: GatewayProtocol, identity: Awaited<ReturnType<typeof selfSigned>>) {
    const { users = [DEFAULT_USER], log = silentLogger, browserLogin, clientAuthority } = options;
    this.#protocol = protocol;
    this.#log = log;
    this.pin = pinOf(identity.der);
    const tls = { cert: identity.certificate, key: identity.key, ...(clientAuthority !== undefined && { ca: clientAuthority }) };
    this.#tls = new TlsServer([{ tls, clientCertificates: 'no' }]);
    const crypto = new NodeCrypto();
    const host = {
      ...{ serverName: 'sallyport fake', certificate: identity.der, cookieTimeout: COOKIE_LIFE, headers: [], portal: PORTAL },
      ...(browserLogin !== undefined && { browserLogin }),
      needsCertificate: clientAuthority !== undefined,
    };
    this.#visitors = new FakeVisitors({ users, host, crypto, log, now: () => performance.now(), termsOf });
    this.#server = net.createServer({ noDelay: true }, (socket) => void this.#serve(socket));
    this.#device.start((packets) => this.#route(packets));
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port; // it listens on TCP
  }

  get url(): string {
    return `https://${LOOPBACK}:${this.port}`;
  }

  /** Who is logged in. */
  get users(): readonly string[] {
    return this.#visitors.users;
  }

  /** Ends every session as an administrator does: clients are told why, and their cookies are dead. */
  async kick(message = 'An administrator has ended the session.'): Promise<void> {
    this.#visitors.endSessions();
    await Promise.all([...this.#drivers.values()].map((driver) => driver.close({ kind: 'expired', message })));
  }

  /** Ends every session and the gateway with them. Safe to call again. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    await this.kick('The gateway stops.');
    this.#stop.abort();
    for (const socket of this.#sockets) socket.destroy();
    const closed = new Promise((resolve) => this.#server.close(resolve));
    await Promise.all([closed, this.#device.close()]);
  }

  /** What is wrong with one connection is said in the log, and no other's business. */
  async #serve(socket: Socket): Promise<void> {
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
    try {
      const accepted = await this.#tls.accept(socket, { signal: this.#stop.signal });
      if (accepted === undefined) return;
      const { connection: tls, identity, certificate } = accepted;
      const { local, remote, cipherSuite, peerFinished } = tls;
      const facts: ClientFacts = { local, remote, cipherSuite, ...(peerFinished !== undefined && { clientFinished: peerFinished }) };
      const connection = new ServerConnection(tls, {
        ...{ facts, log: this.#log, loginTime: LOGIN_LIMIT, startsTunnel: this.#protocol.startsTunnel },
        innerTls: () => this.#inner.serve(identity, certificate),
        runs: (handOver) => void this.#run(handOver),
      });
      await this.#protocol.serve(connection, this.#visitors);
      await connection.close();
    } catch (error) {
      if (!(error instanceof SallyportError)) throw error;
      this.#log.log('debug', 'connection ended', { reason: error.message });
    }
  }

  async #run({ connection, early, session, plan }: TunnelHandOver): Promise<void> {
    const { config } = await session.preview({ wantsIpv4: true, wantsIpv6: true, isMobile: false, userAgent: '' });
    const addresses = [config.ipv4, config.ipv6].flatMap((own) => (own === undefined ? [] : formatIp(own.address)));
    const driver: TunnelDriver = new TunnelDriver(
      plan.machine,
      { peer: 'The client', now: () => performance.now(), route: async () => undefined, pathMtu: () => undefined },
      {
        config: () => undefined,
        connected: () => undefined,
        up: () => this.#log.log('info', 'tunnel up', { user: session.user }),
        closed: ({ message }) => {
          for (const own of addresses) if (this.#drivers.get(own) === driver) this.#drivers.delete(own);
          this.#log.log('info', 'tunnel closed', { user: session.user, reason: message });
        },
      },
    );
    driver.attach({ write: (packets) => this.#device.write(packets), pause: () => undefined, resume: () => undefined });
    for (const own of addresses) {
      const before = this.#drivers.get(own);
      this.#drivers.set(own, driver);
      if (before !== undefined && before !== driver) await before.abandon({ kind: 'replaced', message: 'Another tunnel has its place.' });
    }
    const { exporter } = plan;
    driver.streamArrived(connection, exporter && connection.exportNow(exporter.label, exporter.length), early);
  }

  /** To whose address a packet goes. */
  #route(packets: readonly Packet[]): void {
    for (const packet of packets) this.#drivers.get(formatIp(destinationOf(packet)))?.send([packet]);
  }

  async #serveInside(): Promise<void> {
    const web = new StackServer(this.#device, {});
    web.on('connection', (socket) => {
      socket.on('error', () => undefined); // a client that leaves
      socket.end(`HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: ${WELCOME.length}\r\n\r\n${WELCOME}`);
    });
    web.listen({ port: WEB_PORT });
    await once(web, 'listening');
  }
}

/** Whether a text in PEM has certificates, and nothing among them that is none. */
export function hasCertificate(pem: string): boolean {
  try {
    const found = derBlocks(Buffer.from(pem, 'latin1'), 'CERTIFICATE').map((der) => new X509Certificate(der));
    return pem.includes('-----BEGIN') && found.length > 0;
  } catch {
    return false; // OpenSSL's words for what is no certificate help nobody
  }
}

function termsOf(session: number): SessionTerms {
  const last = FIRST_CLIENT + (session % CLIENTS);
  return {
    config: {
      ...{ dns: [], nbns: [], searchDomains: [], splitDns: [], exclude: [], vendorOptions: [] },
      ipv4: { address: address(`10.99.0.${last}`), prefix: 24 },
      ipv6: { address: address(`fd99::${last.toString(16)}`), prefix: 64 },
      include: [
        { address: address('10.99.0.0'), prefix: 24 },
        { address: address('fd99::'), prefix: 64 },
      ],
    },
    gatewayIpv4: address(INSIDE.ipv4),
    linkMtu: LINK_MTU,
    times: { dpd: 10_000, keepalive: 60_000 },
    rekeyMethod: 'new-tunnel',
    compression: [],
    minLengthToCompress: 256,
    clientNetworks: [],
    bypassesProtocols: false,
    headers: [],
    rates: {},
  };
}

function destinationOf({ buffer, start }: Packet): IpAddress {
  const family = (buffer[start] ?? 0) >>> 4 === 4 ? 4 : 6;
  return { family, bytes: family === 4 ? buffer.subarray(start + 16, start + 20) : buffer.subarray(start + 24, start + 40) };
}

/** Of a literal of ours. */
function address(text: string): IpAddress {
  const ip = parseIp(text);
  if (ip === undefined) throw new SallyportError('ERR_INTERNAL', `${text} is no address`);
  return ip;
}
