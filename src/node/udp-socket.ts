/**
 * UDP flows: by the engine where there is one, by node:dgram everywhere else.
 *
 * What node:dgram cannot do: set don't-fragment or the type of service. What that means for MTU probes stands at {@link PortableUdpSocket}.
 */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { MisuseError, NetworkError, UnsupportedError } from '../core/errors.ts';
import { type Endpoint, formatEndpoint, formatIp, parseIp, sameIp } from '../core/wire/ip-address.ts';
import {
  type CarriedState,
  DATAGRAM_COUNTERS,
  type DatagramCounter,
  type DatagramCounters,
  type DatagramHandler,
  type DatagramPath,
  type DatagramPathOptions,
  type DatagramProblem,
  type HandedFlow,
  MAX_EARLY_DATAGRAMS,
} from './datagram-path.ts';
import type { PacketEngine } from './engine/packet-engine.ts';
import { takeOver } from './handed-udp-socket.ts';
import { interfaceMtu } from './interface-mtu.ts';

/** A connected UDP flow. Throws {@link NetworkError} without a route, {@link UnsupportedError} for options that need the engine. */
export function openDatagramPath(options: DatagramPathOptions, engine?: PacketEngine): Promise<DatagramPath> {
  return engine === undefined ? PortableUdpSocket.open(options) : engine.openUdp(options);
}

/** The same on a bound socket that another process has made; it is the path's from here on. */
export function adoptDatagramPath(socket: Socket, flow: HandedFlow, engine?: Pick<PacketEngine, 'adoptUdp'>): Promise<DatagramPath> {
  if (engine !== undefined) return engine.adoptUdp(socket, flow);
  return PortableUdpSocket.adopt(socket, flow.remote, flow.first, flow.strayed);
}

/** Bytes in front of a UDP payload in an IP packet without options. */
export function udpHeaderLength(family: 4 | 6): number {
  return family === 6 ? 48 : 28;
}

/**
 * A connected UDP socket of node:dgram.
 *
 * Node has no call for IP_MTU_DISCOVER, so the system's default holds. On Linux that is "want": don't-fragment is set on all that fits the MTU the
 * kernel believes in, and what does not fit is sent in fragments. So probes mean something up to the interface's MTU, and larger ones are refused
 * here, as the kernel would with don't-fragment; but once a router's "too big" has lowered the kernel's belief, larger probes pass in fragments. The
 * MTU found is then one that works, not one that is whole.
 */
export class PortableUdpSocket implements DatagramPath {
  readonly kind = 'datagram';
  readonly local: Endpoint;
  readonly remote: Endpoint;
  readonly pathMtu: number | undefined;
  readonly canCarry = false;
  readonly #socket: Socket;
  /** Takes what somebody else has sent; undefined: nobody else can. */
  readonly #strayed: ((bytes: Uint8Array, from: Endpoint) => void) | undefined;
  readonly #remoteText: string;
  readonly #counters = Object.fromEntries(DATAGRAM_COUNTERS.map((name) => [name, 0])) as Record<DatagramCounter, number>;
  readonly #early: Uint8Array[] = [];
  #handler: DatagramHandler | undefined;
  /** Datagrams that Node has and the system does not have yet. */
  #unsent = 0;
  #allSent: (() => void) | undefined;
  #closed: Promise<void> | undefined;

  /** Resolves when the system has chosen a route and a local address. */
  static async open(options: DatagramPathOptions): Promise<PortableUdpSocket> {
    if (options.copiesDscp === true) {
      throw new UnsupportedError(
        'Copying the type of service to outer packets (--passtos) needs the packet engine: Linux and the package koffi.',
      );
    }
    const { remote } = options;
    const socket = createSocket(remote.address.family === 6 ? 'udp6' : 'udp4');
    try {
      await new Promise<void>((resolve, reject) => {
        socket.once('error', reject);
        const connected = (error?: Error) => (error === undefined ? resolve() : reject(error));
        socket.bind(options.localPort ?? 0, () => socket.connect(remote.port, formatIp(remote.address), connected));
      });
    } catch (cause) {
      socket.close();
      throw networkErrorOf(cause, `UDP to ${formatEndpoint(remote)}`);
    }
    socket.removeAllListeners('error');
    return new PortableUdpSocket(socket, remote);
  }

  /**
   * A flow from a bound socket that another process has made; it is this object's from here on. `first` came before the socket was there. Until it is
   * connected it hears other senders too, and what they have said by then arrives even later: that is `strayed`.
   */
  static async adopt(
    socket: Socket,
    remote: Endpoint,
    first: Uint8Array | undefined,
    strayed: (bytes: Uint8Array, from: Endpoint) => void,
  ): Promise<PortableUdpSocket> {
    takeOver(socket, remote.address.family);
    const arrived: [bytes: Uint8Array, from: RemoteInfo][] = [];
    const keep = (bytes: Uint8Array, from: RemoteInfo) => void arrived.push([bytes, from]);
    socket.on('message', keep);
    try {
      await new Promise<void>((resolve, reject) => {
        socket.once('error', reject);
        // Node tells this call-back of an error, and then not the event.
        socket.connect(remote.port, formatIp(remote.address), (error?: Error) => (error === undefined ? resolve() : reject(error)));
      });
    } catch (cause) {
      socket.close();
      throw networkErrorOf(cause, `UDP to ${formatEndpoint(remote)}`);
    }
    socket.removeAllListeners('error').off('message', keep);
    const path = new PortableUdpSocket(socket, remote, strayed);
    if (first !== undefined) path.#receive(first);
    for (const [bytes, from] of arrived) path.#sort(bytes, from);
    return path;
  }

