/**
 * What workers may ask of main once a client has shown its cookie: here that becomes a session on the network, and ends. For what comes before see
 * `login-desk.ts`.
 *
 *   lease:   policy of host, group and user ─► the session's tunnel of before ends ─► room? ─► addresses ─► script, routes, firewall ─► terms
 *   closed:  firewall, routes, script ─► addresses ─► accounting, statistics
 *
 * Steps of one session happen one after the other, so that what a disconnect takes back is there, and nothing of a reconnect is.
 */
import { MisuseError, PeerRefusedError } from '../../core/errors.ts';
import type { Logger } from '../../core/log.ts';
import type { LeaseWishes } from '../../core/protocols/gateway-protocol.ts';
import type { SessionTerms } from '../../core/tunnel/session-terms.ts';
import { formatIp } from '../../core/wire/ip-address.ts';
import type { GatewayConfig } from '../config/gateway-config.ts';
import { resolvePolicy } from '../config/session-policy.ts';
import { accessRules, isRestricted } from '../network/firewall-rules.ts';
import type { Lease as AddressLease } from '../network/lease-pool.ts';
import { sessionTerms } from '../network/policy-terms.ts';
import {
  type AuthService,
  type DisconnectReason,
  type KnownSession,
  keepsCookieAfter,
  type SessionUsage,
} from '../processes/auth-service.ts';
import type { ClosingManner, Lease, TunnelEnd } from '../processes/worker-contract.ts';
import { DEFAULT_LINK_MTU, type GatewayNetwork } from './gateway-network.ts';
import { eventFacts, type SessionEvents } from './session-events.ts';
import { hostOf, limitsOf, type Opening, openingOf } from './session-opening.ts';
import { addressOf, type Connection, knownBy, type SessionTable, type Tunnel } from './session-table.ts';
import type { Statistics } from './statistics.ts';
import { StepQueue } from './step-queue.ts';

export interface DeskWorld {
  /** The configuration of now. */
  readonly config: () => GatewayConfig;
  readonly auth: AuthService;
  readonly table: SessionTable;
  readonly statistics: Statistics;
  readonly events: SessionEvents;
  readonly network: Pick<GatewayNetwork, 'sessions' | 'routes' | 'device'>;
  /** Of UDP, open; undefined: there is none. */
  readonly udpPort: () => number | undefined;
  /** Asks the tunnel's worker to end it; resolves when its client was told, or its worker is gone. */
  readonly endTunnel: (tunnel: Tunnel, reason: DisconnectReason, manner?: ClosingManner) => Promise<void>;
  /** Datagrams of this tunnel are let in, or not any more. */
  readonly admit: (tunnel: Tunnel) => void;
  readonly dismiss: (tunnel: Tunnel) => void;
  /** The session's next tunnel may begin with a datagram of this id, for this worker, or not any more. False: it cannot. */
  readonly expect: (session: string, worker: number, datagramId: Uint8Array) => boolean;
  readonly unexpect: (session: string) => void;
  /** What the session has left at workers: at all of them, or all but the one that has its tunnel. */
  readonly forgetFlows: (session: string, but?: number) => void;
  readonly log: Logger;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

const NOTHING_USED: SessionUsage = { received: 0, sent: 0, duration: 0 };

/** Why the client is told no: without the reason, which is for the log. */
const REFUSALS = {
  full: 'The gateway has no room for another session.',
  sameUser: 'This user has too many sessions.',
  over: 'The session is over.',
} as const;

export class SessionDesk {
  readonly #world: DeskWorld;
  /** By session. */
  readonly #steps = new StepQueue();
  /** Tunnels that are gone, and what for, until that is dealt with. */
  readonly #ends = new Map<Tunnel, TunnelEnd>();
  /** Tunnels whose end was their session's as well. */
  readonly #forgotten = new WeakSet<Tunnel>();

  constructor(world: DeskWorld) {
    this.#world = world;
  }

