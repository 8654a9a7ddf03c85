/**
 * The one UDP port that all clients share. What comes from an address without a flow arrives here; a flow gets a socket of its own, which the worker
 * connects to its client, and the kernel gives it that client's datagrams from then on.
 *
 * Read first: spec "AnyConnect", section 7.8. Nobody is answered from here but by a cookie, shorter than what asked for it: who guesses learns nothing, and nothing is amplified.
 *
 *   datagram ── a hello, or ESP, with a tunnel's id ──────► a new flow of that tunnel
 *            ── the same with an id that is expected ─────► a flow for the worker that expects it: perhaps a tunnel's first
 *            ── anything else, from a client's address ───► a flow of its tunnel, if it has just one there: perhaps a NAT has changed the port
 *            ── another hello, where there are vendors whose clients come so ─► a cookie, and with it a flow of nobody's (a worker finds out)
 *            ── the rest ─────────────────────────────────► dropped
 */
import { createSocket, type Socket } from 'node:dgram';
import { associationId, readFirstHello } from '../../core/dtls/first-hello.ts';
import { MisuseError, NetworkError, SallyportError, UnsupportedError } from '../../core/errors.ts';
import { tunnelIdIn } from '../../core/esp/spi.ts';
import type { Millis } from '../../core/tunnel/packet.ts';
import { type Endpoint, formatEndpoint, formatIp, type IpAddress, parseIp } from '../../core/wire/ip-address.ts';
import { toHex } from '../../core/wire/text.ts';
import { type Libc, libc } from '../../node/ffi/libc.ts';
import { openSharedUdpSocket } from '../../node/ffi/sockets.ts';
import { stopReading } from '../../node/handed-udp-socket.ts';
import { systemErrorText } from '../../node/system-error.ts';

/** For the time in which a new flow's socket is made and handed over, what comes from its client is dropped: clients say it again. */
const FLOW_INTERVAL: Millis = 1000;

/** Clients remembered for that; more at once are an attack, and wait for the oldest to be forgotten. */
const MAX_RECENT = 4096;

export interface UdpDoorOptions {
  readonly port: number;
  /** Undefined: all addresses of both families. */
  readonly host?: string;
  /** Descriptors that systemd has opened, in place of the port. */
  readonly inherited?: readonly number[];
  /** Runs what makes a socket where the port is: in another network namespace, perhaps. Default: here. */
  readonly within?: <T>(make: () => T) => T;
  readonly now: () => Millis;
  /** A new flow: `socket` has the door's port and is not connected yet; it is the callee's. */
  readonly onFlow: (tunnel: number, flow: Flow) => void;
  /** For tunnels that begin by UDP; undefined: there are none. */
  readonly expected?: Expected;
  /** For clients that nobody knows before they have shaken hands; undefined: there are none. */
  readonly strangers?: Strangers;
}

export interface Expected {
  /** Who expects datagrams of this id; undefined: nobody. */
  workerOf(datagramId: Uint8Array): number | undefined;
  onFlow(worker: number, datagramId: Uint8Array, flow: Flow): void;
}

export interface Strangers {
  /** What is sent back; `valid`: its sender has proved its address; undefined: it is no hello, or is not wanted. */
  answer(datagram: Uint8Array, remote: Endpoint): Uint8Array | 'valid' | undefined;
  onFlow(flow: Flow): void;
}

export interface Flow {
  readonly socket: Socket;
  readonly local: Endpoint;
  readonly remote: Endpoint;
  /** What came first. */
  readonly first: Uint8Array;
}

/** A tunnel that datagrams can belong to. */
export interface DatagramTunnel {
  readonly tunnel: number;
  /** The id of its client's hellos; of ESP, of its SPIs. Undefined: its flows come by associations of strangers, and follow a NAT. */
  readonly id: Uint8Array | undefined;
  /** Of its TLS connection, or of its proxy's: clients use the same addresses for UDP. Where the door has one address of its own, they come to that. */
  readonly local: IpAddress;
  readonly remote: IpAddress;
}

export class UdpDoor {
  readonly #options: UdpDoorOptions;
  readonly #sockets: Socket[] = [];
  readonly #byId = new Map<string, DatagramTunnel>();
  readonly #byRemote = new Map<string, Set<DatagramTunnel>>();
  readonly #recent = new Map<string, Millis>();
  /** When a tunnel last got a flow for its address alone. */
  readonly #movedAt = new Map<DatagramTunnel, Millis>();

  /** Rejects with {@link NetworkError} for an address that is taken or not ours. */
  static async open(options: UdpDoorOptions): Promise<UdpDoor> {
    const door = new UdpDoor(options);
    try {
      await door.#open();
      return door;
    } catch (error) {
      door.close();
      throw error;
    }
  }