  private constructor(socket: Socket, remote: Endpoint, strayed?: (bytes: Uint8Array, from: Endpoint) => void) {
    this.#socket = socket;
    this.remote = remote;
    this.#strayed = strayed;
    this.#remoteText = formatIp(remote.address);
    const { address, port } = socket.address();
    const parsed = parseIp(address.replace(/%.*$/, '')); // a zone is not part of an address
    if (parsed === undefined) throw new NetworkError(`UDP to ${formatEndpoint(remote)}: the local address "${address}" is none`);
    this.local = { address: parsed, port };
    this.pathMtu = interfaceMtu(parsed);
    socket.on('message', strayed === undefined ? (bytes) => this.#receive(bytes) : (bytes, from) => this.#sort(bytes, from));
    socket.on('error', (error) => this.#report(error));
  }

  start(handler: DatagramHandler): void {
    if (this.#handler !== undefined) throw new MisuseError('this UDP path was started before');
    this.#handler = handler;
    // Not at once: who starts a path tells its machine of it next, and a machine does not listen to paths that it does not know.
    queueMicrotask(() => {
      for (const bytes of this.#early.splice(0)) handler.datagram(bytes);
    });
  }

  stop(): void {
    this.#handler = undefined;
  }

  send(bytes: Uint8Array): void {
    if (this.#closed !== undefined) return;
    if (this.pathMtu !== undefined && bytes.length + udpHeaderLength(this.remote.address.family) > this.pathMtu) {
      this.#counters.sendTooBig++;
      // Not at once: the caller is in the middle of a machine's turn.
      queueMicrotask(() => this.#handler?.problem({ type: 'too-big', length: bytes.length, pathMtu: this.pathMtu }));
      return;
    }
    this.#unsent++;
    // A copy: Node keeps the bytes until the call-back, the caller only lends them.
    this.#socket.send(Buffer.from(bytes), (error) => this.#sent(bytes.length, error));
  }

  carry(): Promise<CarriedState | undefined> {
    return Promise.reject(cannotCarry());
  }

  setTunnelMtu(): Promise<void> {
    return Promise.reject(cannotCarry());
  }

  takeOver(): Promise<boolean> {
    return Promise.reject(cannotCarry());
  }

  counters(): DatagramCounters {
    return { ...this.#counters };
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    if (this.#unsent > 0) await new Promise<void>((resolve) => (this.#allSent = resolve));
    await new Promise<void>((resolve) => this.#socket.close(() => resolve()));
  }

  #sent(length: number, error: Error | null): void {
    this.#unsent--;
    if (error === null) {
      this.#counters.sent++;
      this.#counters.sentBytes += length;
      this.#counters.sentAt = performance.now();
    } else {
      this.#report(error, length);
    }
    if (this.#unsent === 0) this.#allSent?.();
  }

  #sort(bytes: Uint8Array, { address, port }: RemoteInfo): void {
    if (port === this.remote.port && address === this.#remoteText) {
      this.#receive(bytes);
      return;
    }
    const ip = parseIp(address.replace(/%.*$/, ''));
    if (ip !== undefined && !(port === this.remote.port && sameIp(ip, this.remote.address))) this.#strayed?.(bytes, { address: ip, port });
    else this.#receive(bytes);
  }

  #receive(bytes: Uint8Array): void {
    this.#counters.received++;
    this.#counters.receivedBytes += bytes.length;
    this.#counters.receivedAt = performance.now();
    if (this.#handler !== undefined) this.#handler.datagram(bytes);
    else if (this.#early.length < MAX_EARLY_DATAGRAMS) this.#early.push(bytes);
    else this.#counters.deliverDropped++;
  }

  #report(error: Error, length?: number): void {
    const problem = this.#problemOf(error, length);
    if (length !== undefined) this.#counters[problem.type === 'too-big' ? 'sendTooBig' : 'sendFailed']++;
    if (this.#closed === undefined) this.#handler?.problem(problem);
  }

  #problemOf(error: Error, length: number | undefined): DatagramProblem {
    if ('code' in error && error.code === 'EMSGSIZE') return { type: 'too-big', length, pathMtu: undefined };
    return { type: 'unreachable', error: networkErrorOf(error, `UDP to ${formatEndpoint(this.remote)}`) };
  }
}

function cannotCarry(): UnsupportedError {
  return new UnsupportedError('A path over node:dgram cannot carry traffic: that needs the packet engine.');
}

function networkErrorOf(cause: unknown, what: string): NetworkError {
  const error = cause instanceof Error ? cause : new Error(String(cause));
  const code = 'code' in error && typeof error.code === 'string' ? error.code : 'ERR_NETWORK';
  return new NetworkError(`${what}: ${error.message}`, { code, cause });
}