  async endSession(worker: number, id: number, session: string): Promise<void> {
    knownBy(this.#world.table, worker, id, session);
    await this.#endForGood(session, 'user disconnected');
  }

  /** Throws {@link PeerRefusedError} with what the client may be told. */
  lease(worker: number, id: number, session: string, wishes: LeaseWishes): Promise<Lease> {
    const { connection, known } = knownBy(this.#world.table, worker, id, session);
    return this.#steps.run(session, () => this.#lease(connection, known, wishes));
  }

  /** Vendors tell a client its addresses before it asks for a tunnel. */
  preview(worker: number, id: number, session: string, wishes: LeaseWishes): Promise<SessionTerms> {
    const { connection, known } = knownBy(this.#world.table, worker, id, session);
    return this.#steps.run(session, async () => {
      await this.#requireGood(known);
      const opening = await this.#openingFor(known, wishes);
      const { lease, displaced } = await this.#world.network.sessions.reserve(openingOf(connection, opening).request);
      for (const other of displaced) this.#track(other, () => this.#endSession(other, 'unspecified'));
      return this.#terms(opening, lease);
    });
  }

  /** A client that was told keys may come by UDP. Those of its tunnel of before are good no more: what comes to that one's port now is for the next. */
  expects(worker: number, id: number, session: string, datagramId: Uint8Array): Promise<boolean> {
    knownBy(this.#world.table, worker, id, session);
    return this.#steps.run(session, async () => {
      if (!(await this.#world.auth.has(session))) return false;
      if (this.#world.table.ofSession(session)?.datagramId !== undefined) await this.#takeOver(session);
      return this.#world.expect(session, worker, datagramId);
    });
  }

  async opened(worker: number, id: number, datagramId: Uint8Array | undefined, greetingId: Uint8Array | undefined): Promise<void> {
    const { auth, admit, events, network, log, now } = this.#world;
    const tunnel = this.#world.table.tunnelOf(worker, id);
    if (tunnel.isOpen) throw new MisuseError(`tunnel ${id} is open already`);
    tunnel.datagramId = datagramId;
    tunnel.greetingId = greetingId;
    admit(tunnel); // it may say no: another one has its id
    tunnel.isOpen = true;
    const { session, lease, device, wishes } = tunnel;
    const remote = addressOf(tunnel.connection).address;
    events.publish({ type: 'connected', ...eventFacts(tunnel, now()) });
    log.log('info', 'user connected', { user: session.user, id, remote: formatIp(remote) });
    const { ipv4, ipv6 } = lease;
    await auth.opened(session.id, {
      ...{ remote, device },
      ...(ipv4 !== undefined && { ipv4: ipv4.address }),
      ...(ipv6 !== undefined && { ipv6: ipv6.address }),
    });
    // Observed: ocserv runs this script each time, a moment after the first one, though the first was told the name as well.
    if (wishes.hostname !== undefined) await network.sessions.updateHost(session.id, wishes.hostname);
  }

  async reported(worker: number, id: number, usage: SessionUsage): Promise<void> {
    await this.#world.auth.reported(this.#world.table.tunnelOf(worker, id).session.id, usage);
  }

  /** The worker's word that a tunnel is gone. Nothing is to be done for one that was forgotten meanwhile. */
  closed(worker: number, id: number, end: TunnelEnd): void {
    const { table } = this.#world;
    const connection = table.find(id);
    if (connection?.worker === worker && connection.tunnel !== undefined) this.#close(connection.tunnel, end);
  }

  /** The connection is gone, and with it a tunnel of which nothing was said. */
  disconnected(worker: number, id: number): void {
    const { table } = this.#world;
    const connection = table.connectionOf(worker, id);
    if (connection.tunnel !== undefined)
      this.#close(connection.tunnel, { ...NOTHING_USED, reason: 'unspecified error', keepsCookie: true });
    table.disconnect(connection);
  }

  /** A tunnel that its worker was told to end, and of which it has said nothing since. */
  forget(tunnel: Tunnel, reason: DisconnectReason): void {
    if (tunnel.connection.tunnel === tunnel) this.#close(tunnel, { ...NOTHING_USED, reason, keepsCookie: keepsCookieAfter(reason) });
  }

  /** What workers may call, by name; the first argument is the worker's number. */
  services(): Readonly<Record<string, (worker: number, ...args: never[]) => unknown>> {
    return {
      endSession: (worker, id: number, session: string) => this.endSession(worker, id, session),
      preview: (worker, id: number, session: string, wishes: LeaseWishes) => this.preview(worker, id, session, wishes),
      lease: (worker, id: number, session: string, wishes: LeaseWishes) => this.lease(worker, id, session, wishes),
      expects: (worker, id: number, session: string, datagramId: Uint8Array) => this.expects(worker, id, session, datagramId),
      opened: (worker, id: number, datagramId?: Uint8Array, greetingId?: Uint8Array) => this.opened(worker, id, datagramId, greetingId),
      reported: (worker, id: number, usage: SessionUsage) => this.reported(worker, id, usage),
      closed: (worker, id: number, end: TunnelEnd) => this.closed(worker, id, end),
    };
  }

  /** A worker has ended: nobody will tell us of what it had. */
  workerGone(worker: number): void {
    for (const { id } of this.#world.table.ofWorker(worker)) this.disconnected(worker, id);
  }

  /** Ends what an administrator wants to end, cookie and all. */
  async disconnect(tunnel: Tunnel): Promise<void> {
    await this.#endForGood(tunnel.session.id, 'server disconnected');
  }

  /** The same for a session that may have no tunnel now. */
  async endSessionOf(session: string): Promise<void> {
    await this.#endForGood(session, 'server disconnected');
  }

  /** At the end of the gateway: every tunnel, one beside the other. Cookies stay good for a gateway that starts again. */
  async disconnectAll(): Promise<void> {
    const { table, endTunnel } = this.#world;
    // Observed of ocserv: no goodbye, after which openconnect would end. So clients come back to a gateway that starts again.
    await Promise.all([...table.tunnels].map((tunnel) => endTunnel(tunnel, 'unspecified', 'silence')));
    await this.#steps.settled();
  }

  async #lease(connection: Connection, known: KnownSession, wishes: LeaseWishes): Promise<Lease> {
    const { table, network } = this.#world;
    await this.#requireGood(known);
    const opening = await this.#openingFor(known, wishes);
    this.#world.unexpect(known.id);
    await this.#takeOver(known.id);
    this.#checkRoom(known, opening.policy.maxSameClients);
    const giveBack = table.reserve(known.id, known.user);
    try {
      const grant = await network.sessions.open(openingOf(connection, opening));
      for (const session of grant.displaced) this.#track(session, () => this.#endSession(session, 'unspecified'));
      return await this.#undoing(known.id, () => this.#opened(connection, opening, grant.lease));
    } finally {
      giveBack();
    }
  }

  /** A session may have been ended since its cookie was shown, and nobody takes back what one that is over has got. */
  async #requireGood({ id }: KnownSession): Promise<void> {
    if (!(await this.#world.auth.has(id))) throw new PeerRefusedError(REFUSALS.over);
  }

  /** Policy of host, group and user, as the files are now. */
  async #openingFor(known: KnownSession, wishes: LeaseWishes): Promise<Opening> {
    const { config, log } = this.#world;
    const host = hostOf(config(), known.host);
    const { policy, notices } = await resolvePolicy(host, {
      user: known.user,
      groups: known.group === undefined ? [] : [known.group],
      ...(known.policy !== undefined && { backEnd: known.policy }),
    });
    for (const { file, line, message } of notices) log.log('warn', 'a supplemental file is not right', { file, line, message });
    return { host, known, policy, wishes };
  }

  /** What a session has of the network is given back where what follows fails. */
  async #undoing<T>(session: string, step: () => T): Promise<T> {
    try {
      return step();
    } catch (error) {
      await this.#world.network.sessions.close(session, NOTHING_USED);
      throw error;
    }
  }

  #opened(connection: Connection, opening: Opening, lease: AddressLease): Lease {
    const { table, network, now } = this.#world;
    const { host, known, policy, wishes } = opening;
    if (table.find(connection.id) !== connection) throw new PeerRefusedError('The client has left.'); // while the script ran
    const terms = this.#terms(opening, lease);
    table.open({
      ...{ id: connection.id, connection, session: known, policy, lease, terms, wishes, device: network.device },
      ...{ datagramId: undefined, greetingId: undefined, isOpen: false },
    });
    this.#world.forgetFlows(known.id, connection.worker);
    const owner = { session: known.id, ...(isRestricted(policy) && { rules: accessRules(policy) }) };
    const limits = { ...limitsOf(policy, terms, known.createdAt, now()), resumeTime: host.sessions.cookieTimeout };
    return { tunnel: connection.id, terms, limits, owner };
  }

  #terms({ host, known, policy, wishes }: Opening, lease: AddressLease): SessionTerms {
    const { network, now } = this.#world;
    const udpPort = this.#world.udpPort();
    const { dtlsCiphers } = host.tls.policy;
    return sessionTerms(
      {
        ...{ policy, session: known, lease, wishes },
        host: { mtu: DEFAULT_LINK_MTU, ...(udpPort !== undefined && { udpPort }), ...(dtlsCiphers !== undefined && { dtlsCiphers }) },
        clientNetworks: network.routes.othersThan(known.id),
      },
      { now: 0, date: now(), random: Math.random() },
    );
  }

