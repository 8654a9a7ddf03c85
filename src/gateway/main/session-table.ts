/**
 * Who is here: connections that workers serve, and the tunnels that some of them have become.
 *
 *   connection ── session() ─► knows whose cookie it brought ── lease() ─► tunnel ── closed() ─► gone
 *
 * A worker may name only what it was given: a connection of its own, a session that it has shown the cookie of, a tunnel that it runs.
 */
import { MisuseError } from '../../core/errors.ts';
import type { LeaseWishes } from '../../core/protocols/gateway-protocol.ts';
import type { Millis } from '../../core/tunnel/packet.ts';
import type { SessionTerms } from '../../core/tunnel/session-terms.ts';
import type { Cidr, Endpoint } from '../../core/wire/ip-address.ts';
import type { SessionPolicy } from '../config/gateway-config.ts';
import type { Lease } from '../network/lease-pool.ts';
import type { KnownSession } from '../processes/auth-service.ts';
import { WaitingRoom } from './waiting-room.ts';

export interface Connection {
  /** Names it for administrators and scripts, as long as it lasts. */
  readonly id: number;
  /** The number of its worker. */
  readonly worker: number;
  /** Undefined until its PROXY header was read. */
  remote: Endpoint | undefined;
  local: Endpoint | undefined;
  /** Milliseconds since 1970. */
  readonly since: number;
  state: 'pre-auth' | 'authenticating' | 'authenticated';
  userAgent: string;
  host: string | undefined;
  /** Whose cookie it brought. */
  known: KnownSession | undefined;
  tunnel: Tunnel | undefined;
}

export interface Tunnel {
  /** The number of its connection. */
  readonly id: number;
  readonly connection: Connection;
  readonly session: KnownSession;
  readonly policy: SessionPolicy;
  readonly lease: Lease;
  readonly terms: SessionTerms;
  readonly wishes: LeaseWishes;
  readonly device: string;
  /** The id of its client's datagrams; undefined: none, or not yet. */
  datagramId: Uint8Array | undefined;
  /** What its client's associations say first; undefined: the same. */
  greetingId: Uint8Array | undefined;
  /** Its client was answered. */
  isOpen: boolean;
}

/** Where packets for a tunnel's client are sent to. */
export function tunnelNetworks({ lease, terms }: Tunnel): Cidr[] {
  return [...[lease.ipv4, lease.ipv6].flatMap((leased) => leased?.unit ?? []), ...terms.clientNetworks];
}

export class SessionTable {
  readonly waiting: WaitingRoom = new WaitingRoom();
  readonly #connections = new Map<number, Connection>();
  readonly #bySession = new Map<string, Tunnel>();
  /** Sessions whose tunnels are being set up, with their users: their places are taken. */
  readonly #arriving = new Map<string, string>();
  #onEmptied: () => void = () => undefined;
  #lastId = 0;

  get connections(): Iterable<Connection> {
    return this.#connections.values();
  }

  get tunnels(): Iterable<Tunnel> {
    return this.#bySession.values();
  }

  get tunnelCount(): number {
    return this.#bySession.size;
  }

  get connectionCount(): number {
    return this.#connections.size;
  }

  connect(worker: number, remote: Endpoint | undefined, local: Endpoint | undefined, now: number): Connection {
    const connection: Connection = {
      ...{ id: ++this.#lastId, worker, remote, local, since: now, state: 'pre-auth', userAgent: '', host: undefined },
      known: undefined,
      tunnel: undefined,
    };
    this.#connections.set(connection.id, connection);
    this.waiting.enter(connection.id, remote?.address);
    return connection;
  }

  /** Throws {@link MisuseError} for one that is not there, or another worker's. */
  connectionOf(worker: number, id: number): Connection {
    const connection = this.#connections.get(id);
    if (connection?.worker !== worker) throw new MisuseError(`worker ${worker} has no connection ${id}`);
    return connection;
  }

  /** The same for the tunnel of a connection. */
  tunnelOf(worker: number, id: number): Tunnel {
    const { tunnel } = this.connectionOf(worker, id);
    if (tunnel === undefined) throw new MisuseError(`worker ${worker} has no tunnel ${id}`);
    return tunnel;
  }

  find(id: number): Connection | undefined {
    return this.#connections.get(id);
  }

  ofSession(session: string): Tunnel | undefined {
    return this.#bySession.get(session);
  }

  /** How many have a tunnel, or will in a moment: of all sessions but one, of a user or of everybody. */
  countOthers(session: string, user?: string): number {
    const sessions = new Set<string>();
    for (const [id, tunnel] of this.#bySession) if (user === undefined || tunnel.session.user === user) sessions.add(id);
    for (const [id, name] of this.#arriving) if (user === undefined || name === user) sessions.add(id);
    sessions.delete(session);
    return sessions.size;
  }

  /** Takes a place for a session while its tunnel is being set up; returns what gives it back. */
  reserve(session: string, user: string): () => void {
    this.#arriving.set(session, user);
    return () => void this.#arriving.delete(session);
  }

  ofUser(user: string): Tunnel[] {
    return [...this.#bySession.values()].filter(({ session }) => session.user === user);
  }

  ofWorker(worker: number): Connection[] {
    return [...this.#connections.values()].filter((connection) => connection.worker === worker);
  }

  /** The connection is a tunnel from now on. */
  open(tunnel: Tunnel): void {
    tunnel.connection.tunnel = tunnel;
    this.waiting.leave(tunnel.connection.id);
    this.#bySession.set(tunnel.session.id, tunnel);
  }

  /** The tunnel is gone; its connection's end follows. */
  close(tunnel: Tunnel): void {
    if (this.#bySession.get(tunnel.session.id) === tunnel) this.#bySession.delete(tunnel.session.id);
    tunnel.connection.tunnel = undefined;
    if (this.#bySession.size === 0) this.#onEmptied();
  }

  /** Resolves when the last tunnel has gone, or the time is up. */
  async emptied(limit: Millis): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#onEmptied = resolve;
    const timer = setTimeout(resolve, limit);
    await promise;
    clearTimeout(timer);
  }

  disconnect(connection: Connection): void {
    this.#connections.delete(connection.id);
    this.waiting.leave(connection.id);
  }
}

/** Throws {@link MisuseError} for a connection whose PROXY header has not been told yet. */
export function addressOf({ remote, id }: Connection): Endpoint {
  if (remote === undefined) throw new MisuseError(`connection ${id} has no address yet`);
  return remote;
}

/** A session that a worker may speak of: one whose cookie that connection has shown. Throws {@link MisuseError} for any other. */
export function knownBy(
  table: SessionTable,
  worker: number,
  id: number,
  session: string,
): { readonly connection: Connection; readonly known: KnownSession } {
  const connection = table.connectionOf(worker, id);
  const { known } = connection;
  if (known?.id !== session) throw new MisuseError(`connection ${id} has not shown the cookie of that session`);
  return { connection, known };
}
