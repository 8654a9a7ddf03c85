/** The ways in, TCP and UDP together: open, shut for a while, closed. What comes in by them goes to the workers. */
import type { MovedAssociation } from '../../core/dtls/state.ts';
import { SallyportError } from '../../core/errors.ts';
import type { Logger } from '../../core/log.ts';
import { type Endpoint, type IpAddress, parseIp, sameIp } from '../../core/wire/ip-address.ts';
import { toHex } from '../../core/wire/text.ts';
import { libc } from '../../node/ffi/libc.ts';
import { inNetworkNamespace } from '../../node/ffi/network-namespace.ts';
import { openSharedUdpSocket, openTcpListener } from '../../node/ffi/sockets.ts';
import type { LimitConfig, ListenConfig } from '../config/gateway-config.ts';
import { Expectations } from '../processes/expectations.ts';
import type { Arrival } from '../processes/worker-contract.ts';
import type { LoginDesk } from './login-desk.ts';
import type { SessionTable, Tunnel } from './session-table.ts';
import { BACKLOG, type Knock, TcpDoor } from './tcp-door.ts';
import { type DatagramTunnel, type Flow, UdpDoor } from './udp-door.ts';
import type { WorkerPool } from './worker-pool.ts';

export interface DoorsOptions {
  readonly listen: ListenConfig;
  /** Of the configuration of now. */
  readonly limits: () => LimitConfig;
  readonly table: SessionTable;
  /** Made after the doors: a gateway that cannot have its ports does nothing else. */
  readonly logins: () => LoginDesk;
  readonly pool: () => WorkerPool;
  readonly inherited?: { readonly tcp: readonly number[]; readonly udp: readonly number[] };
  /** As `Strangers.answer`. */
  readonly greetStranger: (datagram: Uint8Array, remote: Endpoint) => Uint8Array | 'valid' | undefined;
  readonly log: Logger;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** Questions to the back ends under way at once from which on they lag behind. */
const BUSY_LOGINS = 16;

/** A unix socket's peer is a program of this machine. */
const THIS_MACHINE: Endpoint = { address: { family: 4, bytes: Uint8Array.of(127, 0, 0, 1) }, port: 0 };

export class Doors {
  readonly #options: DoorsOptions;
  readonly #datagrams = new Map<Tunnel, DatagramTunnel>();
  /** Of clients who were told keys, the workers that have them. */
  readonly #expected = new Expectations<number>();
  /** By what their clients say first: of several the one that was there first has the name. */
  readonly #greetings = new Map<string, Tunnel[]>();
  readonly #queue: Knock[] = [];
  /** Who came before the gateway was ready, and waits for it; undefined: it has been open. */
  #early: Knock[] | undefined = [];
  #pace: NodeJS.Timeout | undefined;
  #tcp: TcpDoor | undefined;
  #udp: UdpDoor | undefined;
  #isOpen = false;

  /** Binds all ports; clients wait until {@link open}. Rejects with NetworkError for one that is taken. */
  static async make(options: DoorsOptions): Promise<Doors> {
    const doors = new Doors(options);
    const { listen, now } = options;
    const { udpPort, udpHost = listen.host, networkNamespace } = listen;
    try {
      const inherited = networkNamespace === undefined ? options.inherited : socketsIn(networkNamespace, listen);
      if (udpPort !== undefined) {
        doors.#udp = await UdpDoor.open({
          ...{ port: udpPort, now, inherited: inherited?.udp ?? [] },
          ...(udpHost !== undefined && { host: udpHost }),
          ...(networkNamespace !== undefined && { within: <T>(make: () => T) => inNetworkNamespace(networkNamespace, make) }),
          onFlow: (tunnel, flow) => options.pool().flow(options.table.find(tunnel)?.worker ?? 0, tunnel, flow),
          expected: {
            workerOf: (datagramId) => doors.#expected.of(datagramId, now()),
            onFlow: (worker, datagramId, flow) => doors.#expectedCame(worker, datagramId, flow),
          },
          strangers: {
            answer: (datagram, remote) => (doors.#isOpen ? options.greetStranger(datagram, remote) : undefined),
            onFlow: (flow) => doors.#strangerCame(flow),
          },
        });
      }
      doors.#tcp = await TcpDoor.open(listen, (knock) => doors.#knocked(knock), inherited?.tcp ?? []);
      return doors;
    } catch (error) {
      doors.close();
      throw error;
    }
  }