  private constructor(options: UdpDoorOptions) {
    this.#options = options;
  }

  /** The port that the kernel chose where 0 was asked for. */
  get port(): number {
    return this.#sockets[0]?.address().port ?? this.#options.port;
  }

  /** Datagrams of this tunnel are let in from now on. Throws {@link MisuseError} for an id that another one has. */
  admit(tunnel: DatagramTunnel): void {
    const id = tunnel.id && toHex(tunnel.id);
    if (id !== undefined) {
      if (this.#byId.has(id)) throw new MisuseError(`tunnel ${tunnel.tunnel} has the datagram id of another one`);
      this.#byId.set(id, tunnel);
    }
    const remote = formatIp(tunnel.remote);
    const others = this.#byRemote.get(remote);
    if (others === undefined) this.#byRemote.set(remote, new Set([tunnel]));
    else others.add(tunnel);
  }

  /** Whether a tunnel has this id. */
  knows(datagramId: Uint8Array): boolean {
    return this.#byId.has(toHex(datagramId));
  }

  /** The tunnel is gone. */
  dismiss(tunnel: DatagramTunnel): void {
    if (tunnel.id !== undefined && this.#byId.get(toHex(tunnel.id)) === tunnel) this.#byId.delete(toHex(tunnel.id));
    this.#movedAt.delete(tunnel);
    const remote = formatIp(tunnel.remote);
    const others = this.#byRemote.get(remote);
    others?.delete(tunnel);
    if (others?.size === 0) this.#byRemote.delete(remote);
  }

  close(): void {
    for (const socket of this.#sockets.splice(0)) socket.close();
  }

  async #open(): Promise<void> {
    const { inherited = [], host, port } = this.#options;
    for (const fd of inherited) await this.#bind('udp4', { fd }, 'the UDP socket that was handed over');
    if (inherited.length > 0) return;
    const what = `UDP port ${port}${host === undefined ? '' : ` of ${host}`}`;
    if (host !== undefined) {
      await this.#bind(parseIp(host)?.family === 6 ? 'udp6' : 'udp4', { port, address: host }, what);
      return;
    }
    await this.#bind('udp4', { port }, what);
    try {
      await this.#bind('udp6', { port: this.port }, what);
    } catch {
      // A machine without IPv6: there are no IPv6 clients either.
    }
  }

  async #bind(
    type: 'udp4' | 'udp6',
    where: { readonly fd: number } | { readonly port: number; readonly address?: string },
    what: string,
  ): Promise<void> {
    const socket = createSocket({ type, reuseAddr: true, ipv6Only: type === 'udp6' });
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    socket.once('error', (cause) => reject(new NetworkError(`Cannot listen on ${what}: ${systemErrorText(cause)}.`, { cause })));
    socket.bind(where, resolve);
    try {
      await promise;
    } catch (error) {
      socket.close();
      throw error;
    }
    socket.removeAllListeners('error').on('error', () => undefined); // ICMP about an answer that was never ours
    socket.on('message', (bytes, { address, port }) => {
      const ip = parseIp(address.replace(/%.*$/, '')); // a zone is not part of an address
      if (ip !== undefined) this.arrived(bytes, { address: ip, port });
    });
    this.#sockets.push(socket);
  }

  /** What came to this port. Also for datagrams that came to a flow's socket before it was connected, from somebody else. */
  arrived(bytes: Uint8Array, remote: Endpoint): void {
    const id = datagramIdIn(bytes);
    const known = id && this.#byId.get(toHex(id));
    const worker = id === undefined || known !== undefined ? undefined : this.#options.expected?.workerOf(id);
    if (id !== undefined && worker !== undefined) {
      this.#firstArrived(bytes, remote, (flow) => this.#options.expected?.onFlow(worker, id, flow));
      return;
    }
    const answer = known === undefined ? this.#options.strangers?.answer(bytes, remote) : undefined;
    if (answer === undefined) this.#knownArrived(known ?? this.#onlyTunnelOf(remote.address), bytes, remote);
    else if (answer === 'valid') this.#firstArrived(bytes, remote, (flow) => this.#options.strangers?.onFlow(flow));
    else this.#reply(answer, remote);
  }

  #knownArrived(tunnel: DatagramTunnel | undefined, bytes: Uint8Array, remote: Endpoint): void {
    if (tunnel === undefined) return;
    this.#openFlow(tunnel.local, bytes, remote, (flow) => this.#options.onFlow(tunnel.tunnel, flow));
  }