  /** The newest tunnel of a session wins (spec "AnyConnect", section 10.2). */
  async #takeOver(session: string): Promise<void> {
    const before = this.#world.table.ofSession(session);
    if (before === undefined) return;
    await this.#world.endTunnel(before, 'unspecified', 'replaced');
    await this.#finish(before); // its own step waits behind ours, and will find nothing left to do
  }

  #checkRoom({ user, id }: KnownSession, maxSameClients: number): void {
    const { table, config, log } = this.#world;
    const { maxClients } = config().limits;
    if (maxClients > 0 && table.countOthers(id) >= maxClients) {
      log.log('warn', 'max-clients is reached', { user, maxClients });
      throw new PeerRefusedError(REFUSALS.full);
    }
    if (maxSameClients > 0 && table.countOthers(id, user) >= maxSameClients) {
      log.log('warn', 'max-same-clients is reached', { user, maxSameClients });
      throw new PeerRefusedError(REFUSALS.sameUser);
    }
  }

  /**
   * The session, its tunnel and its cookie, behind all that happens to it now: a tunnel that ends by itself at the same moment leaves a cookie that is good
   * for another, and one that is being set up may be there by then. Not in a step of the session's own, which this waits for.
   */
  async #endForGood(session: string, reason: DisconnectReason): Promise<void> {
    const { table, endTunnel } = this.#world;
    const tunnel = table.ofSession(session);
    if (tunnel !== undefined) await endTunnel(tunnel, reason);
    await this.#steps.run(session, async () => {
      const late = table.ofSession(session);
      if (late !== undefined) {
        await endTunnel(late, reason);
        await this.#finish(late);
      }
      const isForgotten = [tunnel, late].some((ended) => ended !== undefined && this.#forgotten.has(ended));
      if (!isForgotten) await this.#forgetSession(session, reason);
    });
  }

  async #endSession(session: string, reason: DisconnectReason): Promise<void> {
    const tunnel = this.#world.table.ofSession(session);
    if (tunnel === undefined) await this.#forgetSession(session, reason);
    else await this.#world.endTunnel(tunnel, reason);
  }

  async #forgetSession(session: string, reason: DisconnectReason): Promise<void> {
    await this.#world.auth.closed(session, { ...NOTHING_USED, reason, keepsCookie: false });
    this.#leaveNetwork(session);
  }

  #close(tunnel: Tunnel, end: TunnelEnd): void {
    this.#ends.set(tunnel, end);
    this.#world.table.close(tunnel);
    this.#track(tunnel.session.id, () => this.#finish(tunnel));
  }

  /** Takes back what {@link SessionDesk.lease} set up. Once, whoever comes first. */
  async #finish(tunnel: Tunnel): Promise<void> {
    const end = this.#ends.get(tunnel);
    if (end === undefined) return;
    this.#ends.delete(tunnel);
    const { auth, network, statistics, events, dismiss, log, now } = this.#world;
    dismiss(tunnel);
    const { session, connection } = tunnel;
    const { reason, keepsCookie, received, sent, duration } = end;
    statistics.sessionEnded({ reason, received, sent, duration }, now());
    if (tunnel.isOpen) {
      events.publish({ type: 'disconnected', ...eventFacts(tunnel, now()), reason, duration });
      log.log('info', 'user disconnected', { user: session.user, id: connection.id, reason, received, sent });
    }
    try {
      await network.sessions.close(session.id, { received, sent, duration });
    } finally {
      if (!keepsCookie) {
        this.#leaveNetwork(session.id);
        this.#forgotten.add(tunnel);
      }
      if (tunnel.isOpen || !keepsCookie) await auth.closed(session.id, end);
    }
  }

  #leaveNetwork(session: string): void {
    this.#world.unexpect(session);
    this.#world.forgetFlows(session);
    this.#world.network.sessions.end(session);
  }

  /** A step that nobody waits for: that it failed is for the log. */
  #track(session: string, step: () => Promise<void>): void {
    this.#steps
      .run(session, step)
      .catch((error: unknown) =>
        this.#world.log.log('error', 'the end of a session failed', { reason: error instanceof Error ? error.message : String(error) }),
      );
  }
}