  private constructor(options: DoorsOptions) {
    this.#options = options;
  }

  get tcpPort(): number | undefined {
    return this.#tcp?.port;
  }

  get udpPort(): number | undefined {
    return this.#udp?.port;
  }

  open(): void {
    this.#isOpen = true;
    const early = this.#early ?? [];
    this.#early = undefined;
    for (const knock of early) this.#knocked(knock);
  }

  /** New connections are refused; what is there stays. */
  shut(): void {
    this.#isOpen = false;
  }

  /** For good. Datagrams of running tunnels have sockets of their own. Safe to call twice. */
  close(): void {
    this.#isOpen = false;
    clearTimeout(this.#pace);
    for (const { socket } of [...this.#queue.splice(0), ...(this.#early ?? [])]) socket.destroy();
    this.#early = undefined;
    this.#tcp?.close();
    this.#udp?.close();
  }

  /**
   * Datagrams of this tunnel are let in from now on, if it has any. Of two whose clients call themselves the same the newer has the name once the other is
   * gone: a name is nothing that a client proves. Throws {@link MisuseError} for a datagram id that another one has.
   */
  admit(tunnel: Tunnel): void {
    const { greetingId } = tunnel;
    this.#admitDatagrams(tunnel);
    if (greetingId === undefined) return;
    const name = toHex(greetingId);
    const named = this.#greetings.get(name);
    if (named === undefined) this.#greetings.set(name, [tunnel]);
    else {
      named.push(tunnel);
      this.#options.log.log('warn', 'no datagrams for a client that has the name of another', { user: tunnel.session.user, id: tunnel.id });
    }
  }

  dismiss(tunnel: Tunnel): void {
    const name = toHex(tunnel.greetingId ?? new Uint8Array(0));
    const named = this.#greetings.get(name)?.filter((other) => other !== tunnel) ?? [];
    if (named.length > 0) this.#greetings.set(name, named);
    else this.#greetings.delete(name);
    const admitted = this.#datagrams.get(tunnel);
    if (admitted === undefined) return;
    this.#datagrams.delete(tunnel);
    this.#udp?.dismiss(admitted);
  }

  /** The session's next tunnel may begin with a datagram of this id, for this worker. False: it cannot. */
  expect(session: string, worker: number, datagramId: Uint8Array): boolean {
    if (this.#udp?.knows(datagramId) !== false) return false;
    return this.#expected.expect(session, datagramId, worker, this.#options.now());
  }

  /** The session has a tunnel, or is over. */
  unexpect(session: string): void {
    this.#expected.forget(session);
  }

  /** A worker has ended, and the keys that it had told with it. */
  workerGone(worker: number): void {
    this.#expected.forgetWhere((other) => other === worker);
  }

  /** A client that a worker has shaken hands with belongs to this tunnel, so its flow does: whichever worker runs it. False: to none. */
  greeted(worker: number, id: number, greetingId: Uint8Array, dtls: MovedAssociation): boolean {
    const { table, pool } = this.#options;
    const { remote } = table.connectionOf(worker, id);
    const tunnel = remote && chosenOf([...(this.#greetings.get(toHex(greetingId)) ?? [])], remote.address);
    if (tunnel === undefined || remote === undefined) return false;
    this.#udp?.flowTo(remote, (flow) => pool().greeted(tunnel.connection.worker, tunnel.id, flow, dtls));
    return true;
  }

  /** A datagram that came to another client's socket. */
  strayed(datagram: Uint8Array, from: Endpoint): void {
    this.#udp?.arrived(datagram, from);
  }

  #admitDatagrams(tunnel: Tunnel): void {
    const { datagramId: id, greetingId, connection } = tunnel;
    if ((id ?? greetingId) === undefined || connection.remote === undefined || connection.local === undefined) return;
    const admitted = { tunnel: tunnel.id, id, local: connection.local.address, remote: connection.remote.address };
    this.#datagrams.set(tunnel, admitted);
    this.#udp?.admit(admitted);
  }

  /** A client that comes by UDP alone is a connection like any other. */
  #strangerCame(flow: Flow): void {
    const { pool } = this.#options;
    const worker = pool().choose();
    const arrival = worker === undefined ? undefined : this.#arrivalOf(worker, flow);
    if (worker === undefined || arrival === undefined) flow.socket.close();
    else pool().stranger(worker, arrival, flow);
  }

  #expectedCame(worker: number, datagramId: Uint8Array, flow: Flow): void {
    const arrival = this.#arrivalOf(worker, flow);
    if (arrival === undefined) flow.socket.close();
    else this.#options.pool().expected(worker, arrival, datagramId, flow);
  }

  /** Undefined: there is no room for it, or it is not wanted. */
  #arrivalOf(worker: number, { remote, local }: Flow): Arrival | undefined {
    const { table, now, logins } = this.#options;
    if (!table.waiting.hasRoom(remote.address) || !logins().mayKnock(remote.address)) return undefined;
    return { connection: table.connect(worker, remote, local, now()).id, remote, local, hasProxyHeader: false };
  }

  /** Connections wait their turn while log-ins pile up (`rate-limit-ms`). */
  #knocked(knock: Knock): void {
    if (this.#early !== undefined) {
      if (this.#early.length < BACKLOG) this.#early.push(knock);
      else knock.socket.destroy();
      return;
    }
    const { acceptInterval } = this.#options.limits();
    if (this.#queue.length === 0 && (acceptInterval === 0 || this.#options.logins().underWay < BUSY_LOGINS)) this.#admit(knock);
    else if (this.#queue.length >= BACKLOG) knock.socket.destroy();
    else if (this.#queue.push(knock) === 1) this.#pace = setTimeout(() => this.#next(), acceptInterval);
  }

  #next(): void {
    const knock = this.#queue.shift();
    if (knock !== undefined) this.#admit(knock);
    if (this.#queue.length > 0) this.#pace = setTimeout(() => this.#next(), this.#options.limits().acceptInterval);
  }

  #admit({ socket, remote, local }: Knock): void {
    const { listen, table, now } = this.#options;
    const [logins, pool] = [this.#options.logins(), this.#options.pool()];
    const hasProxyHeader = listen.proxyProtocol;
    const known = hasProxyHeader ? undefined : (remote ?? THIS_MACHINE);
    const worker = pool.choose();
    if (
      !this.#isOpen ||
      worker === undefined ||
      !table.waiting.hasRoom(known?.address) ||
      (known !== undefined && !logins.mayKnock(known.address))
    ) {
      socket.destroy();
      return;
    }
    const { id } = table.connect(worker, known, local, now());
    const arrival = {
      connection: id,
      hasProxyHeader,
      ...(known !== undefined && { remote: known }),
      ...(local !== undefined && { local }),
    };
    pool.connect(worker, arrival, socket);
  }
}

/** As with its cookie (`deny-roaming`). */
/** Of tunnels with one name, which their clients have chosen: the one that has come from this address, or else the first that may roam. */
function chosenOf(tunnels: readonly Tunnel[], remote: IpAddress): Tunnel | undefined {
  const isThere = ({ connection }: Tunnel) => connection.remote !== undefined && sameIp(connection.remote.address, remote);
  return tunnels.find(isThere) ?? tunnels.find(({ policy }) => !policy.denyRoaming);
}

/** Throws {@link SallyportError} for a namespace that is not there, and for ports that are taken in it. */
function socketsIn(
  namespace: string,
  { host, udpHost = host, tcpPort, udpPort }: ListenConfig,
): { tcp: readonly number[]; udp: readonly number[] } {
  const c = libc('Sockets in a network namespace');
  const at = (name: string | undefined, port: number, any: string): Endpoint => {
    const address = parseIp(name ?? any);
    if (address === undefined) throw new SallyportError('ERR_NETNS', `In a network namespace "${name}" must be an address.`);
    return { address, port };
  };
  return inNetworkNamespace(namespace, () => ({
    tcp: tcpPort === 0 ? [] : [openTcpListener(c, at(host, tcpPort, '::'), BACKLOG)],
    udp: udpPort === undefined ? [] : [openSharedUdpSocket(c, at(udpHost, udpPort, '0.0.0.0'))],
  }));
}