  /** Of a tunnel that is none yet. */
  #firstArrived(bytes: Uint8Array, remote: Endpoint, take: (flow: Flow) => void): void {
    this.#openFlow(anyAddress(remote.address.family), bytes, remote, take);
  }

  /** A socket for a client that a worker has heard and let go. As everywhere here, one that cannot be had is not. */
  flowTo(remote: Endpoint, take: (flow: Omit<Flow, 'first'>) => void): void {
    this.#isRecent(remote); // what it says until then is dropped
    this.#makeSocket(anyAddress(remote.address.family), (socket, local) => take({ socket, local, remote }));
  }

  #openFlow(address: IpAddress, bytes: Uint8Array, remote: Endpoint, take: (flow: Flow) => void): void {
    if (this.#isRecent(remote)) return;
    this.#makeSocket(address, (socket, local) => take({ socket, local, remote, first: Uint8Array.from(bytes) }));
  }

  #makeSocket(address: IpAddress, take: (socket: Socket, local: Endpoint) => void): void {
    try {
      const local: Endpoint = { address: this.#ownAddress() ?? address, port: this.port };
      const hand = (socket: Socket) => take(socket, local);
      const socket = nativeSocketFor(local, this.#options.within);
      if (socket !== undefined) hand(socket);
      else portableSocketFor(local, hand);
    } catch (error) {
      // No route back, no descriptors left: the client stays on TLS, and tries again.
      if (!(error instanceof SallyportError)) throw error;
    }
  }

  #reply(bytes: Uint8Array, remote: Endpoint): void {
    const family = `IPv${remote.address.family}`;
    const socket = this.#sockets.find((other) => other.address().family === family);
    socket?.send(bytes, remote.port, formatIp(remote.address), () => undefined); // lost is lost: the client says hello again
  }

  #onlyTunnelOf(remote: IpAddress): DatagramTunnel | undefined {
    const tunnels = this.#byRemote.get(formatIp(remote));
    const [tunnel] = tunnels?.size === 1 ? tunnels : [];
    if (tunnel === undefined) return undefined;
    // Anybody can write that address on an envelope: once in a while is enough for a NAT, and too little for a flood.
    const now = this.#options.now();
    if (now < (this.#movedAt.get(tunnel) ?? Number.NEGATIVE_INFINITY) + FLOW_INTERVAL) return undefined;
    this.#movedAt.set(tunnel, now);
    return tunnel;
  }

  /** Undefined: it hears on all. */
  #ownAddress(): IpAddress | undefined {
    const address = parseIp(this.#options.host ?? '');
    return address?.bytes.some((byte) => byte !== 0) === true ? address : undefined;
  }

  #isRecent(remote: Endpoint): boolean {
    const now = this.#options.now();
    for (const [key, since] of this.#recent) {
      if (since + FLOW_INTERVAL > now) break; // the rest came later
      this.#recent.delete(key);
    }
    const key = formatEndpoint(remote);
    if (this.#recent.has(key) || this.#recent.size >= MAX_RECENT) return true;
    this.#recent.set(key, now);
    return false;
  }
}

/** The tunnel's id in a first datagram, where it has one. */
function datagramIdIn(bytes: Uint8Array): Uint8Array | undefined {
  const espId = tunnelIdIn(bytes);
  if (espId !== undefined) return espId;
  const hello = readFirstHello(bytes);
  if (hello === undefined) return undefined;
  try {
    return associationId(hello);
  } catch (error) {
    if (error instanceof SallyportError) return undefined; // an extension that is none
    throw error;
  }
}

/** Where the door hears on all addresses, the way back chooses the one that answers. */
function anyAddress(family: 4 | 6): IpAddress {
  return { family, bytes: new Uint8Array(family === 4 ? 4 : 16) };
}

/** A socket with the door's port, for one client: whoever gets it connects it. Undefined where native calls cannot be had. */
function nativeSocketFor(local: Endpoint, within: UdpDoorOptions['within'] = (make) => make()): Socket | undefined {
  let c: Libc;
  try {
    c = libc('UDP flows of a gateway');
  } catch (error) {
    if (error instanceof UnsupportedError) return undefined;
    throw error;
  }
  const fd = within(() => openSharedUdpSocket(c, local));
  const socket = createSocket(local.address.family === 6 ? 'udp6' : 'udp4');
  socket.bind({ fd });
  stopReading(socket);
  return socket;
}

/** The same by Node alone, which takes a moment. One that cannot be had is not: the client stays on TLS, and tries again. */
function portableSocketFor({ address, port }: Endpoint, hand: (socket: Socket) => void): void {
  const isIpv6 = address.family === 6;
  const socket = createSocket({ type: isIpv6 ? 'udp6' : 'udp4', reuseAddr: true, ipv6Only: isIpv6 });
  socket.once('error', () => socket.close());
  socket.bind({ port, address: formatIp(address) }, () => {
    socket.removeAllListeners('error').on('error', () => undefined); // ICMP about an answer that was never ours
    stopReading(socket);
    hand(socket);
  });
}
