/** What the gateway's main process answers to administrators: {@link ControlTarget} over what main knows and what workers and auth are asked for. */
import { parseIp } from '../../core/wire/ip-address.ts';
import type { ControlSession, ControlTarget, EventPage, GatewayStatus, UserStatus } from '../control/control-target.ts';
import { controlSession } from '../control/control-text.ts';
import { type NatFigures, sumOfFigures } from '../nat/nat-figures.ts';
import type { AuthService } from '../processes/auth-service.ts';
import type { TunnelReport } from '../processes/worker-contract.ts';
import type { BanListing, BanTable } from './ban-table.ts';
import type { SessionDesk } from './session-desk.ts';
import type { SessionEvents } from './session-events.ts';
import type { SessionTable } from './session-table.ts';
import type { Statistics } from './statistics.ts';
import { userStatus } from './user-status.ts';
import type { WorkerPool } from './worker-pool.ts';

export interface ControlDeskOptions {
  readonly table: SessionTable;
  readonly desk: SessionDesk;
  readonly pool: WorkerPool;
  readonly auth: AuthService;
  readonly authPid: number;
  readonly bans: BanTable;
  readonly statistics: Statistics;
  readonly events: SessionEvents;
  /** What only the gateway as a whole can do. */
  readonly lifecycle: {
    readonly state: () => GatewayStatus['state'];
    reload(): Promise<void>;
    stop(): void;
    maintain(isOn: boolean): void;
  };
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

export class ControlDesk implements ControlTarget {
  readonly #options: ControlDeskOptions;

  constructor(options: ControlDeskOptions) {
    this.#options = options;
  }

  async status(): Promise<GatewayStatus> {
    const { auth, authPid, bans, table, statistics, lifecycle, now } = this.#options;
    const [reports, nat, sessions] = await Promise.all([this.#reports(), this.#natFigures(), auth.sessions()]);
    const at = now();
    const live = { received: 0, sent: 0 };
    for (const { received, sent } of reports.values()) {
      live.received += received;
      live.sent += sent;
    }
    return {
      ...{ state: lifecycle.state(), now: at, pid: process.pid, authPid, authProcesses: 1, live },
      activeSessions: table.connectionCount,
      bannedAddresses: bans.listings(at).filter(({ bannedUntil }) => bannedUntil !== undefined).length,
      knownSessions: sessions.length,
      ...(nat !== undefined && { nat }),
      statistics: statistics.snapshot(at),
    };
  }

  async users(): Promise<UserStatus[]> {
    const reports = await this.#reports();
    return [...this.#options.table.connections]
      .map((connection) => userStatus(connection, connection.tunnel && reports.get(connection.tunnel.id)))
      .reverse();
  }

  async sessions(): Promise<ControlSession[]> {
    return (await this.#options.auth.sessions()).map(controlSession);
  }

  async bans(): Promise<readonly BanListing[]> {
    return this.#options.bans.listings(this.#options.now());
  }

  events(after: number | undefined, signal: AbortSignal): Promise<EventPage> {
    return this.#options.events.after(after, signal);
  }

  async disconnectUser(name: string): Promise<number> {
    const { table, desk, auth } = this.#options;
    await auth.revokePasses(name); // first: nobody is to come back by one
    const tunnels = table.ofUser(name);
    await Promise.all(tunnels.map((tunnel) => desk.disconnect(tunnel)));
    // And those who could come back, or have come meanwhile.
    const left = (await auth.sessions()).filter(({ user }) => user === name);
    await Promise.all(left.map(({ id }) => desk.endSessionOf(id)));
    return tunnels.length;
  }

  async disconnectId(id: number): Promise<boolean> {
    const { table, desk, pool, auth } = this.#options;
    const connection = table.find(id);
    if (connection === undefined) return false;
    const { tunnel } = connection;
    if (tunnel !== undefined) {
      await auth.revokePasses(tunnel.session.user);
      await desk.disconnect(tunnel);
    } else await pool.service(connection.worker)?.drop(id);
    return true;
  }

  async unban(address: string): Promise<boolean> {
    const ip = parseIp(address);
    return ip !== undefined && this.#options.bans.unban(ip);
  }

  reload(): Promise<void> {
    return this.#options.lifecycle.reload();
  }

  async stop(): Promise<void> {
    this.#options.lifecycle.stop();
  }

  async maintain(isOn: boolean): Promise<void> {
    this.#options.lifecycle.maintain(isOn);
  }

  async #natFigures(): Promise<NatFigures | undefined> {
    return sumOfFigures(await Promise.all(this.#options.pool.services.map((service) => service.natFigures().catch(() => undefined))));
  }

  /** By tunnel. A worker that does not answer has no tunnels to tell of. */
  async #reports(): Promise<Map<number, TunnelReport>> {
    const answers = await Promise.all(this.#options.pool.services.map((service) => service.reports().catch(() => [])));
    return new Map(answers.flat().map((report) => [report.tunnel, report]));
  }
}
